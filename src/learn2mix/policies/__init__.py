"""How the proportions move: pure rules from group losses to each group's share of a batch."""

from learn2mix.policies.base import Policy, State
from learn2mix.policies.doremi import Doremi
from learn2mix.policies.dynamic_loading import DynamicLoading
from learn2mix.policies.ema import ema
from learn2mix.policies.floor import floor
from learn2mix.policies.group_dro import GroupDRO
from learn2mix.policies.learn2mix import Learn2Mix
from learn2mix.policies.online_data_mixing import OnlineDataMixing
from learn2mix.policies.static import Static
from learn2mix.policies.warmup import warmup

__all__ = [
    "Doremi",
    "DynamicLoading",
    "GroupDRO",
    "Learn2Mix",
    "OnlineDataMixing",
    "Policy",
    "State",
    "Static",
    "ema",
    "floor",
    "warmup",
]

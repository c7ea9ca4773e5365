"""How the proportions move: pure rules from group losses to each group's share of a batch."""

from learn2mix.policies.base import Policy, State
from learn2mix.policies.ema import ema
from learn2mix.policies.floor import floor
from learn2mix.policies.learn2mix import Learn2Mix
from learn2mix.policies.static import Static
from learn2mix.policies.warmup import warmup

__all__ = ["Learn2Mix", "Policy", "State", "Static", "ema", "floor", "warmup"]

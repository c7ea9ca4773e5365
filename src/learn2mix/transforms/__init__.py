"""What is done to a batch: callables between the loader and the loss."""

from learn2mix.transforms.base import Mixed, mix
from learn2mix.transforms.c_mixup import CMixup
from learn2mix.transforms.mfw import FeatureWeakening, Weakened, weaken_majors
from learn2mix.transforms.midpoint_mixup import MidpointMixup
from learn2mix.transforms.mixup import Mixup
from learn2mix.transforms.rc_mixup import RCMixup, kept_after_cleaning

__all__ = [
    "CMixup",
    "FeatureWeakening",
    "MidpointMixup",
    "Mixed",
    "Mixup",
    "RCMixup",
    "Weakened",
    "kept_after_cleaning",
    "mix",
    "weaken_majors",
]

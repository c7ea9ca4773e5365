"""The ways to train that are compared, one a file."""

from learn2mix.bench.methods.balanced import Balanced
from learn2mix.bench.methods.base import Job, Method, MixerFeed, ShuffledFeed, add
from learn2mix.bench.methods.classical import Classical
from learn2mix.bench.methods.curriculum import Curriculum
from learn2mix.bench.methods.focal import Focal
from learn2mix.bench.methods.group_dro import GroupDRO
from learn2mix.bench.methods.importance import Importance
from learn2mix.bench.methods.learn2mix import Learn2Mix
from learn2mix.bench.methods.learn2mix_weighted import Learn2MixWeighted
from learn2mix.bench.methods.logit_adjusted import LogitAdjusted
from learn2mix.bench.methods.natural import Natural
from learn2mix.bench.methods.one_shot import OneShot
from learn2mix.bench.methods.oversample import Oversample
from learn2mix.bench.methods.smote import Smote
from learn2mix.bench.methods.yoked import Yoked

__all__ = [
    "Balanced",
    "Classical",
    "Curriculum",
    "Focal",
    "GroupDRO",
    "Importance",
    "Job",
    "Learn2Mix",
    "Learn2MixWeighted",
    "LogitAdjusted",
    "Method",
    "MixerFeed",
    "Natural",
    "OneShot",
    "Oversample",
    "ShuffledFeed",
    "Smote",
    "Yoked",
    "add",
]

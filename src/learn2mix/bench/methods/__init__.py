"""The ways to train that are compared, one a file."""

from learn2mix.bench.methods.balanced import Balanced
from learn2mix.bench.methods.base import Job, Method, MixerFeed, ShuffledFeed, add
from learn2mix.bench.methods.classical import Classical
from learn2mix.bench.methods.curriculum import Curriculum
from learn2mix.bench.methods.focal import Focal
from learn2mix.bench.methods.importance import Importance
from learn2mix.bench.methods.learn2mix import Learn2Mix
from learn2mix.bench.methods.natural import Natural
from learn2mix.bench.methods.smote import Smote

__all__ = [
    "Balanced",
    "Classical",
    "Curriculum",
    "Focal",
    "Importance",
    "Job",
    "Learn2Mix",
    "Method",
    "MixerFeed",
    "Natural",
    "ShuffledFeed",
    "Smote",
    "add",
]

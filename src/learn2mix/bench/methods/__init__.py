"""The ways to train that are compared, one a file."""

from learn2mix.bench.methods.balanced import Balanced
from learn2mix.bench.methods.base import Job, Method, MixerFeed, ShuffledFeed, add
from learn2mix.bench.methods.c_mixup import CMixup
from learn2mix.bench.methods.classical import Classical
from learn2mix.bench.methods.curriculum import Curriculum
from learn2mix.bench.methods.doremi import Doremi
from learn2mix.bench.methods.drw import DRW
from learn2mix.bench.methods.dynamic_loading import DynamicLoading
from learn2mix.bench.methods.focal import Focal
from learn2mix.bench.methods.group_dro import GroupDRO
from learn2mix.bench.methods.group_dro_sampling import GroupDROSampling
from learn2mix.bench.methods.importance import Importance
from learn2mix.bench.methods.infobatch import InfoBatch
from learn2mix.bench.methods.last_loss import LastLoss
from learn2mix.bench.methods.ldam import LDAM
from learn2mix.bench.methods.learn2mix import Learn2Mix
from learn2mix.bench.methods.learn2mix_weighted import Learn2MixWeighted
from learn2mix.bench.methods.lort import LORT
from learn2mix.bench.methods.mfw import MFW
from learn2mix.bench.methods.midpoint_mixup import MidpointMixup
from learn2mix.bench.methods.mixup import Mixup
from learn2mix.bench.methods.mixup_stopped import MixupStopped
from learn2mix.bench.methods.natural import Natural
from learn2mix.bench.methods.of_losses import OfLoss, add_losses
from learn2mix.bench.methods.one_shot import OneShot
from learn2mix.bench.methods.online_data_mixing import OnlineDataMixing
from learn2mix.bench.methods.oversample import Oversample
from learn2mix.bench.methods.post_hoc_logit_adjustment import PostHocLogitAdjustment
from learn2mix.bench.methods.rc_mixup import RCMixup
from learn2mix.bench.methods.smote import Smote
from learn2mix.bench.methods.subset_pretraining import SubsetPretraining
from learn2mix.bench.methods.yoked import Yoked

__all__ = [
    "DRW",
    "LDAM",
    "LORT",
    "MFW",
    "Balanced",
    "CMixup",
    "Classical",
    "Curriculum",
    "Doremi",
    "DynamicLoading",
    "Focal",
    "GroupDRO",
    "GroupDROSampling",
    "Importance",
    "InfoBatch",
    "Job",
    "LastLoss",
    "Learn2Mix",
    "Learn2MixWeighted",
    "Method",
    "MidpointMixup",
    "MixerFeed",
    "Mixup",
    "MixupStopped",
    "Natural",
    "OfLoss",
    "OneShot",
    "OnlineDataMixing",
    "Oversample",
    "PostHocLogitAdjustment",
    "RCMixup",
    "ShuffledFeed",
    "Smote",
    "SubsetPretraining",
    "Yoked",
    "add",
    "add_losses",
]

add_losses()  # that have no file of their own above

"""What an error costs: loss functions with the conventions of ``torch.nn.functional``."""

from learn2mix.losses.cdt import CDTLoss, cdt_loss
from learn2mix.losses.class_balanced import ClassBalancedLoss, class_balanced_loss, effective_number_weights
from learn2mix.losses.focal import FocalLoss, focal_loss, inverse_frequency_weights
from learn2mix.losses.ldam import CosineLinear, LDAMLoss, ldam_loss, with_cosine_classifier
from learn2mix.losses.logit_adjusted import LogitAdjustedLoss, logit_adjusted_loss
from learn2mix.losses.vs import VSLoss, vs_loss

__all__ = [
    "CDTLoss",
    "ClassBalancedLoss",
    "CosineLinear",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "VSLoss",
    "cdt_loss",
    "class_balanced_loss",
    "effective_number_weights",
    "focal_loss",
    "inverse_frequency_weights",
    "ldam_loss",
    "logit_adjusted_loss",
    "vs_loss",
    "with_cosine_classifier",
]

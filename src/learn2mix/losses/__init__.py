"""What an error costs: loss functions with the conventions of ``torch.nn.functional``."""

from learn2mix.losses.focal import FocalLoss, focal_loss, inverse_frequency_weights
from learn2mix.losses.logit_adjusted import LogitAdjustedLoss, logit_adjusted_loss

__all__ = ["FocalLoss", "LogitAdjustedLoss", "focal_loss", "inverse_frequency_weights", "logit_adjusted_loss"]

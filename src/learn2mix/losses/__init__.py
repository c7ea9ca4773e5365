"""What an error costs: loss functions with the conventions of ``torch.nn.functional``."""

from learn2mix.losses.focal import FocalLoss, focal_loss, inverse_frequency_weights

__all__ = ["FocalLoss", "focal_loss", "inverse_frequency_weights"]

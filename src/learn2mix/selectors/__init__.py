"""Which examples of a group fill its seats: rules from the examples' last losses to chances and factors."""

from learn2mix.selectors.base import Selector
from learn2mix.selectors.infobatch import InfoBatch
from learn2mix.selectors.last_loss import LastLoss

__all__ = ["InfoBatch", "LastLoss", "Selector"]

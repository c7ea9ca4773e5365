"""What training does when: which part of the set, or which weights, an epoch is trained with."""

from learn2mix.schedules.drw import DeferredReweighting
from learn2mix.schedules.subset_pretraining import SubsetPretraining, overdetermination_ratio, subset_size

__all__ = ["DeferredReweighting", "SubsetPretraining", "overdetermination_ratio", "subset_size"]

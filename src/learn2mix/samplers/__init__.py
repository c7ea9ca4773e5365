"""Which examples fill a batch."""

from learn2mix.samplers.batch_sampler import BatchSampler

__all__ = ["BatchSampler"]

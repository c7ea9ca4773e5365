"""Training batches whose group make-up adapts to the network's own losses.

>>> import torch
>>> from learn2mix import Mixer, policies
>>> mixer = Mixer(torch.tensor([0, 0, 0, 1]), batch_size=2, policy=policies.Learn2Mix(mixing_rate=0.1), seed=0)
>>> len(mixer.batch_sampler)
2
"""

from learn2mix import losses, metrics, policies
from learn2mix.mixer import Mixer, Update
from learn2mix.samplers import BatchSampler

__version__ = "0.1.0"

__all__ = ["BatchSampler", "Mixer", "Update", "__version__", "losses", "metrics", "policies"]

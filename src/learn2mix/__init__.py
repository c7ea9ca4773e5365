"""Training batches whose group make-up adapts to the network's own losses.

>>> import torch
>>> from learn2mix import Mixer, policies
>>> mixer = Mixer(torch.tensor([0, 0, 0, 1]), batch_size=2, policy=policies.Learn2Mix(mixing_rate=0.1), seed=0)
>>> len(mixer.batch_sampler)
2
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learn2mix import diagnostics, losses, metrics, policies, posthoc, schedules, selectors, transforms
    from learn2mix.mixer import Mixer
    from learn2mix.samplers import BatchSampler
    from learn2mix.updates import Update

__version__ = "0.1.0"

__all__ = [
    "BatchSampler",
    "Mixer",
    "Update",
    "__version__",
    "diagnostics",
    "losses",
    "metrics",
    "policies",
    "posthoc",
    "schedules",
    "selectors",
    "transforms",
]

_HOMES = {"BatchSampler": "samplers", "Mixer": "mixer", "Update": "updates"}


# Names load when they are asked for: torch takes seconds to import, and the command line has to set how its threads
# wait before that.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, name)}")
    return getattr(home, name) if name in _HOMES else home


def __dir__() -> list[str]:
    return sorted(__all__)

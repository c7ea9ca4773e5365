"""Fair comparisons: tasks, methods, one training loop for all of them, and what is made of its runs.

>>> from learn2mix.bench import Budget, run
>>> run("digits", "classical", 0, Budget(steps=5)).curves["steps"].tolist()
[0.0, 5.0]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learn2mix.bench.budget import Budget
    from learn2mix.bench.data import Data, Examples
    from learn2mix.bench.record import Run
    from learn2mix.bench.runner import run
    from learn2mix.bench.store import Store

__all__ = ["Budget", "Data", "Examples", "Run", "Store", "run"]

_HOMES = {
    "Budget": "budget",
    "Data": "data",
    "Examples": "data",
    "Run": "record",
    "Store": "store",
    "run": "runner",
}


# Names load when they are asked for: importing one part of the bench must not import all of it.
def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

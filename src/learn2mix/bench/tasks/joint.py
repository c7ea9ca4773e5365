"""Two regressions whose features are standardised as the paper's authors do: over training and test rows together.

The test rows have a say in it; these tasks are there to compare with the paper's figures.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.splits import standardise
from learn2mix.bench.tasks.base import Task, add
from learn2mix.bench.tasks.california_housing import CALIFORNIA_HOUSING
from learn2mix.bench.tasks.wine_quality import WINE_QUALITY


def _load(task: Task, data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load a task's data with every column standardised over all rows."""
    data = task.load(data_dir, progress)
    return replace(data, train=standardise(data.train, data.train), digest=None)


def _joint(task: Task) -> Task:
    summary = f"{task.name}, standardised over training and test rows together"
    return replace(task, name=f"{task.name}-joint", summary=summary, load=partial(_load, task), standardise=False)


WINE_QUALITY_JOINT = add(_joint(WINE_QUALITY))
CALIFORNIA_HOUSING_JOINT = add(_joint(CALIFORNIA_HOUSING))

"""The mean of a distribution from ten draws, four distributions: the paper's synthetic regression."""

from __future__ import annotations

import os
from functools import partial

import numpy as np

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.profiles import Given
from learn2mix.bench.models import mlp
from learn2mix.bench.tasks.base import MSE, Task, add, squared_error

_ROWS = 2000
_DRAWS = 10
_DISTRIBUTIONS = ("normal", "exponential", "chi-squared", "uniform")


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Draw the rows that every run of the task splits by its seed; always the same."""
    return draw(0)


def draw(seed: int) -> Data:
    """Draw 2000 rows a distribution, (8000, 10), with their means as targets.

    A run splits them: 1000 of each for testing, and of the rest 1000, 1000, 800 and 200 for training.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    uniform = generator.random((4, _ROWS))
    low, wide = uniform[:3], 20 + 30 * uniform[3]
    draws = [
        low[0][:, None] + generator.standard_normal((_ROWS, _DRAWS)),
        low[1][:, None] * generator.standard_exponential((_ROWS, _DRAWS)),
        # chi-squared with m degrees of freedom, whose mean is m
        2 * generator.standard_gamma(low[2][:, None] / 2, (_ROWS, _DRAWS)),
        wide[:, None] + 20 * generator.random((_ROWS, _DRAWS)) - 10,
    ]
    means = np.concatenate([*low, wide])
    return Data.regression(np.concatenate(draws), means, np.repeat(np.arange(4), _ROWS), _DISTRIBUTIONS)


MEAN_ESTIMATION = add(
    Task(
        name="mean-estimation",
        version=1,
        summary="the mean of a distribution from ten draws, four kinds, the last rare; MLP",
        load=load,
        network=partial(mlp, _DRAWS, 64, 1),
        batch_size=500,
        epochs=500,
        mixing_rate=0.01,
        learning_rate=5e-5,
        profile=Given((5, 5, 4, 1)),
        test_fraction=0.5,
        loss=squared_error,
        metric=MSE,
        kind="regression",
        seeds=20,
        threads=1,
        reference="arXiv:2412.16482, section 4 and appendix",
    )
)

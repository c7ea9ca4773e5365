"""Wine quality from eleven measurements; the groups are the colours, and white is cut to a tenth."""

from __future__ import annotations

import os
from functools import partial

import numpy as np

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.profiles import Step
from learn2mix.bench.data.tables import columns, read_table
from learn2mix.bench.models import mlp
from learn2mix.bench.tasks.base import MSE, Task, add, squared_error

_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-{}.csv"
_TARGET = "quality"


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load 1599 red and 4898 white wines, (6497, 11), with their quality, 3 to 9, as target."""
    tables = {
        colour: read_table(_URL.format(colour), "wine_quality", separator=";", data_dir=data_dir)
        for colour in ("red", "white")
    }
    features = [name for name in tables["red"] if name != _TARGET]
    return Data.regression(
        np.concatenate([columns(table, features) for table in tables.values()]),
        np.concatenate([columns(table, [_TARGET])[:, 0] for table in tables.values()]),
        np.concatenate([np.full(len(table[_TARGET]), group) for group, table in enumerate(tables.values())]),
        list(tables),
    )


WINE_QUALITY = add(
    Task(
        name="wine-quality",
        version=1,
        summary="wine quality from eleven measurements, white wine rare; MLP",
        load=load,
        network=partial(mlp, 11, 64, 1),
        batch_size=100,
        epochs=300,
        mixing_rate=0.05,
        learning_rate=1e-4,
        profile=Step(minority=(1,), fraction=0.1),
        # a hair over a half: the odd red wine goes to testing, and N is the paper's 1043
        test_fraction=0.5004,
        loss=squared_error,
        metric=MSE,
        kind="regression",
        standardise=True,
        seeds=20,
        threads=1,
        reference="arXiv:2412.16482, section 4; data: P. Cortez et al., Decision Support Systems 47(4), 2009",
    )
)

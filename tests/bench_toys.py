"""A small problem to run the bench on, and where tests find local copies of public data."""

from __future__ import annotations

import dataclasses
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from learn2mix.bench.data import Data, Examples
from learn2mix.bench.methods import Job
from learn2mix.bench.models import mlp
from learn2mix.bench.tasks import Task
from learn2mix.bench.tasks.base import MSE, squared_error
from learn2mix.bench.training import Batch

LOCAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# The one skip of these tests: local copies of MNIST and the like are not part of the repository.
needs_local_data = pytest.mark.skipif(not (LOCAL_DATA / "mnist").is_dir(), reason=f"no data in {LOCAL_DATA}")

SIZES = (44, 24, 16)
TEST_SIZES = (10, 20, 30)


def blobs(sizes=SIZES, seed=0):
    """Three clouds in four dimensions, in mixed order."""
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.array([[2, 0, 0, 1], [0, 2, 0, 1], [1, 1, 2, 0]])
    return (centres[y] + generator.normal(size=(len(y), 4))).astype(np.float32), y


def toy_data(sizes=SIZES):
    return Data.from_arrays(*blobs(sizes), *blobs(TEST_SIZES, seed=1), group_names=("a", "b", "c"))


def load(data_dir=None, progress=None):
    return toy_data()


# 84 examples in batches of 8: 10 steps an epoch, 4 examples left over
TOY = Task(
    name="toy",
    version=1,
    summary="three clouds",
    load=load,
    network=partial(mlp, 4, 8, 3),
    batch_size=8,
    epochs=3,
    mixing_rate=0.2,
    learning_rate=0.02,
)


def toy(**changes):
    return dataclasses.replace(TOY, **changes)


OUTPUTS = {"classification": 3, "regression": 1, "reconstruction": 4}


def toy_of(kind, **changes):
    """The small problem as one of a kind: its classes, a line through its inputs, or its inputs themselves."""
    settings = {"kind": kind, "name": f"toy-{kind}", "network": partial(mlp, 4, 8, OUTPUTS[kind])}
    if kind != "classification":
        settings |= {"loss": squared_error, "metric": MSE}
    return toy(**{**settings, **changes})


def data_of(kind):
    """Its data."""

    def targets(examples):
        if kind == "classification":
            return examples.y
        return examples.x if kind == "reconstruction" else examples.x @ torch.tensor([1.0, -1.0, 0.5, 2.0])

    data = toy_data()
    parts = (Examples(part.x, targets(part), part.groups) for part in (data.train, data.test))
    return Data(*parts, data.group_names)


def toy_job(**changes):
    task = toy(**changes)
    return Job(task, toy_data().train, 3, seed=0, epochs=3, steps_per_epoch=84 // task.batch_size)


def arm_of(method, job):
    """The whole arm, with what a method leaves to the task."""
    return job.complete(method.prepare(job))


def of_groups(groups):
    """A batch of which only the groups matter."""
    nothing = torch.zeros(len(groups))
    return Batch(nothing, nothing, torch.as_tensor(groups), torch.arange(len(groups)))


def columns(run):
    """The curves that decide whether two runs are the same; NaN compares equal to itself."""
    return {name: column for name, column in run.curves.items() if "seconds" not in name}


def assert_same_curves(one, other):
    assert one.curves.keys() == other.curves.keys()
    for name, column in columns(one).items():
        np.testing.assert_array_equal(column, other.curves[name], err_msg=name)


def global_random_state():
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

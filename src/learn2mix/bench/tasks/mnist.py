"""MNIST as it is, with LeNet-5 and the paper's settings."""

from __future__ import annotations

import os

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.images import load_images, normalised
from learn2mix.bench.models import lenet5
from learn2mix.bench.tasks.base import Task, add


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load 60,000 training and 10,000 test images, (N, 1, 28, 28) in [-1, 1]; see :func:`normalised`."""
    return normalised(load_images("ylecun/mnist", "mnist", data_dir=data_dir, progress=progress))


MNIST = add(
    Task(
        name="mnist",
        version=1,
        summary="MNIST, ten even classes; LeNet-5",
        load=load,
        network=lenet5,
        batch_size=1000,
        epochs=60,
        mixing_rate=0.1,
        learning_rate=1e-4,
        reference="arXiv:2412.16482, section 4; data: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86(11), 1998",
    )
)

"""CIFAR-10 rebuilt by an autoencoder, all but the classes 4 and 5 cut to a tenth."""

from __future__ import annotations

import os
from functools import partial

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.images import flattened, load_images
from learn2mix.bench.data.profiles import Step
from learn2mix.bench.models import autoencoder
from learn2mix.bench.tasks.base import MSE, Task, add, squared_error


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load the images as rows of 3072 numbers in [0, 1] that are their own targets; see :func:`flattened`."""
    return flattened(load_images("uoft-cs/cifar10", "cifar10", image="img", data_dir=data_dir, progress=progress))


CIFAR10_RECONSTRUCTION = add(
    Task(
        name="cifar10-reconstruction",
        version=1,
        summary="CIFAR-10 rebuilt, all but two classes rare; autoencoder",
        load=load,
        network=partial(autoencoder, 3072, 0.05),
        batch_size=1000,
        epochs=110,
        mixing_rate=0.1,
        learning_rate=1e-5,
        profile=Step(minority=(0, 1, 2, 3, 6, 7, 8, 9), fraction=0.1),
        loss=squared_error,
        metric=MSE,
        kind="reconstruction",
        reference="arXiv:2412.16482, section 4; data: A. Krizhevsky, Learning Multiple Layers of Features, 2009",
    )
)

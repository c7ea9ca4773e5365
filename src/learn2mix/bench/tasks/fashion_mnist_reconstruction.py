"""Fashion-MNIST rebuilt by an autoencoder, the classes 5 to 9 cut to a fifth."""

from __future__ import annotations

import os
from functools import partial

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.images import flattened, load_images
from learn2mix.bench.data.profiles import Step
from learn2mix.bench.models import autoencoder
from learn2mix.bench.tasks.base import MSE, Task, add, squared_error


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load the images as rows of 784 numbers in [0, 1] that are their own targets; see :func:`flattened`."""
    return flattened(
        load_images("zalando-datasets/fashion_mnist", "fashion_mnist", data_dir=data_dir, progress=progress)
    )


FASHION_MNIST_RECONSTRUCTION = add(
    Task(
        name="fashion-mnist-reconstruction",
        version=1,
        summary="Fashion-MNIST rebuilt, classes 5 to 9 rare; autoencoder",
        load=load,
        network=partial(autoencoder, 784, 0.007),
        batch_size=1000,
        epochs=70,
        mixing_rate=0.1,
        learning_rate=1e-5,
        profile=Step(minority=(5, 6, 7, 8, 9), fraction=0.2),
        loss=squared_error,
        metric=MSE,
        kind="reconstruction",
        reference="arXiv:2412.16482, section 4; data: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747",
    )
)

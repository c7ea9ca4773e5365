"""CIFAR-100 with a long tail, the larger LeNet and the paper's settings."""

from __future__ import annotations

import os

from torch import nn

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.images import load_images
from learn2mix.bench.data.pixels import Pixels
from learn2mix.bench.data.profiles import Exponential
from learn2mix.bench.models import large_lenet
from learn2mix.bench.tasks.base import Task, add

# Mean and standard deviation of the training pixels, red, green and blue, as the authors' code has them.
MEAN = (0.5074, 0.4867, 0.4411)
STD = (0.2011, 0.1987, 0.2025)

# Class i = 0..99 keeps floor(500 * 40^(-i / 99)), in all 13,290 as in the authors' code. The paper's text has
# 40^(-i / 100) and 13,209, which do not agree with each other.
PROFILE = Exponential(factor=40)


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load 50,000 training and 10,000 test images of 100 classes, (N, 3, 32, 32), uint8; see :func:`load_images`.

    The hub's name and columns (``uoft-cs/cifar100``; ``img``, ``fine_label``, ``coarse_label``) were never tried here
    against the hub itself.
    """
    return load_images(
        "uoft-cs/cifar100", "cifar100", image="img", label="fine_label", data_dir=data_dir, progress=progress
    )


def network() -> nn.Module:
    """Make the larger LeNet for 100 classes."""
    return large_lenet(100, Pixels(MEAN, STD))


# The paper has a mixing rate of 0.5, its authors' code 0.1.
CIFAR100 = add(
    Task(
        name="cifar100",
        version=1,
        summary="CIFAR-100, long-tailed (factor 40); larger LeNet",
        load=load,
        network=network,
        batch_size=5000,
        epochs=135,
        mixing_rate=0.5,
        learning_rate=1e-4,
        profile=PROFILE,
        reference="arXiv:2412.16482, section 4; data: A. Krizhevsky, Multiple Layers of Features from Tiny Images, 2009",
    )
)

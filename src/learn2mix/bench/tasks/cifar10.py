"""CIFAR-10 as it is, augmented, with the larger LeNet and the paper's settings."""

from __future__ import annotations

import os

from torch import nn

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.augment import Augmentation
from learn2mix.bench.data.images import load_images
from learn2mix.bench.data.pixels import Pixels
from learn2mix.bench.models import large_lenet
from learn2mix.bench.tasks.base import Task, add

# Mean and standard deviation of the training pixels, red, green and blue, as the authors' code has them.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
# In the authors' code erased places are 1 after normalisation.
_ERASED = (MEAN[0] + STD[0], MEAN[1] + STD[1], MEAN[2] + STD[2])


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load 50,000 training and 10,000 test images, (N, 3, 32, 32), uint8; see :func:`load_images`."""
    return load_images("uoft-cs/cifar10", "cifar10", image="img", data_dir=data_dir, progress=progress)


def network() -> nn.Module:
    """Make the larger LeNet for 10 classes."""
    return large_lenet(10, Pixels(MEAN, STD))


# The parts of the augmentation are the paper's; that jitter means brightness, contrast and saturation, the erased area
# and its colour are from the authors' code, which however draws once, when the tensors are built, and not each time.
CIFAR10 = add(
    Task(
        name="cifar10",
        version=1,
        summary="CIFAR-10, ten even classes, augmented; larger LeNet",
        load=load,
        network=network,
        batch_size=1000,
        epochs=125,
        mixing_rate=0.1,
        learning_rate=7e-5,
        augment=Augmentation(
            flip=0.5, rotation=15, jitter=0.1, padding=4, erase=0.5, erase_area=(0.02, 0.1), erase_colour=_ERASED
        ),
        reference="arXiv:2412.16482, section 4; data: A. Krizhevsky, Multiple Layers of Features from Tiny Images, 2009",
    )
)

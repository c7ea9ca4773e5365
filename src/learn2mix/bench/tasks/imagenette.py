"""Imagenette with classes that grow evenly rarer, ResNet-18 and the paper's settings."""

from __future__ import annotations

import os

from torch import nn

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.images import load_images
from learn2mix.bench.data.pixels import Pixels
from learn2mix.bench.data.profiles import Linear
from learn2mix.bench.models import resnet18
from learn2mix.bench.tasks.base import Task, add

# Mean and standard deviation of ImageNet's training pixels, red, green and blue, as the authors' code has them.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load some 9,500 training and 3,900 test images of 10 classes, (N, 3, 224, 224), uint8; see :func:`load_images`.

    Each is cut to its middle square; the authors' code squeezes the whole image into the square instead. The 2 GB stay
    on disk, mapped into memory. The hub's name, configuration and columns (``frgfm/imagenette``, ``320px``; ``image``,
    ``label``; splits ``train`` and ``validation``) were never tried here against the hub itself.
    """
    return load_images(
        "frgfm/imagenette",
        "imagenette",
        test_split="validation",
        config="320px",
        size=224,
        rgb=True,  # a few are grey
        data_dir=data_dir,
        progress=progress,
    )


def network() -> nn.Module:
    """Make ResNet-18 for 10 classes."""
    return resnet18(10, Pixels(MEAN, STD))


# Class i = 1..10 keeps 1 - 0.1 (i - 1); the paper has 5,207 in all. The batch is the paper's (its authors' code: 250).
# Three seeds: each run takes hours on a processor.
IMAGENETTE = add(
    Task(
        name="imagenette",
        version=1,
        summary="Imagenette at 224 x 224, evenly rarer classes (1 to 0.1); ResNet-18",
        load=load,
        network=network,
        batch_size=100,
        epochs=60,
        mixing_rate=0.1,
        learning_rate=1e-6,
        profile=Linear(last=0.1),
        seeds=3,
        reference="arXiv:2412.16482, section 4; data: J. Howard, Imagenette, github.com/fastai/imagenette, 2019",
    )
)

"""CIFAR-10 with MobileNet-V3 Small, one of the paper's variants of the network."""

from __future__ import annotations

from functools import partial

from learn2mix.bench.data.augment import Augmentation
from learn2mix.bench.models import mobilenet_v3_small
from learn2mix.bench.tasks.base import Task, add
from learn2mix.bench.tasks.cifar10 import load

# The paper's rows start from weights trained on ImageNet, which are not to be had offline; from scratch its figures cannot
# be met. Batch size, epochs, seeds and the flip are from the authors' code. Its learning rate, 1e-5, is one for trained
# weights; here it is the paper's for this network on CIFAR-100. The code flips once, when the tensors are built.
CIFAR10_MOBILENET = add(
    Task(
        name="cifar10-mobilenet",
        version=1,
        summary="CIFAR-10, ten even classes; MobileNet-V3 Small from scratch at 224 x 224",
        load=load,
        network=partial(mobilenet_v3_small, 10),
        batch_size=500,
        epochs=40,
        mixing_rate=0.1,
        learning_rate=1e-4,
        augment=Augmentation(flip=0.5, rotation=0, jitter=0, padding=0, erase=0),
        seeds=3,
        reference="arXiv:2412.16482, appendix B (there from ImageNet weights); data: see cifar10",
    )
)

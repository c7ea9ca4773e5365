"""The networks of the tasks."""

from __future__ import annotations

from torch import nn


def lenet5(num_classes: int = 10) -> nn.Module:
    """LeNet-5 for 28 x 28 images of one channel: (n, 1, 28, 28) -> (n, num_classes).

    Convolutions 1-6 and 6-16 with 5 x 5 kernels, each with ReLU and 2 x 2 max pooling; then 256-120-84-num_classes.

    >>> import torch
    >>> lenet5()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, num_classes),
    )


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """One hidden layer with ReLU: (n, inputs) -> (n, outputs)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

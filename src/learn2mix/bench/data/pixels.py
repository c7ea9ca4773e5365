"""Bytes to floats: how images that lie in memory as bytes reach a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def unit_range(x: Tensor) -> Tensor:
    """Turn bytes in 0..255 into float32 in [0, 1]; floats, which must be in [0, 1] already, are returned as they are.

    Raises:
        TypeError: The input is neither uint8 nor floats.

    >>> unit_range(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    if x.dtype == torch.uint8:
        return x.to(torch.float32).div_(255)
    if not x.is_floating_point():
        raise TypeError(f"the pixels are {x.dtype}; give torch.uint8 in 0..255 or floats in [0, 1]")
    return x


class Pixels(nn.Module):
    """The head of a network that is given images: bytes, or floats in [0, 1] -> floats, ``(p - mean) / std``.

    Images lie as bytes in memory, at a quarter of the size, and are scaled here, batch by batch. What an augmentation
    gives are floats in [0, 1], which go through the same formula; bytes are divided by 255 first.

    Args:
        mean: What becomes 0: one number for each channel, or one for all.
        std: What is one unit, likewise; positive. By default the range becomes [-1, 1].

    Raises:
        ValueError: A ``std`` is not positive.

    >>> Pixels()(torch.tensor([0, 255], dtype=torch.uint8)), Pixels()(torch.tensor([0.0, 1.0]))
    (tensor([-1.,  1.]), tensor([-1.,  1.]))
    >>> Pixels(mean=(0.5, 0.0), std=(0.5, 1.0))(torch.ones(1, 2, 1, 1)).flatten()
    tensor([1., 1.])
    """

    def __init__(self, mean: float | Sequence[float] = 0.5, std: float | Sequence[float] = 0.5) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        for name, value in (("mean", mean), ("std", std)):
            numbers = torch.tensor(value, dtype=torch.float32)
            # a number a channel has the shape (channels, 1, 1), which fits (n, channels, height, width)
            shaped = numbers if numbers.ndim == 0 else numbers[:, None, None]
            self.register_buffer(name, shaped, persistent=False)
        if not (self.std > 0).all():
            raise ValueError(f"std is {std}; it divides the pixels: give positive numbers")

    def forward(self, x: Tensor) -> Tensor:
        """Scale the pixels: (n, channels, height, width), or any shape if ``mean`` and ``std`` are single numbers."""
        return (unit_range(x) - self.mean) / self.std

"""Random changes to training images, drawn for each image by itself, every time it is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from learn2mix.bench.data.pixels import unit_range

_GREY = (0.299, 0.587, 0.114)  # the weights of red, green and blue in what the eye sees as brightness (ITU-R BT.601)


@dataclass(frozen=True)
class Augmentation:
    """Jitter of colours, flip, rotation, shift and erasing, each image with its own draw; 0 turns a part off.

    Args:
        flip: The probability of a horizontal flip.
        rotation: The largest angle in degrees, in [0, 180]: drawn evenly from [-rotation, rotation].
        jitter: How far brightness, contrast and saturation are scaled, in [0, 1]: each by a factor drawn evenly from
            [1 - jitter, 1 + jitter].
        padding: The largest shift in pixels, each way: what a crop of the same size from the image with a black border
            of ``padding`` pixels does.
        erase: The probability that a rectangle is painted over.
        erase_area: Its part of the image's area, from and to; the ratio of its sides is between 0.3 and 3.3.
        erase_colour: Its colour, red, green and blue in [0, 1].

    Raises:
        ValueError: A number is out of its range.

    Called with images (n, 3, height, width), bytes or floats in [0, 1], and a generator on their device, it returns floats
    in [0, 1] of the same shape. All draws come from the generator; the global ones stay untouched.

    >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    >>> Augmentation()(images, torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])

    Reference:
        The parts are those of arXiv:2412.16482 for CIFAR-10, and their formulas torchvision's (RandomHorizontalFlip,
        RandomRotation, ColorJitter, RandomCrop, RandomErasing). Here the colours are jittered first and in a fixed order,
        and flip, rotation and shift pick the nearest pixel in one go, so that corners that come from outside stay black.
    """

    flip: float = 0.5
    rotation: float = 15.0
    jitter: float = 0.1
    padding: int = 4
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.1)
    erase_colour: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name, most in (("flip", 1.0), ("rotation", 180.0), ("jitter", 1.0), ("padding", math.inf), ("erase", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and {most:g}")
        least, most = self.erase_area
        if not 0 < least <= most <= 1:
            raise ValueError(
                f"erase_area is {self.erase_area}; give two parts of the image's area, 0 < from <= to <= 1"
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(f"the images have the shape {tuple(x.shape)}; give colour images (n, 3, height, width)")
        # one draw for everything, so that what one part draws does not hang on whether another is turned off
        draws = torch.rand(12, len(x), generator=generator, device=x.device)
        x = unit_range(x)
        if self.jitter:
            x = _jitter(x, 1 + self.jitter * (2 * draws[:3] - 1))
        if self.flip or self.rotation or self.padding:
            x = self._move(x, draws[3:7])
        if self.erase:
            x = self._erase(x, draws[7:12])
        return x

    def _move(self, x: Tensor, draws: Tensor) -> Tensor:
        """Flip, rotate and shift, picking the nearest pixel."""
        height, width = x.shape[2:]
        mirrored = torch.where(draws[0] < self.flip, -1.0, 1.0)
        angle = math.radians(self.rotation) * (2 * draws[1] - 1)
        right, down = (torch.floor((2 * self.padding + 1) * draw) - self.padding for draw in draws[2:])
        # Where a pixel comes from, in units of half the image's sides: first the shift, then the rotation about the
        # middle, then the mirror.
        cos, sin = angle.cos(), angle.sin()
        across, along = sin * (height / width), sin * (width / height)
        right, down = right * (2 / width), down * (2 / height)
        from_x = torch.stack([cos, -across, cos * right - across * down], dim=1) * mirrored[:, None]
        from_y = torch.stack([along, cos, along * right + cos * down], dim=1)
        grid = F.affine_grid(torch.stack([from_x, from_y], dim=1), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="nearest", padding_mode="zeros", align_corners=False)

    def _erase(self, x: Tensor, draws: Tensor) -> Tensor:
        """Paint a rectangle over."""
        height, width = x.shape[2:]
        least, most = self.erase_area
        area = height * width * (least + (most - least) * draws[1])
        ratio = torch.exp(math.log(0.3) + (math.log(3.3) - math.log(0.3)) * draws[2])
        inside = draws[0] < self.erase
        masks = []
        for length, side, draw in ((height, (area * ratio).sqrt(), draws[3]), (width, (area / ratio).sqrt(), draws[4])):
            extent = side.round().clamp(max=length)
            start = torch.floor(draw * (length - extent + 1))[:, None]
            place = torch.arange(length, device=x.device)
            masks.append((place >= start) & (place < start + extent[:, None]))
        rows, columns = masks
        mask = (rows & inside[:, None])[:, None, :, None] & columns[:, None, None, :]
        return torch.where(mask, torch.tensor(self.erase_colour, device=x.device)[:, None, None], x)


def _jitter(x: Tensor, factors: Tensor) -> Tensor:
    """Scale brightness, contrast (about the mean grey) and saturation (about each pixel's grey), in this order."""
    brightness, contrast, saturation = factors[:, :, None, None, None]
    x = (x * brightness).clamp_(0, 1)
    mean = _grey(x).mean(dim=(1, 2, 3), keepdim=True)
    x = torch.lerp(mean, x, contrast).clamp_(0, 1)
    return torch.lerp(_grey(x), x, saturation).clamp_(0, 1)


def _grey(x: Tensor) -> Tensor:
    red, green, blue = (weight * channel for weight, channel in zip(_GREY, x.unbind(dim=1), strict=True))
    return (red + green + blue).unsqueeze(1)

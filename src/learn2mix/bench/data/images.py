"""Labelled images from the hub or a local folder, decoded once and cached."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn2mix.bench.data import Data, Examples, Progress, cache, hub, quiet
from learn2mix.bench.data.pixels import unit_range

_LAYOUT = 2  # of what is cached: raised by any change to it
_BLOCK = 500  # images in memory while they are decoded


def load_images(
    hub_id: str,
    folder: str,
    *,
    image: str = "image",
    label: str = "label",
    test_split: str = "test",
    config: str | None = None,
    size: int | None = None,
    rgb: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = quiet,
) -> Data:
    """Load a set of labelled images, as bytes, from a local folder or the hub.

    The decoded pixels are cached under a hash of the local files, or under the hub id, in ``$LEARN2MIX_CACHE`` or else
    the user's cache folder, and mapped into memory from there; a damaged cache is made anew.

    Args:
        hub_id: The data set's name on the Hugging Face hub.
        folder: Its folder under ``data_dir``, in the layout of its hub repository.
        image: The column of the images.
        label: The column of the class numbers.
        test_split: The name of the split that is tested on.
        config: The hub's configuration, for a data set that has several.
        size: For images of differing sizes: each is cut to its middle square and scaled to ``size`` x ``size`` pixels
            (bilinear, with antialiasing).
        rgb: Turn every image into RGB; without it all must be of one mode, grey or RGB.
        data_dir: A folder of local copies; without it ``$LEARN2MIX_DATA`` is taken, and without that the hub.
        progress: Told how many images are decoded, where that is needed.

    Returns:
        Images (N, C, height, width), uint8, C 1 (grey) or 3 (RGB), with their class as target and as group. See
        :func:`normalised` and :func:`flattened` for floats.

    Raises:
        FileNotFoundError: ``data_dir`` has no such folder.
        ConnectionError: No folder was given and the hub cannot be reached.
        ValueError: A split or column is missing, or the images differ in size or mode.
    """
    if size is not None and size < 1:
        raise ValueError(f"size is {size}; give the side of the images in pixels, at least 1, or None")
    source = hub.find(hub_id, folder, data_dir, config)
    decoder = _Decoder(source, image, label, ("train", test_split), size, rgb, progress)
    key = cache.hash_text(_LAYOUT, source.key, image, label, test_split, size, rgb)
    found = cache.kept(f"{folder}-{key}", decoder.write)
    names = tuple(found.facts["group_names"])
    # the content, not the source, names the data: equal pixels are the same data wherever they came from
    digest = cache.hash_text(names, sorted(found.hashes.items()))
    train, test = (_examples(found.arrays[f"{part}_x"], found.arrays[f"{part}_y"]) for part in ("train", "test"))
    return Data(train, test, names, digest)


def normalised(data: Data) -> Data:
    """Turn bytes into float32 in [-1, 1]: ``(p / 255 - 0.5) / 0.5``, with the fingerprint of the bytes.

    For small images; larger ones are better kept as bytes and scaled by :class:`learn2mix.bench.data.pixels.Pixels`.

    Args:
        data: Images (N, C, height, width), uint8.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: The images are not bytes.

    >>> y = torch.tensor([0])
    >>> pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    >>> normalised(Data(Examples(pixels, y, y), None, ("a",))).train.x.squeeze()
    tensor([-1.0000, -0.6000,  1.0000])
    """

    def change(examples: Examples) -> Examples:
        return Examples(_unit(examples.x).sub_(0.5).div_(0.5), examples.y, examples.groups)

    return Data(change(data.train), data.test and change(data.test), data.group_names, data.fingerprint)


def flattened(data: Data) -> Data:
    """Turn bytes into rows of float32 in [0, 1] that are their own targets, for reconstruction.

    Args:
        data: Images (N, C, height, width), uint8.

    Returns:
        Inputs (N, d), d = C * height * width; the targets are the same tensor, not a copy. The groups stay.

    Raises:
        TypeError: The images are not bytes.

    >>> y = torch.tensor([0])
    >>> pixels = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    >>> rows = flattened(Data(Examples(pixels, y, y), None, ("a",))).train
    >>> rows.x, rows.y is rows.x
    (tensor([[0.0000, 0.2000, 0.4000, 1.0000]]), True)
    """

    def change(examples: Examples) -> Examples:
        x = _unit(examples.x).flatten(1)
        return Examples(x, x, examples.groups)

    digest = cache.hash_text("flattened", data.fingerprint)
    return Data(change(data.train), data.test and change(data.test), data.group_names, digest)


def _unit(pixels: Tensor) -> Tensor:
    if pixels.dtype != torch.uint8:
        raise TypeError(f"the images are {pixels.dtype}, not torch.uint8; give what load_images returns, unchanged")
    return unit_range(pixels)


def _examples(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Examples:
    x, y = torch.from_numpy(pixels), torch.from_numpy(labels)
    # grey images are kept as (N, height, width)
    return Examples(x.unsqueeze(1) if x.ndim == 3 else x, y, y)


@dataclass(frozen=True)
class _Decoder:
    source: hub.Source
    image: str
    label: str
    splits: tuple[str, str]
    size: int | None
    rgb: bool
    progress: Progress

    def write(self, write: cache.Write) -> dict[str, Any]:
        """Decode both splits into ``train_x``, ``train_y``, ``test_x`` and ``test_y``; return the class names."""
        with tempfile.TemporaryDirectory(prefix="learn2mix-") as scratch:
            loaded = self.source.load(scratch)
            hub.check_layout(
                loaded, self.splits, (self.image, self.label), str(self.source.local or self.source.hub_id)
            )
            names = hub.class_names(loaded["train"], self.label)
            total = sum(len(loaded[split]) for split in self.splits)
            first = loaded["train"][0][self.image]
            mode = "RGB" if self.rgb else first.mode
            if mode not in ("L", "RGB"):
                raise ValueError(
                    f"the images are of mode {mode}, neither grey (L) nor RGB; rgb=True turns them into RGB"
                )
            shape = self._pixels(first, mode).shape
            done = 0
            for part, split in zip(("train", "test"), self.splits, strict=True):
                rows = loaded[split]
                labels = np.asarray(rows[self.label], dtype=np.int64)
                write(f"{part}_y", labels.shape, np.int64, [labels])
                write(f"{part}_x", (len(rows), *shape), np.uint8, self._blocks(rows, split, mode, shape, done, total))
                done += len(rows)
        return {"group_names": names}

    def _blocks(
        self, rows: Any, split: str, mode: str, shape: tuple[int, ...], done: int, total: int
    ) -> Iterator[NDArray[np.uint8]]:
        block: list[NDArray[np.uint8]] = []
        for i, row in enumerate(rows):
            image = row[self.image]
            if image.mode != mode and not self.rgb:
                raise ValueError(
                    f"image {i} of the split {split} is of mode {image.mode}, the first of mode {mode}; rgb=True turns all "
                    "into RGB"
                )
            pixels = self._pixels(image, mode)
            if pixels.shape != shape:
                raise ValueError(
                    f"image {i} of the split {split} is {image.height} x {image.width} pixels, the first "
                    f"{shape[-2]} x {shape[-1]}; give a size to cut and scale all to"
                )
            block.append(pixels)
            if len(block) == _BLOCK or i + 1 == len(rows):
                self.progress("decoding", done + i + 1, total)
                yield np.stack(block)
                block = []

    def _pixels(self, image: Any, mode: str) -> NDArray[np.uint8]:
        """Give a Pillow image's pixels: (height, width), or for RGB (3, height, width)."""
        if image.mode != mode:
            image = image.convert(mode)
        if self.size is not None:
            from PIL import Image, ImageOps

            image = ImageOps.fit(image, (self.size, self.size), method=Image.Resampling.BILINEAR)
        pixels: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
        return pixels if mode == "L" else np.moveaxis(pixels, -1, 0)

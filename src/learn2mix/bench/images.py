"""Labelled images from the hub or a local folder, decoded once and cached."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from learn2mix.bench.data import Data, Examples, Progress, quiet

ENV_DATA = "LEARN2MIX_DATA"
ENV_CACHE = "LEARN2MIX_CACHE"
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class _Decoded:
    """Pixels and labels of both splits, ``train_x``, ``train_y``, ``test_x``, ``test_y``, and the class names."""

    arrays: Mapping[str, NDArray[Any]]
    group_names: tuple[str, ...]

    @cached_property
    def hashes(self) -> dict[str, str]:
        return {name: _hash_array(array) for name, array in self.arrays.items()}

    @property
    def digest(self) -> str:
        # the content, not the source, names the data: equal pixels are the same data wherever they came from
        return hashlib.sha256(json.dumps([self.group_names, sorted(self.hashes.items())]).encode()).hexdigest()[:16]


def _hash_array(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load_images(
    hub_id: str,
    folder: str,
    *,
    image: str = "image",
    label: str = "label",
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = quiet,
) -> Data:
    """Load a set of labelled grey images, scaled to [-1, 1], from a local folder or the hub.

    The decoded pixels are cached under a hash of the local files, or under the hub id, in ``$LEARN2MIX_CACHE`` or else
    the user's cache folder; a damaged cache is made anew.

    Args:
        hub_id: The data set's name on the Hugging Face hub.
        folder: Its folder under ``data_dir``, in the layout of its hub repository.
        image: The column of the images.
        label: The column of the class numbers.
        data_dir: A folder of local copies; without it ``$LEARN2MIX_DATA`` is taken, and without that the hub.
        progress: Told how many images are decoded, where that is needed.

    Returns:
        Images (N, 1, height, width), float32 in [-1, 1], ``(p/255 - 0.5) / 0.5``, with their class as target and as group.

    Raises:
        FileNotFoundError: ``data_dir`` has no such folder.
        ConnectionError: No folder was given and the hub cannot be reached.
    """
    local = _local_folder(data_dir, folder)
    name = hub_id.replace("/", "--") if local is None else f"{folder}-{_hash_files(local)}"
    cache = _cache_folder() / name
    decoded = _read(cache)
    if decoded is None:
        decoded = _decode(hub_id, local, image, label, progress)
        _write(cache, decoded)
    train, test = (_scaled(decoded.arrays[f"{split}_x"], decoded.arrays[f"{split}_y"]) for split in _SPLITS)
    return Data(train, test, decoded.group_names, decoded.digest)


def _scaled(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Examples:
    x = torch.from_numpy(pixels.astype(np.float32)).unsqueeze_(1)
    y = torch.from_numpy(labels.astype(np.int64))
    return Examples(x.div_(255).sub_(0.5).div_(0.5), y, y)


def _local_folder(data_dir: str | os.PathLike[str] | None, folder: str) -> Path | None:
    root = data_dir or os.environ.get(ENV_DATA)
    if not root:
        return None
    path = Path(root) / folder
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a folder; --data-dir (or {ENV_DATA}) should name the folder that holds {folder}/, a copy in "
            "the layout of the hub"
        )
    return path


def _hash_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    own = os.environ.get(ENV_CACHE)
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "learn2mix"


def _decode(hub_id: str, local: Path | None, image: str, label: str, progress: Progress) -> _Decoded:
    # a local folder's converted copy is of no use once it is decoded
    with tempfile.TemporaryDirectory(prefix="learn2mix-") as scratch:
        splits = _from_hub(hub_id) if local is None else _load_dataset(str(local), cache_dir=scratch)
        total = sum(len(splits[split]) for split in _SPLITS)
        arrays: dict[str, NDArray[Any]] = {}
        done = 0
        for split in _SPLITS:
            rows = splits[split]
            arrays[f"{split}_y"] = np.asarray(rows[label], dtype=np.int64)
            pixels = np.empty((len(rows), *np.asarray(rows[0][image]).shape), dtype=np.uint8)
            for i, row in enumerate(rows):
                pixels[i] = np.asarray(row[image])
                done += 1
                if done % 1000 == 0 or done == total:
                    progress("decoding", done, total)
            arrays[f"{split}_x"] = pixels
        names = tuple(str(name) for name in splits["train"].features[label].names)
    return _Decoded(arrays, names)


def _from_hub(hub_id: str) -> Any:
    advice = (
        f"{hub_id} is not cached here and the Hugging Face hub cannot be reached; connect to the network once, or name a "
        f"folder of local copies with --data-dir DIR or {ENV_DATA}=DIR"
    )
    if not os.environ.get("HF_HUB_OFFLINE") and not _reachable(os.environ.get("HF_ENDPOINT", "https://huggingface.co")):
        raise ConnectionError(advice)
    try:
        return _load_dataset(hub_id)
    except OSError as error:
        raise ConnectionError(advice) from error


def _reachable(endpoint: str) -> bool:
    """Ask the hub for its front page; its own client would retry for half a minute before it gives up."""
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=10):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _load_dataset(source: str, cache_dir: str | None = None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "decoding this data set needs the package datasets: pip install 'learn2mix[bench]'; or give the data as "
            "arrays: run(..., data=Data.from_arrays(...))"
        ) from error
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(source, cache_dir=cache_dir)
    finally:
        if bars:
            datasets.enable_progress_bars()


def _read(folder: Path) -> _Decoded | None:
    """Map the cached arrays into memory; None where they are missing or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in meta["sha256"]}
        decoded = _Decoded(arrays, tuple(meta["group_names"]))
        return decoded if decoded.hashes == meta["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _write(folder: Path, decoded: _Decoded) -> None:
    """Write each file under another name first, and the one that vouches for the others last."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in decoded.arrays.items():
            with _replacing(folder / f"{name}.npy") as file:
                np.save(file, array)
        with _replacing(folder / "meta.json") as file:
            file.write(json.dumps({"group_names": decoded.group_names, "sha256": decoded.hashes}, indent=1).encode())
    except OSError as error:
        raise OSError(
            f"the decoded data cannot be kept in {folder} ({error}); name another folder in {ENV_CACHE}"
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise

"""Arrays that are dear to make, kept on disk and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

ENV_CACHE = "LEARN2MIX_CACHE"


@dataclass(frozen=True)
class Kept:
    """Arrays by name, mapped into memory, and what is to be known of them.

    Args:
        arrays: The arrays; what is written to them stays in memory.
        facts: JSON values.
    """

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """A SHA-256 of each array's type, shape and content."""
        return {name: _hash_array(array) for name, array in self.arrays.items()}


class Write(Protocol):
    """Writes one array to disk, block by block, so that it never lies in memory as a whole."""

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike, blocks: Iterable[NDArray[Any]]) -> None:
        """Write the blocks, which are rows of the array one after another."""
        ...


def kept(name: str, make: Callable[[Write], Mapping[str, Any]]) -> Kept:
    """Return the arrays kept under a name; where they are missing or damaged, make them first.

    They lie in ``$LEARN2MIX_CACHE``, or else in the user's cache folder.

    Args:
        name: A file name that stands for the content: with a hash of all that decides it.
        make: Writes the arrays through what it is given and returns their facts, JSON values. What it raises is raised.

    Raises:
        OSError: The cache folder cannot be written.
    """
    folder = cache_folder() / name
    found = _read(folder)
    if found is None:
        _make(folder, make)
        found = _read(folder)
    if found is None:
        raise OSError(f"what was just written to {folder} reads differently; is its disk at fault? {_advice()}")
    return found


def hash_text(*parts: object) -> str:
    """Hash JSON values: 16 hexadecimal digits.

    >>> hash_text("a", 1) == hash_text("a", 1) != hash_text("a", "1")
    True
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Where things are kept: ``$LEARN2MIX_CACHE``, or else a folder in the user's cache folder."""
    own = os.environ.get(ENV_CACHE)
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "learn2mix"


def _advice() -> str:
    return f"name another folder in {ENV_CACHE}"


def _hash_array(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(folder: Path) -> Kept | None:
    """Map the arrays into memory; None where they are missing or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        # copy-on-write: torch wants memory that it may write to, and the file stays as it is
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in meta["sha256"]}
        found = Kept(arrays, dict(meta["facts"]))
        return found if found.hashes == meta["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _make(folder: Path, make: Callable[[Write], Mapping[str, Any]]) -> None:
    """Write everything aside first; the file that vouches for the others is moved last."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".new-")
    with scratch:
        new = Path(scratch.name)
        names: list[str] = []

        def write(name: str, shape: tuple[int, ...], dtype: DTypeLike, blocks: Iterable[NDArray[Any]]) -> None:
            names.append(name)
            _write_array(new / f"{name}.npy", shape, np.dtype(dtype), blocks)

        facts = make(write)
        arrays = {name: np.load(new / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        meta = {"facts": dict(facts), "sha256": Kept(arrays, facts).hashes}
        del arrays
        with _explained(folder):
            (new / "meta.json").write_text(json.dumps(meta, indent=1))
            for file in [*(f"{name}.npy" for name in names), "meta.json"]:
                os.replace(new / file, folder / file)


def _write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> None:
    # a plain file, not a mapped one: where the disk is full, writing to a map ends the process without a word
    with _explained(path):
        file = path.open("wb")
    with file:
        with _explained(path):
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            with _explained(path):
                file.write(np.ascontiguousarray(block, dtype=dtype).data)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what to do about a cache that cannot be written; errors of what is being cached do not come through here."""
    try:
        yield
    except OSError as error:
        raise OSError(f"the decoded data cannot be kept in {path} ({error}); {_advice()}") from error

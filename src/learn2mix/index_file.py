"""A file that holds which examples belong to which group, to be mapped into memory rather than read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"learn2mix groups 1\n"
_ALIGN = 64
_CHUNK = 1 << 24


def save(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays and JSON values to one file: beside its place first, then moved there, so whole or not at all."""
    path = Path(path)
    header = {
        "facts": dict(facts),
        "arrays": {name: {"dtype": a.dtype.str, "length": len(a), "digest": _digest(a)} for name, a in arrays.items()},
    }
    text = json.dumps(header).encode()
    start = _MAGIC + len(text).to_bytes(8, "little") + hashlib.blake2b(text, digest_size=16).digest() + text
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(start)
            for array in arrays.values():
                file.write(bytes(-file.tell() % _ALIGN))
                array.tofile(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def load(path: str | os.PathLike[str], *, verify: bool = True) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map the arrays of a file into memory, read-only, and give its JSON values.

    Args:
        path: Written by :func:`save`.
        verify: Read it whole once and compare checksums; without, only its header and length are checked.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file, or damaged, or cut short.
    """
    path = Path(path)
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"{path} is no index of groups of this version; give a file that save() wrote")
        size = int.from_bytes(file.read(8), "little")
        digest = file.read(16)
        text = file.read(min(size, path.stat().st_size))
        if hashlib.blake2b(text, digest_size=16).digest() != digest:
            raise _damaged(path, "its header has changed")
        header = json.loads(text)
        offset = file.tell()
    found: dict[str, NDArray[Any]] = {}
    for name, shape in header["arrays"].items():
        offset += -offset % _ALIGN
        dtype = np.dtype(shape["dtype"])
        if offset + shape["length"] * dtype.itemsize > path.stat().st_size:
            raise _damaged(path, f"it ends after {path.stat().st_size} bytes, within {name}")
        found[name] = np.memmap(path, dtype, "r", offset, (shape["length"],))
        if verify and _digest(found[name]) != shape["digest"]:
            raise _damaged(path, f"{name} has changed")
        offset += shape["length"] * dtype.itemsize
    return found, header["facts"]


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(array), _CHUNK):
        digest.update(np.ascontiguousarray(array[start : start + _CHUNK]).data)
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged: {why}; build the index from the labels again and save it anew")

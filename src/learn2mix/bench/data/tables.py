"""Tables of numbers: comma-separated files from a local folder or from where they were published."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn2mix.bench.data import cache, hub
from learn2mix.bench.files import write_whole

Table = dict[str, NDArray[Any]]
"""Columns by name: float64, with NaN where a number is missing, or strings."""


def read_table(url: str, folder: str, *, separator: str = ",", data_dir: str | os.PathLike[str] | None = None) -> Table:
    """Read a table whose first line names its columns.

    Args:
        url: Where it was published; the last part is the file's name.
        folder: Its folder under ``data_dir``.
        separator: What stands between two values.
        data_dir: A folder of local copies; without it ``$LEARN2MIX_DATA`` is taken, and without that ``url``, once: what
            was fetched is kept in the cache folder.

    Returns:
        Its columns, each of shape (rows,).

    Raises:
        FileNotFoundError: The local folder has no such file.
        ConnectionError: No folder was given and the file cannot be fetched.
        ValueError: It is no table.
    """
    from pyarrow import ArrowException, csv

    path = _local(url, folder, data_dir)
    try:
        table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=separator))
    except ArrowException as error:
        raise ValueError(f"{path} is no table with the separator {separator!r} ({error}); fetch it anew") from error
    return {name: _column(table.column(name)) for name in table.column_names}


def columns(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Take some columns of numbers, (rows, len(names)).

    Raises:
        ValueError: A column is missing, or holds no numbers.
    """
    for name in names:
        if name not in table:
            raise ValueError(f"the table has no column {name!r}; it has {', '.join(table)}: fetch it anew")
        if table[name].dtype != np.float64:
            raise ValueError(f"the table's column {name!r} holds {table[name][0]!r}, no number: fetch it anew")
    return np.stack([table[name] for name in names], axis=1)


def _column(values: Any) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return np.array(values.cast(pa.float64()).to_numpy())  # a missing number becomes NaN
    return np.array(values.to_numpy()).astype(str)


def _local(url: str, folder: str, data_dir: str | os.PathLike[str] | None) -> Path:
    local, name = hub.find(url, folder, data_dir).local, url.rsplit("/", 1)[-1]
    if local is not None:
        if not (local / name).is_file():
            raise FileNotFoundError(f"{local} has no file {name}; fetch it from {url}")
        return local / name
    path = cache.cache_folder() / folder / name
    if not path.is_file():
        _fetch(url, path, f"{folder}/{name}")
    return path


def _fetch(url: str, path: Path, wanted: str) -> None:
    """Fetch a file into its place, whole or not at all."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:  # the latter where an answer breaks off
        raise ConnectionError(
            f"{url} cannot be fetched ({error}); connect to the network once, or name a folder that holds {wanted} with "
            f"--data-dir DIR or {hub.ENV_DATA}=DIR"
        ) from error
    write_whole(path, content)

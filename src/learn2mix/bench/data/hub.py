"""Data sets of the Hugging Face hub, from the hub itself or from a local copy in the same layout."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENV_DATA = "LEARN2MIX_DATA"


@dataclass(frozen=True)
class Source:
    """Where a data set is.

    Args:
        hub_id: Its name on the hub.
        config: Which of its configurations, where it has several.
        local: The folder of a local copy, which then is taken instead of the hub.
    """

    hub_id: str
    config: str | None
    local: Path | None

    @property
    def key(self) -> str:
        """What stands for the content: a hash of the local files, or else the name on the hub."""
        return f"{self.hub_id} {self.config or ''}" if self.local is None else _hash_files(self.local)

    def load(self, scratch: str) -> Any:
        """Load all splits, a mapping from split names to ``datasets.Dataset``.

        Args:
            scratch: A folder for the converted copy of local files, which is of no use once they are decoded.

        Raises:
            ImportError: The package ``datasets`` is not installed.
            ConnectionError: There is no local copy, and the hub cannot be reached.
        """
        if self.local is not None:
            return _load_dataset(str(self.local), cache_dir=scratch)
        advice = (
            f"{self.hub_id} is not cached here and the Hugging Face hub cannot be reached; connect to the network once, "
            f"or name a folder of local copies with --data-dir DIR or {ENV_DATA}=DIR"
        )
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        if not os.environ.get("HF_HUB_OFFLINE") and not _reachable(endpoint):
            raise ConnectionError(advice)
        try:
            return _load_dataset(self.hub_id, name=self.config)
        except OSError as error:
            raise ConnectionError(advice) from error


def find(hub_id: str, folder: str, data_dir: str | os.PathLike[str] | None = None, config: str | None = None) -> Source:
    """Say where to take a data set from.

    Args:
        hub_id: Its name on the hub.
        folder: Its folder under ``data_dir``, in the layout of its hub repository.
        data_dir: A folder of local copies; without it ``$LEARN2MIX_DATA`` is taken, and without that the hub.
        config: Which configuration, where it has several; in a local copy the folder of that name, if there is one.

    Raises:
        FileNotFoundError: ``data_dir`` has no such folder.
    """
    root = data_dir or os.environ.get(ENV_DATA)
    if not root:
        return Source(hub_id, config, None)
    path = Path(root) / folder
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a folder; --data-dir (or {ENV_DATA}) should name the folder that holds {folder}/, a copy in "
            "the layout of the hub"
        )
    if config is not None and (path / config).is_dir():
        path = path / config
    return Source(hub_id, config, path)


def check_layout(splits: Any, split_names: Sequence[str], columns: Sequence[str], what: str) -> None:
    """Refuse a data set that lacks a split or a column.

    Raises:
        ValueError: Naming what is there instead.
    """
    for split in split_names:
        if split not in splits:
            raise ValueError(f"{what} has the splits {', '.join(splits)}, but not {split!r}; is its layout the hub's?")
        for column in columns:
            there = splits[split].column_names
            if column not in there:
                raise ValueError(
                    f"{what} has the columns {', '.join(there)}, but not {column!r}; is its layout the hub's?"
                )


def class_names(rows: Any, label: str) -> list[str]:
    """Return the names of the classes of a column.

    Raises:
        ValueError: The column does not hold class labels.
    """
    names = getattr(rows.features[label], "names", None)
    if names is None:
        raise ValueError(f"the column {label!r} has no class names; name a column of class labels")
    return [str(name) for name in names]


def _hash_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            # not hashlib.file_digest, which Python 3.10 has not
            part = hashlib.sha256()
            while block := file.read(1 << 24):
                part.update(block)
        digest.update(part.digest())
    return digest.hexdigest()[:16]


def _reachable(endpoint: str) -> bool:
    """Ask the hub for its front page; its own client would retry for half a minute before it gives up."""
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=10):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _load_dataset(source: str, name: str | None = None, cache_dir: str | None = None) -> Any:
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
        return datasets.load_dataset(source, name=name, cache_dir=cache_dir)
    finally:
        if bars:
            datasets.enable_progress_bars()

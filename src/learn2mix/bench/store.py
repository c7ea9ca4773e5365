"""A folder of runs, one file each: whole or not there at all, safe to share between invocations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import BaseFileLock, FileLock
from numpy.typing import NDArray

from learn2mix.bench.bundle import bundled, table_of, unbundled
from learn2mix.bench.files import write_whole
from learn2mix.bench.record import PARTS, Run, digest_of, json_text, settings_key

_BUNDLE = "runs.parquet"


class Store:
    """Runs in a folder, each under the hash of its settings.

    A run is one parquet file: a column a curve (float32; per-group curves as lists of k), and settings, facts and
    provenance as JSON in the file's metadata, with a digest over all of it. It is written beside its place and moved
    there, so another process sees all of it or nothing, and a killed writer leaves a hidden file that nobody reads.

    Args:
        folder: Where the runs are; made at the first write.

    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    >>> run = Run({"task": "toy", "seed": 1}, {"epoch": np.array([0, 1], dtype=np.float32)})
    >>> store.put(run)
    >>> run.settings in store, store.get(run.settings).curves["epoch"].tolist()
    (True, [0.0, 1.0])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._bundle: tuple[tuple[int, int], dict[str, Run]] | None = None

    def __contains__(self, settings: Mapping[str, Any]) -> bool:
        return self._path(settings).exists() or settings_key(settings) in self._bundled()

    def get(self, settings: Mapping[str, Any]) -> Run | None:
        """Read the run with these settings, None where there is none.

        Raises:
            ValueError: The file is damaged, or holds other settings under the same name.
        """
        path = self._path(settings)
        run = _read(path) or self._bundled().get(settings_key(settings))
        if run is not None:
            _require_same(run.settings, settings, path)
        return run

    def put(self, run: Run) -> None:
        """Write a run; one with the same settings is replaced.

        Args:
            run: Its curves must all have the same number of rows, shape (rows,) or (rows, k).

        Raises:
            ValueError: A curve has another shape, a part is not JSON, or the place holds a damaged file or a run with
                other settings.
        """
        table = _table(run)
        path = self._path(run.settings)
        there = _read(path)
        if there is not None:
            _require_same(there.settings, run.settings, path)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_whole(path, sink.getvalue().to_pybytes())

    def runs(self) -> list[Run]:
        """Read all runs, sorted by task, method, seed and key.

        Raises:
            ValueError: A file is damaged.
        """
        # the single ones first: one that is packed meanwhile is then found in the bundle
        single = {run.key: run for run in map(_read, self._files()) if run is not None}
        return sorted({**self._bundled(), **single}.values(), key=_order)

    def pack(self) -> int:
        """Put all runs into one compact file, ``runs.parquet``, with at most 65 points a curve; return how many.

        For publishing. The files of single runs go; what is packed is still found, and not made again.

        Raises:
            ValueError: A file is damaged; then nothing is changed.
        """
        if not self._files():
            return len(self._bundled())
        with self._lock("pack"):
            # the files first: one that is written while the others are read stays where it is
            files, runs = self._files(), self.runs()
            content = bundled(runs)
            unbundled(content, self.folder / _BUNDLE)  # raises, rather than that a run should be lost
            write_whole(self.folder / _BUNDLE, content)
            for path in files:
                path.unlink(missing_ok=True)
        return len(runs)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.glob("*.parquet") if path.name != _BUNDLE]

    def _bundled(self) -> dict[str, Run]:
        """Read the packed runs, again only where the file has changed."""
        path = self.folder / _BUNDLE
        try:
            stat = path.stat()
        except FileNotFoundError:
            return {}
        changed = stat.st_mtime_ns, stat.st_size
        if self._bundle is None or self._bundle[0] != changed:
            self._bundle = changed, {run.key: run for run in unbundled(path.read_bytes(), path)}
        return self._bundle[1]

    def lock(self, settings: Mapping[str, Any]) -> BaseFileLock:
        """Lock these settings against other invocations, as a context manager.

        The operating system lets go of it when its holder ends, however it ends. After getting the lock, ask ``get``
        again: the one who had it may have stored the run.
        """
        return self._lock(settings_key(settings))

    def _lock(self, name: str) -> BaseFileLock:
        folder = self.folder / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def put_timing(self, timing: Mapping[str, Any]) -> None:
        """Write the step times that belong to these runs, in place of any before.

        Raises:
            ValueError: They are not JSON values.
        """
        write_whole(self.folder / "timing.json", json_text("timing", timing, indent=2).encode())

    def timing(self) -> dict[str, Any] | None:
        """Read the step times, None where there are none.

        Raises:
            ValueError: The file is damaged.
        """
        path = self.folder / "timing.json"
        try:
            timing = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _damaged(path, error) from error
        if not isinstance(timing, dict):
            raise _damaged(path, "not a JSON object")
        return timing

    def _path(self, settings: Mapping[str, Any]) -> Path:
        return self.folder / f"{settings_key(settings)}.parquet"


def _table(run: Run) -> pa.Table:
    """Turn a run into a table with its other parts and a digest in the metadata."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, values in run.curves.items():
        array = np.ascontiguousarray(values, dtype="<f4")
        if array.ndim not in (1, 2) or 0 in array.shape:
            raise ValueError(f"curve {name!r} has shape {array.shape}; it must be (rows,) or (rows, k), not empty")
        arrays[name] = array
    if len({len(array) for array in arrays.values()}) != 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(f"curves must all have the same number of rows, at least one curve, got {shapes}")
    columns = [pa.array(a) if a.ndim == 1 else _lists(a) for a in arrays.values()]
    texts = {part: json_text(part, getattr(run, part)) for part in PARTS}
    return pa.table(dict(zip(arrays, columns, strict=True)), metadata={**texts, "digest": digest_of(texts, arrays)})


def _lists(array: NDArray[np.float32]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def _read(path: Path) -> Run | None:
    """Read a run back and check it against its digest and its name; None where there is none."""
    try:
        # The bytes are read first: a file that another process replaces meanwhile is still read whole.
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, error) from error
    try:
        table = table_of(content)
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        texts = {part: metadata[part] for part in PARTS}
        curves = {name: _array(table.column(name).combine_chunks()) for name in table.column_names}
        run = Run(curves=curves, **{part: json.loads(text) for part, text in texts.items()})
        intact = metadata["digest"] == digest_of(texts, curves)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    if not intact:
        raise _damaged(path, "its contents do not match its digest")
    if run.key != path.stem:
        raise _damaged(path, f"it holds the run {run.key}")
    return run


def _array(column: pa.Array) -> NDArray[np.float32]:
    """Turn a column back into (rows,) or (rows, k), as an array that may be written to."""
    if pa.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.array(flat, dtype=np.float32).reshape(len(column), column.type.list_size)
    return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float32)


def _require_same(stored: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    if settings_key(stored) != settings_key(asked) or json.loads(json.dumps(asked)) != stored:
        raise ValueError(f"{path} holds a run with other settings than those asked for; move one of the two elsewhere")


def _damaged(path: Path, why: object) -> ValueError:
    return ValueError(f"{path} is damaged and cannot be read ({why}); delete it and run the command again")


def _order(run: Run) -> tuple[str, str, float, str]:
    seed = run.settings.get("seed")
    number = float(seed) if isinstance(seed, int | float) else float("inf")
    return str(run.settings.get("task")), str(run.settings.get("method")), number, run.key

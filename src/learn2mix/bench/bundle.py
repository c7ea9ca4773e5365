"""Many runs in one compact file: what is published, and what tables are made of again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from learn2mix.bench.record import PARTS, Run, digest_of, json_text

POINTS = 64


def bundled(runs: Iterable[Run]) -> bytes:
    """Pack runs, each thinned to at most 64 points beyond its first, into one parquet file: a row a run.

    Args:
        runs: Any runs; of two with equal settings the later one stays.

    >>> run = Run({"task": "toy"}, {"epoch": np.array([0, 1], dtype=np.float32)})
    >>> [found.settings for found in unbundled(bundled([run]), Path("toy.parquet"))]
    [{'task': 'toy'}]
    """
    unique = {run.key: run.thinned(POINTS) for run in runs}
    kept = [unique[key] for key in sorted(unique)]
    texts = [{part: json_text(part, getattr(run, part)) for part in PARTS} for run in kept]
    columns: dict[str, list[object]] = {part: [text[part] for text in texts] for part in PARTS}
    columns["digest"] = [digest_of(text, run.curves) for text, run in zip(texts, kept, strict=True)]
    # the order of a run's curves, and what flattening them loses: (rows, 1) is not (rows,)
    columns["shapes"] = [json.dumps({name: np.shape(curve) for name, curve in run.curves.items()}) for run in kept]
    for name in sorted({name for run in kept for name in run.curves}):
        columns[f"curve {name}"] = [
            np.asarray(run.curves[name], dtype="<f4").ravel() if name in run.curves else None for run in kept
        ]
    types = {name: pa.list_(pa.float32()) if name.startswith("curve ") else pa.string() for name in columns}
    table = pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    curves = [name for name in columns if name.startswith("curve ")]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=19,
        # neighbours on a curve share their high bytes: put side by side, the curves take half the room
        column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in curves},
        use_dictionary=[name for name in columns if name not in curves],
    )
    return bytes(sink.getvalue().to_pybytes())


def table_of(content: bytes) -> pa.Table:
    """Read a parquet file; such files are too small to start threads for."""
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def unbundled(content: bytes, path: Path) -> list[Run]:
    """Unpack a file's runs, each checked against its digest.

    Args:
        content: What :func:`bundled` gave.
        path: Where it was, for errors.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        table = table_of(content)
        curves = {name[6:]: table.column(name) for name in table.column_names if name.startswith("curve ")}
        runs = []
        for row in range(len(table)):
            texts = {part: table.column(part)[row].as_py() for part in PARTS}
            shapes = json.loads(table.column("shapes")[row].as_py())
            found = {name: _unravelled(curves[name][row], shape) for name, shape in shapes.items()}
            if digest_of(texts, found) != table.column("digest")[row].as_py():
                raise ValueError(f"row {row} does not match its digest")
            runs.append(Run(curves=found, **{part: json.loads(text) for part, text in texts.items()}))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error}); take it anew from where it came") from error
    return runs


def _unravelled(values: pa.Scalar, shape: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values.values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(shape)

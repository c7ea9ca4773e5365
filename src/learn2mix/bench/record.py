"""What one training run leaves behind: its settings, its curves, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("settings", "facts", "provenance")
"""What a run holds besides its curves, all of it JSON values."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run, whole.

    Args:
        settings: All that decides the result, as JSON values: task, method, seed, epochs, their versions, data
            fingerprint and so on. Two runs with equal settings are the same run.
        curves: Columns by name, one row an epoch; row 0 is the state before training. Scalars have shape
            (epochs + 1,), per-group columns (epochs + 1, k). float32.

            ``epoch`` (the last may be a part of one, where the budget is not in epochs), ``steps`` (optimiser steps
            so far), ``forwarded`` and ``backpropagated`` (examples so far, selection counted, preparation not),
            ``train_loss`` and ``train_metric`` (means over the epoch's training batches, as they were trained on),
            ``test_loss``, ``test_metric`` (the task's primary metric on the test set: error rate in [0, 1] or mean
            squared error), ``group_metric`` (rows, k), ``proportions`` (rows, k: the make-up of the epoch's batches as
            trained on; row 0 that of the training set), ``wall_seconds`` and ``cpu_seconds`` (training so far,
            evaluation and preparation left out). A diagnosed run has besides ``train_group_accuracy`` and
            ``feature_gradient`` (rows, k; see :class:`~learn2mix.diagnostics.ClassRecorder`, NaN where a group was not
            trained on, as in row 0).
        facts: What a reader of the curves needs, as JSON values: ``metric`` (``"error"`` or ``"mse"``),
            ``group_names``, ``train_group_sizes``, ``steps_per_epoch``, ``batch_size``, ``reference_metric`` (what
            a constant prediction scores), ``preparation`` (``seconds``, ``steps``, ``forwarded``,
            ``backpropagated``).
        provenance: Versions, machine, commit, command, time: what may differ between equal runs.
    """

    settings: Mapping[str, Any]
    curves: Mapping[str, NDArray[np.float32]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def thinned(self, points: int) -> Run:
        """Keep the first row and ``points`` others, evenly spread up to the last; a shorter run stays as it is.

        With a multiple of 4, and a budget of one, the rows at a quarter, a half and the whole of it are kept.

        >>> Run({}, {"epoch": np.arange(9, dtype=np.float32)}).thinned(4).curves["epoch"].tolist()
        [0.0, 2.0, 4.0, 6.0, 8.0]
        """
        last = len(next(iter(self.curves.values()))) - 1
        if last <= points:
            return self
        rows = np.linspace(0, last, points + 1).round().astype(np.int64)
        return replace(self, curves={name: column[rows] for name, column in self.curves.items()})

    @property
    def key(self) -> str:
        """The hash of the settings, 16 hexadecimal digits: the run's name in a store."""
        return settings_key(self.settings)


def settings_key(settings: Mapping[str, Any]) -> str:
    """Hash settings to 16 hexadecimal digits, whatever the order of their keys.

    >>> settings_key({"seed": 1, "task": "digits"}) == settings_key({"task": "digits", "seed": 1})
    True
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(texts: Mapping[str, str], arrays: Mapping[str, NDArray[np.float32]]) -> str:
    """Hash every part of a run, given as texts and curves, so that a flipped bit anywhere shows."""
    digest = hashlib.sha256(json.dumps([texts[part] for part in PARTS]).encode())
    for name, array in arrays.items():
        digest.update(json.dumps([name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def json_text(part: str, values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Write a part of a run as JSON.

    Raises:
        ValueError: It holds something else than JSON values.
    """
    try:
        return json.dumps(dict(values), allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{part} must hold JSON values only ({error}); turn arrays into lists, numpy numbers into Python's, and "
            "numbers that are not finite into null"
        ) from error

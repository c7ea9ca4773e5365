"""What one training run leaves behind: its settings, its curves, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Run:
    """One run, whole.

    Args:
        settings: All that decides the result, as JSON values: task, method, seed, epochs, their versions, data
            fingerprint and so on. Two runs with equal settings are the same run.
        curves: Columns by name, one row an epoch; row 0 is the state before training. Scalars have shape
            (epochs + 1,), per-group columns (epochs + 1, k). float32.

            ``epoch``, ``steps`` (optimiser steps so far), ``forwarded`` and ``backpropagated`` (examples so far,
            selection counted, preparation not), ``train_loss`` (mean loss of the epoch's training batches),
            ``test_loss``, ``test_metric`` (the task's primary metric on the test set: error rate in [0, 1] or
            mean squared error), ``group_metric`` (rows, k), ``proportions`` (rows, k: the make-up of the epoch's
            batches as trained on; row 0 that of the training set), ``wall_seconds`` and ``cpu_seconds`` (training
            so far, evaluation and preparation left out).
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

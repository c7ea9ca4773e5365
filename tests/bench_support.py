"""Made-up runs with known figures, for tests of what comes after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learn2mix.bench.record import Run

STEPS_PER_EPOCH = 15
BATCH_SIZE = 32


def make_run(
    method: str = "classical",
    seed: int = 0,
    *,
    task: str = "toy",
    test_metric: Sequence[float] | None = None,
    group_metric: Any = None,
    groups: Sequence[str] = ("a", "b", "c"),
    sizes: Sequence[int] = (300, 150, 30),
    epochs: int = 4,
    metric: str = "error",
    preparation: dict[str, float] | None = None,
    forwards: int = 1,
    provenance: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> Run:
    """Make a run whose metric falls at a pace of its own, unless the metric is given."""
    generator = np.random.default_rng([seed, *method.encode()])
    if test_metric is not None:
        epochs = len(test_metric) - 1
    epoch = np.arange(epochs + 1)
    if test_metric is None:
        rate = generator.uniform(0.1, 0.2) * (1.5 if method == "learn2mix" else 1.0)
        test_metric = 0.03 + 0.85 * np.exp(-rate * epoch) + generator.normal(0, 0.004, epochs + 1)
    curve = np.asarray(test_metric, dtype=np.float32)
    if group_metric is None:
        tail = np.linspace(0.7, 1.6, len(groups)) + generator.normal(0, 0.05, len(groups))
        group_metric = np.clip(curve[:, None] * tail, 0, 1 if metric == "error" else None)
    shares = np.asarray(sizes, dtype=np.float64) / np.sum(sizes)
    goal = np.linspace(1, 2, len(groups)) / np.linspace(1, 2, len(groups)).sum()
    moved = (1 - np.exp(-0.1 * epoch))[:, None] if method == "learn2mix" else np.zeros((epochs + 1, 1))
    steps = epoch * STEPS_PER_EPOCH
    columns = {
        "epoch": epoch,
        "steps": steps,
        "forwarded": steps * BATCH_SIZE * forwards,
        "backpropagated": steps * BATCH_SIZE,
        "train_loss": np.where(epoch > 0, curve, np.nan),
        "test_loss": 2 * curve,
        "test_metric": curve,
        "group_metric": group_metric,
        "proportions": shares + moved * (goal - shares),
        "wall_seconds": 0.1 * epoch,
        "cpu_seconds": 0.2 * epoch,
    }
    return Run(
        settings={
            "task": task,
            "task_version": 1,
            "batch_size": BATCH_SIZE,
            "method": method,
            "method_version": 1,
            "method_settings": {"mixing_rate": 0.1} if method == "learn2mix" else {},
            "seed": seed,
            "epochs": epochs,
            "evaluate_on": "test",
            "data": "0123abcd",
            **(settings or {}),
        },
        curves={name: np.asarray(column, dtype=np.float32) for name, column in columns.items()},
        facts={
            "metric": metric,
            "group_names": list(groups),
            "train_group_sizes": list(sizes),
            "steps_per_epoch": STEPS_PER_EPOCH,
            "batch_size": BATCH_SIZE,
            "reference_metric": 0.6,
            "preparation": preparation or {"seconds": 0.0, "steps": 0, "forwarded": 0, "backpropagated": 0},
        },
        provenance=provenance or {"versions": {"torch": "2.13.0"}, "command": ["learn2mix", "compare", task]},
    )


def make_timing(task: str = "toy", **seconds_per_step: float) -> dict[str, Any]:
    """Make step times as the clock writes them."""
    return {"task": task, "seconds_per_step": seconds_per_step, "rounds": {}, "machine": {}, "versions": {}}

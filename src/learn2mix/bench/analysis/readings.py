"""What each method has reached at a quarter, at half and at the whole of the budget, by epochs or by seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.analysis.quantities import Array
from learn2mix.bench.analysis.stats import Estimate

FRACTIONS = (0.25, 0.5, 1.0)
_SLACK = 1e-6  # curves are float32: a point that misses a mark by rounding alone is on it


@dataclass(frozen=True)
class Milestones:
    """One method's primary metric at parts of the budget.

    Args:
        name: See :class:`~learn2mix.bench.analysis.figures.Arm`.
        at: The metric by each of :data:`FRACTIONS` of the budget; None where the method's runs end earlier, or where
            the unit was not measured for it.
        ends: Where its runs end, as a share of the budget; None where the unit was not measured for it.
    """

    name: str
    at: tuple[Estimate | None, ...]
    ends: float | None


def read(task: TaskSummary, *, axis: str = "epochs", prepared: bool = False) -> tuple[Milestones, ...]:
    """Read every method's curve where the reference has spent parts of its budget.

    A curve is read on the line between the two points about that part, never beyond its end; before the first step has
    been taken that is the network as it was initialised.

    Args:
        task: The task.
        axis: One of :data:`~learn2mix.bench.analysis.figures.AXES`.
        prepared: Whether preparation is counted, for the reference too.

    Returns:
        A method's milestones each, in the order of the rows; empty where the unit was not measured for the reference.
    """
    budget = spent(task.arms[0], axis, prepared)
    if budget is None:
        return ()
    whole = float(budget[:, -1].mean())
    return tuple(_reading(arm, spent(arm, axis, prepared), whole) for arm in task.arms)


def spent(arm: Arm, axis: str, prepared: bool) -> Array | None:
    """Return what each run has spent at each row, (n, rows), in the unit of the axis; None where it was not measured."""
    at = arm.progress(axis)
    return at + arm.preparation(axis)[:, None] if prepared and at is not None else at


def _reading(arm: Arm, at: Array | None, whole: float) -> Milestones:
    if at is None or whole == 0:
        return Milestones(arm.name, (None,) * len(FRACTIONS), None)
    curves = arm.stack("test_metric")
    estimates: list[Estimate | None] = []
    for mark in (fraction * whole for fraction in FRACTIONS):
        over = at[:, -1].min() < mark * (1 - _SLACK)
        values = [np.interp(mark, own, curve) for own, curve in zip(at, curves, strict=True)]
        estimates.append(None if over else stats.mean_interval(values))
    return Milestones(arm.name, tuple(estimates), float(at[:, -1].mean()) / whole)

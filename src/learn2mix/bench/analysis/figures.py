"""The figures that runs add up to, as plain records: what the command line, its JSON and the report all show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn2mix.bench.analysis.quantities import PRIMARY, QUANTITIES, Quantity
from learn2mix.bench.analysis.stats import Estimate, Reached
from learn2mix.bench.record import Run

AXES = ("epochs", "steps", "backpropagated", "examples", "seconds")
"""What progress is measured in: ``examples`` are those forwarded plus those back-propagated; ``seconds`` are steps times
the method's median step time."""

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """The runs of one method with one set of its settings, in order of their seeds.

    Args:
        name: What tables call it: the method, with what sets it apart where there are several of that method.
        method: The method.
        runs: Its runs by seed, all with rows at the same epochs.
        step_seconds: Median time of a step, None where it was not measured.
    """

    name: str
    method: str
    runs: Mapping[int, Run]
    step_seconds: float | None = None

    def stack(self, curve: str) -> Column:
        """Stack a curve of all runs: (n, rows) or (n, rows, k)."""
        return np.stack([run.curves[curve] for run in self.runs.values()]).astype(np.float64)

    def progress(self, axis: str) -> Column | None:
        """Progress at each row, (n, rows), in the unit of the axis; None where it was not measured."""
        if axis == "seconds":
            return None if self.step_seconds is None else self.stack("steps") * self.step_seconds
        if axis == "examples":
            return self.stack("forwarded") + self.stack("backpropagated")
        return self.stack("epoch" if axis == "epochs" else axis)

    def preparation(self, axis: str) -> Column:
        """What was spent before the first step, (n,), in the unit of the axis; epochs do not count it.

        Seconds are the median over runs, for all: a process's first preparation bears its imports.
        """
        if axis == "epochs":
            return np.zeros(len(self.runs))
        parts = ("forwarded", "backpropagated") if axis == "examples" else (axis,)
        spent = [run.facts.get("preparation", {}) for run in self.runs.values()]
        found = np.array([sum(float(run.get(part, 0)) for part in parts) for run in spent])
        return np.full_like(found, np.median(found)) if axis == "seconds" else found


@dataclass(frozen=True)
class Row:
    """One method's figures on one task; metrics are at the end of its budget.

    Args:
        name: See :class:`Arm`.
        method: The method.
        n: Number of seeds.
        final: The primary metric.
        difference: Of the primary metric to the reference, paired by seed; None without a common seed.
        p_adjusted: Its p-value after Holm's adjustment over all comparisons of the summary.
        verdict: ``"better"`` or ``"worse"`` where the interval of the difference leaves out 0 and the adjusted p-value
            is below 0.05, else ``"undecided"``; ``"reference"`` for the reference, ``""`` without a difference.
        worst_group: The worst group's metric.
        worst_group_difference: Of that to the reference.
        balanced: The mean of the metric over groups.
        balanced_difference: Of that to the reference.
        natural: The mean over groups weighted by their sizes in the training set.
        natural_difference: Of that to the reference.
        shifted: The mean over groups weighted by the training shares turned around; see
            :func:`~learn2mix.bench.analysis.quantities.reversed_shares`.
        shifted_difference: Of that to the reference.
        train_loss: Mean loss of the last training batches; it says nothing between methods.
        train_metric: The metric on them as trained on, None where it was not recorded; it says nothing between methods.
        constant: What a constant prediction scores, mean over its runs.
        to_target: When the target was reached, by axis; only the axes that were measured.
        to_target_prepared: The same with preparation counted.
        forwarded_per_epoch: Examples forwarded an epoch.
        backpropagated_per_epoch: Examples back-propagated an epoch.
        step_seconds: Median time of a step, None where it was not measured.
        preparation: What was spent before the first step, by axis, mean over seeds.
    """

    name: str
    method: str
    n: int
    final: Estimate
    difference: Estimate | None
    p_adjusted: float | None
    verdict: str
    worst_group: Estimate
    worst_group_difference: Estimate | None
    balanced: Estimate
    balanced_difference: Estimate | None
    natural: Estimate
    natural_difference: Estimate | None
    shifted: Estimate
    shifted_difference: Estimate | None
    train_loss: Estimate
    train_metric: Estimate | None
    constant: float
    to_target: Mapping[str, Reached]
    to_target_prepared: Mapping[str, Reached]
    forwarded_per_epoch: float
    backpropagated_per_epoch: float
    step_seconds: float | None
    preparation: Mapping[str, float]

    def estimate(self, quantity: Quantity) -> Estimate | None:
        """Return a quantity at the end, None where it was not recorded."""
        found: Estimate | None = getattr(self, quantity.name)
        return found

    def difference_in(self, quantity: Quantity) -> Estimate | None:
        """Return a quantity's difference to the reference, None where there is none."""
        found: Estimate | None = getattr(
            self, "difference" if quantity == PRIMARY else f"{quantity.name}_difference", None
        )
        return found


@dataclass(frozen=True)
class TaskSummary:
    """One task under one set of settings: its methods side by side.

    Args:
        task: The task.
        title: The task, with what sets it apart where a summary has it several times.
        metric: ``"error"`` or ``"mse"``, or what else the task reports; smaller is better.
        evaluated_on: ``"test"`` or ``"validation"``.
        epochs: Epochs until the end of the reference's runs, or of the first row's where there is no reference; a
            whole number unless an epoch was cut short.
        budget: The budget in words, as it was given.
        seeds: All seeds.
        group_names: The groups.
        group_shares: Their shares of the training set, mean over runs.
        constant: What the best constant prediction scores, mean over runs.
        target: The level of the primary metric that times to target refer to, None where there is none.
        target_source: Where the target comes from, in words.
        settings: What all methods share.
        rows: A row a method, the reference first, then the focus, then by name.
        arms: The runs behind the rows, in their order.
        notes: What is missing or uneven, in words.
    """

    task: str
    title: str
    metric: str
    evaluated_on: str
    epochs: float
    budget: str
    seeds: tuple[int, ...]
    group_names: tuple[str, ...]
    group_shares: tuple[float, ...]
    constant: float
    target: float | None
    target_source: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    arms: tuple[Arm, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What all runs recorded, the primary metric first."""
        return tuple(q for q in QUANTITIES if all(row.estimate(q) is not None for row in self.rows))

    def row(self, method: str) -> Row | None:
        """Return the first row of a method, None where it has none."""
        return next((row for row in self.rows if row.method == method), None)


@dataclass(frozen=True)
class Summary:
    """All figures of a set of runs.

    Args:
        tasks: One entry for each task and set of settings.
        comparisons: How many comparisons to the reference Holm's adjustment counts.
    """

    tasks: tuple[TaskSummary, ...]
    comparisons: int

    def to_json(self) -> dict[str, Any]:
        """Return all figures as JSON values; numbers that are not finite become None."""
        tasks = []
        for task in self.tasks:
            values = {name: getattr(task, name) for name in task.__dataclass_fields__ if name not in ("rows", "arms")}
            tasks.append({**values, "rows": [asdict(row) for row in task.rows]})
        result: dict[str, Any] = finite({"comparisons": self.comparisons, "tasks": tasks})
        return result


def finite(value: Any) -> Any:
    """Copy nested values, tuples as lists, with None for every number that is not finite.

    >>> finite({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

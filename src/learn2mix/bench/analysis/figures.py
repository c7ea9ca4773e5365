"""The figures that runs add up to, as plain records: what the command line, its JSON and the report all show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import numpy as np

from learn2mix.bench.analysis.quantities import ALL, LAST, PRIMARY, QUANTITIES, Array, Quantity, RowIndex
from learn2mix.bench.analysis.stats import Estimate, Reached
from learn2mix.bench.record import Run

AXES = ("epochs", "steps", "backpropagated", "examples", "seconds")
"""What progress is measured in: ``examples`` are those forwarded plus those back-propagated; ``seconds`` are steps times
the method's median step time."""


@dataclass(frozen=True)
class Arm:
    """The runs of one method with one set of its settings, in order of their seeds.

    Args:
        name: What tables call it: the method, with what sets it apart where there are several of that method.
        method: The method.
        runs: Its runs by seed, all with rows at the same epochs.
        step_seconds: Median time of a step, None where it was not measured.
        step_rounds: Seconds a step in each round of that measurement, in which all methods took turns; empty where they
            are not known.
    """

    name: str
    method: str
    runs: Mapping[int, Run]
    step_seconds: float | None = None
    step_rounds: tuple[float, ...] = ()

    def stack(self, curve: str) -> Array:
        """Stack a curve of all runs: (n, rows) or (n, rows, k)."""
        return np.stack([run.curves[curve] for run in self.runs.values()]).astype(np.float64)

    def values(self, quantity: Quantity, rows: RowIndex = ALL) -> Array | None:
        """Stack a quantity of all runs, (n, rows); None where not all recorded it."""
        found = [values for run in self.runs.values() if (values := quantity.values(run, rows)) is not None]
        return np.stack(found) if len(found) == len(self.runs) else None

    def at_end(self, quantity: Quantity) -> dict[int, float]:
        """Return a quantity at the end, by seed; empty where not all runs recorded it."""
        values = self.values(quantity, LAST)
        return {} if values is None else dict(zip(self.runs, values[:, 0].tolist(), strict=True))

    def progress(self, axis: str) -> Array | None:
        """Progress at each row, (n, rows), in the unit of the axis; None where it was not measured."""
        if axis == "seconds":
            return None if self.step_seconds is None else self.stack("steps") * self.step_seconds
        if axis == "examples":
            return self.stack("forwarded") + self.stack("backpropagated")
        return self.stack("epoch" if axis == "epochs" else axis)

    def preparation(self, axis: str) -> Array:
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
        estimates: Of each quantity that all its runs recorded.
        differences: To the reference, paired by seed, of each quantity that is compared; none without a common seed.
        p_adjusted: The p-value of the primary metric's difference after Holm's adjustment over all comparisons of the
            summary.
        verdict: ``"better"`` or ``"worse"`` where the interval of the difference leaves out 0 and the adjusted p-value
            is below 0.05, else ``"undecided"``; ``"reference"`` for the reference, ``""`` without a difference.
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
    estimates: Mapping[Quantity, Estimate]
    differences: Mapping[Quantity, Estimate]
    p_adjusted: float | None
    verdict: str
    constant: float
    to_target: Mapping[str, Reached]
    to_target_prepared: Mapping[str, Reached]
    forwarded_per_epoch: float
    backpropagated_per_epoch: float
    step_seconds: float | None
    preparation: Mapping[str, float]

    @property
    def final(self) -> Estimate:
        """The primary metric."""
        return self.estimates[PRIMARY]

    @property
    def difference(self) -> Estimate | None:
        """The primary metric's difference to the reference, None where there is none."""
        return self.differences.get(PRIMARY)

    def to_json(self) -> dict[str, Any]:
        """Return all figures, each quantity's under its name."""
        values = {**vars(self)}
        estimates, differences = values.pop("estimates"), values.pop("differences")
        for quantity in QUANTITIES:
            values[quantity.name] = estimates.get(quantity)
            if quantity.compared:
                name = "difference" if quantity is PRIMARY else f"{quantity.name}_difference"
                values[name] = differences.get(quantity)
        return values


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
        comparisons: See :class:`Summary`.
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
    comparisons: int = 0

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What all runs recorded, the primary metric first."""
        return tuple(q for q in QUANTITIES if all(q in row.estimates for row in self.rows))

    @property
    def no_better_than_constant(self) -> bool:
        """Whether no method ends better than a constant prediction on the same seeds."""
        return all(no_better(row.final.mean, row.constant) for row in self.rows)

    def row(self, method: str) -> Row | None:
        """Return the first row of a method, None where it has none."""
        return next((row for row in self.rows if row.method == method), None)


def no_better(value: float, constant: float) -> bool:
    """Tell whether a metric is that of a constant prediction or larger; NaN is neither.

    >>> no_better(float(np.float32(0.9)), 0.9)  # curves are float32, and what rounding alone takes off is no gain
    True
    """
    return value >= constant - 1e-6 * abs(constant)


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
            values = {name: value for name, value in vars(task).items() if name not in ("arms", "comparisons")}
            tasks.append({**values, "rows": [row.to_json() for row in task.rows]})
        result: dict[str, Any] = finite({"comparisons": self.comparisons, "tasks": tasks})
        return result


def finite(value: Any) -> Any:
    """Copy nested values, tuples as lists and records as mappings, with None for every number that is not finite.

    >>> finite({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Where learn2mix does better than each other method and where it does not: all tasks at once, at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learn2mix.bench import readings, stats
from learn2mix.bench.exhibits.base import Block, Exhibit, Shown
from learn2mix.bench.figures import Arm, TaskSummary
from learn2mix.bench.quantities import QUANTITIES, Quantity, curve
from learn2mix.bench.stats import Estimate
from learn2mix.bench.summary import FOCUS, REFERENCE, verdict
from learn2mix.bench.wording import NONE, Column, Scale, capital, scale_of

_PRIMARY, _WORST = QUANTITIES[0], QUANTITIES[1]


@dataclass(frozen=True)
class _Cost:
    """A way to hold two methods to the same cost.

    Args:
        title: What it is called.
        axis: What is counted, one of :data:`learn2mix.bench.figures.AXES`.
        prepared: Whether preparation counts.
        quantity: What is compared.
    """

    title: str
    axis: str
    prepared: bool
    quantity: Quantity


_COSTS = (
    _Cost("The test metric after equally many epochs", "epochs", False, _PRIMARY),
    _Cost("The worst group after equally many epochs", "epochs", False, _WORST),
    _Cost("The test metric after equally many examples, forward and backward", "examples", False, _PRIMARY),
    _Cost("The test metric after equally many seconds, preparation left out", "seconds", False, _PRIMARY),
    _Cost("The test metric after equally many seconds, preparation counted", "seconds", True, _PRIMARY),
)


def at_equal_cost(
    ours: Arm, theirs: Arm, *, axis: str = "epochs", prepared: bool = False, quantity: Quantity = _PRIMARY
) -> Estimate | None:
    """Compare two methods, paired by seed, at the cost at which the cheaper of the two ends.

    Each run is read at its last row by then; before its first step that is the network as it was initialised.

    Args:
        ours: The runs of one method.
        theirs: Those of another.
        axis: What cost is counted in, one of :data:`learn2mix.bench.figures.AXES`.
        prepared: Whether preparation counts.
        quantity: What is compared; smaller is better.

    Returns:
        Ours minus theirs; None without a common seed, or where the cost or the quantity was not recorded.
    """
    spent = [readings.spent(arm, axis, prepared) for arm in (ours, theirs)]
    if spent[0] is None or spent[1] is None or not ours.runs.keys() & theirs.runs.keys():
        return None
    whole = min(float(at[:, -1].mean()) for at in spent if at is not None)
    found: list[dict[int, float]] = []
    for arm, at in zip((ours, theirs), spent, strict=True):
        values = {seed: curve(run, quantity) for seed, run in arm.runs.items()}
        if at is None or any(column is None for column in values.values()):
            return None
        # one cost for all seeds: only preparation differs between them, and by little
        rows = np.maximum((at <= whole * (1 + 1e-6)).sum(axis=1) - 1, 0)
        read = zip(values.items(), rows, strict=True)
        found.append({seed: float(column[row]) for (seed, column), row in read if column is not None})
    return stats.paired_difference(found[0], found[1])


def verdicts(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Make a table for each way to count: tasks by methods, with learn2mix less the method and what that says."""
    there = [(one, one.summary) for one in shown if one.summary is not None and one.summary.row(FOCUS) is not None]
    methods = list(dict.fromkeys(arm.method for _, task in there for arm in task.arms if arm.method != FOCUS))
    methods.sort(key=lambda method: (method != REFERENCE, method))
    return (
        [_table(cost, there, methods) for cost in _COSTS]
        if there
        else [Block(exhibit.title, (), ("no run is stored",))]
    )


def _table(cost: _Cost, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    differences = {
        (i, method): _difference(task, method, cost) for i, (_, task) in enumerate(there) for method in methods
    }
    tested = [key for key, found in differences.items() if found is not None and found.p is not None]
    p_values = stats.holm(
        [found.p for key in tested if (found := differences[key]) is not None and found.p is not None]
    )
    adjusted = dict(zip(tested, p_values, strict=True))
    columns = [
        Column("Task", tuple(_named(one) for one, _ in there), numeric=False),
        Column("n", tuple(str(max(row.n for row in task.rows)) for _, task in there)),
    ]
    counts = {"better": 0, "worse": 0, "undecided": 0}
    for method in methods:
        cells = []
        for i, (_, task) in enumerate(there):
            found = differences[i, method]
            said = verdict(found, adjusted.get((i, method))) if found is not None else ""
            if said in counts:
                counts[said] += 1
            cells.append(NONE if found is None else _cell(found, said, scale_of(task)))
        columns.append(Column(method, tuple(cells)))
    total = ", ".join(f"{number} {said}" for said, number in counts.items())
    return Block(
        cost.title,
        tuple(columns),
        (
            f"{capital(FOCUS)} less each method, mean over seeds; below zero {FOCUS} is better. Verdicts take Holm's "
            f"adjustment over the table: {total}. Both are read where the cheaper of the two ends.",
        ),
    )


def _difference(task: TaskSummary, method: str, cost: _Cost) -> Estimate | None:
    ours, theirs = (next((arm for arm in task.arms if arm.method == name), None) for name in (FOCUS, method))
    if ours is None or theirs is None:
        return None
    return at_equal_cost(ours, theirs, axis=cost.axis, prepared=cost.prepared, quantity=cost.quantity)


def _named(one: Shown) -> str:
    return one.panel.title if one.fraction == 1 else f"{one.panel.title} ({one.fraction:.2g}E)"


def _cell(found: Estimate, said: str, scale: Scale) -> str:
    bounds = (
        "" if found.low is None or found.high is None else f" ({scale.between(found.low, found.high, signed=True)})"
    )
    return f"{scale.number(found.mean, signed=True)}{bounds} {said}".strip()

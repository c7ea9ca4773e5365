"""Where learn2mix does better than each other method and where it does not: all tasks at once, at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learn2mix.bench.analysis import readings, stats
from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.analysis.quantities import QUANTITIES, Quantity, curve
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE, verdict
from learn2mix.bench.analysis.wording import NONE, Block, Column, Scale, capital, scale_of
from learn2mix.bench.exhibits.base import Exhibit, Shown

_PRIMARY, _WORST = QUANTITIES[0], QUANTITIES[1]
POOR = " \u2020"  # dagger


@dataclass(frozen=True)
class _Cost:
    """A way to hold two methods to the same cost.

    Args:
        title: What it is called.
        short: The same in a table's heading.
        axis: What is counted, one of :data:`learn2mix.bench.analysis.figures.AXES`.
        prepared: Whether preparation counts.
        quantity: What is compared.
    """

    title: str
    short: str
    axis: str
    prepared: bool
    quantity: Quantity


_COSTS = (
    _Cost("The test metric after equally many epochs", "by epoch", "epochs", False, _PRIMARY),
    _Cost("The worst group after equally many epochs", "worst group, by epoch", "epochs", False, _WORST),
    _Cost(
        "The test metric after equally many examples, forward and backward", "by example", "examples", False, _PRIMARY
    ),
    _Cost("The test metric after equally many seconds, preparation left out", "by second", "seconds", False, _PRIMARY),
    _Cost(
        "The test metric after equally many seconds, preparation counted",
        "by second, prepared",
        "seconds",
        True,
        _PRIMARY,
    ),
)


def at_equal_cost(
    ours: Arm, theirs: Arm, *, axis: str = "epochs", prepared: bool = False, quantity: Quantity = _PRIMARY
) -> Estimate | None:
    """Compare two methods, paired by seed, at the cost at which the cheaper of the two ends.

    A run is read on the line between the two points about that cost; before its first step it is the network as it was
    initialised, and nothing is read beyond an end.

    Args:
        ours: The runs of one method.
        theirs: Those of another.
        axis: What cost is counted in, one of :data:`learn2mix.bench.analysis.figures.AXES`.
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
        read = zip(values.items(), at, strict=True)
        found.append({seed: float(np.interp(whole, own, column)) for (seed, column), own in read if column is not None})
    return stats.paired_difference(found[0], found[1])


def verdicts(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Make a table for each way to count: tasks by methods, with learn2mix less the method and what that says."""
    there = [(one, one.summary) for one in shown if one.summary is not None and one.summary.row(FOCUS) is not None]
    methods = list(dict.fromkeys(arm.method for _, task in there for arm in task.arms if arm.method != FOCUS))
    methods.sort(key=lambda method: (method != REFERENCE, method))
    if not there:
        return [Block(exhibit.title, (), ("no run is stored",))]
    judged = {cost: _judge(cost, there, methods) for cost in _COSTS}
    return [_count(judged, there, methods), *(_table(cost, judged[cost], there, methods) for cost in _COSTS)]


Judged = dict[tuple[int, str], tuple[Estimate | None, str]]


def _judge(cost: _Cost, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Judged:
    """Compare learn2mix with each method on each task; a method's verdicts take Holm's adjustment over its tasks."""
    found: Judged = {}
    for method in methods:
        differences = [_difference(task, method, cost) for _, task in there]
        tested = {i: d.p for i, d in enumerate(differences) if d is not None and d.p is not None}
        adjusted = dict(zip(tested, stats.holm(list(tested.values())), strict=True))
        for i, difference in enumerate(differences):
            said = "" if difference is None else verdict(difference, adjusted.get(i))
            found[i, method] = difference, said
    return found


def _poor(task: TaskSummary) -> bool:
    """Tell whether every method ends worse than a constant prediction."""
    return all(row.final.mean > task.constant for row in task.rows)


def _count(judged: dict[_Cost, Judged], there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    """Count the verdicts over tasks, a row a method."""
    counted = [i for i, (_, task) in enumerate(there) if not _poor(task)]
    columns = [Column("Against", tuple(methods), numeric=False)]
    for cost, cells in judged.items():
        texts = []
        for method in methods:
            said = [cells[i, method][1] for i in counted]
            counts = [f"{said.count(word)} {word}" for word in ("better", "worse", "undecided") if word in said]
            texts.append(", ".join(counts) or NONE)
        columns.append(Column(capital(cost.short), tuple(texts), numeric=False))
    left_out = [_named(one) for one, task in there if _poor(task)]
    notes = [
        f"Of {len(counted)} tasks ({', '.join(_named(there[i][0]) for i in counted)}), those with runs of both. Undecided does "
        "not mean equal."
    ]
    if left_out:
        notes.append(f"Not counted, as every method ends worse than a constant prediction: {', '.join(left_out)}.")
    return Block(f"Tasks on which {FOCUS} is better, worse or undecided", tuple(columns), tuple(notes))


def _table(cost: _Cost, judged: Judged, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    rows = [i for i in range(len(there)) if any(judged[i, method][0] is not None for method in methods)]
    tasks = [there[i][1] for i in rows]
    columns = [
        Column("Task", tuple(_named(there[i][0]) + (POOR if _poor(there[i][1]) else "") for i in rows), numeric=False),
        Column("n", tuple(str(max(row.n for row in task.rows)) for task in tasks)),
    ]
    for method in methods:
        cells = [judged[i, method] for i in rows]
        texts = (
            NONE if found is None else _cell(found, said, scale_of(task))
            for (found, said), task in zip(cells, tasks, strict=True)
        )
        columns.append(Column(method, tuple(texts)))
    notes = [
        f"{capital(FOCUS)} less each method, mean over seeds; below zero {FOCUS} is better. A method's verdicts take Holm's "
        "adjustment over its tasks. Both are read where the cheaper of the two ends."
    ]
    if any(map(_poor, tasks)):
        notes.append(
            f"{POOR.strip()} Every method ends worse than a constant prediction: it tells how fast a bias moves."
        )
    return Block(
        cost.title, tuple(columns) if rows else (), tuple(notes) if rows else ("Step times were not measured.",)
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

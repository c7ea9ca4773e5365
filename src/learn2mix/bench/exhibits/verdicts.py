"""Where learn2mix does better than each other method and where it does not: all tasks at once, at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learn2mix.bench.analysis import readings, stats
from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.analysis.quantities import QUANTITIES, Quantity, curve
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE, verdict
from learn2mix.bench.analysis.wording import NONE, Column, Scale, capital, scale_of
from learn2mix.bench.exhibits.base import Block, Exhibit, Shown

_PRIMARY, _WORST = QUANTITIES[0], QUANTITIES[1]


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

    Each run is read at its last row by then; before its first step that is the network as it was initialised.

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
    if not there:
        return [Block(exhibit.title, (), ("no run is stored",))]
    judged = {cost: _judge(cost, there, methods) for cost in _COSTS}
    return [_count(judged, there, methods), *(_table(cost, judged[cost], there, methods) for cost in _COSTS)]


Judged = dict[tuple[int, str], tuple[Estimate | None, str]]


def _judge(cost: _Cost, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Judged:
    """Compare learn2mix with each method on each task; verdicts take Holm's adjustment over all of them."""
    found = {(i, method): _difference(task, method, cost) for i, (_, task) in enumerate(there) for method in methods}
    tested = {key: estimate.p for key, estimate in found.items() if estimate is not None and estimate.p is not None}
    adjusted = dict(zip(tested, stats.holm(list(tested.values())), strict=True))
    return {key: (e, "" if e is None else verdict(e, adjusted.get(key))) for key, e in found.items()}


def _count(judged: dict[_Cost, Judged], there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    """Count the verdicts over tasks, a row a method."""
    columns = [Column("Against", tuple(methods), numeric=False)]
    for cost, cells in judged.items():
        texts = []
        for method in methods:
            said = [cells[i, method][1] for i in range(len(there))]
            counts = [f"{said.count(word)} {word}" for word in ("better", "worse", "undecided") if word in said]
            texts.append(", ".join(counts) or NONE)
        columns.append(Column(capital(cost.short), tuple(texts), numeric=False))
    return Block(
        f"Tasks on which {FOCUS} is better, worse or undecided",
        tuple(columns),
        (f"Over {len(there)} tasks; a task without runs of both is not counted. Undecided does not mean equal.",),
    )


def _table(cost: _Cost, judged: Judged, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    columns = [
        Column("Task", tuple(_named(one) for one, _ in there), numeric=False),
        Column("n", tuple(str(max(row.n for row in task.rows)) for _, task in there)),
    ]
    for method in methods:
        cells = (judged[i, method] for i in range(len(there)))
        texts = (
            NONE if found is None else _cell(found, said, scale_of(task))
            for (found, said), (_, task) in zip(cells, there, strict=True)
        )
        columns.append(Column(method, tuple(texts)))
    return Block(
        cost.title,
        tuple(columns),
        (
            f"{capital(FOCUS)} less each method, mean over seeds; below zero {FOCUS} is better. Verdicts take Holm's "
            "adjustment over the table. Both are read where the cheaper of the two ends.",
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

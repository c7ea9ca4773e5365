"""Where learn2mix does better than each other method and where it does not: all tasks at once, at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learn2mix.bench.analysis import readings, stats
from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.analysis.quantities import QUANTITIES, Quantity, curve
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE, verdict
from learn2mix.bench.analysis.wording import NONE, Block, Column, Scale, capital, scale_of, with_unit
from learn2mix.bench.exhibits.base import Exhibit, Shown

_PRIMARY, _WORST = QUANTITIES[0], QUANTITIES[1]


@dataclass(frozen=True)
class _Cost:
    """A way to hold two methods to the same cost.

    Args:
        title: What it is called, as a heading.
        axis: What is counted, one of :data:`learn2mix.bench.analysis.figures.AXES`.
        prepared: Whether preparation counts.
        quantity: What is compared.
    """

    title: str
    axis: str
    prepared: bool
    quantity: Quantity


_COSTS = (
    _Cost("By epoch", "epochs", False, _PRIMARY),
    _Cost("Worst group, by epoch", "epochs", False, _WORST),
    _Cost("By example", "examples", False, _PRIMARY),
    _Cost("By second", "seconds", False, _PRIMARY),
    _Cost("By second, prepared", "seconds", True, _PRIMARY),
)
_HOW = (
    f"{capital(FOCUS)} less each method, mean over seeds; below zero {FOCUS} is better. A method's verdicts take Holm's "
    "adjustment over its tasks, and undecided does not mean equal. Both are read where the cheaper of the two ends: after as "
    "many epochs, examples (forward and backward) or seconds, with the seconds of preparation left out or counted. "
    "Worst group is that of the group with the largest error; the other columns are the test metric."
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
    """Count on how many tasks learn2mix is better than each method; then show the differences, a table a task."""
    there = [(one, one.summary) for one in shown if one.summary is not None and one.summary.row(FOCUS) is not None]
    methods = list(dict.fromkeys(arm.method for _, task in there for arm in task.arms if arm.method != FOCUS))
    methods.sort(key=lambda method: (method != REFERENCE, method))
    if not there:
        return [Block(exhibit.title, (), ("no run is stored",))]
    judged = {cost: _judge(cost, there, methods) for cost in _COSTS}
    return [_count(judged, there, methods), *(_table(i, judged, there, methods) for i in range(len(there)))]


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
        columns.append(Column(cost.title, tuple(texts), numeric=False))
    left_out = [_named(one) for one, task in there if _poor(task)]
    notes = [
        f"Of {len(counted)} tasks ({', '.join(_named(there[i][0]) for i in counted)}), those with runs of both.",
        _HOW,
    ]
    if left_out:
        notes.append(f"Not counted, as every method ends worse than a constant prediction: {', '.join(left_out)}.")
    return Block(f"Tasks on which {FOCUS} is better, worse or undecided", tuple(columns), tuple(notes))


def _table(
    index: int, judged: dict[_Cost, Judged], there: list[tuple[Shown, TaskSummary]], methods: list[str]
) -> Block:
    """Show one task: a row a method, a column for each way to count."""
    one, task = there[index]
    scale = scale_of(task)
    rows = [name for name in methods if any(cells[index, name][0] is not None for cells in judged.values())]
    epochs = [judged[_COSTS[0]][index, name][0] for name in rows]
    columns = [
        Column(f"{capital(FOCUS)} less", tuple(rows), numeric=False),
        Column("n", tuple(NONE if found is None else str(found.n) for found in epochs)),
    ]
    for cost, cells in judged.items():
        texts = (_cell(*cells[index, name], scale) for name in rows)
        columns.append(Column(with_unit(cost.title, scale.step.strip()), tuple(texts)))
    notes = (
        ["Every method ends worse than a constant prediction: this tells how fast a bias moves."] if _poor(task) else []
    )
    return Block(_named(one), tuple(columns) if rows else (), tuple(notes))


def _difference(task: TaskSummary, method: str, cost: _Cost) -> Estimate | None:
    ours, theirs = (next((arm for arm in task.arms if arm.method == name), None) for name in (FOCUS, method))
    if ours is None or theirs is None:
        return None
    return at_equal_cost(ours, theirs, axis=cost.axis, prepared=cost.prepared, quantity=cost.quantity)


def _named(one: Shown) -> str:
    return one.panel.title if one.fraction == 1 else f"{one.panel.title} ({one.fraction:.2g}E)"


def _cell(found: Estimate | None, said: str, scale: Scale) -> str:
    if found is None:
        return NONE
    bounds = (
        "" if found.low is None or found.high is None else f" ({scale.between(found.low, found.high, signed=True)})"
    )
    return f"{scale.number(found.mean, signed=True)}{bounds} {said}".strip()

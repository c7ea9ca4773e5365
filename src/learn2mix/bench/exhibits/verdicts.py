"""Where learn2mix does better than each other method and where it does not: all tasks at once, at equal cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from learn2mix.bench.analysis import readings, stats
from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.analysis.quantities import PRIMARY, WORST_GROUP, Quantity
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, NO_BETTER_THAN_CONSTANT, REFERENCE, Judged, against_each
from learn2mix.bench.analysis.wording import (
    NONE,
    Block,
    Column,
    Scale,
    capital,
    judged_words,
    scale_of,
    tally,
    with_unit,
)
from learn2mix.bench.exhibits.base import OPEN, Exhibit, Shown


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

    def difference(self, ours: Arm, theirs: Arm) -> Estimate | None:
        """Compare two methods at that cost."""
        return at_equal_cost(ours, theirs, axis=self.axis, prepared=self.prepared, quantity=self.quantity)


_COSTS = (
    _Cost("By epoch", "epochs", False, PRIMARY),
    _Cost("Worst group, by epoch", "epochs", False, WORST_GROUP),
    _Cost("By example", "examples", False, PRIMARY),
    _Cost("By second", "seconds", False, PRIMARY),
    _Cost("By second, prepared", "seconds", True, PRIMARY),
)
_HOW = (
    f"{capital(FOCUS)} less each method, mean over seeds; below zero {FOCUS} is better. A method's verdicts take Holm's "
    "adjustment over the number of tasks that stands beside it, and undecided does not mean equal. Both are read where the "
    "cheaper of the two ends: after as many epochs, examples (forward and backward, those of preparation left out) or seconds, "
    "with the seconds of preparation left out or counted, and an interval wide enough for whichever ratio of step times the "
    "timing run leaves open; one whose preparation alone outlasts the other has not started by "
    "then, and counts neither there nor in the adjustment. Worst group is that of the group with the largest error; the other "
    "columns are the test metric."
)
_NOT_STARTED = "not started"


def at_equal_cost(
    ours: Arm, theirs: Arm, *, axis: str = "epochs", prepared: bool = False, quantity: Quantity = PRIMARY
) -> Estimate | None:
    """Compare two methods, paired by seed, at the cost at which the cheaper of the two ends.

    A run is read on the line between the two points about that cost; before its first step it is the network as it was
    initialised, and nothing is read beyond an end. Step times are known within bounds only: by the second, the interval is
    widened to hold at both ends of the 95 % interval of their ratio, its median over the rounds of the timing run.

    Args:
        ours: The runs of one method.
        theirs: Those of another.
        axis: What cost is counted in, one of :data:`learn2mix.bench.analysis.figures.AXES`.
        prepared: Whether preparation counts.
        quantity: What is compared; smaller is better.

    Returns:
        Ours minus theirs; None without a common seed, where the cost or the quantity was not recorded, or where one of
        them would not have taken its first step.
    """
    if not ours.runs.keys() & theirs.runs.keys() or outlasts(ours, theirs, axis, prepared):
        return None
    found = _read_together(ours, theirs, axis, prepared, quantity)
    if found is None or axis != "seconds":
        return found
    others = (_read_together(one, theirs, axis, prepared, quantity) for one in _other_paces(ours, theirs))
    return stats.envelope(found, [other for other in others if other is not None])


def _read_together(ours: Arm, theirs: Arm, axis: str, prepared: bool, quantity: Quantity) -> Estimate | None:
    """Read both where the cheaper ends; None where the cost or the quantity was not recorded."""
    arms = ours, theirs
    read = [
        (spent, values)
        for arm in arms
        if (spent := readings.spent(arm, axis, prepared)) is not None and (values := arm.values(quantity)) is not None
    ]
    if len(read) < len(arms):
        return None
    whole = min(float(spent[:, -1].mean()) for spent, _ in read)
    found = [
        {seed: float(np.interp(whole, at, curve)) for seed, at, curve in zip(arm.runs, *pair, strict=True)}
        for arm, pair in zip(arms, read, strict=True)
    ]
    return stats.paired_difference(*found)


def _other_paces(ours: Arm, theirs: Arm) -> list[Arm]:
    """Return ours with a step as short and as long, beside theirs, as the rounds of the timing run leave open."""
    if not ours.step_rounds or len(ours.step_rounds) != len(theirs.step_rounds) or theirs.step_seconds is None:
        return []
    ratios = stats.median_interval(np.divide(ours.step_rounds, theirs.step_rounds))
    return [] if ratios is None else [replace(ours, step_seconds=ratio * theirs.step_seconds) for ratio in ratios]


def outlasts(ours: Arm, theirs: Arm, axis: str, prepared: bool) -> bool:
    """Tell whether the preparation of one of two methods takes longer than the whole of the other."""
    read = [spent for arm in (ours, theirs) if (spent := readings.spent(arm, axis, prepared)) is not None]
    return len(read) == 2 and max(own[:, 0].mean() for own in read) >= min(own[:, -1].mean() for own in read)


def verdicts(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Count on how many tasks learn2mix is better than each method; then show the differences, a table a task."""
    there = [(one, one.summary) for one in shown if one.summary is not None and one.summary.row(FOCUS) is not None]
    methods = list(dict.fromkeys(arm.method for _, task in there for arm in task.arms if arm.method != FOCUS))
    methods.sort(key=lambda method: (method != REFERENCE, method))
    if not there:
        return [Block(exhibit.title, (), (OPEN,))]
    judged = {cost: against_each([task for _, task in there], cost.difference) for cost in _COSTS}
    return [_count(judged, there, methods), *(_table(i, judged, there, methods) for i in range(len(there)))]


Judgements = Mapping[_Cost, Mapping[tuple[int, str], Judged]]


def _count(judged: Judgements, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    """Count the verdicts over tasks, a row a method."""
    counted = [i for i, (_, task) in enumerate(there) if not task.no_better_than_constant]
    families = {name: found.family for (_, name), found in judged[_COSTS[0]].items()}
    columns = [
        Column("Against", tuple(methods), numeric=False),
        Column("Holm over, tasks", tuple(str(families.get(name, NONE)) for name in methods)),
    ]
    for cost, cells in judged.items():
        texts = []
        for method in methods:
            texts.append(tally([cells[i, method] for i in counted if (i, method) in cells]))
        columns.append(Column(cost.title, tuple(texts), numeric=False))
    left_out = [_named(one) for one, task in there if task.no_better_than_constant]
    notes = [
        f"Of {len(counted)} tasks ({', '.join(_named(there[i][0]) for i in counted)}), those with runs of both.",
        _HOW,
    ]
    if left_out:
        notes.append(
            "Left out of the counts, though their p-values are adjusted for, as no method ends better than a constant "
            f"prediction: {', '.join(left_out)}."
        )
    notes += _short_steps(judged, there)
    return Block(f"Tasks on which {FOCUS} is better, worse or undecided", tuple(columns), tuple(notes))


def _short_steps(judged: Judgements, there: list[tuple[Shown, TaskSummary]]) -> list[str]:
    """Say how long steps are where learn2mix loses to the reference by the second alone, and elsewhere."""
    steps: dict[bool, list[str]] = {True: [], False: []}
    by_epoch, by_second = _COSTS[0], next(cost for cost in _COSTS if cost.axis == "seconds")
    longest = 0.0
    for i, (one, task) in enumerate(there):
        ours, theirs = (
            next((a.step_seconds for a in task.arms if a.method == name), None) for name in (FOCUS, REFERENCE)
        )
        pair = [judged[cost].get((i, REFERENCE)) for cost in (by_epoch, by_second)]
        if not ours or not theirs or task.no_better_than_constant or None in pair:
            continue
        lost = [found.verdict == "worse" for found in pair if found] == [False, True]
        longest = max(longest, theirs) if lost else longest
        steps[lost].append(f"{_named(one)}, {ours / theirs:.2f} times {theirs * 1000:.3g} ms")
    if not steps[True]:
        return []
    short = " Those steps are below a millisecond, where what is added weighs most." if longest < 0.001 else ""
    others = f" Elsewhere: {'; '.join(steps[False])}." if steps[False] else ""
    return [
        f"Worse than {REFERENCE} by second and not by epoch, with what a step takes beside {REFERENCE}'s: "
        f"{'; '.join(steps[True])}.{short}{others}"
    ]


def _table(index: int, judged: Judgements, there: list[tuple[Shown, TaskSummary]], methods: list[str]) -> Block:
    """Show one task: a row a method, a column for each way to count."""
    one, task = there[index]
    scale = scale_of(task)
    rows = [name for name in methods if any((index, name) in cells for cells in judged.values())]
    epochs = [judged[_COSTS[0]].get((index, name)) for name in rows]
    columns = [
        Column(f"{capital(FOCUS)} less", tuple(rows), numeric=False),
        Column("n", tuple(NONE if found is None else str(found.difference.n) for found in epochs)),
        Column("Holm over, tasks", tuple(NONE if found is None else str(found.family) for found in epochs)),
    ]
    arms = {arm.method: arm for arm in reversed(task.arms)}
    for cost, cells in judged.items():
        late = {name for name in rows if outlasts(arms[FOCUS], arms[name], cost.axis, cost.prepared)}
        texts = (_NOT_STARTED if name in late else _cell(cells.get((index, name)), scale) for name in rows)
        columns.append(Column(with_unit(cost.title, scale.step.strip()), tuple(texts)))
    notes = (NO_BETTER_THAN_CONSTANT,) if task.no_better_than_constant else ()
    return Block(_named(one), tuple(columns) if rows else (), notes)


def _named(one: Shown) -> str:
    return one.panel.inline if one.fraction == 1 else f"{one.panel.inline} ({one.fraction:.2g}E)"


def _cell(judged: Judged | None, scale: Scale) -> str:
    return NONE if judged is None else judged_words(judged, scale)

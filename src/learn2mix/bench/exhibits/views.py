"""The tables of exhibits: from the figures of runs to columns of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from learn2mix.bench.analysis import readings, stats
from learn2mix.bench.analysis.figures import Arm, Row, TaskSummary
from learn2mix.bench.analysis.quantities import WORST_GROUP
from learn2mix.bench.analysis.readings import FRACTIONS
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import (
    NONE,
    PLUS_MINUS,
    Block,
    Column,
    Scale,
    capital,
    headline,
    interval,
    results_table,
    scale_of,
    signed,
    with_interval,
    with_unit,
    written,
)
from learn2mix.bench.exhibits.base import OPEN, Exhibit, Shown

Contents = tuple[tuple[Column, ...], tuple[str, ...]]
"""What a panel's table shows: its columns, and what is to be said of them."""


def beside_the_paper(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Set our figures at parts of the budget beside the paper's, a table a panel."""
    return [block(one, _beside) for one in shown]


def at_the_end(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Give the results at the end of the budget, a table a panel."""
    return [block(one, lambda one, task: (tuple(results_table(task)), (headline(task),))) for one in shown]


def with_cost(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Give the results at the end of the budget and what they cost, preparation included, a table a panel."""

    def table(one: Shown, task: TaskSummary) -> Contents:
        costs = [
            Column(f"{title}, times {REFERENCE}", tuple(_times(cost(arm), cost(task.arms[0])) for arm in task.arms))
            for title, cost in _COSTS.items()
        ]
        note = (
            f"Costs are multiples of {REFERENCE}'s over the whole budget, what is done beforehand included: examples that went "
            "forward through a network, examples forward and back, and seconds (steps times the median step of a timing run)."
        )
        return (*results_table(task), *costs), (headline(task), note)

    return [block(one, table) for one in shown]


def by_the_clock(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Read every method where classical has spent parts of its seconds, without and with preparation."""
    blocks = []
    for one in shown:
        for prepared, counted in ((False, "preparation left out"), (True, "preparation counted")):
            table = block(one, partial(_clock, prepared=prepared))
            blocks.append(replace(table, title=f"{one.panel.title}, {counted}"))
    return blocks


def worst_group(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Give the worst group's metric at the end of the budget."""

    def table(one: Shown, task: TaskSummary) -> Contents:
        scale = scale_of(task)
        ends = [row.estimates[WORST_GROUP] for row in task.rows]
        differences = [row.differences.get(WORST_GROUP) for row in task.rows]
        intervals = (interval(d, scale, row.n) for d, row in zip(differences, task.rows, strict=True))
        return (
            *who(task.rows),
            Column(titled("Worst group", scale), tuple(written(end, scale) for end in ends)),
            Column("Difference to classical", tuple(signed(d, scale) for d in differences)),
            Column("95 % interval", tuple(intervals)),
        ), ()

    return [block(one, table) for one in shown]


def proportions(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Give learn2mix's proportions at parts of the budget, and where the last losses would lead them."""

    def table(one: Shown, task: TaskSummary) -> Contents:
        arm = next((arm for arm in task.arms if arm.method == FOCUS), task.arms[0])
        shares, groups = arm.stack("proportions").mean(axis=0), arm.stack("group_metric").mean(axis=0)
        rows = [0, *(_row_at(arm, one.panel.epochs(fraction)) for fraction in _reached(one))]
        titles = ["Start", *map(_part, _reached(one))]
        last = groups[rows[-1]] / groups[rows[-1]].sum()
        return (
            Column("Group", task.group_names, numeric=False),
            *(
                Column(f"{title}, %", tuple(f"{share:.1f}" for share in shares[row] * 100))
                for title, row in zip(titles, rows, strict=True)
            ),
            Column("Share of the test errors, %", tuple(f"{share:.1f}" for share in last * 100)),
        ), (f"Means over {len(arm.runs)} seeds of the batches' make-up as trained on.",)

    return [block(one, table) for one in shown]


def block(one: Shown, table: Callable[[Shown, TaskSummary], Contents]) -> Block:
    """Make a panel's block, with what holds for all views: its remark, what is missing, how a constant does."""
    if one.summary is None:
        return Block(one.panel.title, (), (OPEN,))
    columns, said = table(one, one.summary)
    notes = tuple(note for note in said if note)
    written_out = any("±" in cell for column in columns for cell in column.cells)
    explained = any(PLUS_MINUS in note for note in notes)
    whole = one.panel.epochs()
    spent = f"{one.summary.epochs:g} of {whole} epochs" if one.fraction < 1 else f"{whole} epochs"
    more = [
        f"{spent}; a constant prediction scores {scale_of(one.summary).number(one.summary.constant)}"
        f"{scale_of(one.summary).unit}.",
        *((f"{PLUS_MINUS}.",) if written_out and not explained else ()),
        *((f"{capital(one.panel.remark)}.",) if one.panel.remark else ()),
        *((f"{one.missing} of the runs asked for are not there.",) if one.missing else ()),
        *one.summary.notes,
    ]
    return Block(one.panel.title, columns, (*notes, *more))


def who(rows: Sequence[Row]) -> tuple[Column, Column]:
    """Begin a table: the methods, and how many seeds each has."""
    return (
        Column("Method", tuple(row.name for row in rows), numeric=False),
        Column("n", tuple(str(row.n) for row in rows)),
    )


def titled(title: str, scale: Scale) -> str:
    """Write a heading with the unit of the scale."""
    return with_unit(title, "%" if scale.unit else "")


def _forwarded(arm: Arm) -> float | None:
    before = [run.facts.get("preparation", {}).get("forwarded", 0) for run in arm.runs.values()]
    return float(np.mean(arm.stack("forwarded")[:, -1] + np.array(before)))


def _spent(axis: str, arm: Arm) -> float | None:
    at = arm.progress(axis)
    return None if at is None else float(np.mean(at[:, -1] + arm.preparation(axis)))


_COSTS: Mapping[str, Callable[[Arm], float | None]] = {
    "Forward": _forwarded,
    "Forward and back": partial(_spent, "examples"),
    "Seconds": partial(_spent, "seconds"),
}


def _times(cost: float | None, reference: float | None) -> str:
    return NONE if cost is None or not reference else f"{cost / reference:.2f}"


def _reached(one: Shown) -> list[float]:
    """Return the parts of the budget that the runs got to."""
    ended = one.panel.epochs(one.fraction)
    return [fraction for fraction in FRACTIONS if one.panel.epochs(fraction) <= ended] or [one.fraction]


def _part(fraction: float) -> str:
    """Name a part of the budget.

    >>> _part(0.25), _part(1.0)
    ('0.25E', 'E')
    """
    return "E" if fraction == 1 else f"{fraction:.3g}E"


def _row_at(arm: Arm, epoch: float) -> int:
    """Find the last row by an epoch."""
    return int((arm.stack("epoch")[0] <= epoch + 1e-6).sum()) - 1


def _beside(one: Shown, task: TaskSummary) -> Contents:
    accuracy = task.metric == "error"
    turn = _as_accuracy if accuracy else _as_it_is
    scale = Scale("accuracy", 100, 2, " %", " points") if accuracy else scale_of(task)
    methods = [row.method for row in task.rows]
    columns = list(who(task.rows))
    judged = agreeing = 0
    for fraction in _reached(one):
        found = [turn(_at(arm, fraction * one.panel.budget)) for arm in task.arms]
        title = _part(fraction)
        columns.append(Column(titled(title, scale), tuple(written(estimate, scale) for estimate in found)))
        if not one.panel.published or fraction not in FRACTIONS:
            continue
        theirs = [_stated(one, method, fraction) for method in methods]
        stated = [None if estimate is None else turn(estimate) for estimate in theirs]
        columns.append(Column(f"{title}, paper", tuple(NONE if e is None else written(e, scale) for e in stated)))
        gaps = [_gap(ours, paper) for ours, paper in zip(found, stated, strict=True)]
        cells = tuple(NONE if gap is None else with_interval(gap, scale) for gap in gaps)
        columns.append(Column(f"{title}, ours less the paper's", cells))
        known = [gap for gap in gaps if gap is not None and gap.low is not None and gap.high is not None]
        judged += len(known)
        agreeing += sum(gap.low <= 0 <= gap.high for gap in known if gap.low is not None and gap.high is not None)
    notes = (
        [f"The paper's {'accuracies' if accuracy else 'errors'} are means of 5 runs."] if one.panel.published else []
    )
    if one.panel.published and _reached(one)[0] not in FRACTIONS:
        notes.append("It states 0.25E, 0.5E and E, none of which these runs reach.")
    if judged:
        notes.append(f"Of {judged} differences to the paper with an interval (Welch, 95 %), {agreeing} contain 0.")
    return tuple(columns), tuple(notes)


def _stated(one: Shown, method: str, fraction: float) -> Estimate | None:
    published = one.panel.published.get(method)
    return None if published is None else published[FRACTIONS.index(fraction)]


def _at(arm: Arm, epoch: float) -> Estimate:
    """Read the test metric at an epoch, on the line between the two points about it."""
    curves = zip(arm.stack("epoch"), arm.stack("test_metric"), strict=True)
    return stats.mean_interval([np.interp(epoch, at, values) for at, values in curves])


def _as_it_is(estimate: Estimate) -> Estimate:
    return estimate


def _as_accuracy(estimate: Estimate) -> Estimate:
    low = None if estimate.high is None else 1 - estimate.high
    high = None if estimate.low is None else 1 - estimate.low
    return replace(estimate, mean=1 - estimate.mean, low=low, high=high)


def _gap(ours: Estimate, paper: Estimate | None) -> Estimate | None:
    """Give our figure less the paper's, with Welch's interval where both have one."""
    if paper is None:
        return None
    if ours.half_width is None or paper.half_width is None:
        return Estimate(ours.mean - paper.mean, None, None, ours.n)
    return stats.welch_difference(ours, paper)


def _clock(one: Shown, task: TaskSummary, *, prepared: bool) -> Contents:
    found = readings.read(task, axis="seconds", prepared=prepared)
    if not found:
        return (), ("No step times are stored, so nothing is said by the second.",)
    scale = scale_of(task)
    spent = readings.spent(task.arms[0], "seconds", prepared)
    whole = float(np.mean(spent[:, -1])) if spent is not None else 0.0
    columns = list(who(task.rows))
    for i, fraction in enumerate(FRACTIONS):
        cells = [reading.at[i] for reading in found]
        columns.append(
            Column(f"{fraction * whole:.3g} s", tuple(written(c, scale) if c is not None else NONE for c in cells))
        )
    ends = tuple(f"{reading.ends * whole:.3g}" if reading.ends is not None else NONE for reading in found)
    columns.append(Column("Needs for its epochs, s", ends))
    return tuple(columns), (
        f"{capital(scale.noun)}{', %' if scale.unit else ''}, at a quarter, a half and all of the seconds that "
        f"{task.rows[0].name} trains. Seconds are steps times the median step of a timing run in which methods take turns.",
    )

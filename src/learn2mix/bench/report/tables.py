"""The page's tables beyond those of the command line: all tasks at once, each quantity, parts of the budget, ranking."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from learn2mix.bench.analysis.figures import Row, Summary, TaskSummary, no_better
from learn2mix.bench.analysis.quantities import PRIMARY, Quantity
from learn2mix.bench.analysis.ranking import Standing, method_names
from learn2mix.bench.analysis.readings import FRACTIONS, Milestones, read, spent
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import REFERENCE, verdict
from learn2mix.bench.analysis.wording import (
    NONE,
    Column,
    Scale,
    capital,
    cost_table,
    count,
    interval,
    quantity_scale,
    results_table,
    scale_of,
    signed,
    with_unit,
    written,
)

CONSTANT = "constant prediction"
POOR = " \u2020"  # dagger
ALIKE = " \u2021"  # double dagger
_MARKED = {
    POOR: "\u2020 no better than a constant prediction.",
    ALIKE: "\u2021 the same for all seeds, so there is no interval.",
}


@dataclass(frozen=True)
class Table:
    """A table with what stands around it.

    Args:
        title: What it holds, in a few words.
        columns: Its columns; the first names the rows. A cell's first line is its text; a line after it is set apart.
        caption: How to read it.
        verdicts: A verdict a row, ``""`` for none.
        foot: The last row's cells by column title, for what is no method; empty for none.
        links: Where each row's name leads, empty for nowhere.
    """

    title: str
    columns: Sequence[Column]
    caption: str
    verdicts: Sequence[str] = ()
    foot: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[str] = ()


def overview(summary: Summary, links: Sequence[str]) -> Table:
    """Lay out the primary metric at the end: a row a task, a column a method.

    Args:
        summary: The figures.
        links: Where each task's name leads.
    """
    tasks = summary.tasks
    methods = [
        Column(name, tuple(_overview_cell(_named(task, name), task) for task in tasks)) for name in method_names(tasks)
    ]
    pairs = [(scale_of(task), task) for task in tasks]
    columns = [
        Column("Task", tuple(task.title for task in tasks), numeric=False),
        Column(
            "Metric", tuple(f"{with_unit(s.noun, s.unit.strip())}\n{task.budget}" for s, task in pairs), numeric=False
        ),
        Column("n", tuple(str(_most(task)) for task in tasks)),
        Column(capital(CONSTANT), tuple(s.number(task.constant) for s, task in pairs)),
        *methods,
    ]
    caption = (
        f"Primary metric at the end of the budget, mean over n seeds ± half the 95 % interval; lower is better. Better and "
        f"worse than {REFERENCE}: by the paired difference, after Holm's adjustment over all {summary.comparisons} "
        f"comparisons on this page; no mark: undecided. {NONE}: no runs."
    )
    return Table("All tasks", columns, _explained(caption, columns), links=links)


def _named(task: TaskSummary, name: str) -> Row | None:
    return next((row for row in task.rows if row.name == name), None)


def _most(task: TaskSummary) -> int:
    return max(row.n for row in task.rows)


def _overview_cell(row: Row | None, task: TaskSummary) -> str:
    if row is None:
        return NONE
    lines = [_beside_constant(row.final, scale_of(task), row.constant)]
    if row.n != _most(task):
        lines.append(f"n = {row.n}")
    if row.verdict in ("better", "worse"):
        lines.append(row.verdict)
    return "\n".join(lines)


def _beside_constant(estimate: Estimate, scale: Scale, constant: float) -> str:
    return _marked(estimate, scale) + (POOR if no_better(estimate.mean, constant) else "")


def _marked(estimate: Estimate, scale: Scale) -> str:
    """Write a mean, and mark that of several seeds without an interval."""
    alike = estimate.n > 1 and estimate.half_width is None and math.isfinite(estimate.mean)
    return written(estimate, scale) + (ALIKE if alike else "")


def _explained(caption: str, columns: Sequence[Column]) -> str:
    """Add what the marks in a table mean."""
    cells = [cell for column in columns for cell in column.cells]
    return " ".join([caption, *(note for mark, note in _MARKED.items() if any(mark in cell for cell in cells))])


def final_table(task: TaskSummary, quantity: Quantity) -> Table:
    """Lay out a quantity at the end, a row a method; for the primary metric what the command line prints."""
    scale, rows = quantity_scale(task, quantity), task.rows
    title = with_unit(capital(scale.noun), scale.unit.strip())
    if quantity is PRIMARY:
        caption = f"Mean over seeds ± half the 95 % interval, after {task.budget}. Lower is better."
        means = [[row.estimates[q] for row in rows] for q in task.quantities if q.in_metric]
        marked = {_cells(written, own, scale): _cells(_marked, own, scale) for own in means}
        columns = [replace(column, cells=marked.get(column.cells, column.cells)) for column in results_table(task)]
        place = [column.title for column in columns].index(title)
        columns[place] = Column(title, tuple(_beside_constant(row.final, scale, row.constant) for row in rows))
        foot = {"Method": CONSTANT, title: scale.number(task.constant)}
        return Table(title, columns, _explained(caption, columns), tuple(row.verdict for row in rows), foot)
    estimates = [row.estimates.get(quantity) for row in rows]
    columns = [
        Column("Method", tuple(row.name for row in rows), numeric=False),
        Column("n", tuple(str(row.n) for row in rows)),
        Column(title, tuple(NONE if e is None else _marked(e, scale) for e in estimates)),
    ]
    caption = f"{quantity.explanation} Mean over seeds ± half the 95 % interval, after {task.budget}."
    if quantity.compared:
        differences = [row.differences.get(quantity) for row in rows]
        own = ["reference" if row.verdict == "reference" else "" for row in rows]
        judged = [mark or verdict(found) or NONE for mark, found in zip(own, differences, strict=True)]
        columns += [
            Column(f"Difference to {REFERENCE}", tuple(signed(found, scale) for found in differences)),
            Column(
                "95 % interval",
                tuple(interval(found, scale, row.n) for found, row in zip(differences, rows, strict=True)),
            ),
            Column("By interval alone", tuple(judged), numeric=False),
        ]
        caption += " Lower is better. Not among the comparisons that are adjusted for their number."
    return Table(title, columns, _explained(caption, columns))


def _cells(write: Callable[[Estimate, Scale], str], estimates: Sequence[Estimate], scale: Scale) -> tuple[str, ...]:
    return tuple(write(estimate, scale) for estimate in estimates)


def reading_tables(task: TaskSummary) -> list[tuple[str, str, Table]]:
    """Lay out the metric at parts of the budget: a value and label for the choice, and the table, each way to count."""
    ways = [
        ("epochs", "by epoch", "epochs", False),
        ("seconds", "by training second", "seconds", False),
        ("prepared", "by second, preparation counted", "seconds", True),
    ]
    tables = []
    for value, label, axis, prepared in ways:
        found = read(task, axis=axis, prepared=prepared)
        if found:
            tables.append((value, label, _reading_table(task, found, axis, prepared)))
    return tables


def _reading_table(task: TaskSummary, readings: Sequence[Milestones], axis: str, prepared: bool) -> Table:
    scale = scale_of(task)
    title = with_unit(capital(scale.noun), scale.unit.strip())
    names = _marks(task, axis, prepared)
    columns = [Column("Method", tuple(reading.name for reading in readings), numeric=False)]
    for i, name in enumerate(names):
        cells = [_reading_cell(r, i, scale, row.constant) for r, row in zip(readings, task.rows, strict=True)]
        columns.append(Column(name, tuple(cells)))
    unit = "seconds" if axis == "seconds" else "epochs"
    counted = ", preparation counted" if prepared else ", preparation left out" if axis == "seconds" else ""
    whose = f", by the seconds that {task.rows[0].name} needs for it{counted}" if axis == "seconds" else ""
    caption = (
        f"{title}, where E is the whole budget, {task.budget}{whose}. Each curve on the line between its two points about "
        f"there, mean over seeds ± half the 95 % interval. Lower is better. {NONE}: the runs end before that, and nothing is "
        "extrapolated."
    )
    foot = {"Method": CONSTANT, **{name: scale.number(task.constant) for name in names}}
    return Table(f"{title}, at parts of the {unit}{counted}", columns, _explained(caption, columns), foot=foot)


def _marks(task: TaskSummary, axis: str, prepared: bool) -> list[str]:
    """Head the columns: the part of the reference's budget, and how much that is."""
    at = spent(task.arms[0], axis, prepared)
    if at is None:
        return []
    shares = ["E" if fraction == 1 else f"{fraction:g} E" for fraction in FRACTIONS]
    parts = zip(shares, (fraction * float(at[:, -1].mean()) for fraction in FRACTIONS), strict=True)
    return [f"{share}: {f'{mark:,.4g} s' if axis == 'seconds' else f'epoch {mark:,.4g}'}" for share, mark in parts]


def _reading_cell(reading: Milestones, i: int, scale: Scale, constant: float) -> str:
    found = reading.at[i]
    if found is not None:
        return _beside_constant(found, scale, constant)
    if reading.ends is None or reading.ends >= FRACTIONS[i]:
        return NONE
    return f"{NONE}\nends at {reading.ends:.2f} E"


def spending_table(task: TaskSummary) -> Table:
    """Lay out what the command line prints of times to target and cost."""
    caption = "Mean over seeds. Preparation is what a method spends before the first step."
    if task.target is not None:
        caption = (
            "Reached to seconds, with and without preparation: progress until the target is first seen to be reached, median "
            "over seeds; a run that does not get there counts as later than any that does, and where that leaves the median "
            "open there is no figure. Preparation is what a method spends before the first step. Forwarded, backward: "
            "examples through the network, those that a method only scores included."
        )
    return Table("Cost", cost_table(task), caption, tuple(row.verdict for row in task.rows))


def standing_table(standings: Sequence[Standing], opponent: str) -> Table:
    """Lay out how methods stand against an opponent over all tasks."""
    columns = [
        Column("Method", tuple(s.name for s in standings), numeric=False),
        Column("Tasks", tuple(str(s.tasks) for s in standings)),
        Column("Runs of each", tuple(count(s.runs) for s in standings)),
        Column(f"P(lower than {opponent})", tuple(_ratio(s.improvement.mean) for s in standings)),
        Column("95 % interval", tuple(_ratio_interval(s.improvement) for s in standings)),
        Column("Relative to constant", tuple(_ratio(s.relative.mean) for s in standings)),
        Column("95 % interval ", tuple(_ratio_interval(s.relative) for s in standings)),
        Column(f"{capital(opponent)}, same runs", tuple(_ratio(s.opponent_relative.mean) for s in standings)),
    ]
    caption = (
        f"Over the tasks and seeds that a method and {opponent} both have, at the end of the budget. P: the probability "
        "that a run of the method ends lower than one of the other, over all pairs of their runs, of equal seeds or not, mean "
        "over tasks; it says how often, and nothing of by how much. Verdicts elsewhere are of pairs with equal seeds. "
        "Relative to constant: interquartile mean of the metric divided by that of a constant prediction; 1 is no better "
        "than the constant. Intervals: stratified bootstrap over seeds, the tasks taken as given; none where a task has one "
        "seed, or all that is drawn gives the same."
    )
    if len({standing.tasks for standing in standings}) > 1:
        caption += " Methods over most tasks come first; figures over different tasks do not compare."
    return Table(f"Ranking against {opponent}", columns, caption)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "not finite"


def _ratio_interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return NONE
    return f"{_ratio(estimate.low)} to {_ratio(estimate.high)}"

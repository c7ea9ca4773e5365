"""Figures in words: the headline and the tables, the same on the command line and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from learn2mix.bench.analysis.figures import Row, TaskSummary
from learn2mix.bench.analysis.quantities import BALANCED, NATURAL, PRIMARY, WORST_GROUP, Quantity
from learn2mix.bench.analysis.stats import Estimate, Reached
from learn2mix.bench.analysis.summary import FOCUS, LEVEL, REFERENCE, Judged, verdict

NONE = "\u2013"  # en dash
MINUS = "\u2212"
VERDICTS = ("better", "worse", "undecided")
PLUS_MINUS = "\u00b1 is half a 95 % interval"


@dataclass(frozen=True)
class Scale:
    """How a metric's values are written.

    Args:
        noun: What the metric is called in a sentence.
        factor: What values are multiplied by.
        decimals: Digits after the point.
        unit: What follows a value.
        step: What follows a difference of two values.
    """

    noun: str
    factor: float
    decimals: int
    unit: str
    step: str

    def number(self, value: float, *, signed: bool = False) -> str:
        r"""Write a value without its unit.

        >>> Scale("error", 100, 2, " %", " points").number(-0.0123, signed=True)
        '\u22121.23'
        """
        if not math.isfinite(value):
            return "not finite"
        text = f"{value * self.factor:{'+' if signed else ''}.{self.decimals}f}"
        return text.replace("-", MINUS)

    def between(self, low: float, high: float, *, signed: bool = False) -> str:
        """Write an interval without its unit."""
        return f"{self.number(low, signed=signed)} to {self.number(high, signed=signed)}"


def scale_of(task: TaskSummary) -> Scale:
    """Choose how to write a task's metric: error rates in per cent, others to four digits of the largest value."""
    if task.metric == "error":
        return Scale(f"{task.evaluated_on} error", 100, 2, " %", " points")
    noun = f"{task.evaluated_on} {'mean squared error' if task.metric == 'mse' else task.metric}"
    return Scale(noun, 1, decimals_for([row.final.mean for row in task.rows]), "", "")


def quantity_scale(task: TaskSummary, quantity: Quantity) -> Scale:
    """Choose how to write a quantity: as the metric, or to four digits of the largest value."""
    scale = scale_of(task)
    if quantity is PRIMARY:
        return scale
    if quantity.in_metric:
        return replace(scale, noun=quantity.label)
    means = [row.estimates[quantity].mean for row in task.rows if quantity in row.estimates]
    return Scale(quantity.label, 1, decimals_for(means), "", "")


def axis_title(task: TaskSummary, quantity: Quantity) -> str:
    """Name a quantity beside a chart, without a unit: the set it is measured on, the metric and which of its means."""
    evaluated = capital(scale_of(task).noun)
    if quantity is PRIMARY:
        return evaluated
    if not quantity.in_metric:
        return capital(quantity.label)
    if quantity.compared:
        return f"{evaluated}, {quantity.label}"
    return f"{capital(quantity.label)}: {evaluated.split(' ', 1)[1]}"


def decimals_for(values: Iterable[float]) -> int:
    """Choose decimals that give the largest value four digits.

    >>> decimals_for([12.3, 0.5]), decimals_for([0.0123])
    (2, 5)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 3 if largest == 0 else min(max(3 - math.floor(math.log10(largest)), 0), 12)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        title: Its heading.
        cells: Its texts, one a row.
        numeric: Whether it is set flush right.
    """

    title: str
    cells: tuple[str, ...]
    numeric: bool = True


@dataclass(frozen=True)
class Block:
    """A table with its title and what is to be said of it.

    Args:
        title: The title.
        columns: The columns; none for words alone.
        notes: Sentences.
    """

    title: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()


def results_table(task: TaskSummary) -> list[Column]:
    """Return how well each method does at the last epoch, a row a method."""
    scale, rows = scale_of(task), task.rows
    unit = "%" if scale.unit else ""
    return [
        Column("Method", tuple(row.name for row in rows), numeric=False),
        Column("n", tuple(str(row.n) for row in rows)),
        Column(with_unit(capital(scale.noun), unit), tuple(written(row.final, scale) for row in rows)),
        Column(f"Difference to {REFERENCE}", tuple(signed(row.difference, scale) for row in rows)),
        Column("95 % interval", tuple(interval(row.difference, scale, row.n) for row in rows)),
        Column("p (Holm)", tuple(_p_value(row.p_adjusted) for row in rows)),
        Column("Verdict", tuple(_row_verdict(row) for row in rows), numeric=False),
        *(
            Column(with_unit(title, unit), tuple(written(row.estimates[quantity], scale) for row in rows))
            for title, quantity in (("Worst group", WORST_GROUP), ("Balanced", BALANCED), ("Natural mix", NATURAL))
        ),
    ]


def cost_table(task: TaskSummary) -> list[Column]:
    """Return how soon each method reaches the target and what it spends, a row a method."""
    rows = task.rows
    columns = [
        Column("Method", tuple(row.name for row in rows), numeric=False),
        Column("Reached", tuple(_count(row.to_target.get("epochs")) for row in rows)),
        Column("Epochs", tuple(_median(row.to_target.get("epochs")) for row in rows)),
        Column("Steps", tuple(_median(row.to_target.get("steps")) for row in rows)),
        Column("Examples", tuple(_median(row.to_target.get("examples")) for row in rows)),
        Column("Seconds", tuple(_median(row.to_target.get("seconds"), 2) for row in rows)),
        Column("Seconds with preparation", tuple(_median(row.to_target_prepared.get("seconds"), 2) for row in rows)),
    ]
    return [
        *(columns if task.target is not None else columns[:1]),
        Column("Forwarded, an epoch", tuple(count(row.forwarded_per_epoch) for row in rows)),
        Column("Backward, an epoch", tuple(count(row.backpropagated_per_epoch) for row in rows)),
        Column("Step, ms", _milliseconds([row.step_seconds for row in rows])),
        Column("Preparation, s", tuple(f"{row.preparation['seconds']:.2f}" for row in rows)),
        Column("Preparation, examples", tuple(count(row.preparation["examples"]) for row in rows)),
    ]


def headline(task: TaskSummary) -> str:
    """Say in a few sentences how the focus compares with the reference, and no more than the intervals bear out.

    Where there are several of it, with other settings, each has a line. It ends with how to read the table.
    """
    theirs, focus = task.row(REFERENCE), [row for row in task.rows if row.method == FOCUS]
    if not focus or theirs is None:
        absent = REFERENCE if focus else FOCUS
        said = f"There is no run of {absent} here, so nothing is said of {FOCUS} against {REFERENCE}."
    else:
        lines = [_against(ours, theirs, task, brief=len(focus) > 1) for ours in focus]
        said = "\n".join([*lines, _lowest(task)] if len(focus) > 1 else lines)
    return " ".join(sentence for sentence in (said.strip(), _how_to_read(task)) if sentence)


def _lowest(task: TaskSummary) -> str:
    """Name the method with the lowest mean, where that is another than the focus."""
    rows = [row for row in task.rows if math.isfinite(row.final.mean)]
    best = min(rows, key=lambda row: (row.final.mean, row.method != FOCUS), default=None)
    if best is None or best.method == FOCUS or len(task.rows) == 2:
        return ""
    scale = scale_of(task)
    if _value(best, scale) in [_value(row, scale) for row in rows if row.method == FOCUS]:
        return ""  # too close to be told apart by what is written
    return f"Lowest of the {len({row.method for row in task.rows})} methods is {best.name}, {_value(best, scale)}."


def _how_to_read(task: TaskSummary) -> str:
    spread = any(row.final.half_width is not None for row in task.rows)
    parts = [PLUS_MINUS] if spread else []
    if task.comparisons > 1:
        parts.append(
            f"verdicts take Holm's adjustment over the {task.comparisons} comparisons to {REFERENCE} shown together"
        )
    return f"{capital('; '.join(parts))}." if parts else ""


def _against(ours: Row, theirs: Row, task: TaskSummary, *, brief: bool) -> str:
    if ours.difference is None:
        return f"{ours.name} and {theirs.name} have no seed in common, so they are not compared."
    scale = scale_of(task)
    ends = f"After {task.budget}, {ours.name} ends at {_value(ours, scale)} {scale.noun} and {theirs.name} at "
    ends += f"{_value(theirs, scale)}: {_comparison(ours, scale)}"
    if brief:
        return ends
    target = "" if task.target is None else f"{scale.number(task.target)}{scale.unit}"
    sentences = [ends, _lowest(task), _others(ours, scale), _speed(ours, theirs, target)]
    return " ".join(sentence for sentence in sentences if sentence)


def _comparison(row: Row, scale: Scale) -> str:
    """Word the primary difference: better, worse or undecided, and why."""
    difference = row.difference
    if difference is None or difference.low is None or difference.high is None:
        n = difference.n if difference else 0
        seeds = "one seed" if n == 1 else f"{n} seeds without any spread"
        return f"undecided, as {seeds} cannot tell how sure that is."
    evidence = f"95 % interval of the difference {scale.between(difference.low, difference.high, signed=True)}"
    evidence += f"{scale.step}, n = {difference.n} paired seeds"
    direction = "lower" if difference.mean < 0 else "higher"
    size = f"{scale.number(abs(difference.mean))}{scale.step} {direction}"
    if row.verdict != "undecided":
        return f"{size} ({evidence}), so {row.verdict}."
    if verdict(difference) != "undecided" and row.p_adjusted is not None:
        return f"{size} ({evidence}), but undecided once all comparisons here are counted (Holm, p = {row.p_adjusted:.2f})."
    return f"undecided ({evidence})."


_OTHERS = {WORST_GROUP: "worst group", BALANCED: "mean over groups", NATURAL: "training set's own mix"}


def _others(row: Row, scale: Scale) -> str:
    """Word the metric under other weightings of the groups, judged by their intervals alone."""
    parts = []
    for quantity, place in _OTHERS.items():
        difference = row.differences.get(quantity)
        if difference is not None and difference.low is not None and difference.high is not None:
            between = f"{scale.between(difference.low, difference.high, signed=True)}{scale.step}"
            parts.append(f"{verdict(difference)} on the {place} ({between})")
    return f"By interval alone it is {listed(parts)}." if parts else ""


def _speed(ours: Row, theirs: Row, target: str) -> str:
    """Word the epochs to the target."""
    mine, other = ours.to_target.get("epochs"), theirs.to_target.get("epochs")
    if mine is None or other is None:
        return ""
    times = [_reaches(row.name, reached) for row, reached in ((ours, mine), (theirs, other))]
    return f"To reach {target}, {times[0]}, {times[1]}."


def _reaches(name: str, reached: Reached) -> str:
    if reached.median is None:
        return f"{name} had too few epochs ({reached.reached} of {reached.n} runs got there)"
    epochs = "1 epoch" if reached.median == 1 else f"{reached.median:g} epochs"
    return f"{name} takes {epochs} (median; {reached.reached} of {reached.n} runs)"


def count(value: float) -> str:
    """Write a number of examples.

    >>> count(12345.0)
    '12,345'
    """
    return f"{value:,.0f}"


def _value(row: Row, scale: Scale) -> str:
    return f"{scale.number(row.final.mean)}{scale.unit}"


def written(estimate: Estimate, scale: Scale) -> str:
    """Write a mean, with half its interval's width where it has one."""
    value = scale.number(estimate.mean)
    return value if estimate.half_width is None else f"{value} ± {scale.number(estimate.half_width)}"


def signed(estimate: Estimate | None, scale: Scale) -> str:
    """Write a difference with its sign."""
    return NONE if estimate is None else scale.number(estimate.mean, signed=True)


def interval(difference: Estimate | None, scale: Scale, n: int) -> str:
    """Write a difference's interval, and its number of pairs where that is not ``n``."""
    if difference is None or difference.low is None or difference.high is None:
        return NONE
    pairs = "" if difference.n == n else f" (n = {difference.n})"
    return scale.between(difference.low, difference.high, signed=True) + pairs


def with_interval(difference: Estimate, scale: Scale) -> str:
    """Write a difference with its sign, and its interval in brackets where it has one."""
    bounds = interval(difference, scale, difference.n)
    return signed(difference, scale) + ("" if bounds == NONE else f" ({bounds})")


def words(difference: Estimate | None, verdict_: str) -> str:
    """Word a verdict; where only the adjustment keeps it undecided, with what the interval alone says.

    >>> words(Estimate(1.0, 0.5, 1.5, 5), "undecided")
    'undecided (interval alone: worse)'
    """
    alone = verdict(difference)
    return f"{verdict_} (interval alone: {alone})" if verdict_ == "undecided" != alone else verdict_


def judged_words(judged: Judged, scale: Scale) -> str:
    """Write a difference, its interval and its verdict."""
    return f"{with_interval(judged.difference, scale)} {words(judged.difference, judged.verdict)}"


def tally(found: Sequence[Judged]) -> str:
    """Count verdicts, and of those left undecided what the intervals alone say."""
    said = [one.verdict for one in found]
    counts = [f"{said.count(word)} {word}" for word in VERDICTS if word in said]
    alone = [verdict(one.difference) for one in found if one.verdict == "undecided"]
    doubts = [f"{alone.count(word)} {word}" for word in ("better", "worse") if word in alone]
    return (", ".join(counts) + (f" (interval alone: {', '.join(doubts)})" if doubts else "")) or NONE


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _row_verdict(row: Row) -> str:
    return words(row.difference, row.verdict) or NONE


def _p_value(p: float | None) -> str:
    if p is None:
        return NONE
    return "<0.001" if p < LEVEL / 50 else f"{p:.3f}"


def _count(reached: Reached | None) -> str:
    return NONE if reached is None else f"{reached.reached} of {reached.n}"


def _median(reached: Reached | None, decimals: int = 0) -> str:
    if reached is None or reached.median is None:
        return NONE
    halved = decimals == 0 and not reached.median.is_integer()  # between the two in the middle
    return f"{reached.median:,.{1 if halved else decimals}f}"


def _milliseconds(seconds: Sequence[float | None]) -> tuple[str, ...]:
    """Write step times, all with as many decimals as give the longest three digits."""
    times = [None if second is None else second * 1000 for second in seconds]
    decimals = max(decimals_for(time for time in times if time is not None) - 1, 0)
    return tuple(NONE if time is None else f"{time:.{decimals}f}" for time in times)


def with_unit(title: str, unit: str) -> str:
    """Write a heading with its unit, if there is one."""
    return f"{title}, {unit}" if unit else title


def capital(text: str) -> str:
    """Start a text with a capital letter, and leave the rest."""
    return text[:1].upper() + text[1:]

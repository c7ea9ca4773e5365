"""Each method under several mixes of the groups, and what that leaves of its difference to the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.quantities import BALANCED, NATURAL, PRIMARY, QUANTITIES, SHIFTED, Quantity
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE, Judged, judge
from learn2mix.bench.analysis.wording import (
    NONE,
    Block,
    Column,
    capital,
    judged_words,
    listed,
    scale_of,
    words,
    written,
)
from learn2mix.bench.exhibits.base import Exhibit, Shown
from learn2mix.bench.exhibits.views import Contents, block, titled, who

_MIXES = (NATURAL, BALANCED, SHIFTED)
Judgements = Mapping[Quantity, Mapping[tuple[int, str], Judged]]


def under_shift(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Sum up how learn2mix stands at each mix; then give each method's metric, and its difference to the reference."""
    judged = {quantity: _judged(quantity, shown) for quantity in _MIXES}
    tables = [block(one, partial(_table, judged, place)) for place, one in enumerate(shown)]
    return [*_overview(judged, shown), *tables]


def _judged(quantity: Quantity, shown: Sequence[Shown]) -> Mapping[tuple[int, str], Judged]:
    """Judge differences to the reference at one mix, by a panel's place and a row's name; over tasks for each name."""
    by_name: dict[str, dict[int, Estimate]] = {}
    for place, one in enumerate(shown):
        for row in one.summary.rows if one.summary else ():
            if quantity in row.differences:
                by_name.setdefault(row.name, {})[place] = row.differences[quantity]
    return {(place, name): found for name, family in by_name.items() for place, found in judge(family).items()}


def _overview(judged: Judgements, shown: Sequence[Shown]) -> list[Block]:
    there = [
        (place, one.panel.inline, one.summary)
        for place, one in enumerate(shown)
        if one.summary is not None and any((place, FOCUS) in cells for cells in judged.values())
    ]
    if not there:
        return []
    columns = [Column("Task", tuple(title for _, title, _ in there), numeric=False)]
    notes = []
    for quantity, cells in judged.items():
        found = [(title, task, cells.get((place, FOCUS))) for place, title, task in there]
        texts = [NONE if one is None else judged_words(one, scale_of(task)) for _, task, one in found]
        columns.append(Column(capital(quantity.label), tuple(texts)))
        counted = [(title, one) for title, task, one in found if one and not task.no_better_than_constant]
        said = []
        for word in ("worse", "better", "undecided"):
            of = [
                title + words(one.difference, one.verdict).removeprefix(word)
                for title, one in counted
                if one.verdict == word
            ]
            said += (
                [f"{word} on all" if len(of) == len(counted) else f"{word} on {len(of)} ({', '.join(of)})"]
                if of
                else []
            )
        if counted:
            family = counted[0][1].family
            notes.append(
                f"{capital(quantity.label)} (Holm over {family} tasks): of {len(counted)} tasks {FOCUS} is {listed(said)}."
            )
    notes.append("Below zero is better; errors are in points.")
    left_out = [title for _, title, task in there if task.no_better_than_constant]
    if left_out:
        notes.append(f"Not counted, as no method ends better than a constant prediction: {', '.join(left_out)}.")
    return [Block(f"{capital(FOCUS)} less {REFERENCE}", tuple(columns), tuple(notes))]


def _family(judged: Judgements) -> int:
    return max((found.family for cells in judged.values() for found in cells.values()), default=0)


def _table(judged: Judgements, place: int, one: Shown, task: TaskSummary) -> Contents:
    scale = scale_of(task)
    columns = list(who(task.rows))
    for quantity in (q for q in QUANTITIES if q.compared):
        title = "Test set" if quantity is PRIMARY else capital(quantity.label)
        cells = tuple(written(row.estimates[quantity], scale) for row in task.rows)
        columns.append(Column(titled(title, scale), cells))
    for quantity in _MIXES:
        known = [judged[quantity].get((place, row.name)) for row in task.rows]
        cells = tuple(NONE if found is None else judged_words(found, scale) for found in known)
        columns.append(Column(f"{capital(quantity.label)}, less {REFERENCE}", cells))
    explained = [f"{capital(q.label)}: {q.explanation}" for q in (NATURAL, SHIFTED)]
    return tuple(columns), (
        *explained,
        f"A mix's verdicts take Holm's adjustment over a method's {_family(judged)} tasks.",
    )

"""Learn2mix less each other method at the end of the budget: its controls, and methods that are tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.quantities import PRIMARY, WORST_GROUP, Quantity
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE, Judged, against_each, difference
from learn2mix.bench.analysis.wording import (
    VERDICTS,
    Block,
    Column,
    Scale,
    capital,
    headline,
    interval,
    listed,
    quantity_scale,
    results_table,
    scale_of,
    signed,
    tally,
    words,
)
from learn2mix.bench.exhibits.base import Exhibit, Shown
from learn2mix.bench.exhibits.views import Contents, block, titled

_ISOLATED: Mapping[str, str] = {
    "one-shot": "going on adapting after the first epoch",
    "yoked": "answering to the run's own losses",
    "natural": "leaving the training set's own mix",
    "balanced": "following losses rather than keeping groups equal",
    "learn2mix-weighted": "drawing a group more often rather than weighting its losses",
}
"""By control, what learn2mix does and it does not."""

Judgements = Mapping[Quantity, Mapping[tuple[int, str], Judged]]


def judged_at_the_end(shown: Sequence[Shown]) -> Judgements:
    """Compare learn2mix with each method, the test metric and the worst group, by a panel's place and the method."""
    tasks = [one.summary for one in shown]
    return {q: against_each(tasks, partial(difference, quantity=q)) for q in (PRIMARY, WORST_GROUP)}


def controls(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Say what adapting adds, then set learn2mix beside each control."""
    judged = judged_at_the_end(shown)
    tables = [block(one, partial(_less_each, judged, place)) for place, one in enumerate(shown)]
    said = conclusions(shown)
    return [Block("What they say", (), said), *tables] if said else tables


def tuned(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Give the results of tuned methods, and with what settings; then learn2mix less each."""

    def table(one: Shown, task: TaskSummary) -> Contents:
        chosen = [next(iter(arm.runs.values())).settings["method_settings"] for arm in task.arms]
        texts = tuple(", ".join(f"{name} {value:g}" for name, value in settings.items()) for settings in chosen)
        first, *rest = results_table(task)
        return (first, Column("Chosen", texts, numeric=False), *rest), (headline(task), one.tuning)

    judged = judged_at_the_end(shown)
    blocks = _counted(judged, shown)
    for place, one in enumerate(shown):
        blocks.append(block(one, table))
        if one.summary is not None:
            blocks.append(Block(f"{one.panel.title}: {FOCUS} less each", *_less_each(judged, place, one, one.summary)))
    return blocks


def _counted(judged: Judgements, shown: Sequence[Shown]) -> list[Block]:
    """Count the verdicts over tasks, a row a method."""
    others = sorted({name for _, name in judged[PRIMARY]}, key=lambda name: (name != REFERENCE, name))
    found = {q: [[one for _, one in _by_task(cells, name, shown)] for name in others] for q, cells in judged.items()}
    if not others:
        return []
    families = {name: one.family for (_, name), one in judged[PRIMARY].items()}
    columns = (
        Column("Against", tuple(others), numeric=False),
        Column("Holm over, tasks", tuple(str(families[name]) for name in others)),
        Column("Test figure", tuple(map(tally, found[PRIMARY])), numeric=False),
        Column("Worst group", tuple(map(tally, found[WORST_GROUP])), numeric=False),
    )
    note = "At the end of the budget, over the tasks with runs of both; undecided does not mean equal."
    return [Block(f"Tasks on which tuned {FOCUS} is better, worse or undecided", columns, (note,))]


def _less_each(judged: Judgements, place: int, one: Shown, task: TaskSummary) -> Contents:
    methods = dict.fromkeys(arm.method for arm in task.arms)
    others = [method for method in methods if (place, method) in judged[PRIMARY]]
    if not others:
        return (), (f"There are no runs of {FOCUS} with those of another method.",)
    scale = scale_of(task)
    first = [judged[PRIMARY][place, name] for name in others]
    columns = [
        Column(f"{FOCUS} less", tuple(others), numeric=False),
        Column("n", tuple(str(found.difference.n) for found in first)),
        Column("Holm over, tasks", tuple(str(found.family) for found in first)),
    ]
    for quantity, prefix in ((PRIMARY, ""), (WORST_GROUP, "worst group: ")):
        found = [judged[quantity][place, name] for name in others]
        pairs = [(one.difference, words(one.difference, one.verdict)) for one in found]
        title = capital(quantity_scale(task, quantity).noun)
        columns.append(Column(titled(title, scale), tuple(signed(d, scale) for d, _ in pairs)))
        columns.append(Column(f"{prefix}95 % interval", tuple(interval(d, scale, d.n) for d, _ in pairs)))
        columns.append(Column(f"{prefix}{FOCUS} is", tuple(said for _, said in pairs), numeric=False))
    return tuple(columns), (
        "Below zero learn2mix is better. A verdict takes Holm's adjustment over the tasks on which the two are compared here.",
    )


def conclusions(shown: Sequence[Shown]) -> tuple[str, ...]:
    """Say of each control where learn2mix is better, worse or undecided, and what follows for what the control lacks.

    Tasks on which no method ends better than a constant prediction are left out, and named.
    """
    judged = judged_at_the_end(shown)
    sentences = []
    for name, meaning in meanings(shown).items():
        first, worst = (_by_task(judged[quantity], name, shown) for quantity in (PRIMARY, WORST_GROUP))
        sentences.append(
            f"Against {name} (Holm over {first[0][1].family} tasks) {FOCUS} is "
            f"{_where([(f'{one.panel.inline} {_size(found, one)}', found.verdict) for one, found in first])}; in the worst "
            f"group {_where([(one.panel.inline, found.verdict) for one, found in worst], brief=True)}. So {meaning}."
        )
    left_out = [one.panel.inline for one in shown if one.summary and one.summary.no_better_than_constant]
    if sentences and left_out:
        sentences.append(f"Left out, as no method ends better than a constant prediction: {', '.join(left_out)}.")
    return tuple(sentences)


def _where(said: Sequence[tuple[str, str]], *, brief: bool = False) -> str:
    """Say where each verdict was reached: better on this, worse on that."""
    by_word = {word: [place for place, verdict in said if verdict == word] for word in VERDICTS}
    found = {word: places for word, places in by_word.items() if places}
    if brief and len(found) == 1:
        return f"{next(iter(found))} on all {len(said)}"
    return "; ".join(f"{word} on {listed(places)}" for word, places in found.items())


def meanings(shown: Sequence[Shown]) -> dict[str, str]:
    """Say, by control, what its verdicts on the test metric mean for what learn2mix does and the control does not."""
    judged, said = judged_at_the_end(shown)[PRIMARY], {}
    for name, does in _ISOLATED.items():
        found = _by_task(judged, name, shown)
        verdicts = {one.verdict for _, one in found}
        if {"better", "worse"} <= verdicts:
            said[name] = f"{does} pays on some tasks and costs on others"
        elif verdicts & {"better", "worse"}:
            word = "pays" if "better" in verdicts else "costs"
            number = sum(one.verdict != "undecided" for _, one in found)
            said[name] = f"{does} {word} on {number} of {len(found)} tasks"
        elif found:
            bounds = listed([f"{_bound(one.difference, task)} on {task.panel.inline}" for task, one in found])
            said[name] = f"{does} is not shown to matter (95 % intervals within {bounds})"
    return said


def _by_task(judged: Mapping[tuple[int, str], Judged], name: str, shown: Sequence[Shown]) -> list[tuple[Shown, Judged]]:
    return [
        (one, judged[place, name])
        for place, one in enumerate(shown)
        if one.summary and not one.summary.no_better_than_constant and (place, name) in judged
    ]


def _scale(one: Shown) -> Scale:
    assert one.summary is not None  # what is judged has one
    return scale_of(one.summary)


def _size(found: Judged, one: Shown) -> str:
    scale = _scale(one)
    bounds = interval(found.difference, scale, found.difference.n)
    doubt = words(found.difference, found.verdict).removeprefix(found.verdict).strip(" ()")
    parts = [
        signed(found.difference, scale) + scale.step,
        bounds,
        f"n = {found.difference.n}",
        *([doubt] if doubt else []),
    ]
    return f"({', '.join(parts)})"


def _bound(difference: Estimate, one: Shown) -> str:
    """Give the end of an interval that is further from 0."""
    scale = _scale(one)
    if difference.low is None or difference.high is None:
        return "unknown bounds"
    return "±" + scale.number(max(-difference.low, difference.high)) + scale.step

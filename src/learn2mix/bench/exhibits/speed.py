"""How soon learn2mix reaches the accuracies that the paper names, and how soon classical training does."""

from __future__ import annotations

import numpy as np

from learn2mix import metrics
from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.stats import Reached
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import NONE, Block, Column
from learn2mix.bench.exhibits.base import OPEN, Exhibit, Shown
from learn2mix.bench.exhibits.published import SPEED_UPS

_ARMS = (FOCUS, REFERENCE)


def speed_ups(exhibit: Exhibit, shown: list[Shown]) -> list[Block]:
    """Set the time that we take to the paper's accuracies beside the time that it states, a row a task.

    Seconds on two machines do not compare; their ratio within one does.
    """
    rows = [_row(one, one.summary) for one in shown if one.summary is not None and one.panel.task in SPEED_UPS]
    if not rows:
        return [Block(exhibit.title, (), (OPEN,))]
    titles = (
        "Task",
        "Accuracy, %",
        "Paper: learn2mix, s",
        "Paper: classical, s",
        "Paper: ratio",
        *(f"{name}: {unit}" for unit in ("epochs", "s") for name in ("learn2mix", "classical", "ratio")),
    )
    columns = [
        Column(title, cells, numeric=i > 0)
        for i, (title, cells) in enumerate(zip(titles, zip(*rows, strict=True), strict=True))
    ]
    missing = [one.panel.title for one in shown if one.summary is None]
    notes = [
        "Ours are medians over seeds, a run that never got there counting as later than any that did; in brackets how many "
        f"got there, where not all did. Seconds are of training alone, as in the paper. {NONE}: the median run did not get "
        "there within its budget, or it was not measured.",
        "For cifar10 the paper says over 200 s.",
    ]
    if missing:
        notes.append(f"No run is stored of: {', '.join(missing)}.")
    return [Block(exhibit.title, tuple(columns), tuple(notes))]


def _row(one: Shown, task: TaskSummary) -> tuple[str, ...]:
    target, ours, theirs = SPEED_UPS[one.panel.task]
    cells = [one.panel.title, f"{target:g}", f"{ours:g}", f"{theirs:g}", f"{ours / theirs:.2f}"]
    for axis in ("epochs", "seconds"):
        found = [_reached(task, method, axis, 1 - target / 100) for method in _ARMS]
        cells += [_said(reached) for reached in found] + [_ratio(*found)]
    return tuple(cells)


def _reached(task: TaskSummary, method: str, axis: str, error: float) -> Reached | None:
    arm = next((arm for arm in task.arms if arm.method == method), None)
    at = None if arm is None else arm.progress(axis)
    if arm is None or at is None:
        return None
    curves = zip(arm.stack("test_metric"), np.asarray(at), strict=True)
    return stats.reached([metrics.time_to_target(curve, when, target=error) for curve, when in curves])


def _said(reached: Reached | None) -> str:
    if reached is None:
        return NONE
    some = "" if reached.reached == reached.n else f" ({reached.reached} of {reached.n})"
    return (NONE if reached.median is None else f"{reached.median:.3g}") + some


def _ratio(ours: Reached | None, theirs: Reached | None) -> str:
    if ours is None or theirs is None or ours.median is None or theirs.median is None:
        return NONE
    return f"{ours.median / theirs.median:.2f}"

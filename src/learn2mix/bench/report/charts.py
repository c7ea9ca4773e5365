"""What the report's charts plot, as JSON values: means and half-widths, thinned where there are more than can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import AXES, Arm, Column, Summary, TaskSummary, finite
from learn2mix.bench.analysis.quantities import PRIMARY, Quantity, curve
from learn2mix.bench.analysis.ranking import Standing, method_names
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import capital, scale_of
from learn2mix.bench.report.tables import quantity_scale

# Colours that stay apart for colour-blind readers (after Okabe and Ito, then Tol), on a light and on a dark ground, so
# that a method looks the same in every chart. A method that is not named here takes one of the spare ones, dashed.
_COLOURS = {
    "classical": ("#4d4d4d", "#c3c9d1"),
    "learn2mix": ("#0072b2", "#4aa8e8"),
    "natural": ("#56b4e9", "#9bdcff"),
    "balanced": ("#009e73", "#2cc79b"),
    "focal": ("#e69f00", "#f0b63c"),
    "smote": ("#cc79a7", "#e79fc8"),
    "importance": ("#d55e00", "#ff8b3d"),
    "curriculum": ("#8c7a1f", "#cdb94f"),
}
_SPARE = (
    ("#332288", "#9d8cff"),
    ("#882255", "#dc6ba3"),
    ("#44aa99", "#6ad4c2"),
    ("#117733", "#58b873"),
    ("#661100", "#d9826f"),
    ("#6699cc", "#8fb9e6"),
)
_DASHES = ("solid", "dash", "dot", "dashdot")
_POINTS = 160
_PATH_NUMBERS, _PATH_POINTS = 500, 40
_DIGITS, _HALF_DIGITS = 5, 3

Style = Mapping[str, Any]
Rows = NDArray[np.intp]


def chart_data(summary: Summary, rankings: Mapping[str, Sequence[Standing]]) -> dict[str, Any]:
    """Gather what the page's charts show.

    Means have five significant digits, half-widths of intervals three; a curve's two ends have all they have.

    Args:
        summary: The figures.
        rankings: The methods' standings, by opponent.

    Returns:
        ``tasks`` (each with ``metric``, ``quantities``, ``groups``, ``arms``, ``tracks``, ``target``) and ``rankings``.
        Names are made safe for the marked-up text of the charts.
    """
    styles = swatches(summary)
    data = {
        "tasks": [_task(task, styles) for task in summary.tasks],
        "rankings": {
            opponent: [_standing(standing, styles) for standing in standings]
            for opponent, standings in rankings.items()
        },
    }
    result: dict[str, Any] = finite(data)
    return result


def plain(text: str) -> str:
    """Escape text for the charts, which would take ``<b>`` and the like for mark-up and know few entities.

    >>> plain("<b>R&D</b>")
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def swatches(summary: Summary) -> dict[str, Style]:
    """Give each name its method's ``colors`` (on light, on dark) and a ``dash``.

    Several names of one method differ by dashes, and so do colours used again.
    """
    methods = method_names(summary.tasks)
    unknown = sorted({method for method in methods.values() if method not in _COLOURS})
    colours = {**_COLOURS, **{method: _SPARE[i % len(_SPARE)] for i, method in enumerate(unknown)}}
    used: dict[tuple[str, str], int] = {}
    styles: dict[str, Style] = {}
    for name, method in methods.items():
        colour = colours[method]
        dash = used.get(colour, 1 if method in unknown else 0)
        styles[name] = {"colors": list(colour), "dash": _DASHES[dash % len(_DASHES)]}
        used[colour] = dash + 1
    return styles


def thin(rows: int, points: int = _POINTS) -> Rows:
    """Choose rows to draw: all if there are few, else half of them evenly and half ever denser towards the start.

    Both ends are kept. Most happens early, and a curve against a logarithmic scale shows it.

    >>> thin(4).tolist()
    [0, 1, 2, 3]
    >>> thin(1001, points=9).tolist()
    [0, 3, 15, 62, 250, 500, 750, 1000]
    """
    if rows <= points:
        return np.arange(rows)
    even, early = np.linspace(0, rows - 1, (points + 1) // 2), np.geomspace(1, rows, points // 2 + 2) - 1
    return np.unique(np.round(np.concatenate([even, early])).astype(np.intp))


def _task(task: TaskSummary, styles: Mapping[str, Style]) -> dict[str, Any]:
    scale, tracks = scale_of(task), _Tracks()
    label = capital(scale.noun)
    return {
        "metric": {"label": label, "percent": bool(scale.unit)},
        "constant": task.constant,
        "quantities": [_quantity(task, quantity) for quantity in task.quantities],
        "groups": [plain(name) for name in task.group_names],
        "shares": [float(f"{share:.6g}") for share in task.group_shares],
        "arms": [_arm(arm, task, styles[arm.name], tracks) for arm in task.arms],
        "tracks": tracks.found,
        "target": _target(task),
    }


def _quantity(task: TaskSummary, quantity: Quantity) -> dict[str, Any]:
    scale = quantity_scale(task, quantity)
    of_metric = quantity.in_metric and quantity != PRIMARY
    label = f"{capital(scale_of(task).noun)}, {quantity.label}" if of_metric else capital(scale.noun)
    if quantity.name == "train_metric":
        label = f"{capital(quantity.label)}: {scale_of(task).noun.split(' ', 1)[-1]}"
    return {"name": quantity.name, "label": label, "percent": bool(scale.unit)}


class _Tracks:
    """Lines of progress, each kept once: most methods go through the same steps and examples."""

    def __init__(self) -> None:
        self.found: list[list[float]] = []

    def add(self, values: Column) -> int:
        """Keep a line and return its place."""
        numbers = [int(v) if float(v).is_integer() else float(f"{v:.9g}") for v in values.tolist()]
        if numbers not in self.found:
            self.found.append(numbers)
        return self.found.index(numbers)


def _arm(arm: Arm, task: TaskSummary, style: Style, tracks: _Tracks) -> dict[str, Any]:
    rows = thin(len(next(iter(arm.runs.values())).curves["epoch"]))
    return {
        "name": plain(arm.name),
        **style,
        "role": {REFERENCE: "reference", FOCUS: "focus"}.get(arm.method, ""),
        "n": len(arm.runs),
        "progress": {axis: _progress(arm, axis, rows, tracks) for axis in AXES},
        "preparation": {axis: float(np.mean(arm.preparation(axis))) for axis in AXES},
        "curves": {quantity.name: _curve(arm, quantity, rows) for quantity in task.quantities},
        "proportions": _path(arm, tracks),
        "group_metric": _spread(arm.stack("group_metric")[:, -1]),
    }


def _progress(arm: Arm, axis: str, rows: Rows, tracks: _Tracks) -> list[float] | None:
    """Give the place of a line of progress and what it is multiplied by; None where it was not measured."""
    if axis == "seconds":
        steps = arm.step_seconds
        return None if steps is None else [tracks.add(arm.stack("steps").mean(axis=0)[rows]), steps]
    at = arm.progress(axis)
    return None if at is None else [tracks.add(at.mean(axis=0)[rows]), 1]


def _curve(arm: Arm, quantity: Quantity, rows: Rows) -> dict[str, Any]:
    curves = [curve(run, quantity, rows) for run in arm.runs.values()]
    return _spread(np.stack([values for values in curves if values is not None]))


def _spread(values: Column) -> dict[str, Any]:
    """Give the means of columns and the half-widths of their intervals, None for one seed."""
    mean = values.mean(axis=0)
    half = _rounded(stats.half_widths(values), _HALF_DIGITS) if len(values) > 1 else None
    return {"mean": _rounded(mean, _DIGITS), "half": half}


def _rounded(values: Column, digits: int) -> list[float]:
    """Round to significant digits, the two ends left as they are."""
    numbers = [float(f"{value:.{digits}g}") for value in values.tolist()]
    return [float(values[0]), *numbers[1:-1], float(values[-1])] if len(numbers) > 1 else [float(v) for v in values]


def _path(arm: Arm, tracks: _Tracks) -> dict[str, Any]:
    """Give the mean path of the proportions, a list a group; its two ends alone where it does not move."""
    shares, epochs = arm.stack("proportions").mean(axis=0), arm.stack("epoch")[0]
    still = bool((np.abs(shares[1:] - shares[1:2]) < 1e-6).all()) if len(shares) > 1 else True
    rows = thin(len(shares), max(_PATH_POINTS, _PATH_NUMBERS // shares.shape[1]))
    rows = np.unique([0, min(1, len(shares) - 1), len(shares) - 1]) if still else rows
    return {"epochs": tracks.add(epochs[rows]), "shares": [_rounded(path, 4) for path in shares[rows].T]}


def _target(task: TaskSummary) -> dict[str, Any] | None:
    if task.target is None:
        return None
    times = {}
    for key in ("to_target", "to_target_prepared"):
        reached = [getattr(row, key) for row in task.rows]
        times[key] = {axis: [by_axis[axis].median if axis in by_axis else None for by_axis in reached] for axis in AXES}
    counts = [f"{r.to_target['epochs'].reached} of {r.n}" for r in task.rows]
    return {"level": task.target, "counts": counts, **times}


def _standing(standing: Standing, styles: Mapping[str, Style]) -> dict[str, Any]:
    def ends(estimate: Estimate) -> list[float | None]:
        return [estimate.mean, estimate.low, estimate.high]

    return {
        "name": plain(standing.name),
        **styles[standing.name],
        "over": f"{standing.tasks} {'task' if standing.tasks == 1 else 'tasks'}, {standing.runs} runs of each",
        "improvement": ends(standing.improvement),
        "relative": ends(standing.relative),
        "opponent": standing.opponent_relative.mean,
    }

"""What the report's charts plot, as JSON values: means and half-widths, thinned where there are more than can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import AXES, Arm, Summary, TaskSummary, finite
from learn2mix.bench.analysis.palette import Style, swatches
from learn2mix.bench.analysis.quantities import PRIMARY, Array, Quantity
from learn2mix.bench.analysis.ranking import Standing
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import axis_title, capital, quantity_scale, scale_of

_POINTS = 160
_PATH_NUMBERS, _PATH_POINTS = 500, 40
_DIGITS, _HALF_DIGITS = 5, 3
_RANGES = {"error": (0, 1), "mse": (0, None)}
"""What a metric's values can be, None for no end; intervals are drawn no further."""


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
    styles = swatches(summary.tasks)
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


def thin(rows: int, points: int = _POINTS) -> NDArray[np.intp]:
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
        "metric": {"label": label, "percent": bool(scale.unit), "range": _range(task, PRIMARY)},
        "constant": task.constant,
        "quantities": [_quantity(task, quantity) for quantity in task.quantities],
        "groups": [plain(name) for name in task.group_names],
        "shares": [float(f"{share:.6g}") for share in task.group_shares],
        "arms": [_arm(arm, task, styles[arm.name], tracks) for arm in task.arms],
        "tracks": tracks.found,
        "target": _target(task),
    }


def _quantity(task: TaskSummary, quantity: Quantity) -> dict[str, Any]:
    percent = bool(quantity_scale(task, quantity).unit)
    label = axis_title(task, quantity)
    return {"name": quantity.name, "label": label, "percent": percent, "range": _range(task, quantity)}


def _range(task: TaskSummary, quantity: Quantity) -> tuple[int | None, int | None]:
    return _RANGES.get(task.metric, (None, None)) if quantity.in_metric else (None, None)


class _Tracks:
    """Lines of progress, each kept once: most methods go through the same steps and examples."""

    def __init__(self) -> None:
        self.found: list[list[float]] = []

    def add(self, values: Array) -> int:
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
        "curves": _curves(arm, task.quantities, rows),
        "proportions": _path(arm, tracks),
        "group_metric": _spread(arm.stack("group_metric")[:, -1]),
    }


def _progress(arm: Arm, axis: str, rows: NDArray[np.intp], tracks: _Tracks) -> list[float] | None:
    """Give the place of a line of progress and what it is multiplied by; None where it was not measured."""
    if axis == "seconds":
        steps = arm.step_seconds
        return None if steps is None else [tracks.add(arm.stack("steps").mean(axis=0)[rows]), steps]
    at = arm.progress(axis)
    return None if at is None else [tracks.add(at.mean(axis=0)[rows]), 1]


def _curves(arm: Arm, quantities: Sequence[Quantity], rows: NDArray[np.intp]) -> dict[str, dict[str, Any]]:
    found = {quantity.name: arm.values(quantity, rows) for quantity in quantities}
    return {name: _spread(values) for name, values in found.items() if values is not None}


def _spread(values: Array) -> dict[str, Any]:
    """Give the means of columns and the half-widths of their intervals, None for one seed."""
    mean = values.mean(axis=0)
    half = _rounded(stats.half_widths(values), _HALF_DIGITS) if len(values) > 1 else None
    return {"mean": _rounded(mean, _DIGITS), "half": half}


def _rounded(values: Array, digits: int) -> list[float]:
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

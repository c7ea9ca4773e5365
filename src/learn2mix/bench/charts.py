"""What the report's charts plot, as JSON values: every number is read off the figures, in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learn2mix.bench import stats
from learn2mix.bench.figures import AXES, Arm, TaskSummary, finite
from learn2mix.bench.wording import scale_of

# Colours that stay apart for colour-blind readers (Okabe and Ito, then Tol), so that a method looks the same on every page.
# A method that is not named here takes one of the spare ones.
_COLOURS = {
    "classical": "#4d4d4d",
    "learn2mix": "#0072b2",
    "natural": "#56b4e9",
    "balanced": "#009e73",
    "focal": "#e69f00",
    "smote": "#cc79a7",
    "importance": "#d55e00",
    "curriculum": "#8c7a1f",
}
_SPARE = ("#332288", "#882255", "#44aa99", "#117733", "#661100", "#6699cc")
_DASHES = ("solid", "dash", "dot", "dashdot")


def chart_data(task: TaskSummary) -> dict[str, Any]:
    """Gather what a task's charts show.

    Returns:
        ``metric`` (label and number format), ``groups``, ``arms`` (per method: style, mean curve and band, progress by axis,
        preparation by axis, path of the proportions, group metrics at the last epoch), and ``target`` (its level and
        times by axis, None where there is none). Names are made safe for the marked-up text of the charts.
    """
    scale = scale_of(task)
    label = scale.noun[:1].upper() + scale.noun[1:]
    styles = _styles([arm.method for arm in task.arms])
    data = {
        "metric": {"label": label, "format": ".2~p" if scale.unit else ".4~g", "percent": bool(scale.unit)},
        "groups": [plain(name) for name in task.group_names],
        "shares": list(task.group_shares),
        "arms": [_arm(arm, style) for arm, style in zip(task.arms, styles, strict=True)],
        "target": _target(task),
    }
    result: dict[str, Any] = finite(data)
    return result


def plain(text: str) -> str:
    """Escape text for the charts, which would take ``<b>`` and the like for mark-up and know few entities.

    >>> plain("<b>R&D</b>")
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def all_positive(task: TaskSummary) -> bool:
    """Tell whether a logarithmic scale can show all of a task's curves with their bands."""
    return all(min(arm["low"] or arm["mean"], default=0) > 0 for arm in (_arm(arm, {}) for arm in task.arms))


def _styles(methods: Sequence[str]) -> list[dict[str, str]]:
    """Give each arm its method's colour; several arms of one method differ by dashes, and so do colours used again."""
    unknown = sorted({method for method in methods if method not in _COLOURS})
    colours = {**_COLOURS, **{method: _SPARE[i % len(_SPARE)] for i, method in enumerate(unknown)}}
    used: dict[str, int] = {}
    styles = []
    for method in methods:
        colour = colours[method]
        styles.append({"color": colour, "dash": _DASHES[used.get(colour, 0) % len(_DASHES)]})
        used[colour] = used.get(colour, 0) + 1
    return styles


def _arm(arm: Arm, style: dict[str, str]) -> dict[str, Any]:
    curves = arm.stack("test_metric")
    mean = curves.mean(axis=0)
    half = stats.half_widths(curves) if len(curves) > 1 else None
    progress = {axis: arm.progress(axis) for axis in AXES}
    return {
        "name": plain(arm.name),
        **style,
        "n": len(curves),
        "mean": mean.tolist(),
        "low": None if half is None else (mean - half).tolist(),
        "high": None if half is None else (mean + half).tolist(),
        "progress": {axis: None if at is None else at.mean(axis=0).tolist() for axis, at in progress.items()},
        "preparation": {axis: float(np.mean(arm.preparation(axis))) for axis in AXES},
        "proportions": arm.stack("proportions").mean(axis=0).T.tolist(),
        "group_metric": arm.stack("group_metric")[:, -1].mean(axis=0).tolist(),
    }


def _target(task: TaskSummary) -> dict[str, Any] | None:
    if task.target is None:
        return None
    times = {}
    for key in ("to_target", "to_target_prepared"):
        reached = [getattr(row, key) for row in task.rows]
        times[key] = {axis: [by_axis[axis].median if axis in by_axis else None for by_axis in reached] for axis in AXES}
    counts = [f"{r.to_target['epochs'].reached} of {r.n}" for r in task.rows]
    return {"level": task.target, "counts": counts, **times}

"""The figures of exhibits, drawn with matplotlib as PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.palette import Style, swatches
from learn2mix.bench.analysis.quantities import PRIMARY, TRAIN_METRIC, WORST_GROUP, Quantity
from learn2mix.bench.analysis.stats import half_widths
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import axis_title, scale_of, with_unit
from learn2mix.bench.exhibits.base import Exhibit, Shown

_TITLE = 40
"""Characters of a panel's title that fit in a line."""

Draw = Callable[[Any, Shown, TaskSummary, Mapping[str, Style]], None]


def by_epoch(exhibit: Exhibit, shown: list[Shown], path: Path) -> None:
    """Draw the test metric by epoch, a panel a task."""
    _grid(exhibit, shown, path, [partial(_curves, quantity=PRIMARY, axis="epochs")])


def by_time(exhibit: Exhibit, shown: list[Shown], path: Path) -> None:
    """Draw the training and the test metric by training second, or by epoch where no step times are known."""
    _grid(exhibit, shown, path, [partial(_curves, quantity=q, axis="seconds") for q in (TRAIN_METRIC, PRIMARY)])


def worst_group(exhibit: Exhibit, shown: list[Shown], path: Path) -> None:
    """Draw the worst group's metric by epoch."""
    _grid(exhibit, shown, path, [partial(_curves, quantity=WORST_GROUP, axis="epochs")])


def differences(exhibit: Exhibit, shown: list[Shown], path: Path) -> None:
    """Draw every method's difference to the reference at the end, best first, with its 95 % interval."""

    def draw(axes: Any, one: Shown, task: TaskSummary, styles: Mapping[str, Style]) -> None:
        scale = scale_of(task)
        rows = [(row.name, row.difference) for row in task.rows if row.difference is not None]
        rows.sort(key=lambda row: row[1].mean, reverse=True)
        for place, (name, difference) in enumerate(rows):
            half = (difference.half_width or 0.0) * scale.factor
            colour = styles[name]["colors"][0] if name == FOCUS else "#444444"
            axes.errorbar(difference.mean * scale.factor, place, xerr=half, fmt="o", markersize=3.5, color=colour)
        axes.axvline(0, color="#888888", linewidth=1)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        unit = f",{scale.step}" if scale.step else ""
        axes.set(xlabel=f"{scale.noun} less {REFERENCE}'s{unit}", title=f"{one.panel.title}, n = {task.rows[0].n}")

    _grid(exhibit, shown, path, [draw], height=5.5)


def proportions(exhibit: Exhibit, shown: list[Shown], path: Path) -> None:
    """Draw learn2mix's proportions by epoch as a stacked area."""

    def draw(axes: Any, one: Shown, task: TaskSummary, styles: Mapping[str, Style]) -> None:
        arm = next((arm for arm in task.arms if arm.method == FOCUS), task.arms[0])
        shares = arm.stack("proportions").mean(axis=0).T * 100
        colours = [_viridis(i / max(len(shares) - 1, 1)) for i in range(len(shares))]
        axes.stackplot(arm.stack("epoch")[0], shares, labels=task.group_names, colors=colours)
        axes.set(xlabel="epoch", ylabel="share of a batch, %", ylim=(0, 100), title=one.panel.title)
        axes.margins(x=0)

    _grid(exhibit, shown, path, [draw])


def _viridis(position: float) -> Any:
    import matplotlib.pyplot as plt

    return plt.get_cmap("viridis")(position)


def _grid(exhibit: Exhibit, shown: list[Shown], path: Path, rows: list[Draw], *, height: float = 3.1) -> None:
    """Draw the panels that there are runs of side by side, at most three in a row."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing figures needs matplotlib: pip install 'learn2mix[bench]'") from error
    there = [(one, one.summary) for one in shown if one.summary is not None]
    if not there:
        return
    width = min(3, len(there))
    lines = -(-len(there) // width) * len(rows)
    styles = swatches([summary for _, summary in there])
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4.2 * width, height * lines + 0.5), layout="constrained", dpi=130)
        places = figure.subplots(lines, width, squeeze=False)
        for place in places.flat:
            place.set_axis_off()
        for i, (one, summary) in enumerate(there):
            for j, draw in enumerate(rows):
                place = places[i // width * len(rows) + j, i % width]
                place.set_axis_on()
                draw(place, one, summary, styles)
                place.set_title(fill(place.get_title(), _TITLE))
                if not place.has_data():  # not recorded by these runs
                    place.set_axis_off()
                    place.set_title("")
        handles: dict[str, Any] = {}
        for place in places.flat:
            handles |= dict(zip(*reversed(place.get_legend_handles_labels()), strict=True))
        for columns in range(min(2 * width + 1, len(handles)), 0, -1):
            legend = figure.legend(
                handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False
            )
            if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
                break
            legend.remove()
        figure.suptitle(exhibit.title)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def _curves(
    axes: Any, one: Shown, task: TaskSummary, styles: Mapping[str, Style], *, quantity: Quantity, axis: str
) -> None:
    """Draw a quantity's means over seeds, with bands of the 95 % interval."""
    scale = scale_of(task)
    timed = axis == "seconds" and all(arm.step_seconds is not None for arm in task.arms)
    drawn, positive = False, True
    for arm in task.arms:
        values = arm.values(quantity)
        at = arm.progress("seconds" if timed else "epochs")
        if values is None or at is None:
            continue
        x, values = at.mean(axis=0), values * scale.factor
        mean = values.mean(axis=0)
        colour, width = styles[arm.name]["colors"][0], 1.6 if arm.method == FOCUS else 1.1
        dash = [length / 2 for length in styles[arm.name]["dash"]]
        axes.plot(x, mean, linestyle=(0, dash) if dash else "-", color=colour, linewidth=width, label=arm.name)
        if len(values) > 1:
            half = half_widths(values)
            low = np.maximum(mean - half, mean / 4)  # a band that reaches 0 has no place on a logarithmic scale
            high = np.minimum(mean + half, 100) if scale.unit else mean + half  # no error is above 100 %
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        positive = positive and bool((mean > 0).all())
        drawn = True
    if drawn and positive:
        _logarithmic(axes)
    constant = task.constant * scale.factor
    if drawn and quantity is PRIMARY and axes.get_ylim()[0] < constant < axes.get_ylim()[1]:
        axes.axhline(constant, color="#888888", linestyle=":", linewidth=1, label="constant prediction")
    ylabel = with_unit(axis_title(task, quantity), scale.unit.strip())
    axes.set(xlabel="training seconds" if timed else "epochs", ylabel=ylabel, title=one.panel.title)


def _logarithmic(axes: Any) -> None:
    """Take a logarithmic scale with plain numbers, the ones between powers of ten only where there is room for them."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain if high / low < 12 else NullFormatter())

"""The report: one page that holds everything it shows and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from learn2mix.bench.analysis.figures import Summary, TaskSummary
from learn2mix.bench.analysis.palette import Style, swatches
from learn2mix.bench.analysis.ranking import Standing, foremost, opponents, rank
from learn2mix.bench.analysis.summary import FOCUS, NO_BETTER_THAN_CONSTANT, REFERENCE, summarise
from learn2mix.bench.analysis.wording import Block, capital, headline, scale_of
from learn2mix.bench.files import write_whole
from learn2mix.bench.record import Run
from learn2mix.bench.report import markup, origins
from learn2mix.bench.report.charts import chart_data
from learn2mix.bench.report.tables import Table, final_table, overview, reading_tables, spending_table, standing_table

_AXES = (
    ("epochs", "epochs"),
    ("steps", "steps"),
    ("backpropagated", "examples backward"),
    ("examples", "examples forward + backward"),
    ("seconds", "seconds"),
)
_CHOSEN_GROUPS = 3
_CURVES = 14  # more than these cannot be told apart
_BANDS = 8  # more of them at once hide one another, until they are asked for


def write_report(
    runs: Iterable[Run],
    path: str | os.PathLike[str],
    *,
    timing: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    title: str | None = None,
    failures: Mapping[str, str] | None = None,
    front: Sequence[Block] = (),
) -> Summary:
    """Write the comparison of some runs as one self-contained HTML page.

    Args:
        runs: Runs, of one task or several.
        path: Where the page goes; its folder is made, a page that is there is replaced.
        timing: Step times, as the clock writes them, of one task or several; without them the page has no seconds.
        title: The page's title; None names the tasks.
        failures: Runs that failed, by name, with the reason; the page lists them.
        front: Tables to begin with, such as those of an exhibit.

    Returns:
        The figures that the page shows.

    Raises:
        ValueError: There is no run, or runs do not go together; see :func:`summarise`.
    """
    summary = summarise(runs, timing=timing)
    write_whole(Path(path), page(summary, title=title, failures=failures, front=front).encode())
    return summary


def page(
    summary: Summary,
    *,
    title: str | None = None,
    failures: Mapping[str, str] | None = None,
    front: Sequence[Block] = (),
) -> str:
    """Return the page of some figures as HTML."""
    several = len(summary.tasks) > 1
    name = title or _title(summary)
    # of a single run each nothing is probable
    others = opponents(summary) if any(several or len(task.seeds) > 1 for task in summary.tasks) else ()
    rankings = {opponent: standings for opponent in others if (standings := rank(summary, opponent))}
    data = json.dumps(chart_data(summary, rankings), allow_nan=False, separators=(",", ":"))
    # Inside a script element only these could end it or start a comment; JSON allows them as escapes.
    data = data.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    scripts = [get_plotlyjs().replace("\r\n", "\n"), _asset("draw.js"), _asset("report.js")]
    styles = swatches(summary.tasks)
    tasks = [_task(i, task, {arm.name: styles[arm.name] for arm in task.arms}) for i, task in enumerate(summary.tasks)]
    across = _overview(summary) if several else ""
    ranking = _ranking(rankings, summary.tasks)
    views = [_view("overview", across + ranking), *tasks] if several else [*tasks, ranking]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(name)}</title><style>{_asset('report.css')}</style></head><body>",
            f'<a class="skip" href="#main">Skip to the figures</a><header><h1>{escape(name)}</h1></header>',
            _navigation(summary) if several else "",
            f'<main id="main">{_failures(failures or {})}{_front(front)}{"".join(views)}{_method_notes(summary)}</main>',
            "<noscript><p>The charts need JavaScript; the tables hold the same figures.</p></noscript>",
            f'<script type="application/json" id="data">{data}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        ]
    )


def _front(blocks: Sequence[Block]) -> str:
    """Lay out the tables to begin with."""
    parts = []
    for block in blocks:
        shown = markup.table(Table(block.title, block.columns, " ".join(block.notes))) if block.columns else ""
        words = "" if block.columns else f"<p>{escape(' '.join(block.notes))}</p>"
        parts.append(f"<h2>{escape(block.title)}</h2>{shown}{words}")
    return f'<section class="front">{"".join(parts)}</section>' if parts else ""


def _title(summary: Summary) -> str:
    names = [task.title for task in summary.tasks]
    return f"learn2mix: {', '.join(names) if len(names) <= 3 else f'{len(names)} tasks'}"


def _asset(name: str) -> str:
    return resources.files("learn2mix.bench.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Allow these scripts and nothing else: no network, and no script that a name smuggles in."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _view(name: str, content: str) -> str:
    return f'<div class="view" id="{name}">{content}</div>'


def _navigation(summary: Summary) -> str:
    options = [("overview", "All tasks"), *((f"task-{i}", task.title) for i, task in enumerate(summary.tasks))]
    return f"<nav>{markup.select('view', 'Show', options)}</nav>"


def _failures(failures: Mapping[str, str]) -> str:
    if not failures:
        return ""
    items = markup.bullets([f"{name}: {reason}" for name, reason in failures.items()], "failed")
    number = "One run" if len(failures) == 1 else f"{len(failures)} runs"
    return f'<section class="failures"><h2>{number} failed</h2>{items}</section>'


def _overview(summary: Summary) -> str:
    links = [f"#task-{i}" for i in range(len(summary.tasks))]
    notes = markup.bullets(
        f"{task.title}: {NO_BETTER_THAN_CONSTANT}" for task in summary.tasks if task.no_better_than_constant
    )
    return f"<section><h2>All tasks</h2>{markup.table(overview(summary, links))}{notes}</section>"


def _ranking(rankings: Mapping[str, Sequence[Standing]], tasks: Sequence[TaskSummary]) -> str:
    if not rankings:
        return ""
    choice = markup.radios("opponent", "Against", [(opponent, opponent) for opponent in rankings])
    poor = ", ".join(task.title for task in tasks if task.no_better_than_constant)
    left_out = markup.bullets(
        [f"Not counted, as no method ends better than a constant prediction: {poor}."] if poor else []
    )
    tables = {opponent: markup.table(standing_table(found, opponent)) for opponent, found in rankings.items()}
    charts = markup.figure("improvement", "Probability of ending lower than the other; 0.5: as often as not")
    charts += markup.figure(
        "relative",
        "Interquartile mean relative to a constant prediction, which is 1; hollow: the other, over the same runs",
    )
    return (
        f'<section><h2>Ranking</h2><div class="controls">{choice}</div><div class="pair">{charts}</div>'
        f"{markup.panels('opponent', tables)}{left_out}</section>"
    )


def _task(number: int, task: TaskSummary, styles: Mapping[str, Style]) -> str:
    quantities = [(quantity.name, quantity.label) for quantity in task.quantities]
    finals = {quantity.name: markup.table(final_table(task, quantity)) for quantity in task.quantities}
    content = [
        f'<section class="task" aria-labelledby="title-{number}">',
        f'<h2 id="title-{number}">{escape(task.title)} <small>{escape(_facts(task))}</small></h2>',
        f'<p class="headline">{escape(headline(task)).replace(chr(10), "<br>")}</p>',
        markup.bullets(task.notes),
        "<h3>At the end of the budget</h3>",
        f'<div class="controls">{markup.select(f"quantity-{number}", "Metric", quantities)}</div>',
        markup.panels(f"quantity-{number}", finals),
        _curves(number, task, styles),
        _on_the_way(number, task),
        _spending(number, task),
        _make_up(number, task),
        _by_group(number, task, styles),
        "<h3>How to find it again</h3>",
        origins.settings_block(task),
        origins.runs_block(task),
        "</section>",
    ]
    return _view(f"task-{number}", "".join(content))


def _facts(task: TaskSummary) -> str:
    scale, methods = scale_of(task), len({row.method for row in task.rows})
    parts = [
        f"{methods} {'method' if methods == 1 else 'methods'}"
        + (f" with {len(task.rows)} settings" if len(task.rows) > methods else ""),
        f"{len(task.seeds)} {'seed' if len(task.seeds) == 1 else 'seeds'}",
        task.budget,
        f"{len(task.group_names)} groups",
    ]
    return f"{', '.join(parts)}; a constant prediction scores {scale.number(task.constant)}{scale.unit}"


def _curves(number: int, task: TaskSummary, styles: Mapping[str, Style]) -> str:
    untimed = [] if any(arm.step_seconds is not None for arm in task.arms) else ["seconds"]
    choices = markup.radios(f"axis-{number}", "Progress in", _AXES, untimed)
    choices += markup.checkbox(f"prepared-{number}", "with preparation")
    choices += markup.checkbox(f"log-{number}", "logarithmic scale", checked=_all_positive(task))
    choices += markup.checkbox(f"bands-{number}", "95 % bands", checked=len(task.arms) <= _BANDS)
    caption = "By progress, mean over seeds; band: 95 % interval; grey lines: a constant prediction, the target"
    return (
        f'<h3>Convergence</h3><div class="controls" data-task="{number}">{choices}</div>'
        + markup.legend(f"legend-{number}", "Methods", styles, _drawn_at_first(task))
        + markup.figure(f"curves-{number}", caption)
    )


def _drawn_at_first(task: TaskSummary) -> list[str]:
    """Name the curves that are on when the page opens: all, or where they are many the plain methods and the best."""
    return [row.name for row in (task.rows if len(task.rows) <= _CURVES else foremost(task)[:_BANDS])]


def _all_positive(task: TaskSummary) -> bool:
    """Tell whether a logarithmic scale can show all of a task's primary curves."""
    return all(float(arm.stack("test_metric").mean(axis=0).min()) > 0 for arm in task.arms)


def _on_the_way(number: int, task: TaskSummary) -> str:
    tables = reading_tables(task)
    choice = markup.radios(f"way-{number}", "Parts of the budget", [(value, label) for value, label, _ in tables])
    contents = {value: markup.table(data) for value, _, data in tables}
    return (
        f'<h3>On the way</h3><div class="controls">{choice}</div>{markup.panels(f"way-{number}", contents)}'
        if tables
        else ""
    )


def _spending(number: int, task: TaskSummary) -> str:
    data = markup.table(spending_table(task))
    if task.target is None:
        return f"<h3>Cost</h3>{data}"
    scale = scale_of(task)
    level = f"{scale.number(task.target)}{scale.unit} {scale.noun} ({task.target_source})"
    caption = "Median over seeds, and how many reached it; the unit of progress is the one chosen above"
    chart = markup.figure(f"target-{number}", caption)
    return f"<h3>Time to target and cost</h3><p>Target: {escape(level)}.</p>{chart}{data}"


def _make_up(number: int, task: TaskSummary) -> str:
    first = next((row.name for row in foremost(task) if row.method != REFERENCE), task.rows[0].name)
    focus = [arm.name for arm in task.arms].index(first)
    options = [(str(i), arm.name) for i, arm in enumerate(task.arms)]
    caption = (
        "Share of each group in an epoch's batches, mean over seeds, largest group lowest; epoch 0: the training set"
    )
    return (
        '<h3>Make-up of the batches</h3><div class="controls">'
        f"{markup.select(f'method-{number}', 'Method', options, str(focus))}</div>"
        f"{markup.figure(f'proportions-{number}', caption)}"
    )


def _by_group(number: int, task: TaskSummary, styles: Mapping[str, Style]) -> str:
    plain = [row.name for row in foremost(task) if row.method in (REFERENCE, FOCUS)]
    chosen = plain or [arm.name for arm in task.arms]
    caption = (
        "At the end of the budget, mean over seeds with 95 % interval; the largest group of the training set first"
    )
    return (
        f"<h3>{escape(capital(scale_of(task).noun))} by group</h3>"
        + markup.legend(f"chosen-{number}", "Methods", styles, chosen[:_CHOSEN_GROUPS])
        + markup.figure(f"groups-{number}", caption)
    )


def _method_notes(summary: Summary) -> str:
    notes = [
        "Every figure is at the end of the budget unless it says otherwise, never at the best epoch; nothing within a run is "
        "chosen by the set it is measured on.",
        "n counts seeds. Split, initial weights and order derive from the seed alone, so runs of different methods with one "
        "seed are a pair; differences are means over such pairs.",
        "± and bands are 95 % t-intervals (spread with n - 1). Where one seed, or values without any spread, leave "
        "nothing to judge by, there is no interval.",
        f"A verdict needs an interval of the difference to {REFERENCE} that leaves out 0 and a p-value below 0.05 after "
        f"Holm's adjustment over all {summary.comparisons} comparisons on this page. Undecided does not mean equal. "
        "Quantities other than the primary metric are judged by their intervals alone.",
        "Balanced: mean over groups, each counting the same. Natural mix: groups weighted as in the training set. Shifted "
        "test: groups weighted by the training shares turned around, the rarest as the most common.",
        "A squared error is summed over what an example consists of (an image's pixels) and averaged over examples. A "
        "constant prediction is the best that can be done without looking at the input: the most frequent training class, "
        "or the training mean.",
        "An epoch has the same number of optimiser steps for every method. Examples include those a method only scores or "
        "selects from. Seconds are steps times the median step time of a separate timing run in which all methods take "
        "turns; evaluation is left out. Preparation moves a curve to the right on every unit but epochs.",
        "Where curves have more points than can be seen, charts draw a part of them, the two ends always; tables use all.",
    ]
    return f'<section class="about"><h2>How the numbers are made</h2>{markup.bullets(notes, "plain")}</section>'

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

from learn2mix.bench.charts import all_positive, chart_data
from learn2mix.bench.figures import Row, Summary, TaskSummary
from learn2mix.bench.record import Run
from learn2mix.bench.store import write_whole
from learn2mix.bench.summary import REFERENCE, summarise
from learn2mix.bench.wording import Column, cost_table, headline, results_table, scale_of

_AXIS_LABELS = {
    "epochs": "epochs",
    "backpropagated": "examples backward",
    "examples": "examples forward + backward",
    "seconds": "seconds",
}
_SHOWN_VALUES = 4


def write_report(
    runs: Iterable[Run],
    path: str | os.PathLike[str],
    *,
    timing: Mapping[str, Any] | None = None,
    title: str | None = None,
    target: float | None = None,
) -> Summary:
    """Write the comparison of some runs as one self-contained HTML page.

    Args:
        runs: Runs, of one task or several.
        path: Where the page goes; its folder is made, a page that is there is replaced.
        timing: Step times, as the clock writes them; without them the page has no seconds.
        title: The page's title; None names the tasks.
        target: The level for times to target, in the unit of the primary metric; None derives one, see
            :func:`summarise`.

    Returns:
        The figures that the page shows.

    Raises:
        ValueError: There is no run, or runs do not go together; see :func:`summarise`.
    """
    summary = summarise(runs, timing=timing, target=target)
    write_whole(Path(path), page(summary, title=title).encode())
    return summary


def page(summary: Summary, *, title: str | None = None) -> str:
    """Return the page of some figures as HTML."""
    name = title or f"learn2mix: {', '.join(task.title for task in summary.tasks)}"
    data = json.dumps([chart_data(task) for task in summary.tasks], allow_nan=False)
    # Inside a script element only these could end it or start a comment; JSON allows them as escapes.
    data = data.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    scripts = [get_plotlyjs().replace("\r\n", "\n"), _asset("report.js")]
    sections = [_section(i, task, summary) for i, task in enumerate(summary.tasks)]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(name)}</title><style>{_asset('report.css')}</style></head><body>",
            f'<a class="skip" href="#main">Skip to the figures</a><header><h1>{escape(name)}</h1></header>',
            f'<main id="main">{"".join(sections)}{_method_notes(summary)}</main>',
            "<noscript><p>The charts need JavaScript; the tables hold the same figures.</p></noscript>",
            f'<script type="application/json" id="data">{data}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        ]
    )


def _asset(name: str) -> str:
    return resources.files("learn2mix.bench").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Allow these scripts and nothing else: no network, and no script that a name smuggles in."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _section(number: int, task: TaskSummary, summary: Summary) -> str:
    scale = scale_of(task)
    seeds = f"{len(task.seeds)} {'seed' if len(task.seeds) == 1 else 'seeds'}"
    facts = f"{len(task.rows)} {'method' if len(task.rows) == 1 else 'methods'}, {seeds}, {task.epochs} epochs"
    facts += f"; a constant prediction scores {scale.number(task.constant)}{scale.unit}"
    notes = "".join(f"<li>{escape(note)}</li>" for note in task.notes)
    level = "" if task.target is None else f"{scale.number(task.target)}{scale.unit}"
    return "".join(
        [
            f'<section class="task" aria-labelledby="task-{number}">',
            f'<h2 id="task-{number}">{escape(task.title)} <small>{escape(facts)}</small></h2>',
            f'<p class="headline">{escape(headline(task))}</p>',
            f'<ul class="notes">{notes}</ul>' if notes else "",
            "<h3>Results at the last epoch</h3>",
            _table(
                "Results", results_table(task), task.rows, "Mean over seeds ± half the 95 % interval. Lower is better."
            ),
            "<h3>Convergence</h3>",
            _controls(number, task),
            _figure(f"curves-{number}", f"{scale.noun} by progress, mean over seeds, band: 95 % interval"),
            "<h3>Time to target and cost</h3>" if level else "<h3>Cost</h3>",
            f"<p>Target: {escape(level)} {escape(scale.noun)} ({escape(task.target_source)}).</p>" if level else "",
            _figure(f"target-{number}", "Median over seeds; the progress unit is the one chosen above")
            if level
            else "",
            _table("Cost", cost_table(task), task.rows, _cost_caption(task)),
            "<h3>Make-up of the batches</h3>",
            _method_choice(number, task),
            _figure(
                f"proportions-{number}",
                "Share of each group in an epoch's batches, mean over seeds; epoch 0: training set",
            ),
            f"<h3>{escape(scale.noun[:1].upper() + scale.noun[1:])} by group</h3>",
            _figure(f"groups-{number}", "At the last epoch, mean over seeds; darker is worse"),
            _settings(task),
            "</section>",
        ]
    )


def _cost_caption(task: TaskSummary) -> str:
    if task.target is None:
        return "Mean over seeds. Preparation is what a method spends before the first step."
    return (
        "Reached to seconds: progress until the target is first reached, median over seeds; a run that does not get there "
        "counts as later than any that does, and where that leaves the median open there is no figure. Prepared: what a "
        "method spends before the first step, counted only where said. Forwarded, backward: examples through the "
        "network, those that a method only scores included."
    )


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row], caption: str) -> str:
    head = "".join(f'<th scope="col"{_align(column)}>{escape(column.title)}</th>' for column in columns)
    body = []
    for i, row in enumerate(rows):
        first, *rest = columns
        cells = "".join(f"<td{_align(column)}>{_cell(column.cells[i])}</td>" for column in rest)
        body.append(
            f'<tr class="{escape(row.verdict or "none")}"><th scope="row">{escape(first.cells[i])}</th>{cells}</tr>'
        )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f'<p class="caption">{escape(caption)}</p>'
    )


def _align(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _cell(text: str) -> str:
    marks = ("better", "worse", "undecided", "reference")
    return f'<span class="mark {text}">{text}</span>' if text in marks else escape(text)


def _figure(name: str, caption: str) -> str:
    text = escape(caption)
    plot = f'<div class="plot" id="{name}" role="img" aria-label="{text}"></div>'
    return f"<figure>{plot}<figcaption>{text}.</figcaption></figure>"


def _controls(number: int, task: TaskSummary) -> str:
    timed = any(arm.step_seconds is not None for arm in task.arms)
    logarithmic = " checked" if all_positive(task) else ""
    choices = []
    for axis, label in _AXIS_LABELS.items():
        state = " checked" if axis == "epochs" else " disabled" if axis == "seconds" and not timed else ""
        choices.append(f'<label><input type="radio" name="axis-{number}" value="{axis}"{state}> {label}</label>')
    return (
        f'<div class="controls" data-task="{number}"><fieldset><legend>Progress in</legend>{"".join(choices)}</fieldset>'
        f'<label><input type="checkbox" id="prepared-{number}"> with preparation</label>'
        f'<label><input type="checkbox" id="log-{number}"{logarithmic}> logarithmic scale</label></div>'
    )


def _method_choice(number: int, task: TaskSummary) -> str:
    focus = next((i for i, arm in enumerate(task.arms) if arm.method != REFERENCE), 0)
    options = "".join(
        f'<option value="{i}"{" selected" if i == focus else ""}>{escape(arm.name)}</option>'
        for i, arm in enumerate(task.arms)
    )
    return f'<div class="controls"><label>Method <select id="method-{number}">{options}</select></label></div>'


def _settings(task: TaskSummary) -> str:
    """Show what all runs share, what each method adds, and where the runs come from."""
    blocks = [("Shared settings", _pairs([task.settings]))]
    for arm in task.arms:
        own = [{k: v for k, v in run.settings.items() if k.startswith("method")} for run in arm.runs.values()]
        blocks.append((arm.name, _pairs(own)))
    provenance = [dict(run.provenance) for arm in task.arms for run in arm.runs.values()]
    blocks.append(("Provenance of the runs", _pairs(provenance)))
    body = "".join(f"<h4>{escape(title)}</h4><dl>{pairs}</dl>" for title, pairs in blocks)
    return f"<details><summary>Settings and provenance</summary>{body}</details>"


def _pairs(records: Sequence[Mapping[str, Any]]) -> str:
    """List each key with its distinct values over the records, the first few."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for key, value in _flat(record):
            values.setdefault(key, {})[value] = None
    items = []
    for key, distinct in values.items():
        shown = "<br>".join(escape(value) for value in list(distinct)[:_SHOWN_VALUES])
        more = len(distinct) - _SHOWN_VALUES
        items.append(f"<dt>{escape(key)}</dt><dd>{shown}{f'<br>and {more} more' if more > 0 else ''}</dd>")
    return "".join(items) or "<dt>none recorded</dt><dd></dd>"


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _method_notes(summary: Summary) -> str:
    notes = [
        "Every figure is at the last epoch of the budget, never at the best one; nothing within a run is chosen by the set "
        "it is measured on.",
        "n counts seeds. Split, initial weights and order derive from the seed alone, so runs of different methods with one "
        "seed are a pair; differences are means over such pairs.",
        "± and bands are 95 % t-intervals (spread with n - 1). Where one seed, or values without any spread, leave "
        "nothing to judge by, there is no interval.",
        f"A verdict needs an interval of the difference to {REFERENCE} that leaves out 0 and a p-value below 0.05 after "
        f"Holm's adjustment over all {summary.comparisons} comparisons on this page. Undecided does not mean equal. Worst "
        "group and mean over groups are judged by their intervals alone.",
        "Balanced: mean over groups, each counting the same. Natural mix: groups weighted as in the training set.",
        "An epoch has the same number of optimiser steps for every method. Examples include those a method only scores or "
        "selects from. Seconds are steps times the median step time of a separate timing run in which all methods take "
        "turns; evaluation is left out. Preparation moves a curve to the right on every unit but epochs.",
    ]
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="task"><h2>How the numbers are made</h2><ul>{items}</ul></section>'

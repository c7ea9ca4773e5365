"""Where the runs come from: their settings and, run by run, key, time, commit, machine and versions, as HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from learn2mix.bench.analysis.figures import Arm, TaskSummary
from learn2mix.bench.record import Run

_SHOWN_VALUES = 4
_COMMIT_DIGITS = 10


def settings_block(task: TaskSummary) -> str:
    """Return what all runs share and what each method adds, folded away."""
    blocks = [("All methods", _pairs([task.settings]))]
    for arm in task.arms:
        own = [{k: v for k, v in run.settings.items() if k.startswith("method")} for run in arm.runs.values()]
        blocks.append((arm.name, _pairs(own)))
    body = "".join(f"<h4>{escape(title)}</h4><dl>{pairs}</dl>" for title, pairs in blocks)
    return f"<details><summary>Settings</summary>{body}</details>"


def runs_block(task: TaskSummary) -> str:
    """Return a row a run, folded away: its key, when it was finished, and which of the origins listed it has.

    Hundreds of runs have few origins, so each is written out once. Rows leave out the end tags that HTML lets one
    leave out.
    """
    origins: dict[str, int] = {}
    rows = []
    for arm in task.arms:
        for seed, run in arm.runs.items():
            origin = origins.setdefault(_origin(run), len(origins))
            rows.append(_row(arm, seed, run, _letter(origin)))
    listed = "".join(
        f"<h4>Origin {_letter(number)}</h4><dl>{_pairs([json.loads(origin)])}</dl>"
        for origin, number in origins.items()
    )
    titles = ("Method", "Seed", "Run", "Finished", "Commit", "Origin")
    head = "".join(f'<th scope="col">{title}' for title in titles)
    return (
        f"<details><summary>Runs and where they come from ({len(rows)})</summary>"
        "<p>A run's name is the hash of its settings, and that of its file. Its settings are those of all methods, those "
        f"of its own, and its seed.</p>{listed}"
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="Runs"><table class="runs"><thead><tr>{head}'
        f"<tbody>{''.join(rows)}</table></div></details>"
    )


def _origin(run: Run) -> str:
    """Return all that is known of where a run comes from, apart from when, as text that is equal where it is."""
    known = {key: value for key, value in run.provenance.items() if key != "finished"}
    return json.dumps(known, sort_keys=True)


def _row(arm: Arm, seed: int, run: Run, origin: str) -> str:
    commit = str(run.provenance.get("commit") or "")
    changes = "+" if "+" in commit[_COMMIT_DIGITS:] else ""
    finished = str(run.provenance.get("finished") or "")[:19].replace("T", " ")
    cells = (str(seed), run.key, finished, commit[:_COMMIT_DIGITS] + changes, origin)
    return f'<tr><th scope="row">{escape(arm.name)}' + "".join(f"<td>{escape(cell)}" for cell in cells)


def _letter(number: int) -> str:
    """Name the origins A, B, ..., Z, AA, AB, and so on."""
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + last)


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

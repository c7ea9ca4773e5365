"""What comes out of runs: the report's page, the figures, and the same on the terminal or as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learn2mix.cli.terminal import results_console, show, show_table

if TYPE_CHECKING:
    from learn2mix.bench.compare import Comparison
    from learn2mix.bench.record import Run
    from learn2mix.bench.reproduce import Reproduction
    from learn2mix.bench.tuning import Tuning


def publish_exhibit(done: Reproduction, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Draw an exhibit's figure, write the report of its runs, print its tables unless quiet, and return them."""
    from learn2mix.bench.report import write_report

    blocks = done.exhibit.view(done.exhibit, done.shown)
    written = []
    if done.runs:
        written.append(folder / "report.html")
        write_report(
            done.runs,
            written[0],
            timing=done.timings,
            title=done.exhibit.title,
            failures=done.failures,
            front=blocks,
        )
        if done.exhibit.plot is not None:
            written.append(folder / f"{done.exhibit.name}.png")
            done.exhibit.plot(done.exhibit, done.shown, written[-1])
    tables = [
        {"title": b.title, "columns": {c.title: list(c.cells) for c in b.columns}, "notes": list(b.notes)}
        for b in blocks
    ]
    told: dict[str, Any] = {"exhibit": done.exhibit.name, "title": done.exhibit.title, "tables": tables}
    told |= {"files": [str(path) for path in written], "made": done.made, "failures": dict(done.failures)}
    told["notes"] = list(done.notes)
    for note in done.notes:
        print("learn2mix:", note, file=sys.stderr)
    if quiet:
        return told
    console = results_console()
    show(console, f"{done.exhibit.name}: {done.exhibit.title}", "")
    for block in blocks:
        show(console, block.title)
        if block.columns:
            show_table(console, block.columns)
        show(console, *block.notes, "")
    show(console, *(f"written: {path}" for path in written))
    _tell(done.failures)
    return told


def publish(
    runs: Sequence[Run],
    timing: Any,
    page: Path,
    as_json: bool,
    *,
    done: Comparison | None = None,
    tuning: Tuning | None = None,
) -> None:
    """Write the report and print the same figures, and of a comparison what was made for it."""
    from learn2mix.bench.analysis import wording
    from learn2mix.bench.report import write_report

    failures = None if done is None else done.failures
    summary = write_report(runs, page, timing=timing, failures=failures)
    if as_json:
        facts: dict[str, Any] = {"report": str(page)}
        facts |= {} if done is None else {"failures": done.failures, "made": done.made, "origins": origins(done)}
        facts |= {} if tuning is None else {"tuned": tuning.words, "chosen": chosen(tuning)}
        print(json.dumps({**summary.to_json(), **facts}, indent=2, ensure_ascii=False))
        return
    console = results_console()
    for task in summary.tasks:
        show(
            console, f"{task.title}: {len(task.seeds)} {'seed' if len(task.seeds) == 1 else 'seeds'}, {task.budget}", ""
        )
        show_table(console, wording.results_table(task))
        show_table(console, wording.cost_table(task))
        show(console, wording.headline(task), *task.notes, "")
    if tuning is not None:
        given = {name: ", ".join(f"{key} {v:g}" for key, v in own.items()) for name, own in chosen(tuning).items()}
        columns = [("Method", tuple(given)), ("Chosen", tuple(given.values()))]
        show_table(console, [wording.Column(title, cells, numeric=False) for title, cells in columns])
        show(console, tuning.words, "")
    show(console, *([] if done is None else made_words(done)), f"report: {page}")
    _tell(failures or {})


def chosen(tuning: Tuning) -> dict[str, dict[str, float]]:
    """Give the learning rate and the setting that tuning chose, by method."""
    methods = [choice.method for choice in tuning.choices]
    return {m.name: {name: m.given()[name] for name in ("learning_rate", *m.search)} for m in methods}


def origins(done: Comparison) -> dict[str, int]:
    """Count the runs that were stored by the commit they were made on, or the version where it is not known."""
    return dict(Counter(_origin(run.provenance) for run in done.runs if run.key not in done.new))


def made_words(done: Comparison) -> list[str]:
    """Say how many runs were made and how many stored, and which code these are of where it may not be the present one."""
    from learn2mix.bench import provenance

    stored, total = len(done.runs) - done.made, len(done.runs) + len(done.failures)
    counts = f"{done.made} of {total} runs made" if done.made else f"{stored} of {total} runs were stored, none made"
    counts += f", {stored} {'was' if stored == 1 else 'were'} stored" if done.made and stored else ""
    now = _origin({"commit": provenance.commit(), "versions": provenance.versions()})
    # of a tree with changes nobody knows whether they were the same
    others = {origin: number for origin, number in origins(done).items() if origin != now or _CHANGES in origin}
    if not others:
        return [counts]
    listed = " and ".join(f"{number} from {origin}" for origin, number in others.items())
    return [counts, f"stored were {listed}; the code is now {now}: edits in between show only if they raised a version"]


_CHANGES = " with changes"


def _origin(provenance: Mapping[str, Any]) -> str:
    commit, _, changes = str(provenance.get("commit") or "").partition("+")
    version = f"learn2mix {provenance.get('versions', {}).get('learn2mix', 'of unknown version')}"
    return f"{commit[:10] or version}{_CHANGES if changes else ''}"


def _tell(failures: Mapping[str, str]) -> None:
    for failure in failures.values():
        print("learn2mix: failed:", failure, file=sys.stderr)

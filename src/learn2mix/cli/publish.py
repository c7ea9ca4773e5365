"""What comes out of runs: the report's page, the figures, and the same on the terminal or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learn2mix.cli.terminal import results_console, show, show_table

if TYPE_CHECKING:
    from learn2mix.bench.record import Run
    from learn2mix.bench.reproduce import Reproduction


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


def publish(runs: Sequence[Run], timing: Any, page: Path, as_json: bool, **facts: Any) -> None:
    """Write the report and print the same figures."""
    from learn2mix.bench.analysis import wording
    from learn2mix.bench.report import write_report

    summary = write_report(runs, page, timing=timing, failures=facts.get("failures"))
    if as_json:
        print(json.dumps({**summary.to_json(), "report": str(page), **facts}, indent=2, ensure_ascii=False))
        return
    console = results_console()
    for task in summary.tasks:
        show(
            console, f"{task.title}: {len(task.seeds)} {'seed' if len(task.seeds) == 1 else 'seeds'}, {task.budget}", ""
        )
        show_table(console, wording.results_table(task))
        show_table(console, wording.cost_table(task))
        show(console, wording.headline(task), *task.notes, "")
    show(console, f"report: {page}")
    _tell(facts.get("failures", {}))


def _tell(failures: Mapping[str, str]) -> None:
    for failure in failures.values():
        print("learn2mix: failed:", failure, file=sys.stderr)

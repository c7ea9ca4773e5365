"""What the command line shows: lines, tables, how far things are, and why it gave up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from learn2mix.bench.analysis.wording import Column
    from learn2mix.bench.compare import Event


def show(console: Console, *lines: str) -> None:
    """Print lines as they are, whatever brackets they hold."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


_GAP = 2


def tables_of(columns: Sequence[Column], width: int) -> list[Table]:
    """Lay columns side by side, in several tables where they are wider than a line; each begins with the first column.

    Args:
        columns: At least one.
        width: Characters a line.
    """
    first, *rest = columns
    parts: list[list[Column]] = [[first]]
    for column in rest:
        if len(parts[-1]) > 1 and sum(map(_width, [*parts[-1], column])) > width + _GAP:
            parts.append([first])
        parts[-1].append(column)
    return [_table_of(part) for part in parts]


def _width(column: Column) -> int:
    return max(cell_len(text) for text in (column.title, *column.cells)) + _GAP


def _table_of(columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.title, style="bold"), justify="right" if column.numeric else "left", overflow="fold"
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def show_table(console: Console, columns: Sequence[Column]) -> None:
    """Print a table, each of its parts followed by an empty line."""
    for part in tables_of(columns, console.width):
        console.print(part, "", sep="\n")


def results_console() -> Console:
    """Give the console for results; where nobody looks at it (a file, a pipe), lines are as long as they need to be."""
    return Console() if sys.stdout.isatty() else Console(width=2000, color_system=None)


class Bar:
    """Shows how far runs and timing are.

    Attributes:
        heading: What the runs are for; empty for the comparison itself.
    """

    def __init__(self, progress: Progress) -> None:
        self.heading = ""
        self._progress = progress
        self._row = progress.add_task("starting", total=None)

    def runs(self, event: Event) -> None:
        """Move on with the runs of a comparison."""
        part = event.phase_done / max(event.phase_total, 1)
        within = event.run and event.phase != "ended"
        what = f"{event.run}: {event.phase} {part:.0%}" if within else event.run or event.phase.replace("ended", "")
        counted = f"{event.done} of {event.total} runs" if event.total else ""
        done = event.done + (min(part, 0.99) if event.phase == "training" else 0.0)
        self._progress.update(
            self._row,
            total=event.total or None,
            completed=done,
            description="  ".join(filter(None, (self.heading, counted, what))),
        )

    def step(self, phase: str, done: int, total: int) -> None:
        """Move on with something else than runs."""
        self._progress.update(self._row, total=total, completed=done, description=phase)


class _Times(ProgressColumn):
    """The time so far, and the time left where it can be told."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Say what is known."""
        known = {"so far": task.elapsed, "left": task.time_remaining}
        return Text(", ".join(f"{timedelta(seconds=int(s))} {what}" for what, s in known.items() if s is not None))


@contextmanager
def progress() -> Iterator[Bar]:
    """Show a bar with the time left on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Times())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Bar(shown)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say why in one line, and exit."""
    print("learn2mix:", " ".join(message.split()), file=sys.stderr)
    raise SystemExit(code)

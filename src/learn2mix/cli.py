"""The command line: list, compare, report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

# What takes seconds to import (torch, plotly) is imported where it is used: help is instant, and how torch's threads
# wait is settled before it loads.
try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    raise SystemExit(f"learn2mix: the command line needs {error.name}: pip install 'learn2mix[bench]'") from None

if TYPE_CHECKING:
    from learn2mix.bench.compare import Event
    from learn2mix.bench.record import Run
    from learn2mix.bench.store import Store
    from learn2mix.bench.wording import Column

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train on batches whose group make-up adapts to the losses, and compare that with other methods.",
)

# What wrong input, missing data or a diverged run raise: a line says it all. Anything else is a bug, and shows itself.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 used wrongly."""
    # Threads that spin while they wait make times hang on what else the machine does; torch reads this when it loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] or ["--help"]
    try:
        sys.exit(app(arguments, standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; what was done so far is kept, and the same command goes on from there")
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage; typer keeps the class to itself
            _fail(f"{error.format_message()}; see learn2mix --help", 2)
        if os.environ.get("LEARN2MIX_TRACEBACK") or not isinstance(error, _EXPECTED):
            raise
        _fail(str(error) or type(error).__name__)


@app.command("list")
def list_parts(as_json: AsJson = False) -> None:
    """Name the tasks, methods, policies and losses there are, a line each."""
    entries = _registered()
    if as_json:
        found = [{"family": e.family, "name": e.name, "summary": e.summary, "reference": e.reference} for e in entries]
        print(json.dumps(found, indent=2))
        return
    console = _console()
    table = Table(box=None, show_header=False, pad_edge=False)
    family = ""
    for entry in entries:
        if entry.family != family:
            family = entry.family
            table.add_row(f"[bold]{family}[/bold]", "")
        table.add_row(f"  {entry.name}", entry.summary)
    console.print(table)


@app.command()
def compare(
    task: Annotated[str, typer.Argument(help="The task; see `learn2mix list`.")],
    methods: Annotated[str, typer.Option(help="Methods, separated by commas, or all.")] = "all",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds, from 0; the task's own if not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs a run; the task's own if not given.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder with local copies of the data [default: $LEARN2MIX_DATA, or the hub].")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where runs and report go, in a folder of the task's name.")] = Path(
        "runs"
    ),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes to train in; what suits task and machine if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, mps.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Compare methods on a task, all on equal footing; prints a table and writes report.html.

    Runs are stored as they end: the same command, given again, makes only those that are missing.
    """
    task_name = _known("task", task, "TASK")
    names = [e.name for e in _registered() if e.family == "method"]
    if methods != "all":
        names = [_known("method", name.strip(), "--methods") for name in methods.split(",")]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"{methods!r} names a method twice", param_hint="--methods")
    if device != "cpu":
        _check_device(device)

    from learn2mix.bench.compare import compare as make_runs
    from learn2mix.bench.compare import fitting_workers
    from learn2mix.bench.runner import find_task
    from learn2mix.bench.store import Store

    store = Store(output / task_name)
    count = seeds or find_task(task_name).seeds
    with _progress() as bar:
        done = make_runs(
            [task_name],
            names,
            range(count),
            store=store,
            budget=epochs,
            data_dir=data_dir,
            device=device,
            workers=workers or fitting_workers([task_name]),
            watch=bar.runs,
        )
        if not done.runs:
            _fail("every run failed: " + "; ".join(done.failures.values()))
        timing = _timing(store, task_name, names, data_dir, device, bar)
    _publish(done.runs, timing, store.folder / "report.html", as_json, made=done.made, failures=done.failures)
    if done.failures:
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="A folder of stored runs, such as runs/digits.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page [default: RUNS/report.html].")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of stored runs and print its tables; trains nothing."""
    if not runs.is_dir():
        raise typer.BadParameter(
            f"{str(runs)!r} is no folder; give one that `learn2mix compare` wrote", param_hint="RUNS"
        )

    from learn2mix.bench.store import Store

    store = Store(runs)
    stored = store.runs()
    if not stored:
        _fail(f"{runs} holds no runs; make some with `learn2mix compare TASK`")
    _publish(stored, store.timing(), output or runs / "report.html", as_json)


def _registered() -> Sequence[Any]:
    """Give all registered parts, tasks and methods first."""
    import learn2mix.bench.methods
    import learn2mix.bench.tasks
    import learn2mix.losses
    import learn2mix.policies  # noqa: F401  (importing a family registers its members)
    from learn2mix import registry

    return [entry for family in ("task", "method", "policy", "loss") for entry in registry.entries(family)]


def _known(family: str, name: str, option: str) -> str:
    names = [entry.name for entry in _registered() if entry.family == family]
    if name not in names:
        raise typer.BadParameter(f"no {family} is called {name!r}; there are: {', '.join(names)}", param_hint=option)
    return name


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"{device!r} cannot be used here: {reason}", param_hint="--device") from None


def _timing(
    store: Store, task: str, methods: Sequence[str], data_dir: Path | None, device: str, bar: _Bar
) -> dict[str, Any] | None:
    """Give the step times of these methods, measured together; those stored will do if they hold all of them."""
    from learn2mix.bench import clock

    stored = store.timing()
    if stored is not None and set(methods) <= set(stored["seconds_per_step"]):
        return stored
    measured = clock.measure(task, methods, data_dir=data_dir, device=device, progress=bar.timing).to_json()
    store.put_timing(measured)
    return measured


def _publish(runs: Sequence[Run], timing: dict[str, Any] | None, page: Path, as_json: bool, **facts: Any) -> None:
    """Write the report and print the same figures."""
    from learn2mix.bench import wording
    from learn2mix.bench.report import write_report

    summary = write_report(runs, page, timing=timing)
    if as_json:
        print(json.dumps({**summary.to_json(), "report": str(page), **facts}, indent=2, ensure_ascii=False))
        return
    console = _console()
    for task in summary.tasks:
        _print(console, f"{task.title}: {len(task.seeds)} seeds, {task.epochs} epochs", "")
        console.print(_table(wording.results_table(task)), "", _table(wording.cost_table(task)), "", sep="\n")
        _print(console, wording.headline(task), *task.notes, "")
    _print(console, f"report: {page}")
    for failure in facts.get("failures", {}).values():
        print("learn2mix: failed:", failure, file=sys.stderr)


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _table(columns: Sequence[Column]) -> Table:
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.title, style="bold"), justify="right" if column.numeric else "left", overflow="fold"
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _console() -> Console:
    """Give the console for results; where nobody looks at it (a file, a pipe), lines are as long as they need to be."""
    return Console() if sys.stdout.isatty() else Console(width=400, color_system=None)


class _Bar:
    """Shows how far runs and timing are."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._row = progress.add_task("starting", total=None)

    def runs(self, event: Event) -> None:
        """Move on with the runs of a comparison."""
        part = event.phase_done / max(event.phase_total, 1)
        within = event.run and event.phase != "ended"
        what = f"{event.run}: {event.phase} {part:.0%}" if within else event.run or event.phase
        done = event.done + (min(part, 0.99) if event.phase == "training" else 0.0)
        self._progress.update(
            self._row, total=event.total or None, completed=done, description=f"{event.done} of {event.total}  {what}"
        )

    def timing(self, phase: str, done: int, total: int) -> None:
        """Move on with the timing run."""
        self._progress.update(self._row, total=total, completed=done, description=f"{phase} steps")


@contextmanager
def _progress() -> Iterator[_Bar]:
    """Show a bar with the time left on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress)


def _fail(message: str, code: int = 1) -> NoReturn:
    print("learn2mix:", " ".join(message.split()), file=sys.stderr)
    raise SystemExit(code)

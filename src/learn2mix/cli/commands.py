"""The commands: list, compare, reproduce, report, pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from learn2mix.cli import asked
from learn2mix.cli.publish import publish, publish_exhibit
from learn2mix.cli.terminal import fail, progress, results_console, show

if TYPE_CHECKING:
    from learn2mix.bench.budget import Budget
    from learn2mix.bench.record import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train on batches whose group make-up adapts to the losses, and compare that with other methods.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DataDir = Annotated[
    Path | None, typer.Option(help="A folder with local copies of the data [default: $LEARN2MIX_DATA, or the hub].")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="How many seeds, from 0; the task's own if not given.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes to train in; what suits task and machine if not given.")
]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1.")]
Fraction = Annotated[
    float | None, typer.Option(help="Train for this part of each task's epochs, above 0 and at most 1.")
]


@app.command("list")
def list_parts(as_json: AsJson = False) -> None:
    """Name the tasks, methods, policies and losses there are, and what can be reproduced, a line each."""
    found = [
        {"family": e.family, "name": e.name, "summary": e.summary, "reference": e.reference} for e in asked.registered()
    ]
    from learn2mix.bench.reproduce import EXHIBITS

    for name, exhibit in EXHIBITS.items():
        reference = "arXiv:2412.16482" if exhibit.of_paper else ""
        found.append({"family": "exhibit", "name": name, "summary": exhibit.title, "reference": reference})
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    family = ""
    for part in found:
        if part["family"] != family:
            family = part["family"]
            table.add_row(f"[bold]{family}[/bold]", "")
        table.add_row(f"  {part['name']}", part["summary"])
    results_console().print(table)


@app.command()
def compare(
    task: Annotated[str, typer.Argument(help="The task; see `learn2mix list`.")],
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas, or all that fit the task; a+b for both at once.")
    ] = "all",
    seeds: Seeds = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs a run; the task's own if not given.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps a run, instead of epochs.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Training seconds a run, by step times measured beforehand, instead of epochs.")
    ] = None,
    fraction: Fraction = None,
    profile: Annotated[
        str | None, typer.Option(help="Imbalance: step, linear, logarithmic, exponential, or none; with a factor.")
    ] = None,
    imbalance_factor: Annotated[
        float | None, typer.Option(help="How many times rarer the rarest groups become.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw, rmsprop or sgd; the task's if not given.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The task's if not given.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="The task's if not given.")] = None,
    mixing_rate: Annotated[
        float | None, typer.Option(help="Of the methods that have one; the task's if not given.")
    ] = None,
    data_dir: DataDir = None,
    output: Annotated[Path, typer.Option(help="Where runs and report go, in a folder of the task's name.")] = Path(
        "runs"
    ),
    workers: Workers = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Compare methods on a task, all on equal footing; prints a table and writes report.html.

    Runs are stored as they end: the same command, given again, makes only those that are missing.
    """
    budgets = {"--epochs": epochs, "--steps": steps, "--seconds": seconds, "--fraction": fraction}
    given = [name for name, value in budgets.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} are one budget twice; give one of them", param_hint=given[1])
    asked.check_fraction(fraction)
    if seconds is not None and not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{seconds} seconds is no budget; it must be above 0", param_hint="--seconds")
    asked.check_device(device)
    varied = asked.varied(
        task,
        profile=profile,
        imbalance_factor=imbalance_factor,
        optimizer=optimizer,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    if fraction is not None:
        epochs = max(1, round(varied.epochs * fraction))
    chosen = asked.methods_called(
        methods, varied, 1.0 if fraction is None else (epochs or 1) / varied.epochs, mixing_rate
    )

    from learn2mix.bench import clock
    from learn2mix.bench.budget import Budget
    from learn2mix.bench.compare import compare as make_runs
    from learn2mix.bench.compare import fitting_workers
    from learn2mix.bench.store import Store
    from learn2mix.bench.variants import folder_name

    store = Store(output / folder_name(varied))
    timing: dict[str, Any] | None = None
    with progress() as bar:
        budget: Budget | dict[str, Budget]
        if seconds is not None:
            timing = clock.stored(store, varied, chosen, data_dir=data_dir, device=device, progress=bar.step)
            if timing is None:
                fail(
                    f"a step of {task} could not be timed, so seconds cannot be turned into steps; give --steps or --epochs"
                )
            budget = {
                name: Budget(seconds=seconds, seconds_per_step=s) for name, s in timing["seconds_per_step"].items()
            }
        elif steps is not None:
            budget = Budget(steps=steps)
        else:
            budget = Budget(epochs=epochs or varied.epochs)
        done = make_runs(
            [varied],
            chosen,
            range(seeds or varied.seeds),
            store=store,
            budget=budget,
            data_dir=data_dir,
            device=device,
            workers=workers or fitting_workers([varied]),
            watch=bar.runs,
        )
        if not done.runs:
            fail("every run failed: " + "; ".join(done.failures.values()))
        ended = {run.settings["method"] for run in done.runs}
        timed = [method for method in chosen if method.name in ended]
        timing = timing or clock.stored(store, varied, timed, data_dir=data_dir, device=device, progress=bar.step)
    page = store.folder / "report.html"
    publish(done.runs, timing, page, as_json, failures=done.failures, made=done.made)
    if done.failures:
        raise typer.Exit(1)


@app.command()
def reproduce(
    exhibit: Annotated[
        str,
        typer.Argument(help="table1, table2, figure2 to figure8, speed-ups, a study, or all; see `learn2mix list`."),
    ],
    tasks: Annotated[str | None, typer.Option(help="Some of its tasks, separated by commas.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods, or all that fit; a+b for both at once. If not given the paper's and two controls, for a study all."
        ),
    ] = None,
    seeds: Seeds = None,
    fraction: Fraction = None,
    stored: Annotated[bool, typer.Option("--stored", help="Train nothing: show what is stored.")] = False,
    data_dir: DataDir = None,
    output: Annotated[Path, typer.Option(help="Where runs, figures and report go.")] = Path("runs"),
    workers: Workers = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Reproduce the paper's tables and figures, and studies beyond it: our figures beside the paper's.

    Runs that are missing are made and stored as they end: the same command, given again, goes on.
    """
    asked.check_fraction(fraction)
    asked.check_device(device)
    asked.registered()
    from learn2mix.bench import reproduce as bench

    names = list(bench.EXHIBITS) if exhibit == "all" else [exhibit]
    if exhibit != "all" and exhibit not in bench.EXHIBITS:
        raise typer.BadParameter(
            f"no exhibit is called {exhibit!r}; there are: {', '.join(bench.EXHIBITS)}, all", param_hint="EXHIBIT"
        )
    arms = None if methods is None else [m.strip() for m in methods.split(",")]
    if arms is not None and arms != ["all"]:
        arms = [asked.method_called(name).name for name in arms]
    failed, told = False, []
    for name in names:
        found = bench.find_exhibit(name)
        wanted = None if tasks is None else [task.strip() for task in tasks.split(",")]
        if exhibit == "all" and wanted is not None:
            wanted = [task for task in wanted if task in {panel.task for panel in found.panels}]
            if not wanted:
                continue
        with progress() as bar:
            done = bench.reproduce(
                found,
                folder=output,
                tasks=wanted,
                methods=arms,
                seeds=seeds,
                fraction=fraction or 1.0,
                stored_only=stored,
                data_dir=data_dir,
                device=device,
                workers=workers,
                watch=bar.runs,
                progress=bar.step,
            )
        told.append(publish_exhibit(done, output / "exhibits" / name, quiet=as_json))
        failed = failed or bool(done.failures)
    if as_json:
        print(json.dumps(told if exhibit == "all" else told[0], indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of stored runs, such as runs/digits.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page [default: report.html in the first folder].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of stored runs and print its tables; trains nothing."""
    from learn2mix.bench.store import Store

    stored: list[Run] = []
    timings = []
    for folder in runs:
        if not folder.is_dir():
            raise typer.BadParameter(
                f"{str(folder)!r} is no folder; give one that `learn2mix compare` wrote", param_hint="RUNS"
            )
        store = Store(folder)
        found = store.runs()
        if not found:
            fail(f"{folder} holds no runs; make some with `learn2mix compare TASK`")
        timing = store.timing()
        stored += found
        timings += [timing] if timing is not None else []
    publish(stored, timings, output or runs[0] / "report.html", as_json)


@app.command()
def pack(
    runs: Annotated[list[Path], typer.Argument(help="Folders of stored runs, such as runs/digits.")],
) -> None:
    """Put each folder's runs into one small file, runs.parquet, for publishing; they are still found."""
    from learn2mix.bench.store import Store

    for folder in runs:
        if not folder.is_dir():
            raise typer.BadParameter(f"{str(folder)!r} is no folder", param_hint="RUNS")
        number = Store(folder).pack()
        if not number:
            fail(f"{folder} holds no runs; make some with `learn2mix compare TASK`")
        show(results_console(), f"{folder}: {number} runs")

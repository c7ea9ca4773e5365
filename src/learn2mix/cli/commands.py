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
    from learn2mix.bench.record import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command_in(arguments: list[str]) -> str:
    """Find the command that was called, with a space after it; nothing where none was."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return next((f"{argument} " for argument in arguments[:1] if argument in names), "")


def _version(asked_for: bool) -> None:
    if asked_for:
        from learn2mix import __version__

        print(f"learn2mix {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train on batches whose group make-up adapts to the losses, and compare that with other methods."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DataDir = Annotated[
    Path | None, typer.Option(help="A folder with local copies of the data [default: $LEARN2MIX_DATA, or the hub].")
]
Seeds = Annotated[
    int | None, typer.Option(callback=asked.at_least_one, help="How many seeds, from 0; the task's own if not given.")
]
Workers = Annotated[
    int | None,
    typer.Option(callback=asked.at_least_one, help="Processes to train in; what suits task and machine if not given."),
]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1.")]
Fraction = Annotated[
    float | None, typer.Option(help="Train for this part of each task's epochs, above 0 and at most 1.")
]


@app.command("list")
def list_parts(
    family: Annotated[
        str | None, typer.Argument(help="One family alone: tasks, methods, policies, exhibits, ...")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name the tasks, methods, policies and losses there are, and what can be reproduced, a line each."""
    found = [
        {"family": e.family, "name": e.name, "summary": e.summary, "reference": e.reference} for e in asked.registered()
    ]
    from learn2mix.bench.reproduce import EXHIBITS

    for name, exhibit in EXHIBITS.items():
        reference = "arXiv:2412.16482" if exhibit.of_paper else ""
        found.append({"family": "exhibit", "name": name, "summary": exhibit.title, "reference": reference})
    only = asked.family(family, list(dict.fromkeys(part["family"] for part in found)))
    found = [part for part in found if only in (None, part["family"])]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    heading = ""
    for part in found:
        if part["family"] != heading:
            heading = part["family"]
            table.add_row(f"[bold]{heading}[/bold]", "")
        table.add_row(f"  {part['name']}", part["summary"])
    results_console().print(table)


@app.command()
def compare(
    task: Annotated[str, typer.Argument(help="The task; see `learn2mix list`.")],
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas, or all that fit the task; a+b for both at once.")
    ] = "all",
    seeds: Seeds = None,
    epochs: Annotated[
        int | None, typer.Option(callback=asked.at_least_one, help="Epochs a run; the task's own if not given.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(callback=asked.at_least_one, help="Optimiser steps a run, instead of epochs.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Training seconds a run, by step times measured beforehand, instead of epochs.")
    ] = None,
    fraction: Fraction = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Imbalance: step, linear, logarithmic, exponential (with a factor), given (proportions), none."
        ),
    ] = None,
    imbalance_factor: Annotated[
        float | None, typer.Option(help="How many times rarer the rarest groups become.")
    ] = None,
    proportions: Annotated[
        str | None, typer.Option(help="The groups' relative sizes in their order, as in 5,5,4,1; with --profile given.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw, rmsprop or sgd; the task's if not given.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The task's if not given.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The task's if not given.")] = None,
    mixing_rate: Annotated[
        float | None, typer.Option(help="Of the methods that have one; the task's if not given.")
    ] = None,
    tune: Annotated[
        int | None,
        typer.Option(
            help="First give each method a learning rate and a setting of its own by so many trials, at a quarter of the "
            "budget, on held-out data and seeds of their own."
        ),
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

    Runs are stored as they end: the same command, given again, makes only those that are missing. A budget shorter than the
    task's shortens what methods do beforehand alike.
    """
    asked.check_budgets(epochs=epochs, steps=steps, seconds=seconds, fraction=fraction)
    asked.check_device(device)
    varied = asked.varied(
        task,
        profile=profile,
        imbalance_factor=imbalance_factor,
        proportions=proportions,
        optimizer=optimizer,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    chosen = asked.methods_called(methods, varied, mixing_rate)
    asked.check_trials(tune, mixing_rate)

    from learn2mix.bench import clock
    from learn2mix.bench.budget import Budget
    from learn2mix.bench.compare import compare as make_runs
    from learn2mix.bench.compare import fitting_workers, shortened
    from learn2mix.bench.store import Store
    from learn2mix.bench.tuning_folder import quarter, tuned_folder_name, tuned_in
    from learn2mix.bench.variants import folder_name

    whole = Budget(epochs=varied.epochs)
    if fraction is not None:
        epochs = max(1, round(varied.epochs * fraction))
    limit = whole if epochs is None and steps is None else Budget(epochs=epochs, steps=steps)
    own = None if limit == whole else limit
    folder = folder_name(varied)
    store = Store(output / (folder if tune is None else tuned_folder_name(folder, tune, own)))
    reported = range(seeds or varied.seeds)
    made_with: dict[str, Any] = {"device": device, "workers": workers or fitting_workers([varied])}
    timing: dict[str, Any] | None = None
    tuning = None
    with progress() as bar:
        budget: Budget | dict[str, Budget] = limit
        chosen = shortened(chosen, varied, limit, data_dir=data_dir, progress=bar.step)
        if tune is not None:
            data, bar.heading = varied.load(data_dir, bar.step), "tuning:"
            how = {"trials": tune, "budget": own and quarter(own), "watch": bar.runs, **made_with}
            tuning = tuned_in(store.folder, varied, chosen, reported=reported, data=data, **how)
            chosen, bar.heading = list(tuning.methods_for(varied, reported, data.fingerprint)), ""
        if seconds is not None:
            timing = clock.stored(store, varied, chosen, data_dir=data_dir, device=device, progress=bar.step)
            if timing is None:
                fail(
                    f"a step of {task} could not be timed, so seconds cannot be turned into steps; give --steps or --epochs"
                )
            budget = {
                name: Budget(seconds=seconds, seconds_per_step=s) for name, s in timing["seconds_per_step"].items()
            }
            chosen = shortened(chosen, varied, budget, data_dir=data_dir, progress=bar.step)
        done = make_runs(
            [varied], chosen, reported, store=store, budget=budget, data_dir=data_dir, watch=bar.runs, **made_with
        )
        if not done.runs:
            fail("every run failed: " + "; ".join(done.failures.values()))
        timing = timing or clock.stored(
            store, varied, chosen, ended=done.runs, data_dir=data_dir, device=device, progress=bar.step
        )
    publish(done.runs, timing, store.folder / "report.html", as_json, done=done, tuning=tuning)
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
    stored: Annotated[
        bool, typer.Option("--stored", help="Train nothing: show what is stored, and say what is not.")
    ] = False,
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
        there = asked.among(exhibit, [*bench.EXHIBITS, "all"])
        raise typer.BadParameter(f"no exhibit is called {exhibit!r}{there}", param_hint="EXHIBIT")
    called = asked.tasks_called(tasks, [bench.EXHIBITS[name] for name in names])
    arms = None if methods is None else [m.strip() for m in methods.split(",")]
    if arms is not None and arms != ["all"]:
        arms = [asked.method_called(name).name for name in arms]
    failed, told, shown = False, [], 0
    for name in names:
        found = bench.find_exhibit(name)
        has = {panel.task for panel in found.panels}
        wanted = None if called is None else [task for task in called if task in has]
        if wanted == []:
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
        failed, shown = failed or bool(done.failures), shown + len(done.runs)
    if as_json:
        print(json.dumps(told if exhibit == "all" else told[0], indent=2, ensure_ascii=False))
    if failed or not shown:
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

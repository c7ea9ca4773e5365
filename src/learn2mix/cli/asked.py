"""What was asked for on the command line, made into tasks, methods and devices; or why that cannot be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from learn2mix.bench.exhibits import Exhibit
    from learn2mix.bench.methods.base import Method
    from learn2mix.bench.tasks.base import Task


def registered() -> Sequence[Any]:
    """Give all registered parts, tasks and methods first."""
    from learn2mix import registry

    registry.load()
    families = sorted(registry.FAMILIES, key=lambda family: family not in ("task", "method"))
    return [entry for family in families for entry in registry.entries(family)]


def known(family: str, name: str, option: str) -> str:
    """Give the name back if something of the family is called so."""
    names = [entry.name for entry in registered() if entry.family == family]
    if name not in names:
        raise typer.BadParameter(f"no {family} is called {name!r}{among(name, names)}", param_hint=option)
    return name


def among(name: str, names: Sequence[str]) -> str:
    """Say in an error what there is, those that a name comes near to first.

    >>> among("digit", ["digits", "mnist"]), among("x", ["digits", "mnist"])
    ('; did you mean digits? there are: digits, mnist', '; there are: digits, mnist')
    """
    near = difflib.get_close_matches(name, names, n=2)
    meant = f"; did you mean {' or '.join(near)}?" if near else ";"
    return f"{meant} there are: {', '.join(names)}"


def family(asked: str | None, families: Sequence[str]) -> str | None:
    """Find the family that is meant by its name or several of it."""
    names = {form: one for one in families for form in (one, plural(one))}
    if asked is not None and asked not in names:
        raise typer.BadParameter(
            f"there are no {asked!r}{among(asked, list(map(plural, families)))}", param_hint="FAMILY"
        )
    return None if asked is None else names[asked]


def plural(family: str) -> str:
    """Name several of a family.

    >>> [plural(one) for one in ("policy", "loss", "task", "post-hoc")]
    ['policies', 'losses', 'tasks', 'post-hoc']
    """
    if family.endswith("y"):
        return f"{family[:-1]}ies"
    return family if family == "post-hoc" else family + ("es" if family.endswith("s") else "s")


def at_least_one(value: int | None) -> int | None:
    """Refuse a number below 1."""
    if value is not None and value < 1:
        raise typer.BadParameter(f"{value} is too few; give 1 or more")
    return value


def tasks_called(asked: str | None, exhibits: Sequence[Exhibit]) -> list[str] | None:
    """Give the tasks that were asked for, each of which one of the exhibits has."""
    if asked is None:
        return None
    there = list(dict.fromkeys(panel.task for exhibit in exhibits for panel in exhibit.panels))
    wanted = [task.strip() for task in asked.split(",")]
    for task in wanted:
        if task not in there:
            who = f"{exhibits[0].name} has no" if len(exhibits) == 1 else "no exhibit has a"
            raise typer.BadParameter(f"{who} task {task!r}{among(task, there)}", param_hint="--tasks")
    return wanted


def methods_called(asked: str, task: Task, mixing_rate: float | None) -> list[Method]:
    """Make the methods that were asked for, those that fit where it was all of them."""
    from learn2mix.bench.lookup import fitting

    named = None if asked == "all" else [method_called(name.strip()) for name in asked.split(",")]
    if named is not None and len({method.name for method in named}) < len(named):
        raise typer.BadParameter(f"{asked!r} names a method twice", param_hint="--methods")
    made = fitting(task, named)
    fits = {method.name for method in made}
    for method in named or ():
        if method.name not in fits:
            raise typer.BadParameter(method.refusal(task), param_hint="--methods")
    try:
        return [method.with_settings(mixing_rate=mixing_rate) for method in made]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mixing-rate") from None


def method_called(name: str) -> Method:
    """Make a method by its name, or several at once by theirs joined by +."""
    from learn2mix.bench.lookup import find_method

    if name == "all":
        raise typer.BadParameter("all stands for every method, and by itself", param_hint="--methods")
    parts = [known("method", part.strip(), "--methods") for part in name.split("+")]
    try:
        return find_method("+".join(parts))
    except ValueError as error:  # they do not go together
        raise typer.BadParameter(str(error), param_hint="--methods") from None


def varied(task: str, *, proportions: str | None, **changes: Any) -> Task:
    """Make the task with the settings that were asked for."""
    from learn2mix.bench.variants import vary

    try:
        sizes = None if proportions is None else tuple(float(size) for size in proportions.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{proportions!r} are no proportions; give a number for each group, as in 5,5,4,1",
            param_hint="--proportions",
        ) from None
    try:
        return vary(known("task", task, "TASK"), proportions=sizes, **changes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def check_budgets(**budgets: float | None) -> None:
    """Refuse two budgets at once, and what is no part of one or no time."""
    given = [f"--{name}" for name, value in budgets.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} are one budget twice; give one of them", param_hint=given[1])
    check_fraction(budgets["fraction"])
    seconds = budgets["seconds"]
    if seconds is not None and not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{seconds} seconds is no budget; it must be above 0", param_hint="--seconds")


def check_trials(trials: int | None, mixing_rate: float | None) -> None:
    """Refuse numbers of trials that the search does not know, and a setting beside them."""
    from learn2mix.bench.search import FEWEST, MOST

    if trials is None:
        return
    if not FEWEST <= trials <= MOST:
        raise typer.BadParameter(
            f"{trials} trials are not offered; each method begins with {FEWEST} learning rates: give {FEWEST} to {MOST}",
            param_hint="--tune",
        )
    if mixing_rate is not None:
        raise typer.BadParameter("--tune chooses a mixing rate; leave one of them out", param_hint="--mixing-rate")


def check_fraction(fraction: float | None) -> None:
    """Refuse what is no part of a budget."""
    if fraction is not None and not 0 < fraction <= 1:
        raise typer.BadParameter(
            f"{fraction} is no part of a budget; it must be above 0 and at most 1", param_hint="--fraction"
        )


def check_device(device: str) -> None:
    """Refuse a device that cannot be used here."""
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"{device!r} cannot be used here: {reason}", param_hint="--device") from None

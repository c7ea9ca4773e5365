"""What was asked for on the command line, made into tasks, methods and devices; or why that cannot be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
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
        near = difflib.get_close_matches(name, names, n=2)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise typer.BadParameter(
            f"no {family} is called {name!r}{meant or ';'} there are: {', '.join(names)}", param_hint=option
        )
    return name


def methods_called(asked: str, task: Task, part: float, mixing_rate: float | None) -> list[Method]:
    """Make the methods that were asked for, those that fit where it was all of them."""
    from learn2mix.bench.lookup import fitting

    named = None if asked == "all" else [method_called(name.strip()) for name in asked.split(",")]
    if named is not None and len({method.name for method in named}) < len(named):
        raise typer.BadParameter(f"{asked!r} names a method twice", param_hint="--methods")
    made = fitting(task, named, part)
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


def varied(task: str, **changes: Any) -> Task:
    """Make the task with the settings that were asked for."""
    from learn2mix.bench.variants import vary

    try:
        return vary(known("task", task, "TASK"), **changes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


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

"""One line a method: what the contract tests, the command line and the documentation need to know of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

FAMILIES = {
    "policy": "learn2mix.policies",
    "selector": "learn2mix.selectors",
    "loss": "learn2mix.losses",
    "transform": "learn2mix.transforms",
    "schedule": "learn2mix.schedules",
    "post-hoc": "learn2mix.posthoc",
    "task": "learn2mix.bench.tasks",
    "method": "learn2mix.bench.methods",
}
"""Every family of parts, and the package whose import registers its members."""


@dataclass(frozen=True)
class Entry:
    """What is known of one registered part.

    Args:
        name: The name people type, lower case with hyphens; unique within its family.
        family: The kind of part, one of :data:`FAMILIES`.
        part: The class, function or object itself.
        summary: One line for listings.
        example: Keyword arguments of the cheapest valid call, for the contract tests.
        search_space: Values worth trying for each setting, by setting; of a loss that becomes a method of the bench by
            itself. Other methods have theirs there.
        reference: Where it is defined.
    """

    name: str
    family: str
    part: Any
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict)
    search_space: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    reference: str = ""


_ENTRIES: dict[tuple[str, str], Entry] = {}


def add(entry: Entry) -> None:
    """Register an entry.

    Raises:
        ValueError: The family already has a part of that name.
    """
    key = (entry.family, entry.name)
    if key in _ENTRIES:
        raise ValueError(f"{entry.family} {entry.name!r} is registered twice; give one of them another name")
    _ENTRIES[key] = entry


def load() -> None:
    """Register all that the package has."""
    for package in FAMILIES.values():
        importlib.import_module(package)


def register(
    name: str,
    *,
    family: str,
    summary: str,
    example: Mapping[str, Any] | None = None,
    search_space: Mapping[str, tuple[Any, ...]] | None = None,
    reference: str = "",
) -> Callable[[T], T]:
    """Decorate a class or function so that it is registered under ``name``; see :class:`Entry` for the rest."""

    def decorate(part: T) -> T:
        add(Entry(name, family, part, summary, example or {}, search_space or {}, reference))
        return part

    return decorate


def entries(family: str | None = None) -> Iterator[Entry]:
    """Go through the entries of one family, or of all, by name."""
    return iter(sorted((e for e in _ENTRIES.values() if family in (None, e.family)), key=lambda e: (e.family, e.name)))


def get(family: str, name: str) -> Entry:
    """Look an entry up.

    Raises:
        ValueError: The family has no part of that name; the message lists those it has.
    """
    try:
        return _ENTRIES[family, name]
    except KeyError:
        known = ", ".join(e.name for e in entries(family))
        raise ValueError(f"no {family} is called {name!r}; there are: {known}") from None

"""Settings as frozen dataclass fields, each with its declared range."""

from __future__ import annotations

import dataclasses
from typing import Any

from learn2mix.checks import Range, number


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Base of the policies and selectors here: frozen parameters, each checked against the range its field declares.

    Raises:
        TypeError: A parameter is no number.
        ValueError: It lies outside its range.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if "range" in f.metadata:
                name, value = f"{type(self).__name__}'s {f.name}", getattr(self, f.name)
                checked = number(name, value, f.metadata["range"], integer=f.metadata["integer"], fix=f.metadata["fix"])
                object.__setattr__(self, f.name, checked)  # a plain number, so that equal settings look equal


def parameter(allowed: Range, *, default: Any = dataclasses.MISSING, integer: bool = False, fix: str = "") -> Any:
    """Declare a numeric parameter and its range."""
    return dataclasses.field(default=default, metadata={"range": allowed, "integer": integer, "fix": fix})


def describe(owner: Any) -> str:
    """Name an object and its parameters, alike in every process (a plain repr may hold an address)."""
    if not dataclasses.is_dataclass(owner):
        return repr(owner) if isinstance(owner, (int, float, str, tuple, type(None))) else type(owner).__qualname__
    fields = (f"{f.name}={describe(getattr(owner, f.name))}" for f in dataclasses.fields(owner))
    return f"{type(owner).__qualname__}({', '.join(fields)})"

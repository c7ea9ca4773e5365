"""Checks at the public edge: what was given, the rule it breaks, the likely fix."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any


def brief(value: object, limit: int = 80) -> str:
    """Show a value in an error message without flooding it.

    >>> brief(list(range(1000)), limit=12)
    '[0, 1, 2,...'
    """
    text = repr(value)
    return text if len(text) <= limit else text[:limit].rstrip() + "..."


def whole_number(name: str, value: Any, *, low: int = 0, fix: str = "") -> int:
    """Return ``value`` as an int of at least ``low``.

    Raises:
        TypeError: ``value`` is no integer (bool is refused too).
        ValueError: it is below ``low``.
    """
    hint = f"; {fix}" if fix else ""
    if isinstance(value, bool):
        raise TypeError(f"{name} was {value!r}; it must be an integer of {low} or more{hint}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} was {brief(value)} ({type(value).__name__}); it must be an integer of {low} or more{hint}"
        ) from None
    if number < low:
        raise ValueError(f"{name} was {number}; it must be {low} or more{hint}")
    return number


@dataclass(frozen=True)
class Range:
    """An interval of numbers, its ends included unless said otherwise.

    >>> str(Range(0, 1, low_open=True))
    'above 0 and at most 1'
    >>> 0.0 in Range(0, 1, low_open=True)
    False
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'above' if self.low_open else 'at least'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'below' if self.high_open else 'at most'} {self.high:g}")
        return " and ".join(parts) or "any number"


def number(name: str, value: Any, allowed: Range, *, integer: bool = False, fix: str = "") -> int | float:
    """Return one numeric parameter as a plain int or float, once checked.

    Raises:
        TypeError: ``value`` is no number, or no integer where one is asked for.
        ValueError: it lies outside ``allowed``, or is NaN.
    """
    hint = f"; {fix}" if fix else ""
    kind = "an integer" if integer else "a number"
    try:
        if isinstance(value, (bool, str)):
            raise TypeError
        checked = operator.index(value) if integer else float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} was {brief(value)} ({type(value).__name__}); it must be {kind}, {allowed}{hint}"
        ) from None
    if math.isnan(checked) or checked not in allowed:
        raise ValueError(f"{name} was {value!r}; it must be {kind}, {allowed}{hint}")
    return checked

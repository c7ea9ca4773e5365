"""Checks at the public edge: what was given, the rule it breaks, the likely fix."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


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
        ValueError: it lies outside ``allowed``, is NaN, or is an integer too large for a float.
    """
    hint = f"; {fix}" if fix else ""
    kind = "an integer" if integer else "a number"
    try:
        if isinstance(value, (bool, str, bytes, bytearray)):
            raise TypeError
        checked = operator.index(value) if integer else float(value)
    except OverflowError:
        raise ValueError(f"{name} was too large for a float; it must be {kind}, {allowed}{hint}") from None
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} was {brief(value)} ({type(value).__name__}); it must be {kind}, {allowed}{hint}"
        ) from None
    if math.isnan(checked) or checked not in allowed:
        # the rule in words does not say that an open end leaves infinity out
        kind = "a finite number" if math.isinf(checked) and math.inf not in allowed else kind
        raise ValueError(f"{name} was {value!r}; it must be {kind}, {allowed}{hint}")
    return checked


def tensor(name: str, value: Any, rule: str) -> Tensor:
    """Return ``value`` if it is a tensor; a list or an array of NumPy's would fail later, or broadcast by other rules.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} was {brief(value)} ({type(value).__name__}); it must be {rule}; pass a tensor: torch.as_tensor({name})"
        )
    return value


def module(name: str, value: Any) -> nn.Module:
    """Return ``value`` if it is a network, or a part of one.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, nn.Module):
        raise TypeError(f"{name} was {brief(value)} ({type(value).__name__}); it must be an nn.Module")
    return value


def class_sizes(counts: Any, *, low: float = 0, look: bool = True) -> Tensor:
    """Return the training examples of each class, once checked.

    Args:
        counts: Sequence, array or tensor of numbers above 0, (k,).
        low: What they must be at least, besides.
        look: False leaves the values of a tensor on an accelerator unchecked, for a look at them would halt it. What
            lies on the host is always checked.

    Returns:
        (k,), float64 (float32 where a device has no float64), where ``counts`` lay.

    Raises:
        TypeError: They are no numbers.
        ValueError: They are not in a row, one is not finite, not above 0 or below ``low``, or there are none.
    """
    rule = f"it must hold the number of training examples of each class, {f'at least {low:g}' if low else 'above 0'}"
    try:
        given = counts if isinstance(counts, Tensor) else torch.as_tensor(counts, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"counts was {brief(counts)}; {rule}; give a list or tensor of numbers") from None
    if given.is_complex() or given.layout != torch.strided:
        raise TypeError(f"counts was of {given.dtype}, {given.layout}; {rule}; give a list or tensor of plain numbers")
    sizes = given.detach().to(torch.float32 if given.device.type == "mps" else torch.float64)
    looked_at = look or sizes.device.type == "cpu"
    if sizes.ndim != 1 or not len(sizes):
        shown = brief(sizes.tolist()) if looked_at else f"of shape {tuple(sizes.shape)}"
        raise ValueError(f"counts was {shown}; {rule}; give (k,), one number a class: {_COUNT}")
    if looked_at and not ((sizes > 0) & (sizes >= low) & sizes.isfinite()).all():
        raise ValueError(f"counts was {brief(sizes.tolist())}; {rule}; {_likely_fix(sizes, low)}")
    return sizes


_FIX = "merge or drop a class without examples"
_COUNT = "torch.bincount(labels)"


def _likely_fix(sizes: Tensor, low: float) -> str:
    """Guess what was given in place of counts, (k,) with k above 0."""
    if not (sizes.isfinite() & (sizes >= 0)).all():
        return f"count the examples: {_COUNT}"
    if low and (sizes >= 0).all() and abs(float(sizes.sum()) - 1) < 1e-3:
        return "these sum to 1, as shares do: give how many examples each class has"
    whole = bool((sizes >= 0).all()) and bool((sizes == sizes.floor()).all())
    if whole and float(sizes.max()) < len(sizes):  # as labels are of which there are more than classes
        return f"{_FIX}; or are these labels? Then give {_COUNT}"
    return _FIX

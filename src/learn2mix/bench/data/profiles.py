"""Imbalance profiles: how many examples of each group a training set keeps.

A profile is a small frozen value that is called with the group sizes. It has a stable ``repr``, which goes into a run's
settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learn2mix.checks import Range, brief, number

Profile = Callable[[Sequence[int]], list[int]]


@dataclass(frozen=True)
class Step:
    """Some groups keep a fraction of their examples, the others all: ``floor(fraction * n_i)``.

    Args:
        minority: Positions of the groups that are cut, from 0; None for the second half of them.
        fraction: The fraction that they keep, in (0, 1].

    >>> Step(minority=(2, 3), fraction=0.2)([50, 50, 50, 60])
    [50, 50, 10, 12]
    """

    minority: tuple[int, ...] | None
    fraction: float

    def __call__(self, sizes: Sequence[int]) -> list[int]:
        """Return how many examples each group keeps."""
        minority = range(len(sizes) // 2, len(sizes)) if self.minority is None else self.minority
        out_of_range = [i for i in minority if not 0 <= i < len(sizes)]
        if out_of_range:
            raise ValueError(f"minority has the positions {out_of_range}, but there are {len(sizes)} groups")
        return _scale(sizes, [self.fraction if i in minority else 1.0 for i in range(len(sizes))])


@dataclass(frozen=True)
class Linear:
    """Group i of k keeps a fraction that falls evenly from 1 (first) to ``last``: ``floor(f_i * n_i)``.

    Args:
        last: The fraction that the last group keeps, in (0, 1].

    >>> Linear(last=0.1)([100] * 10)
    [100, 90, 80, 70, 60, 50, 40, 30, 20, 10]
    """

    last: float

    def __call__(self, sizes: Sequence[int]) -> list[int]:
        """Return how many examples each group keeps."""
        slope = (1 - self.last) / max(len(sizes) - 1, 1)
        return _scale(sizes, [1 - slope * i for i in range(len(sizes))])


@dataclass(frozen=True)
class Logarithmic:
    """Group i of k keeps a fraction that falls with the logarithm of its position, from 1 (first) to ``last``.

    ``f_i = 1 - (1 - last) * log(i + 1) / log(k)``, and of that many ``floor(f_i * n_i)``: most of the fall is among the
    first groups.

    Args:
        last: The fraction that the last group keeps, in (0, 1].

    >>> Logarithmic(last=0.2)([100] * 4)
    [100, 60, 36, 20]
    """

    last: float

    def __call__(self, sizes: Sequence[int]) -> list[int]:
        """Return how many examples each group keeps."""
        end = math.log(max(len(sizes), 2))
        return _scale(sizes, [1 - (1 - self.last) * math.log(i + 1) / end for i in range(len(sizes))])


@dataclass(frozen=True)
class Exponential:
    """Group i of k keeps ``floor(n_i * factor^(-i / (k - 1)))``: long-tailed, the last group ``factor`` times rarer.

    Args:
        factor: The imbalance factor, first group to last, at least 1.

    >>> Exponential(factor=100)([500, 500, 500])
    [500, 50, 5]

    Reference:
        Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019 (long-tailed CIFAR).
    """

    factor: float

    def __call__(self, sizes: Sequence[int]) -> list[int]:
        """Return how many examples each group keeps."""
        last = max(len(sizes) - 1, 1)
        return _scale(sizes, [self.factor ** (-i / last) for i in range(len(sizes))])


@dataclass(frozen=True)
class Given:
    """The largest set whose group proportions are those given.

    Args:
        proportions: One positive number a group; only their ratios count.

    >>> Given((3, 1))([90, 60])
    [90, 30]
    """

    proportions: tuple[float, ...]

    def __call__(self, sizes: Sequence[int]) -> list[int]:
        """Return how many examples each group keeps."""
        if len(self.proportions) != len(sizes):
            raise ValueError(
                f"{len(self.proportions)} proportions were given for {len(sizes)} groups; give one a group, in the order of "
                "the groups"
            )
        if not all(p > 0 and math.isfinite(p) for p in self.proportions):
            raise ValueError(f"proportions must be positive and finite, not {self.proportions}")
        scale = min(n / p for n, p in zip(sizes, self.proportions, strict=True))
        return _scale(sizes, [scale * p / n for n, p in zip(sizes, self.proportions, strict=True)])


FACTOR, PROPORTIONS = "imbalance_factor", "proportions"

PROFILES: Mapping[str, tuple[str, Callable[..., Profile | None]]] = {
    "step": (FACTOR, lambda factor: Step(None, 1 / factor)),
    "linear": (FACTOR, lambda factor: Linear(1 / factor)),
    "logarithmic": (FACTOR, lambda factor: Logarithmic(1 / factor)),
    "exponential": (FACTOR, Exponential),
    "given": (PROPORTIONS, Given),
    "none": ("", lambda: None),
}
"""Profiles by name: what each takes, and what makes it of that."""

_EXAMPLES = {FACTOR: "100", PROPORTIONS: "(5, 5, 4, 1)"}


def named(
    name: str | None, *, imbalance_factor: float | None = None, proportions: Sequence[float] | None = None
) -> Profile | None:
    """Make a profile of its name and what it takes.

    Args:
        name: ``"step"`` (the second half of the groups), ``"linear"``, ``"logarithmic"`` or ``"exponential"``, with a factor;
            ``"given"``, with proportions; ``"none"``, which leaves a set as it is.
        imbalance_factor: How many times rarer the rarest groups become, where all were even before; at least 1.
        proportions: The groups' relative sizes in their order, one a group, each above 0.

    Raises:
        TypeError: A number is none.
        ValueError: There is no such profile, a number is out of range, or the profile takes something else.

    >>> named("exponential", imbalance_factor=100), named("step", imbalance_factor=5)
    (Exponential(factor=100), Step(minority=None, fraction=0.2))
    >>> named("given", proportions=(5, 5, 4, 1))
    Given(proportions=(5, 5, 4, 1))
    """
    there = ", ".join(PROFILES)
    if name is not None and name not in PROFILES:
        raise ValueError(f"no profile is called {name!r}; there are: {there}")
    given: dict[str, Any] = {}
    if imbalance_factor is not None:
        given[FACTOR] = _plain(number(FACTOR, imbalance_factor, Range(1, high_open=True), fix="for instance 10"))
    if proportions is not None:
        given[PROPORTIONS] = _proportions(proportions)
    said = " and ".join(f"{key}={value}" for key, value in given.items())
    if name is None:
        raise ValueError(f"{said} was given without a profile; name one of: {there}")
    takes, make = PROFILES[name]
    if list(given) != [takes] * bool(takes):
        rule = f"it takes {takes} alone, for instance {takes}={_EXAMPLES[takes]}" if takes else "it takes nothing"
        raise ValueError(f"the profile {name!r} was given {said or 'nothing'}; {rule}")
    return make(*given.values())


def _proportions(given: Sequence[float]) -> tuple[float, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(
            f"proportions was {brief(given)}; it must hold a number above 0 for each group, as in (5, 5, 4, 1)"
        )
    above = Range(0, low_open=True, high_open=True)
    return tuple(
        _plain(number(PROPORTIONS, one, above, fix="a number for each group, as in (5, 5, 4, 1)")) for one in given
    )


def _plain(value: float) -> float:
    """Write equal numbers alike: 100.0 and 100 are one setting."""
    return int(value) if value == int(value) else value


def _scale(sizes: Sequence[int], fractions: Sequence[float]) -> list[int]:
    """Return ``floor(fraction * size)`` a group, refusing to grow a group or to lose one."""
    # the small addend keeps 0.7 * 10 from being floored to 6
    keep = [math.floor(n * f + 1e-9) for n, f in zip(sizes, fractions, strict=True)]
    for group, (n, kept) in enumerate(zip(sizes, keep, strict=True)):
        if not 1 <= kept <= n:
            raise ValueError(
                f"the profile keeps {kept} of the {n} examples of group {group}; it must keep at least 1 and at most "
                "all of every group: choose a milder imbalance, or one that does not exceed 1"
            )
    return keep

"""Imbalance profiles: how many examples of each group a training set keeps.

A profile is a small frozen value that is called with the group sizes. It has a stable ``repr``, which goes into a run's
settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
                f"{len(self.proportions)} proportions were given for {len(sizes)} groups; give one a group"
            )
        if not all(p > 0 and math.isfinite(p) for p in self.proportions):
            raise ValueError(f"proportions must be positive and finite, not {self.proportions}")
        scale = min(n / p for n, p in zip(sizes, self.proportions, strict=True))
        return _scale(sizes, [scale * p / n for n, p in zip(sizes, self.proportions, strict=True)])


PROFILES: dict[str, Callable[[float], Profile]] = {
    "step": lambda factor: Step(None, 1 / factor),
    "linear": lambda factor: Linear(1 / factor),
    "logarithmic": lambda factor: Logarithmic(1 / factor),
    "exponential": lambda factor: Exponential(factor),
}
"""Profiles by name, made of the imbalance factor: the largest group to the smallest, where they were even before."""


def named(name: str, factor: float) -> Profile:
    """Make a profile of its name and the imbalance factor.

    Args:
        name: ``"step"`` (the second half of the groups), ``"linear"``, ``"logarithmic"`` or ``"exponential"``.
        factor: How many times rarer the rarest groups become, at least 1.

    Raises:
        ValueError: There is no such profile, or the factor is below 1.

    >>> named("exponential", 100), named("step", 5)
    (Exponential(factor=100), Step(minority=None, fraction=0.2))
    """
    if name not in PROFILES:
        raise ValueError(f"no profile is called {name!r}; there are: {', '.join(PROFILES)}")
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(f"the imbalance factor is {factor}; it must be at least 1, for instance 10")
    # equal profiles look equal: 100.0 and 100 are one factor
    return PROFILES[name](int(factor) if factor == int(factor) else factor)


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

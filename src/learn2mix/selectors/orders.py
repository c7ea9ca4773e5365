"""Orders in which the examples of a group are dealt by chances of their own; the counts of groups are not theirs.

Both are functions of a word, the chances in force and the number of a draw alone. While the chances of a group are all
alike it is dealt as without a selector.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learn2mix.samplers.permutation import Ints, Words, combine
from learn2mix.samplers.shuffled import Shuffled

Floats = NDArray[np.float64]
Weigh = Callable[[int], Floats]
"""Gives the chances for an epoch, group by group, each over the largest of its group, (N,)."""

_COINS = 1 << 62  # the number of a pass that no group comes to: the words of its coins are not those of its orders
_STRETCH = 1 << 16  # places looked at in one go, at most, unless more than these are wanted


class Chosen(Shuffled):
    """What both orders share: chances that hold for an epoch.

    Args:
        sizes: Examples in each group, shape (k,).
        word: Decides all; shape (1,).
        weigh: Gives an epoch's chances.
    """

    def __init__(self, sizes: Ints, word: Words, weigh: Weigh) -> None:
        super().__init__(sizes, word)
        self._weigh = weigh
        self._starts = np.cumsum(sizes) - sizes
        self._coins = combine(self._words, np.array([_COINS]))
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Take up an epoch's chances."""
        self._chances = self._weigh(epoch)


class Replaced(Chosen):
    """Draws the example of each seat anew, in proportion to the chances."""

    def begin_epoch(self, epoch: int) -> None:
        """Take up an epoch's chances."""
        super().begin_epoch(epoch)
        self._even = np.minimum.reduceat(self._chances, self._starts) == 1
        # Whole units, so that their sums are exact and the same on every platform: 2**40 a group, and one more for each
        # example; all groups together stay below 2**63.
        scale = 2.0 ** min(40, 62 - len(self._sizes).bit_length())
        units = np.empty(len(self._chances), dtype=np.int64)
        for start, size in zip(self._starts.tolist(), self._sizes.tolist(), strict=True):
            part = self._chances[start : start + size]
            units[start : start + size] = np.floor(part * (scale / math.fsum(part.tolist()))) + 1
        self._totals = np.add.reduceat(units, self._starts)
        self._ends = np.cumsum(units)

    def _positions(self, groups: Ints, draws: Ints) -> Ints:
        even = self._even[groups]
        if even.all():
            return super()._positions(groups, draws)
        positions = np.empty_like(draws)
        positions[even] = super()._positions(groups[even], draws[even])
        groups, draws = groups[~even], draws[~even]
        totals = self._totals[groups]
        units = (combine(self._coins[groups], draws) % totals.astype(np.uint64)).astype(np.int64)
        first = (self._ends[self._starts + self._sizes - 1] - self._totals)[groups]
        slots = np.searchsorted(self._ends, first + units, side="right")
        positions[~even] = slots - self._starts[groups]
        return positions


class Thinned(Chosen):
    """Goes through a group in passes, a new order each, and leaves out examples by chance.

    In every pass each example is met once; it takes a seat with its chance, or waits for the next pass. The numbers of
    times that two examples of a group were met never differ by more than 1.
    """

    def __init__(self, sizes: Ints, word: Words, weigh: Weigh) -> None:
        super().__init__(sizes, word, weigh)
        self._visited: Ints = np.zeros(len(sizes), dtype=np.int64)

    def begin_epoch(self, epoch: int) -> None:
        """Take up an epoch's chances."""
        super().begin_epoch(epoch)
        # Places to one that is taken, on average.
        self._apart = self._sizes / np.add.reduceat(self._chances, self._starts)

    @property
    def visited(self) -> Ints:
        """Examples of each group met so far, those left out included, shape (k,)."""
        return self._visited

    def restore(self, drawn: Ints, visited: Ints) -> None:
        """Go on after so many drawn and met."""
        self.drawn, self._visited = drawn.copy(), visited.copy()

    def copy(self) -> Shuffled:
        """Give an independent copy."""
        other = super().copy()
        other.restore(self.drawn, self._visited)
        return other

    def skip(self, counts: Ints) -> None:
        """Pass over what batches of these counts, (n, k), would have drawn."""
        self._visit(counts.sum(axis=0))
        super().skip(counts)

    def take(self, counts: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Draw batches; see :meth:`Shuffled.take`."""
        wanted = counts.sum(axis=0)
        self._first = np.cumsum(wanted) - wanted - self.drawn  # place among those found, less the number of the draw
        self._found = self._visit(wanted)
        return super().take(counts, slots)

    def _positions(self, groups: Ints, draws: Ints) -> Ints:
        positions: Ints = self._found[self._first[groups] + draws]
        return positions

    def _visit(self, wanted: Ints) -> Ints:
        """Walk on until so many of each group, (k,), have taken a seat; give their positions, group by group."""
        numbers = np.arange(len(wanted))
        found, missing = [(numbers[:0], numbers[:0])], wanted
        while missing.any():
            # As far as the missing ones are likely to lie; what is found beyond the last of them is left for the next walk.
            reach = np.ceil(missing * np.minimum(self._apart, max(1, _STRETCH / missing.sum()))).astype(np.int64)
            starts = np.cumsum(reach) - reach
            groups = np.repeat(numbers, reach)
            steps = np.arange(len(groups)) - starts[groups]
            places = self._visited[groups] + steps
            positions = super()._positions(groups, places)
            words = combine(combine(self._coins[groups], places // self._sizes[groups]), positions)
            coins = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
            taken = np.flatnonzero(coins < self._chances[self._starts[groups] + positions])
            each = np.bincount(groups[taken], minlength=len(wanted))
            last = np.cumsum(each) - each + missing - 1  # where among those taken the last that is wanted stands
            enough = (each >= missing) & (missing > 0)
            walked = reach.copy()
            walked[enough] = steps[taken[last[enough]]] + 1
            taken = taken[steps[taken] < walked[groups[taken]]]
            found.append((groups[taken], positions[taken]))
            self._visited += walked
            missing = missing - np.bincount(groups[taken], minlength=len(wanted))
        groups, positions = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return positions[np.argsort(groups, kind="stable")]

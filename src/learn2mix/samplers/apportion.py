"""How many examples of each group a batch takes: whole numbers that keep to the proportions over time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learn2mix.samplers.permutation import Ints, Words, combine

# Dues are whole multiples of 2**-32 of an example: integer sums are exact, so no rounding error grows over a long run
# and the counts are the same on every platform.
UNIT_BITS = 32
_UNIT = 1 << UNIT_BITS


def quota(proportions: NDArray[np.float64], batch_size: int) -> Ints:
    """Give each group's due in one batch, in units of 2**-32 of an example.

    Args:
        proportions: Non-negative, summing to 1 up to rounding, shape (k,).
        batch_size: M, from 1 to 2**30.

    Returns:
        Whole units, shape (k,), that sum to exactly M * 2**32; each within one unit of ``proportions * M`` where M is
        at most 2**20.

    >>> (quota(np.array([0.5, 0.3, 0.2]), 10) / 2**32).tolist()
    [5.0, 3.0, 2.0]
    """
    exact = proportions / math.fsum(proportions.tolist()) * (batch_size * float(_UNIT))
    units = np.floor(exact).astype(np.int64)
    missing = batch_size * _UNIT - int(units.sum())
    # The largest remainders are rounded up. What is missing beyond them, or too much, is float64's own rounding, which
    # for batches above 2**20 exceeds a unit.
    rounded = min(max(missing, 0), int((exact > units).sum()))
    units[np.argsort(units - exact, kind="stable")[:rounded]] += 1
    units[np.argmax(units)] += missing - rounded
    return units


class Apportionment:
    """Whole counts, batch by batch, for dues that need not be whole.

    Each group gets the floor or the ceiling of its due; the seats left over go to the groups that are furthest behind
    what they were due so far. What is owed carries over when the due changes.

    Args:
        num_groups: k.
        word: Decides between groups that are equally far behind, anew in each batch; shape (1,).
    """

    def __init__(self, num_groups: int, word: Words) -> None:
        self._word = word
        self._tie_bits = np.int64(max(1, (num_groups - 1).bit_length()))
        self._groups = np.arange(num_groups, dtype=np.uint64)
        self.batches = 0
        self.owed: Ints = np.zeros(num_groups, dtype=np.int64)
        """Units due so far less units given, shape (k,); they sum to 0."""

    def copy(self) -> Apportionment:
        """Give an independent copy."""
        other = object.__new__(Apportionment)
        other.__dict__.update(self.__dict__)
        other.owed = self.owed.copy()
        return other

    def next(self, num_batches: int, due: Ints) -> Ints:
        """Plan batches with the same due.

        Args:
            num_batches: n.
            due: From :func:`quota`, shape (k,).

        Returns:
            Counts, shape (n, k); every row sums to M.
        """
        whole = due >> UNIT_BITS
        part = due - (whole << UNIT_BITS)
        seats = int(part.sum()) >> UNIT_BITS
        counts = np.repeat(whole[None], num_batches, axis=0)
        if seats:
            candidates = np.flatnonzero(part)
            chosen = self._seat(seats, part[candidates], candidates, num_batches)
            counts[np.arange(num_batches)[:, None], candidates[chosen]] += 1
        self.batches += num_batches
        return counts

    def _seat(self, seats: int, part: Ints, candidates: NDArray[np.intp], num_batches: int) -> NDArray[np.intp]:
        """Give the candidates that get a seat in each batch, shape (n, seats)."""
        ties = self._ties(num_batches, candidates)
        # Ties are part of the key, so that which groups are chosen does not hang on how the sort is done.
        key, step, unit = self.owed[candidates] << self._tie_bits, part << self._tie_bits, _UNIT << int(self._tie_bits)
        chosen = np.empty((num_batches, seats), dtype=np.intp)
        for row, tie in zip(chosen, ties, strict=True):
            key += step
            row[:] = (key | tie).argpartition(-seats)[-seats:]
            key[row] -= unit
        self.owed[candidates] = key >> self._tie_bits
        return chosen

    def _ties(self, num_batches: int, candidates: NDArray[np.intp]) -> Ints:
        """Give a permutation of the groups a batch, of those the candidates' places, shape (n, candidates)."""
        words = combine(self._word, np.arange(self.batches, self.batches + num_batches))[:, None]
        mask = np.uint64((1 << int(self._tie_bits)) - 1)
        half = np.uint64((int(self._tie_bits) + 1) // 2)
        places = self._groups[candidates] ^ words
        for shift in (1, 33):  # odd multiplier, fold, twice: one to one on the lowest bits
            places = (places * ((words >> np.uint64(shift)) | np.uint64(1))) & mask
            places ^= places >> half
        return places.astype(np.int64)

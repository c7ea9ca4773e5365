"""Within a group: a new random order each pass, every example once a pass."""

from __future__ import annotations

import numpy as np

from learn2mix.samplers.permutation import Ints, Words, columns_for, combine, permute


class Shuffled:
    """Deals every group's examples in shuffled order, pass after pass (Learn2Mix, Eq. 12-13).

    The numbers of times that two examples of a group were drawn never differ by more than 1. Unlike the paper's code,
    every pass has an order of its own. The order is computed, not stored: the state is one number a group.

    Args:
        sizes: Examples in each group, shape (k,).
        word: Decides the orders; shape (1,).
    """

    def __init__(self, sizes: Ints, word: Words) -> None:
        self._sizes = sizes
        self._columns = columns_for(sizes)
        self._words = combine(word, np.arange(len(sizes)))
        self.drawn: Ints = np.zeros(len(sizes), dtype=np.int64)
        """Examples drawn from each group so far, shape (k,)."""

    @property
    def visited(self) -> Ints:
        """Places of each group's order passed so far, shape (k,): here as many as were drawn."""
        return self.drawn

    def begin_epoch(self, epoch: int) -> None:
        """Take notice that an epoch begins. These orders are the same in all of them."""

    def restore(self, drawn: Ints, visited: Ints) -> None:
        """Go on after so many drawn and visited."""
        self.drawn = drawn.copy()

    def copy(self) -> Shuffled:
        """Give an independent copy."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.drawn = self.drawn.copy()
        return other

    def skip(self, counts: Ints) -> None:
        """Pass over what batches of these counts, (n, k), would have drawn."""
        self.drawn += counts.sum(axis=0)

    def take(self, counts: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Draw batches.

        Args:
            counts: How many of each group a batch takes, shape (n, k), all rows with the same sum M.
            slots: The places of a batch that are wanted, each from 0 to M - 1 (places count through the groups in
                order), shape (m,).

        Returns:
            The group of each wanted place and its position within the group, both shape (n, m).
        """
        num_batches, num_groups = counts.shape
        per_batch = counts.ravel()
        # Number of the draw, within its group, that the first place of each batch and group stands for, less that place.
        first = np.empty_like(counts)
        for row, count in zip(first, counts, strict=True):
            row[:] = self.drawn
            self.drawn += count
        first = first.ravel() - (np.cumsum(per_batch) - per_batch)
        owners = np.repeat(np.arange(len(per_batch)), per_batch).reshape(num_batches, -1).take(slots, axis=1)
        rows = np.arange(num_batches)[:, None]
        draws = first.take(owners) + slots + rows * int(counts[0].sum())
        groups = owners - rows * num_groups
        return groups, self._positions(groups.ravel(), draws.ravel()).reshape(groups.shape)

    def _positions(self, groups: Ints, draws: Ints) -> Ints:
        sizes = self._sizes[groups]
        passes = draws // sizes
        return permute(draws - passes * sizes, sizes, self._columns[groups], combine(self._words[groups], passes))

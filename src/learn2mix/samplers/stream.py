"""The endless sequence of batches that a seed, a division into groups and their proportions stand for."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learn2mix.groups import Groups
from learn2mix.samplers.apportion import Apportionment, quota
from learn2mix.samplers.permutation import Ints, Words, seed_word
from learn2mix.samplers.shuffled import Shuffled

_SEATS, _ORDER = 1, 2


def deal(batch_size: int) -> Ints:
    """Give an order of a batch's places in which every stretch holds about its share of each group.

    The places of a batch lie group by group; they are dealt out in steps of the golden section, so that replicas and
    micro-batches, which take contiguous stretches, are mixed like the whole.

    >>> deal(8).tolist()
    [0, 5, 2, 7, 4, 1, 6, 3]
    """
    step = round(batch_size * (math.sqrt(5) - 1) / 2)
    while math.gcd(step, batch_size) != 1:
        step += 1
    return np.arange(batch_size, dtype=np.int64) * step % batch_size


class Stream:
    """Draws batch after batch; can be copied, and moved forward without drawing.

    Args:
        groups: The division into k groups.
        batch_size: M.
        proportions: Those of the first batch, shape (k,).
        seed: 0 or more.
        part: Which of ``num_parts`` equal stretches of every batch is wanted.
        num_parts: W, a divisor of M.
        order: Makes the order in which each group's examples are dealt, of a word that decides it; None for shuffled ones.
    """

    def __init__(
        self,
        groups: Groups,
        batch_size: int,
        proportions: NDArray[np.float64],
        *,
        seed: int,
        part: int = 0,
        num_parts: int = 1,
        order: Callable[[Words], Shuffled] | None = None,
    ) -> None:
        share = batch_size // num_parts
        self._groups = groups
        self._batch_size = batch_size
        self._slots = deal(batch_size)[part * share : (part + 1) * share]
        self._seats = Apportionment(len(groups.sizes), seed_word(seed, _SEATS))
        word = seed_word(seed, _ORDER)
        self._order = Shuffled(groups.sizes, word) if order is None else order(word)
        # What is due from which batch on, the present first; a new tuple at each change, so that copies can share it.
        self._dues: tuple[tuple[int, Ints], ...] = ((0, quota(proportions, batch_size)),)

    @property
    def batches(self) -> int:
        """Batches drawn or passed over so far."""
        return self._seats.batches

    @property
    def drawn(self) -> Ints:
        """Examples of each group drawn or passed over so far, (k,)."""
        return self._order.drawn.copy()

    def copy(self) -> Stream:
        """Give an independent copy."""
        other = object.__new__(Stream)
        other.__dict__.update(self.__dict__)
        other._seats = self._seats.copy()
        other._order = self._order.copy()
        return other

    def begin_epoch(self, epoch: int) -> None:
        """Let the order take notice that an epoch begins here."""
        self._order.begin_epoch(epoch)

    def change(self, proportions: NDArray[np.float64], *, at: int) -> None:
        """Let new proportions hold from batch number ``at`` on; none of those may have been drawn."""
        kept = tuple(due for due in self._dues if due[0] < at)
        self._dues = (*kept, (at, quota(proportions, self._batch_size)))

    def hasten(self, *, at: int) -> None:
        """Let the last proportions of those that were to hold from a later batch on hold from ``at`` on."""
        if self._dues[-1][0] > at:
            kept = tuple(due for due in self._dues if due[0] < at)
            self._dues = (*kept, (at, self._dues[-1][1]))

    def draw(self, num_batches: int) -> Ints:
        """Draw batches: data-set indices, shape (n, M / num_parts)."""
        drawn = [self._groups.indices(*self._order.take(counts, self._slots)) for counts in self._plan(num_batches)]
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)

    def skip(self, num_batches: int) -> None:
        """Move forward as drawing would."""
        while num_batches:
            some = min(num_batches, 256)  # plans are (n, k)
            for counts in self._plan(some):
                self._order.skip(counts)
            num_batches -= some

    def _plan(self, num_batches: int) -> list[Ints]:
        plans = []
        while num_batches:
            while len(self._dues) > 1 and self._dues[1][0] <= self.batches:
                self._dues = self._dues[1:]
            some = num_batches if len(self._dues) == 1 else min(num_batches, self._dues[1][0] - self.batches)
            plans.append(self._seats.next(some, self._dues[0][1]))
            num_batches -= some
        return plans

    def state(self) -> dict[str, object]:
        """Give what a checkpoint keeps: batches so far, units owed, examples drawn and visited (k,) each, dues to come."""
        return {
            "batches": self.batches,
            "owed": self._seats.owed.copy(),
            "drawn": self._order.drawn.copy(),
            "visited": self._order.visited.copy(),
            "dues": [(start, due.copy()) for start, due in self._dues],
        }

    def restore(self, batches: int, owed: Ints, drawn: Ints, visited: Ints, dues: list[tuple[int, Ints]]) -> None:
        """Go on from what :meth:`state` gave."""
        self._seats.batches, self._seats.owed = batches, owed.copy()
        self._order.restore(drawn, visited)
        self._dues = tuple((start, due.copy()) for start, due in dues)

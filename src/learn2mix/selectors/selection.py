"""A selector at work: the scores it goes by, and the chances and factors it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn2mix.checks import brief
from learn2mix.groups import Groups, check_indices
from learn2mix.parameters import describe
from learn2mix.samplers.permutation import Words
from learn2mix.samplers.shuffled import Shuffled
from learn2mix.selectors.base import Floats, Selector, check_selector, check_weighed
from learn2mix.selectors.orders import Replaced, Thinned
from learn2mix.selectors.scores import Scores


class Unselected:
    """What a Mixer without a selector has: every example in turn; nothing is asked for, kept or weighted."""

    order: Callable[[Words], Shuffled] | None = None
    """Makes the order in which groups are dealt; None for shuffled ones."""

    def factors(self, indices: Tensor) -> Tensor:
        """Give the factors of examples, float32, of the shape and on the device of ``indices``."""
        return torch.ones(indices.shape, device=indices.device)

    def hear(self, losses: Tensor, counted: Tensor, indices: Tensor | None, *, epoch: int, place: int) -> Tensor | None:
        """Keep the losses of examples that were trained on.

        Args:
            losses: (n,); those that are not finite are passed over.
            counted: Whether they are losses at all, (n,).
            indices: What :meth:`read` returned.
            epoch: The epoch.
            place: How many examples this replica consumed of the epoch before.

        Returns:
            What each loss is to be multiplied by, (n,), so that the plain mean over a group's seats is, on average, that
            over the whole group; None for 1.
        """
        return None

    def read(self, indices: Any, positions: Tensor) -> Tensor | None:
        """Check the indices of one call of ``observe`` and bring them to the losses' device; nothing is kept yet."""
        return None

    def skip(self, number: int, *, epoch: int, place: int) -> None:
        """Take notice that so many examples were trained on without being heard of."""

    def tables(self, *, epoch: int, place: int) -> list[Floats]:
        """Give what was heard in the epoch before a place of this replica's: arrays to be summed over the replicas."""
        return []

    def merged(self, tables: Sequence[Floats]) -> NDArray[np.float32] | None:
        """Give the scores that come of an epoch's tables; they are not in force yet."""
        return None

    def take_up(self, scores: NDArray[np.float32] | None) -> None:
        """Let what :meth:`merged` gave be in force, from the next epoch that begins."""

    def state(self, tables: Sequence[Floats]) -> dict[str, Tensor] | None:
        """Give what a checkpoint keeps, the epoch's tables included."""
        return None

    def load(self, saved: Mapping[str, NDArray[Any]] | None, *, epoch: int) -> None:
        """Go on from what :meth:`state` gave, in that epoch."""

    def setup(self) -> dict[str, str]:
        """Give what a saved state must agree with."""
        return {}


class Selection(Unselected):
    """A selector at work: weighs the examples at the start of each epoch, and tells their factors within it.

    Args:
        selector: The rule.
        groups: The division into groups.
        scores: The last losses.
    """

    def __init__(self, selector: Selector, groups: Groups, scores: Scores) -> None:
        self._selector = selector
        self._groups = groups
        self._scores = scores
        self._factors = torch.empty(2, 0)  # as the selector gave them; and over what is expected of a seat of the group
        self._elsewhere: dict[torch.device, Tensor] = {}  # the same on other devices, as they are asked for
        kind = Replaced if selector.replace else Thinned
        self.order = lambda word: kind(groups.sizes, word, self._weigh)

    def _weigh(self, epoch: int) -> Floats:
        """Make an epoch's chances, group by group, each over the largest of its group, (N,), and its factors.

        A seat goes to example i with probability ``p_i = chance_i / sum(chance)`` of its group, so it is expected to have the
        factor ``sum(p_i * factor_i)``. Group losses are of factors over that: their mean over the seats is 1 on average. To
        divide by the sum of the factors that came up would cancel them where a group has few seats.
        """
        name = type(self._selector).__name__
        all_chances, all_factors = [], np.empty((2, len(self._scores.in_force)), dtype=np.float32)
        for group, size in enumerate(self._groups.sizes.tolist()):
            members = self._groups.indices(np.full(size, group), np.arange(size))
            scores = self._scores.in_force[members].astype(np.float64)
            chances, factors = check_weighed(self._selector.weigh(scores, epoch), size, name)
            all_chances.append(chances / chances.max())
            expected = (all_chances[-1] / all_chances[-1].sum() * factors).sum()
            all_factors[0, members] = factors
            all_factors[1, members] = factors / expected if expected else 1.0  # all 0: nothing to tell losses apart by
        self._factors, self._elsewhere = torch.from_numpy(all_factors), {}
        return np.concatenate(all_chances)

    def factors(self, indices: Tensor) -> Tensor:
        """Give the factors of the epoch under way.

        On an accelerator an index outside the data set gets some example's: nobody looks there before :meth:`merged`.
        """
        return self._look_up(0, indices)

    def _look_up(self, row: int, indices: Tensor) -> Tensor:
        if indices.device.type == "cpu":
            return self._factors[row][indices]
        if indices.device not in self._elsewhere:
            self._elsewhere[indices.device] = self._factors.to(indices.device)
        return self._elsewhere[indices.device][row][indices.clamp(0, self._factors.shape[1] - 1)]

    def hear(self, losses: Tensor, counted: Tensor, indices: Tensor | None, *, epoch: int, place: int) -> Tensor | None:
        """Keep the losses; give the factors over those expected, so that group losses are those of whole groups."""
        assert indices is not None  # read() saw to it
        self._scores.add(epoch, place, torch.where(counted, losses, torch.nan), indices)
        return self._look_up(1, indices)

    def read(self, indices: Any, positions: Tensor) -> Tensor:
        """Check the indices of one call of ``observe`` and bring them to the losses' device; nothing is kept yet.

        Args:
            indices: (n,), integers.
            positions: Group positions, (n,), on the losses' device.

        Raises:
            TypeError: They are no integers.
            ValueError: They are missing or of another number; or, where looking costs no synchronisation, one lies outside
                the data set or belongs to another group.
        """
        if indices is None:
            raise ValueError(
                "indices was not given, and this Mixer has a selector, which goes by the losses of single examples; pass "
                "indices=, the data-set indices that the batch was made of (let the data set return them beside x and y)"
            )
        elsewhere = isinstance(indices, Tensor) and indices.device.type != "cpu"
        if elsewhere and (indices.dtype.is_floating_point or indices.dtype.is_complex):
            raise TypeError(f"indices had dtype {indices.dtype}; data-set indices are integers; pass those of a batch")
        checked = indices if elsewhere else torch.from_numpy(check_indices(indices, len(self._scores.in_force)))
        if checked.shape != positions.shape:
            raise ValueError(
                f"indices had shape {tuple(checked.shape)} for {len(positions)} losses; it must be ({len(positions)},), one "
                "index for each example of losses"
            )
        if not elsewhere and positions.device.type == "cpu":
            self._check_groups(checked.numpy(), positions.numpy())
        return checked.to(positions.device, torch.int64)

    def _check_groups(self, indices: NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        theirs = self._groups.of(indices)
        if (theirs != positions).any():
            odd = int(np.flatnonzero(theirs != positions)[0])
            right, given = self._groups.names[theirs[odd]], self._groups.names[positions[odd]]
            raise ValueError(
                f"index {indices[odd]} was observed with group {brief(given)}, and it belongs to {brief(right)}; indices, "
                "groups and losses go example by example; are these places in the batch rather than in the data set?"
            )

    def skip(self, number: int, *, epoch: int, place: int) -> None:
        """Take notice that so many examples were trained on without being heard of."""
        self._scores.skip(epoch, place, number)

    def tables(self, *, epoch: int, place: int) -> list[Floats]:
        """Give the scores' table."""
        return [self._scores.table(epoch, place)]

    def merged(self, tables: Sequence[Floats]) -> NDArray[np.float32]:
        """Give the scores that come of an epoch's table.

        Raises:
            ValueError: An index lay outside the data set; the epoch's losses of single examples are forgotten.
        """
        return self._scores.merged(tables[0])

    def take_up(self, scores: NDArray[np.float32] | None) -> None:
        """Let scores be in force, from the next epoch that begins."""
        assert scores is not None
        self._scores.take_up(scores)

    def state(self, tables: Sequence[Floats]) -> dict[str, Tensor]:
        """Give what a checkpoint keeps, the epoch's table included."""
        return self._scores.state(tables[0])

    def load(self, saved: Mapping[str, NDArray[Any]] | None, *, epoch: int) -> None:
        """Go on from what :meth:`state` gave, in that epoch."""
        assert saved is not None  # checkpoint.load saw to it
        self._scores.load(saved, epoch)

    def setup(self) -> dict[str, str]:
        """Give what a saved state must agree with."""
        return {"selector": describe(self._selector)}


def select(selector: Selector | None, groups: Groups, batch_size: int, num_replicas: int, rank: int) -> Unselected:
    """Put a selector to work, or none.

    Args:
        selector: The rule; None for every example in turn.
        groups: The division into groups.
        batch_size: M, over all replicas.
        num_replicas: W.
        rank: This replica's, 0 to W - 1.

    Raises:
        TypeError: ``selector`` is none.
    """
    if selector is None:
        return Unselected()
    num_examples = int(groups.sizes.sum())
    scores = Scores(num_examples, num_examples // batch_size, batch_size, num_replicas, rank)
    return Selection(check_selector(selector), groups, scores)

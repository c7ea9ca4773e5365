"""Subset pretraining: optimise on a small part of the set first, then on all of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learn2mix.checks import Range, number, whole_number
from learn2mix.groups import Ints, ListedGroups
from learn2mix.registry import register


def overdetermination_ratio(num_examples: int, num_outputs: int, num_parameters: int) -> float:
    """Compute how many numbers are to be fitted for every parameter that can fit them, ``Q = K * M / P``.

    Above 1 the parameters cannot meet every target, below 1 they can learn the examples by heart. The paper's
    abstract speaks of such a ratio; that its formula is this one is our reading, not checked against its text.

    Args:
        num_examples: K, 1 or more.
        num_outputs: M, the numbers that one example's target holds, 1 or more; for k classes k.
        num_parameters: P, 1 or more.

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is below 1.

    Example:
        >>> overdetermination_ratio(1257, 10, 650)  # softmax regression on 1257 images of 64 pixels, 10 classes
        19.338461538461537

    Reference:
        Subset pretraining (arXiv 2410.16523), abstract.
    """
    examples = whole_number("num_examples", num_examples, low=1)
    outputs = whole_number("num_outputs", num_outputs, low=1)
    return examples * outputs / whole_number("num_parameters", num_parameters, low=1)


def subset_size(ratio: float, num_outputs: int, num_parameters: int, num_examples: int) -> int:
    """Give the fewest examples that reach an overdetermination ratio, or all where they do not reach it.

    The paper asks for a ratio sufficiently above 1; what is sufficient is the user's to say.

    Args:
        ratio: Q to be reached, finite and above 0.
        num_outputs: M, 1 or more.
        num_parameters: P, 1 or more.
        num_examples: N, the whole set, 1 or more.

    Returns:
        A number from 1 to N.

    Raises:
        TypeError: ``ratio`` is no number, or another one no integer.
        ValueError: A number is out of range.

    Example:
        >>> subset_size(4, num_outputs=10, num_parameters=650, num_examples=1257)
        260
        >>> subset_size(4, num_outputs=10, num_parameters=65_000, num_examples=1257)  # the whole set falls short
        1257
    """
    finite = Range(0, math.inf, low_open=True, high_open=True)
    asked = number("ratio", ratio, finite, fix="subset pretraining needs one above 1")
    most = whole_number("num_examples", num_examples, low=1)
    if overdetermination_ratio(most, num_outputs, num_parameters) <= asked:
        return most
    # rounded down, so that neither the division nor the product's own rounding can make it one too many
    size = max(1, math.floor(asked * num_parameters / num_outputs))
    return size if overdetermination_ratio(size, num_outputs, num_parameters) >= asked else size + 1


@register(
    "subset-pretraining",
    family="schedule",
    summary="train on a stratified part of the set first, then on all of it",
    example={"groups": (0, 0, 0, 1), "size": 2, "switch": 1},
    reference="arXiv 2410.16523",
)
class SubsetPretraining:
    """Say which examples an epoch trains on: a part of the set before the switch, everything from it on.

    The part is drawn once, without replacement, and stratified: each group's share is the whole set's, rounded by
    largest remainders, but no group is left out. It depends on the groups, the size and the seed alone. There is
    nothing to save: a schedule made again from the same arguments is the same.

    Args:
        groups: The group of each example, (N,), integers or strings; for classification the labels.
        size: Examples in the part, from the number of groups to N; see :func:`subset_size`.
        switch: The epoch, from 0, that is the first to train on everything. The procedure is to reach the part's
            optimum first. How long that takes is not the schedule's to know.
        seed: Decides the part, 0 or more (with NumPy's way to draw, which a new version may change).

    Raises:
        TypeError: ``groups`` are neither integers nor strings, or another argument is no integer.
        ValueError: ``groups`` is empty, or a number is out of range.

    Example:
        >>> schedule = SubsetPretraining([0] * 90 + [1] * 10, 20, switch=3, seed=0)
        >>> len(schedule.pool(2)), len(schedule.pool(3))
        (20, 100)
        >>> int((schedule.pool(0) >= 90).sum())  # of the rare group: a fifth of 10
        2
        >>> schedule.example_gradients(5)  # 3 * 20 + 2 * 100
        260

    Reference:
        Subset pretraining (arXiv 2410.16523), abstract; the stratified draw and the switch by epoch are ours.
    """

    def __init__(self, groups: Any, size: int, *, switch: int, seed: int = 0) -> None:
        listed = ListedGroups(groups)
        self.num_examples = int(listed.sizes.sum())
        self.size = whole_number("size", size, low=len(listed.sizes), fix="every group needs an example in the part")
        if self.size > self.num_examples:
            raise ValueError(
                f"size was {size} for {self.num_examples} examples; the part must be at most the whole; subset_size caps it"
            )
        self.switch = whole_number("switch", switch)
        # torch's generator on the CPU would take no more than the last 32 bits of the seed
        sequence = np.random.SeedSequence(whole_number("seed", seed))
        self._part = torch.from_numpy(_draw(listed, self.size, np.random.Generator(np.random.Philox(sequence))))

    def pool(self, epoch: int) -> Tensor:
        """Give the examples of an epoch, from 0: ascending indices, (size,) before the switch, (N,) from it on, int64.

        Raises:
            TypeError: ``epoch`` is no integer.
            ValueError: ``epoch`` is negative.
        """
        early = whole_number("epoch", epoch) < self.switch
        return self._part.clone() if early else torch.arange(self.num_examples)

    def example_gradients(self, epochs: int) -> int:
        """Count the gradients of single examples in the first ``epochs`` epochs, each a pass over its pool.

        Raises:
            TypeError: ``epochs`` is no integer.
            ValueError: ``epochs`` is negative.
        """
        early = min(whole_number("epochs", epochs), self.switch)
        return early * self.size + (epochs - early) * self.num_examples


def _draw(groups: ListedGroups, size: int, generator: np.random.Generator) -> Ints:
    drawn = []
    for group, count in enumerate(_counts(groups.sizes, size).tolist()):
        positions = generator.permutation(int(groups.sizes[group]))[:count]
        drawn.append(groups.indices(np.full(count, group), positions))
    return np.sort(np.concatenate(drawn))


def _counts(sizes: Ints, size: int) -> Ints:
    """Divide ``size`` in proportion to ``sizes``, (k,), at least 1 each.

    >>> _counts(np.array([90, 9, 1]), 10), _counts(np.array([50, 30, 20]), 11)
    (array([8, 1, 1]), array([6, 3, 2]))
    """
    alone = np.zeros(len(sizes), dtype=bool)  # groups whose due is below 1, and who get 1
    while True:
        left, among = size - int(alone.sum()), int(sizes[~alone].sum())
        rarer = ~alone & (left * sizes < among)
        if not rarer.any():
            break
        alone |= rarer
    counts = np.where(alone, 1, left * sizes // among)
    remainders = np.where(alone, -1, left * sizes % among)
    counts[np.argsort(-remainders, kind="stable")[: size - int(counts.sum())]] += 1
    return counts

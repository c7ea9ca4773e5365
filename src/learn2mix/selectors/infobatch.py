"""InfoBatch: examples that are easy already are left out at random, and count for more when they are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from learn2mix.checks import Range, brief, whole_number
from learn2mix.parameters import Parameters, parameter
from learn2mix.registry import register
from learn2mix.selectors.base import Floats


@register(
    "infobatch",
    family="selector",
    summary="easy examples are left out of a pass at random, and weighted up when not",
    example={"prune": 0.5},
    reference="arXiv 2303.04947, with the mean of the group instead of the set",
)
@dataclass(frozen=True)
class InfoBatch(Parameters):
    """Go through a group in passes, and leave out of each a random part of the examples below the group's mean loss.

    An example whose last loss is below the mean of its group's last losses is left out of a pass with probability
    ``prune``; where it is not, its loss has the factor ``1 / (1 - prune)``. All others take part in every pass, with factor
    1. So a pass's sum of weighted losses is, on average, the sum over the whole group. An example not seen yet is never
    left out; before any was seen, the group is dealt as without a selector.

    Args:
        prune: The probability of being left out, 0 or more and below 1.
        until: The epoch, from 0, from which on nothing is left out; None for never. The authors prune in the first 7/8 of
            the epochs.
        keep_scale: Multiply all factors of a group by the share of it that a pass keeps on average, so that their mean
            over its seats is 1 instead of ``1 / share``. Then batches of a fixed number make steps of the usual size, and
            the groups pull in the policy's proportions exactly. The authors do not: their epochs are shorter by what is
            left out, and the steps in them as much longer.

    Raises:
        TypeError: A setting is no number.
        ValueError: It lies outside its range.

    Example:
        >>> import numpy as np
        >>> scores = np.array([1.0, 2.0, 9.0, np.nan])  # the mean of those seen is 4
        >>> chances, factors = InfoBatch(prune=0.5).weigh(scores, epoch=1)
        >>> chances, factors
        (array([0.5, 0.5, 1. , 1. ]), array([2., 2., 1., 1.]))
        >>> InfoBatch(prune=0.5, keep_scale=True).weigh(scores, epoch=1)[1]  # a pass keeps 3 of 4
        array([1.5 , 1.5 , 0.75, 0.75])

    Reference:
        Qin et al., InfoBatch (arXiv 2303.04947). There the mean is that of the whole set, and an epoch is one pass over
        what is kept of it. Here it is that of the group, since which group a seat belongs to is the policy's to say; an
        epoch has as many batches as ever, and passes run on over epochs, each with a draw of its own of what is left out.
    """

    replace: ClassVar[bool] = False
    prune: float = parameter(Range(0, 1, high_open=True), default=0.5, fix="the authors take 0.5")
    until: int | None = None
    keep_scale: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.until is not None:
            object.__setattr__(self, "until", whole_number("InfoBatch's until", self.until))
        if not isinstance(self.keep_scale, bool):
            raise TypeError(f"InfoBatch's keep_scale was {brief(self.keep_scale)}; it must be True or False")

    def weigh(self, scores: Floats, epoch: int) -> tuple[Floats, Floats]:
        """Give chances and factors; see :class:`learn2mix.selectors.Selector`."""
        below = np.zeros(len(scores), dtype=bool)
        if self.until is None or epoch < self.until:
            known = scores[~np.isnan(scores)]
            below = scores < math.fsum(known.tolist()) / max(len(known), 1)  # which NaN is not
        chances = np.where(below, 1 - self.prune, 1.0)
        kept = 1 - self.prune * np.count_nonzero(below) / len(scores)
        return chances, (kept if self.keep_scale else 1.0) / chances

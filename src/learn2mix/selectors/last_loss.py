"""LastLoss: importance sampling within a group, by the loss an example had when it was last seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from learn2mix.checks import Range
from learn2mix.parameters import Parameters, parameter
from learn2mix.registry import register
from learn2mix.selectors.base import Floats


@register(
    "last-loss",
    family="selector",
    summary="a group's seats go to its examples in proportion to their last losses",
    example={"uniform": 0.1},
    reference="importance weights as in arXiv 1803.00942; the score is the last loss, not a gradient norm",
)
@dataclass(frozen=True)
class LastLoss(Parameters):
    """Draw each seat's example with replacement, by its last loss, and weight it so that the group's mean stays unbiased.

    ``p_i = (1 - uniform) * s_i / sum(s) + uniform / n`` over the n examples of a group, s_i the last loss of example i,
    and the factor of its loss ``1 / (n * p_i)``, at most ``1 / uniform``. An example not seen yet has the mean score of
    its group's; before any was seen, and where all scores are 0, the group is dealt as without a selector. A loss below
    0 counts as 0.

    Args:
        uniform: The part of the draws that pays no heed to the losses, above 0 and at most 1 (all). It bounds the factors,
            since a loss may have grown since it was last seen. The default is ours.

    Raises:
        TypeError: ``uniform`` is no number.
        ValueError: It lies outside its range.

    Example:
        >>> import numpy as np
        >>> chances, factors = LastLoss(uniform=0.2).weigh(np.array([3.0, 1.0, np.nan]), epoch=1)
        >>> chances / chances.sum()  # 0.8 * (3, 1, 2) / 6 + 0.2 / 3
        array([0.46666667, 0.2       , 0.33333333])
        >>> factors
        array([0.71428571, 1.66666667, 1.        ])

    Reference:
        The weights are those of Katharopoulos and Fleuret, Not All Samples Are Created Equal (arXiv 1803.00942). There the
        score is a bound of the gradient's norm, from an extra forward pass over a larger uniform batch, and sampling
        starts once it pays; here it is the loss that training computed anyway, as old as the example's last use.
    """

    replace: ClassVar[bool] = True
    uniform: float = parameter(Range(0, 1, low_open=True), default=0.1, fix="0.1 bounds the factors by 10")

    def weigh(self, scores: Floats, epoch: int) -> tuple[Floats, Floats]:
        """Give chances and factors; see :class:`learn2mix.selectors.Selector`."""
        known = np.maximum(scores[~np.isnan(scores)], 0)
        mean = math.fsum(known.tolist()) / max(len(known), 1)
        if mean == 0:
            return np.ones(len(scores)), np.ones(len(scores))
        relative = np.where(np.isnan(scores), 1.0, np.maximum(scores, 0) / mean)
        chances = (1 - self.uniform) * relative + self.uniform
        return chances, 1 / chances

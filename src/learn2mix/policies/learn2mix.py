"""Learn2Mix: the proportions follow the group losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learn2mix.checks import Range, brief
from learn2mix.parameters import parameter
from learn2mix.policies.base import BasePolicy, Floats, State, check_losses
from learn2mix.registry import register


@register(
    "learn2mix",
    family="policy",
    summary="proportions move a part of the way towards the normalised group losses, once an epoch",
    example={"mixing_rate": 0.1},
    reference="arXiv 2412.16482, Algorithm 2",
)
@dataclass(frozen=True)
class Learn2Mix(BasePolicy):
    """Move the proportions towards the normalised group losses.

    ``alpha <- alpha + mixing_rate * (losses / sum(losses) - alpha)``

    Starts at the groups' shares of the training set. All-zero losses leave the proportions where they are.

    Args:
        mixing_rate: gamma, from 0 (never move) to 1 (jump to the normalised losses). The paper uses 0.01 to 0.5.

    Raises:
        TypeError: ``mixing_rate`` is no number.
        ValueError: It lies outside [0, 1].

    Example:
        >>> import numpy as np
        >>> policy = Learn2Mix(mixing_rate=0.5)
        >>> state = policy.init(np.array([0.75, 0.25]))
        >>> policy.update(state, np.array([1.0, 3.0]), counts=np.array([6, 2])).proportions
        array([0.5, 0.5])

    Reference:
        Venkatasubramanian and Tarokh, Learn2Mix (arXiv 2412.16482), Algorithm 2. Where the authors' code takes the loss
        of the epoch's last batch alone, the whole epoch's is meant here, as in the paper.
    """

    mixing_rate: float = parameter(Range(0, 1), default=0.1, fix="0.1 is a good start")

    def init(self, prior: Floats) -> State:
        """Start at the groups' shares of the training set, (k,)."""
        return State(np.array(prior, dtype=np.float64))

    def update(self, state: State, losses: Floats, *, counts: Floats, **signals: Any) -> State:
        """Give the next state.

        Args:
            state: The present one.
            losses: Mean loss of each group, finite and 0 or more, shape (k,).
            counts: How many losses each mean is of; not used, a group without any is given its last known loss.
            **signals: Ignored.

        Raises:
            TypeError: The losses are no numbers.
            ValueError: A loss is negative or not finite, or the shape is wrong.
        """
        losses = check_losses(losses, state)
        if (losses < 0).any():
            raise ValueError(
                f"losses was {brief(losses.tolist())}; Learn2Mix divides losses by their sum, so none may "
                "be negative; observe a loss that is bounded below by 0"
            )
        largest = losses.max()
        if largest == 0:
            return state
        scaled = losses / largest  # first, or a huge loss would overflow the sum
        target = scaled / scaled.sum()
        return State(state.proportions + self.mixing_rate * (target - state.proportions))

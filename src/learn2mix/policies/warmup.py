"""warmup: the training set's own proportions for a while, then another policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learn2mix.checks import Range
from learn2mix.parameters import parameter
from learn2mix.policies.base import Combinator, Floats, State, check_losses
from learn2mix.policies.learn2mix import Learn2Mix
from learn2mix.registry import register


@dataclass(frozen=True, eq=False)
class WarmupState(State):
    """The inner policy's state, untouched during warm-up, and the updates made so far."""

    inner: Any
    updates: int


@register(
    "warmup",
    family="policy",
    summary="combinator: natural proportions for the first updates, then another policy",
    example={"policy": Learn2Mix(), "updates": 2},
)
@dataclass(frozen=True)
class warmup(Combinator):
    """Keep the training set's own proportions until ``updates`` updates have passed, then start another policy.

    Args:
        policy: The policy that takes over; its first update is the one after the warm-up.
        updates: How many updates change nothing, 0 or more.

    Raises:
        ValueError: ``updates`` is negative.

    Example:
        >>> import numpy as np
        >>> policy = warmup(Learn2Mix(mixing_rate=1.0), updates=1)
        >>> losses, seen = np.array([1.0, 3.0]), np.array([1, 1])
        >>> state = policy.update(policy.init(np.array([0.5, 0.5])), losses, counts=seen)
        >>> state.proportions
        array([0.5, 0.5])
        >>> policy.update(state, losses, counts=seen).proportions
        array([0.25, 0.75])
    """

    updates: int = parameter(Range(0), default=5, integer=True)

    def init(self, prior: Floats) -> WarmupState:
        """Start at the training set's own proportions, or at the policy's where there is no warm-up."""
        inner = self.policy.init(prior)
        return WarmupState(np.array(prior, dtype=np.float64) if self.updates else inner.proportions, inner, 0)

    def update(self, state: WarmupState, losses: Floats, *, counts: Floats, **signals: Any) -> WarmupState:
        """Count the update; past the warm-up, pass it on."""
        check_losses(losses, state)
        made = state.updates + 1
        if made < self.updates:
            return WarmupState(state.proportions, state.inner, made)
        if made == self.updates:
            return WarmupState(state.inner.proportions, state.inner, made)
        inner = self.policy.update(state.inner, losses, counts=counts, **signals)
        return WarmupState(inner.proportions, inner, made)

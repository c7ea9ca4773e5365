"""ema: a policy hears smoothed losses."""

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
class EmaState(State):
    """The inner policy's state, the smoothed losses (k,) and whether each group was seen yet (k,)."""

    inner: Any
    smoothed: Floats
    seen: Floats


@register(
    "ema",
    family="policy",
    summary="combinator: give another policy exponentially smoothed losses",
    example={"policy": Learn2Mix(), "decay": 0.9},
)
@dataclass(frozen=True)
class ema(Combinator):
    """Give another policy exponentially smoothed group losses.

    ``smoothed_i <- decay * smoothed_i + (1 - decay) * loss_i`` for each group seen since the last update; a group's first
    loss is taken as it is. What a policy is told by signals besides, as :class:`DynamicLoading` is of validation losses,
    is passed on as it is.

    Args:
        policy: The policy that hears the smoothed losses.
        decay: From 0 (no smoothing) to below 1.

    Raises:
        ValueError: ``decay`` lies outside [0, 1).

    Example:
        >>> import numpy as np
        >>> policy = ema(Learn2Mix(mixing_rate=1.0), decay=0.5)
        >>> seen = np.array([1, 1])
        >>> state = policy.update(policy.init(np.array([0.5, 0.5])), np.array([1.0, 1.0]), counts=seen)
        >>> policy.update(state, np.array([1.0, 5.0]), counts=seen).proportions  # hears 1 and 3
        array([0.25, 0.75])
    """

    decay: float = parameter(Range(0, 1, high_open=True), default=0.9)

    def init(self, prior: Floats) -> EmaState:
        """Start the inner policy."""
        inner = self.policy.init(prior)
        return EmaState(inner.proportions, inner, np.zeros(len(prior)), np.zeros(len(prior)))

    def update(self, state: EmaState, losses: Floats, *, counts: Floats, **signals: Any) -> EmaState:
        """Smooth the losses of the groups seen (``counts`` above 0), then update the inner policy."""
        losses = check_losses(losses, state)
        present = np.asarray(counts) > 0
        blended = self.decay * state.smoothed + (1 - self.decay) * losses
        smoothed = np.where(present, np.where(state.seen > 0, blended, losses), state.smoothed)
        seen = np.maximum(state.seen, present)
        heard = np.where(seen > 0, smoothed, losses)
        inner = self.policy.update(state.inner, heard, counts=counts, **signals)
        return EmaState(inner.proportions, inner, smoothed, seen)

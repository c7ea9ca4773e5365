"""floor: no group's share falls below a minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learn2mix.checks import Range
from learn2mix.parameters import parameter
from learn2mix.policies.base import Combinator, Floats, State
from learn2mix.policies.learn2mix import Learn2Mix
from learn2mix.registry import register


@dataclass(frozen=True, eq=False)
class FloorState(State):
    """The inner policy's state and the raised proportions."""

    inner: Any


@register(
    "floor",
    family="policy",
    summary="combinator: keep every group's share at or above a minimum",
    example={"policy": Learn2Mix(), "minimum": 0.01},
)
@dataclass(frozen=True)
class floor(Combinator):
    """Raise every share of another policy to at least ``minimum``.

    Groups below it are set to it; the others are scaled down, their ratios kept. The inner policy does not see this: it
    goes on from its own proportions.

    Args:
        policy: The policy to bound.
        minimum: The least share, from 0 to 1 / k.

    Raises:
        ValueError: ``minimum`` lies outside [0, 1], or, when a Mixer is made, above 1 / k.

    Example:
        >>> import numpy as np
        >>> floor(Learn2Mix(), minimum=0.1).init(np.array([0.64, 0.32, 0.04])).proportions
        array([0.6, 0.3, 0.1])
    """

    minimum: float = parameter(Range(0, 1), default=0.01)

    def init(self, prior: Floats) -> FloorState:
        """Start the inner policy."""
        if self.minimum * len(prior) > 1:
            raise ValueError(
                f"floor's minimum was {self.minimum!r} for {len(prior)} groups; it must be at most 1 / {len(prior)} = "
                f"{1 / len(prior):g}, or the shares would sum to more than 1"
            )
        return self._raised(self.policy.init(prior))

    def update(self, state: FloorState, losses: Floats, *, counts: Floats, **signals: Any) -> FloorState:
        """Update the inner policy, then raise what lies below."""
        return self._raised(self.policy.update(state.inner, losses, counts=counts, **signals))

    def _raised(self, inner: Any) -> FloorState:
        proportions = np.array(inner.proportions, dtype=np.float64)
        low = np.zeros(len(proportions), dtype=bool)
        # Scaling the others down may push more of them below; each round fixes at least one group.
        while (new := (proportions < self.minimum) & ~low).any():
            low |= new
            proportions[low] = self.minimum
            if low.all():
                break
            rest = inner.proportions[~low]
            proportions[~low] = rest / rest.sum() * (1 - self.minimum * low.sum())
        return FloorState(proportions, inner)

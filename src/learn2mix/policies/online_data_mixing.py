"""Online data mixing: each group as an arm of a bandit whose reward is its loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from learn2mix.checks import Range
from learn2mix.parameters import parameter
from learn2mix.policies.base import BasePolicy, Floats, State, check_losses
from learn2mix.policies.logarithms import LARGEST, log_normalised
from learn2mix.registry import register

_FORMS = ("paper", "released")


@dataclass(frozen=True, eq=False)
class OnlineDataMixingState(State):
    """The rewards R, (k,), in the released form ln R, as R itself would overflow; and t, the updates made so far."""

    rewards: Floats
    updates: int


@register(
    "online-data-mixing",
    family="policy",
    summary="groups as arms of a bandit: shares follow smoothed losses, over an even share that shrinks",
    example={"form": "paper", "smoothing": 0.9},
    reference="Albalak et al., arXiv:2312.02406",
)
@dataclass(frozen=True)
class OnlineDataMixing(BasePolicy):
    """Sample groups as the arms of a bandit that is rewarded by the loss.

    With K groups and t updates made, ``eps_t = min(1 / K, sqrt(ln K / (K t)))`` and ``eps_0 = 1 / K``. The paper's form:

    - ``R_i <- smoothing * R_i + (1 - smoothing) * loss_i / pi_i`` for the groups seen;
    - ``pi_i = (1 - K eps_t) * exp(eps_{t-1} R_i) / sum_j exp(eps_{t-1} R_j) + eps_t``, starting at equal shares, which is
      what it gives for t = 0.

    The form of the released code, in the update that its training calls:

    - ``R_i <- smoothing * R_i + (1 - smoothing) * exp(loss_i)`` for the groups seen;
    - ``pi_i = (1 - K eps_t) * R_i / sum_j R_j + eps_t``, starting at the training set's shares.

    R starts at 0. Either way the shares are exactly even as long as ``eps_t = 1 / K``, that is until t exceeds K ln K
    (68 updates of 22 groups). Meant for an update after every batch: ``Mixer(..., update_every=1)``.

    In the paper's form ``eps_{t-1}`` stands in the exponent too and goes to 0, so that in the end the shares return to
    even ones, unless losses grow like the root of t; in the released form they settle.

    Args:
        form: ``"paper"`` or ``"released"``.
        smoothing: xi, from 0 (the last loss alone) to below 1; 0.9 in the released code.

    Raises:
        TypeError: ``smoothing`` is no number.
        ValueError: ``form`` is neither of the two, or ``smoothing`` lies outside [0, 1).

    Example:
        >>> import numpy as np
        >>> policy, seen = OnlineDataMixing(), np.array([1, 1])
        >>> state = policy.init(np.array([0.9, 0.1]))
        >>> for _ in range(20):
        ...     state = policy.update(state, np.array([1.0, 3.0]), counts=seen)
        >>> state.proportions.round(3)
        array([0.434, 0.566])

    Reference:
        Albalak et al., Efficient Online Data Mixing For Language Model Pre-Training (arXiv 2312.02406); the paper's form
        is taken from descriptions of it, the other from the released code. There each micro-batch comes from one group;
        here a batch holds all groups that are due in it. As only the groups seen are smoothed, R_i goes to
        ``loss_i / pi_i`` either way, which holds shares together: the rarer a group, the higher its reward.
    """

    form: str = "paper"
    smoothing: float = parameter(Range(0, 1, high_open=True), default=0.9, fix="0.9 is its authors'")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in _FORMS:
            raise ValueError(
                f"OnlineDataMixing's form was {self.form!r}; it must be one of {', '.join(map(repr, _FORMS))}"
            )

    def init(self, prior: Floats) -> OnlineDataMixingState:
        """Start at equal shares, in the released form at those of the training set, (k,)."""
        if self.form == "released":
            return OnlineDataMixingState(np.array(prior, dtype=np.float64), np.full(len(prior), -np.inf), 0)
        return OnlineDataMixingState(np.full(len(prior), 1 / len(prior)), np.zeros(len(prior)), 0)

    def update(
        self, state: OnlineDataMixingState, losses: Floats, *, counts: Floats, **signals: Any
    ) -> OnlineDataMixingState:
        """Give the next state.

        Args:
            state: The present one.
            losses: Mean loss of each group, finite, shape (k,).
            counts: How many losses each is the mean of; a group with 0 keeps its reward.
            **signals: Ignored.

        Raises:
            TypeError: The losses are no numbers.
            ValueError: A loss is not finite, or the shape is wrong.
        """
        losses = check_losses(losses, state)
        num_groups, updates = len(losses), state.updates + 1
        with np.errstate(over="ignore", divide="ignore"):  # the logarithm of no reward; losses near the largest number
            if self.form == "released":
                heard = np.logaddexp(np.log(self.smoothing) + state.rewards, np.log1p(-self.smoothing) + losses)
            else:
                heard = self.smoothing * state.rewards + (1 - self.smoothing) * losses / state.proportions
        rewards = np.where(np.asarray(counts) > 0, np.clip(heard, -LARGEST, LARGEST), state.rewards)
        temper = 1.0 if self.form == "released" else _even_part(num_groups, state.updates) / num_groups
        even = _even_part(num_groups, updates)
        proportions = (1 - even) * np.exp(log_normalised(temper * rewards)) + even / num_groups
        return OnlineDataMixingState(proportions, rewards, updates)


def _even_part(num_groups: int, updates: int) -> float:
    """Give K eps_t: the part of the examples that is dealt out evenly; exactly 1 while eps_t is 1 / K."""
    return min(1.0, math.sqrt(num_groups * math.log(num_groups) / updates)) if updates else 1.0

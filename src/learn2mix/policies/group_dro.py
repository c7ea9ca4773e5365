"""Group DRO as a way to sample: shares that grow exponentially with the group losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learn2mix.checks import Range, whole_number
from learn2mix.parameters import parameter
from learn2mix.policies.base import BasePolicy, Floats, State, check_losses
from learn2mix.policies.logarithms import log_normalised, log_sum
from learn2mix.registry import register


@dataclass(frozen=True, eq=False)
class GroupDROState(State):
    """ln q (k,), which never vanishes, and what is added to each group's loss, C / sqrt(n_g), (k,)."""

    log_weights: Floats
    margins: Floats


@register(
    "group-dro",
    family="policy",
    summary="shares are multiplied by the exponential of the group losses: the worst group wins",
    example={"step_size": 0.01},
    reference="Sagawa et al., arXiv:1911.08731, Algorithm 1 in its mini-batch form, by sampling",
)
@dataclass(frozen=True)
class GroupDRO(BasePolicy):
    """Sample each group in proportion to a weight that grows exponentially with its loss.

    ``q_g <- q_g * exp(step_size * (loss_g + adjustment / sqrt(n_g))),  q <- q / sum(q)``; starts at equal shares. A group
    that was not seen keeps its share, and those seen divide theirs among them. Meant for an update after every batch:
    ``Mixer(..., update_every=1)``. It ascends towards ``max_g loss_g``, and training on the batches descends from there.

    The original draws balanced batches and weights the group losses by q. A plain mean over batches drawn by q has the
    same expected gradient, and spends no work on groups that hardly count. In exchange, a group with a small share is
    heard of rarely and from few examples, and a small group with a large share has its examples repeated often: it is
    learnt by heart, its training loss vanishes, and q moves on although new examples of it would still do badly. The
    method ``group-dro`` of the bench is the weighted form.

    Args:
        step_size: eta, above 0, in 1 / loss; 0.01 in the authors' code.
        adjustment: C, 0 or more, in units of the loss: for small groups, whose training loss promises too much. To be
            tuned on validation data.
        num_examples: N, the size of the training set, which an adjustment needs: ``n_g`` is N times the group's share.

    Raises:
        TypeError: A number is none.
        ValueError: A number is out of range, or ``adjustment`` comes without ``num_examples``.

    Example:
        >>> import numpy as np
        >>> policy = GroupDRO(step_size=1.0)
        >>> state = policy.init(np.array([0.9, 0.1]))
        >>> state.proportions
        array([0.5, 0.5])
        >>> policy.update(state, np.log([1.0, 3.0]), counts=np.array([4, 4])).proportions
        array([0.25, 0.75])

    Reference:
        Sagawa et al., Distributionally Robust Neural Networks for Group Shifts (arXiv 1911.08731), Algorithm 1 and its
        adjustment by group size. Where their code multiplies a group missing from the batch by exp(0), its share is kept
        here: sampled by q, a small group would miss more batches the smaller it gets, and would vanish however large its
        loss.
    """

    step_size: float = parameter(Range(0, low_open=True, high_open=True), default=0.01, fix="0.01 is its authors'")
    adjustment: float = parameter(Range(0, high_open=True), default=0.0, fix="0 leaves it out")
    num_examples: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_examples is not None:
            checked = whole_number("GroupDRO's num_examples", self.num_examples, low=1, fix="it is len(dataset)")
            object.__setattr__(self, "num_examples", checked)
        elif self.adjustment:
            raise ValueError(
                f"GroupDRO was given adjustment={self.adjustment!r} and no num_examples; the adjustment is divided by the "
                "root of a group's size; add num_examples=len(dataset)"
            )

    def init(self, prior: Floats) -> GroupDROState:
        """Start at equal shares; ``prior`` (k,), above 0, says how large the groups are."""
        even = np.full(len(prior), 1 / len(prior))
        if not self.adjustment:
            return GroupDROState(even, np.log(even), np.zeros(len(prior)))
        return GroupDROState(
            even, np.log(even), self.adjustment / np.sqrt((self.num_examples or 0) * np.asarray(prior))
        )

    def update(self, state: GroupDROState, losses: Floats, *, counts: Floats, **signals: Any) -> GroupDROState:
        """Give the next state.

        Args:
            state: The present one.
            losses: Mean loss of each group, finite, shape (k,).
            counts: How many losses each is the mean of; a group with 0 does not move.
            **signals: Ignored.

        Raises:
            TypeError: The losses are no numbers.
            ValueError: A loss is not finite, or the shape is wrong.
        """
        losses = check_losses(losses, state)
        seen = np.asarray(counts) > 0
        if not seen.any():
            return state
        logs = state.log_weights.copy()
        with np.errstate(over="ignore"):  # what overflows is taken as the largest number there is
            raised = logs[seen] + self.step_size * (losses + state.margins)[seen]
        logs[seen] = log_normalised(raised) + log_sum(logs[seen])
        logs = log_normalised(logs)
        return GroupDROState(np.exp(logs), logs, state.margins)

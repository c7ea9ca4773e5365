"""DoReMi: a proxy run finds the domains' shares from what a reference network has learnt and it has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from learn2mix.checks import Range, brief, tensor
from learn2mix.parameters import parameter
from learn2mix.policies.base import BasePolicy, Floats, State, check_losses
from learn2mix.policies.logarithms import log_normalised
from learn2mix.registry import register


def excess(losses: Tensor, reference: Tensor) -> Tensor:
    """Give ``max(loss - reference, 0)``, entry by entry: what :class:`Doremi` is to hear.

    Clipped before any mean is taken: a mean over tokens or examples, clipped afterwards, lets those on which the proxy
    does better hide those on which it does worse.

    Args:
        losses: The proxy's losses, an entry a token or an example, any shape.
        reference: The reference network's losses of the same, same shape.

    Returns:
        Shape of ``losses``, detached.

    Raises:
        ValueError: The shapes differ.

    >>> import torch
    >>> excess(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 2.0]))
    tensor([1., 0.])
    """
    for name, given in (("losses", losses), ("reference", reference)):
        tensor(name, given, "a tensor of losses")
    if losses.shape != reference.shape:
        raise ValueError(
            f"losses had shape {tuple(losses.shape)} and reference {tuple(reference.shape)}; they must agree, the losses of "
            "two networks on the same tokens or examples, before any mean"
        )
    return (losses - reference).detach().clamp_min(0)


@dataclass(frozen=True, eq=False)
class DoremiState(State):
    """Where the weights a stand, as ``proportions``, and where they stood on average.

    Args:
        proportions: a, the present weights, (k,).
        average: The mean of a over all updates, (k,): the shares that the whole search is for.
        scores: lambda, each domain's last excess loss, (k,); 0 before any.
        updates: Updates made so far.
    """

    average: Floats
    scores: Floats
    updates: int


@register(
    "doremi",
    family="policy",
    summary="domain weights that grow with the loss in excess of a reference network's; their average counts",
    example={"step_size": 1.0, "smoothing": 1e-3},
    reference="Xie et al., arXiv:2305.10429, Algorithm 1",
)
@dataclass(frozen=True)
class Doremi(BasePolicy):
    """Weight domains by the loss in excess of a reference network's, and keep the average of the weights.

    ``a'_i = a_i * exp(step_size * lambda_i);  a <- (1 - smoothing) * a' / sum(a') + smoothing / K``, with ``lambda_i`` the
    domain's mean excess loss; starts at equal weights. A domain that was not seen keeps its last lambda. What comes out is
    ``state.average``, the mean of a over all updates, for a run of its own with ``Static(state.average)``.

    The losses it hears must be excess losses: see :func:`excess`. ``state.proportions`` is a, and there are two ways to
    train the proxy by it:

    - the paper's: batches from a Mixer with ``Static("balanced")``, an update by hand after every batch, and each loss
      weighted by ``K * a`` of its domain, so that the proxy minimises ``sum_i a_i L_i``;
    - in a Mixer of its own, with ``update_every=1``: batches are drawn by a, the plain mean is minimised, and
      ``mixer.state_dict()["policy"]["average"]`` is the result. The expected gradient is the same; a domain of a small
      weight is heard of less often. A batch without any excess at all leaves the weights and the average as they are.

    Args:
        step_size: eta, above 0, in 1 / loss.
        smoothing: c, above 0 and at most 1: no domain's weight falls below c / K. The paper has 1e-3.

    Raises:
        TypeError: A number is none.
        ValueError: It is out of range.

    Example:
        >>> import numpy as np
        >>> policy, seen = Doremi(smoothing=0.2), np.array([4, 4])
        >>> state = policy.update(policy.init(np.array([0.9, 0.1])), np.log([1.0, 3.0]), counts=seen)
        >>> state.proportions.round(4)  # 0.8 * (1/4, 3/4) + 0.1
        array([0.3, 0.7])
        >>> state = policy.update(state, np.log([7.0, 3.0]), counts=seen)
        >>> state.proportions.round(4)
        array([0.5, 0.5])
        >>> state.average.round(4)
        array([0.4, 0.6])

    Reference:
        Xie et al., DoReMi: Optimizing Data Mixtures Speeds Up Language Model Pretraining (arXiv 2305.10429), Algorithm 1.
    """

    step_size: float = parameter(Range(0, low_open=True, high_open=True), default=1.0, fix="1 is the paper's")
    smoothing: float = parameter(Range(0, 1, low_open=True), default=1e-3, fix="1e-3 is the paper's")

    def init(self, prior: Floats) -> DoremiState:
        """Start at equal weights, whatever the shares ``prior`` (k,)."""
        even = np.full(len(prior), 1 / len(prior))
        return DoremiState(even, even, np.zeros(len(prior)), 0)

    def update(self, state: DoremiState, losses: Floats, *, counts: Floats, **signals: Any) -> DoremiState:
        """Give the next state.

        Args:
            state: The present one.
            losses: Mean excess loss of each domain, finite and 0 or more, shape (k,).
            counts: How many losses each is the mean of; a domain with 0 keeps its last.
            **signals: Ignored.

        Raises:
            TypeError: The losses are no numbers.
            ValueError: A loss is negative or not finite, or the shape is wrong.
        """
        losses = check_losses(losses, state)
        if (losses < 0).any():
            raise ValueError(
                f"losses was {brief(losses.tolist())}; Doremi hears losses in excess of a reference network's, "
                "clipped at 0; pass them through policies.doremi.excess before taking means"
            )
        scores = np.where(np.asarray(counts) > 0, losses, state.scores)
        with np.errstate(over="ignore", divide="ignore"):  # what overflows is taken as the largest number there is
            raised = np.log(state.proportions) + self.step_size * scores
        weights = (1 - self.smoothing) * np.exp(log_normalised(raised)) + self.smoothing / len(scores)
        updates = state.updates + 1
        return DoremiState(weights, state.average + (weights - state.average) / updates, scores, updates)

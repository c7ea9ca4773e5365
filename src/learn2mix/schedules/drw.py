"""Deferred reweighting: train without class weights first, with class-balanced ones at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from learn2mix.checks import whole_number
from learn2mix.losses import effective_number_weights
from learn2mix.registry import register


@register(
    "drw",
    family="schedule",
    summary="no class weights before an epoch, class-balanced ones from then on",
    example={"counts": (30, 10, 5), "start": 160},
    reference="arXiv 1906.07413",
)
class DeferredReweighting:
    """Weight the classes from one epoch on, and not before.

    ``w_c = 1`` for ``epoch < start``; then :func:`~learn2mix.losses.effective_number_weights`, which sum to k. The idea is
    to learn from the data as they are first, and to let the weights move the boundaries between classes afterwards.

    The weights are a function of the epoch alone: a training that is resumed asks for its epoch's, and there is no
    state to save.

    Args:
        counts: Training examples of each class, 1 or more, (k,): numbers, not shares.
        start: The first epoch with weights, from 0. The authors train for 200 epochs, take 160, and cut the learning
            rate to a hundredth in the same epoch.
        beta: From 0 (no weights) to below 1 (near 1: inverse frequency).

    Raises:
        TypeError: ``start`` is no integer, or ``beta`` or a count is no number.
        ValueError: ``start`` is negative, ``beta`` lies outside [0, 1), a count is below 1, or there are not k of them
            in a row.

    Example:
        >>> schedule = DeferredReweighting([2, 1], start=160, beta=0.5)
        >>> schedule.weight(159), schedule.weight(160)
        (tensor([1., 1.]), tensor([0.8000, 1.2000]))

    Reference:
        Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss (arXiv 1906.07413).
    """

    def __init__(self, counts: Any, start: int, *, beta: float = 0.9999) -> None:
        self.start = whole_number("start", start, fix="160 of 200 epochs is usual")
        self._weights = effective_number_weights(counts, beta)

    def weight(self, epoch: int) -> Tensor:
        """Give the weights of an epoch (from 0), one a class: (k,), float32, sum k, on the device of ``counts``.

        Raises:
            TypeError: ``epoch`` is no integer.
            ValueError: ``epoch`` is negative.
        """
        late = whole_number("epoch", epoch) >= self.start
        return self._weights.clone() if late else torch.ones_like(self._weights)

"""Deferred reweighting: class weights for the last part of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Batch, Role
from learn2mix.checks import Range, number
from learn2mix.schedules import DeferredReweighting


@add
@dataclass(frozen=True)
class DRW(Method):
    """The mean loss at first; from a part of the epochs on the mean weighted by class-balanced weights of the classes.

    With ``ldam`` it is LDAM-DRW, but for the cut of the learning rate that its authors make in the same epoch. The weighted
    mean is divided by the weights in the batch, as torch's cross-entropy does it, so that the steps keep their size.

    Args:
        start: The part of the budget before the weights, in [0, 1]; 160 of 200 epochs in the authors' code. Below 1 whole
            epochs are left for them, at least one.
        beta: From 0 (no weights) to below 1 (near 1: inverse frequency).
    """

    name: ClassVar[str] = "drw"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "class-balanced weights for the last part of training alone"
    reference: ClassVar[str] = "Cao et al., arXiv:1906.07413"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"combine", "start_epoch"})
    classes: ClassVar[Shares] = "corrected"
    beside: ClassVar[frozenset[str]] = frozenset({"cdt", "ldam"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"start": (0.2, 0.4, 0.6, 0.8)}

    start: float = 0.8
    beta: float = 0.9999

    def __post_init__(self) -> None:
        number("start", self.start, Range(0, 1), fix="0.8 is its authors'")
        DeferredReweighting([1, 1], 0, beta=self.beta)  # the schedule knows what its settings may be

    def prepare(self, job: Job) -> Arm:
        """Take the classes' sizes from the training set, and the epoch from the budget."""
        schedule = DeferredReweighting(job.class_sizes(), job.epochs - job.epochs_of(1 - self.start), beta=self.beta)
        weighting = Weighting(schedule, job.device)
        return Arm(combine=weighting.combine, start_epoch=weighting.start_epoch)


class Weighting:
    """The weighted mean of a batch's losses, by the epoch's weights of the classes.

    Args:
        schedule: Gives the weights.
        device: Where the losses are.
    """

    def __init__(self, schedule: DeferredReweighting, device: torch.device) -> None:
        self._schedule, self._device = schedule, device
        self.start_epoch(0)

    def start_epoch(self, epoch: int, model: nn.Module | None = None) -> None:
        """Take the epoch's weights."""
        self._weights = self._schedule.weight(epoch).to(self._device)

    def combine(self, losses: Tensor, batch: Batch) -> Tensor:
        """Average the losses, each weighted by its class."""
        weights = self._weights[batch.y]
        return (weights * losses).sum() / weights.sum()

"""Focal loss with inverse-frequency class weights, on classical batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Role
from learn2mix.losses import FocalLoss, inverse_frequency_weights


@add
@dataclass(frozen=True)
class Focal(Method):
    """The mean of ``(1 - p)^focusing * w_y * CE``, with ``w_i`` proportional to 1 / n_i and summing to k.

    p is the unweighted probability of the right class; the paper's code puts the weight inside it as well.

    Args:
        focusing: How much easy examples are played down, at least 0.
    """

    name: ClassVar[str] = "focal"
    summary: ClassVar[str] = "focal loss with inverse-frequency class weights, on classical batches"
    reference: ClassVar[str] = "arXiv:2412.16482, FCL; Lin et al., arXiv:1708.02002; Cui et al., arXiv:1901.05555"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"loss"})
    classes: ClassVar[Shares] = "corrected"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"focusing": (0.0, 0.5, 1.0, 2.0, 5.0)}

    focusing: float = 2.0

    def __post_init__(self) -> None:
        FocalLoss(focusing=self.focusing)  # the loss knows what it may be

    def prepare(self, job: Job) -> Arm:
        """Weight the classes by the training set's counts."""
        weight = inverse_frequency_weights(torch.bincount(job.train.y))
        return Arm(loss=FocalLoss(weight, focusing=self.focusing, reduction="none").to(job.device))

"""Importance sampling: of a uniform batch, train on a half drawn in proportion to the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from learn2mix.bench import seeds
from learn2mix.bench.data import Examples
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.tasks.base import PerExample
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Importance(Method):
    """Draw M // 2 of each classical batch of M without replacement, by loss; step on their mean loss, unweighted."""

    name: ClassVar[str] = "importance"
    summary: ClassVar[str] = "of every batch the half drawn in proportion to the losses"
    reference: ClassVar[str] = "arXiv:2412.16482, IS"
    changes: ClassVar[frozenset[Role]] = frozenset({"select"})

    def prepare(self, job: Job) -> Arm:
        """Prepare nothing."""
        generator = seeds.generator(job.seed_for("selection"), job.device)
        select = DrawByLoss(job.task.loss, job.batch_size // 2, generator)
        return Arm(select=select)


class DrawByLoss:
    """Draw rows of a batch without replacement, each next one in proportion to its loss among those left.

    Args:
        loss: The loss an example.
        size: How many rows to draw.
        generator: Where the random numbers come from, on the batch's device.
    """

    def __init__(self, loss: PerExample, size: int, generator: torch.Generator) -> None:
        self._loss = loss
        self._size = size
        self._generator = generator

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the positions drawn, (size,)."""
        losses = self._loss(model(batch.x), batch.y)
        # a confident network's loss can be exactly 0, yet the draw needs as many positive weights as rows; a loss that is
        # not finite is left for the training step to meet, where the run ends with its proper error
        weights = losses.nan_to_num(nan=1.0, posinf=1.0).clamp_min(1e-8)
        return torch.multinomial(weights, self._size, generator=self._generator)

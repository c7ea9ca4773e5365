"""LORT, logits retargeting: towards the end of the budget the last layer alone is trained, on nearly even targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.tasks.base import Kind, PerExample
from learn2mix.bench.training import Arm, Role
from learn2mix.checks import Range, number
from learn2mix.posthoc import head_of, retargeted_cross_entropy, train_head_alone


@add
@dataclass(frozen=True)
class LORT(Method):
    """Two stages inside the one budget: the task's loss, then retargeted cross-entropy with all but the head frozen.

    Both stages take the task's optimiser, learning rate and batches; the optimiser keeps what it knows of the head. The
    authors give the second stage a rate of its own that falls, no weight decay, and epochs beyond the first stage's.

    Args:
        smoothing: d, from 0 to below 1; the authors' is 0.98.
        last_part: The part of the budget that is the second stage's, from 0 to 1, rounded to epochs; the authors' 20 of 220.
    """

    name: ClassVar[str] = "lort"
    summary: ClassVar[str] = "at the end the head alone, by cross-entropy against near even targets"
    reference: ClassVar[str] = "arXiv:2403.00250"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"loss", "start_epoch"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"smoothing": (0.0, 0.5, 0.9, 0.98)}

    smoothing: float = 0.98
    last_part: float = 20 / 220

    def __post_init__(self) -> None:
        # the loss knows what it may be
        retargeted_cross_entropy(torch.zeros(2), torch.tensor(0), smoothing=self.smoothing)
        number("last_part", self.last_part, Range(0, 1), fix="its authors have 20 epochs of 220")

    def prepare(self, job: Job) -> Arm:
        """Say when the second stage starts."""
        last = job.epochs_of(self.last_part)
        stages = Stages(job.task.loss, self.smoothing, job.epochs - last if last else None)
        return Arm(loss=stages.loss, start_epoch=stages.start_epoch)

    def rehearsal(self) -> Method:
        """Stay in the first stage, whose steps are most of those made; the second stage's cost less."""
        return replace(self, last_part=0.0)


class Stages:
    """The loss of two stages, and what begins the second.

    Args:
        loss: The first stage's loss an example.
        smoothing: Of the second stage's targets.
        switch: The epoch, from 0, that is the second stage's first; None for no second stage.
    """

    def __init__(self, loss: PerExample, smoothing: float, switch: int | None) -> None:
        self._loss = loss
        self._smoothing = smoothing
        self._switch = switch
        self._second = False

    def start_epoch(self, epoch: int, model: nn.Module) -> None:
        """Freeze all but the head, once the second stage has come; evaluation between epochs undoes a part of it."""
        self._second = self._switch is not None and epoch >= self._switch
        if self._second:
            train_head_alone(model, head_of(model))

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Give the loss an example of the stage that it is."""
        if self._second:
            return retargeted_cross_entropy(outputs, y, smoothing=self._smoothing, reduction="none")
        return self._loss(outputs, y)

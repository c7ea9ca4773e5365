"""Self-taught curriculum: easy examples first, as judged by a network trained beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from learn2mix.bench.methods.base import Job, Method, ShuffledFeed, add
from learn2mix.bench.training import Arm, Role, difficulty
from learn2mix.checks import whole_number


@add
@dataclass(frozen=True)
class Curriculum(Method):
    """Batches from the easiest part of the set, which grows: ``min(0.5 * 1.2^(t // 10), 1)`` of it at epoch t, from 0.

    A first network is trained classically and scores every example, in the order of the set, by its loss: for
    classification the same order as by ``1 - p(right class)``, and one that other tasks have too. Then training starts
    afresh from the same initial weights as every other method. Its first network is preparation: counted and timed apart.

    Args:
        warmup_epochs: How long the first network is trained.
    """

    name: ClassVar[str] = "curriculum"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "easy examples first, as judged by a network trained beforehand"
    reference: ClassVar[str] = "arXiv:2412.16482, CURR; Hacohen and Weinshall, arXiv:1904.03626"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})

    warmup_epochs: int = 50

    def __post_init__(self) -> None:
        whole_number("warmup_epochs", self.warmup_epochs, fix="the paper has 50")

    def prepare(self, job: Job) -> Arm:
        """Train the first network and rank the training set with it."""
        teacher = self.teacher(job)
        with job.preparation.counting(teacher):
            easiest_first = difficulty(teacher, job.train, job.task.loss, job.chunk).argsort(stable=True)
        feed = ShuffledFeed(
            easiest_first, job.batch_size, job.steps_per_epoch, seed=job.seed_for("order"), share=share_of_the_set
        )
        return Arm(feed=feed)

    def cut(self, part: float) -> Method:
        """Train the first network for that part, at least an epoch."""
        return replace(self, warmup_epochs=max(1, round(self.warmup_epochs * part))) if self.warmup_epochs else self

    def rehearsal(self) -> Method:
        """Rank with an untrained network."""
        return replace(self, warmup_epochs=0)

    def teacher(self, job: Job) -> nn.Module:
        """Train the first network; its work counts as the job's preparation."""
        return job.train_beforehand(Arm(), self.warmup_epochs, purpose="teacher").network


def share_of_the_set(epoch: int) -> float:
    """Give the part of the set that an epoch, from 0, draws from.

    >>> [round(share_of_the_set(t), 3) for t in (0, 9, 10, 20, 30, 40, 500)]
    [0.5, 0.5, 0.6, 0.72, 0.864, 1.0, 1.0]
    """
    # past epoch 40 it is 1 for good; the cap keeps the power from overflowing
    return min(0.5 * 1.2 ** min(epoch // 10, 4), 1.0)

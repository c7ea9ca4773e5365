"""RC-Mixup: C-Mixup on what is left when the examples with the largest errors are put aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from learn2mix import transforms
from learn2mix.bench.methods.base import Job, Method, add, shuffled
from learn2mix.bench.methods.c_mixup import CMixup, in_units_of, with_partners
from learn2mix.bench.tasks.base import squared_error
from learn2mix.bench.training import Arm, Role, difficulty
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class RCMixup(CMixup):
    """C-Mixup on everything first; then before each epoch the ``rate * N`` largest squared errors are put aside for it.

    Its authors assume that ``rate`` is known to be the part of wrong labels. On a task whose labels are right it throws
    the hardest examples away, often of rare groups. The search for the bandwidth, and going back to the best network
    of the warm-up, are left out: both need clean validation examples, which no other method is given. An epoch has as
    many steps as any other, on the examples kept, and measuring the errors counts as work forwarded.

    Args:
        bandwidth: In standard deviations of the training targets, those put aside included; see C-Mixup.
        alpha: Above 0.
        rate: The part put aside, 0 or more and below 1; 0.3 in the authors' code.
        warm_up: The part of the budget before the first cleaning, from 0 to 1, rounded to epochs; half of it in the
            authors' code.
    """

    name: ClassVar[str] = "rc-mixup"
    summary: ClassVar[str] = "c-mixup without the largest errors, anew each epoch; regression"
    reference: ClassVar[str] = "Hwang et al., arXiv:2405.17938, without the bandwidth search"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed", "forward", "start_epoch"})
    pairs: ClassVar[bool] = True

    rate: float = 0.3
    warm_up: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        transforms.RCMixup([0.0], self.bandwidth, rate=self.rate, warm_up=0)  # the transform knows what it may be
        number("warm_up", self.warm_up, Range(0, 1), fix="it is a part of the budget; 1 is c-mixup")

    def prepare(self, job: Job) -> Arm:
        """Sort the targets; find the epoch of the first cleaning."""
        rc_mixup = transforms.RCMixup(
            job.train.y,
            in_units_of(job.train, self.bandwidth),
            rate=self.rate,
            warm_up=round(self.warm_up * job.epochs),
            alpha=self.alpha,
            seed=job.seed_for("mixing"),
        )
        feed = shuffled(job, job.train)

        def start_epoch(epoch: int, model: nn.Module) -> None:
            kept = rc_mixup.start_epoch(epoch, lambda: difficulty(model, job.train, squared_error, job.chunk))
            feed.ranking = kept.to(job.device)
            model.train()

        return Arm(feed=feed, forward=with_partners(rc_mixup, job.train), start_epoch=start_epoch)

    def rehearsal(self) -> Method:
        """Clean in every epoch: what an epoch costs at most."""
        return replace(self, warm_up=0.0)

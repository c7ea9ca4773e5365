"""Subset pretraining: for the first part of the budget, batches from a small part of the set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from learn2mix import schedules
from learn2mix.bench.methods.base import Job, Method, ShuffledFeed, add
from learn2mix.bench.training import Arm, Role
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class SubsetPretraining(Method):
    """Classical batches from a stratified part of the set, and from all of it once a part of the budget is spent.

    Every method makes the same number of steps on batches of the same size, so here the small part makes no step
    cheaper. The paper's argument is another: passes over a small part cost less, for optimisers that take the whole
    set at every step. What is measured here is an experiment with small batches. Both settings' defaults are ours.

    Args:
        share: The part of the training set, above 0 and at most 1; every group keeps an example at least.
        first_part: The part of the budget that draws from it, from 0 to 1, rounded to epochs.
    """

    name: ClassVar[str] = "subset-pretraining"
    version: ClassVar[int] = 3
    summary: ClassVar[str] = "batches from a small part of the set first, then from all of it"
    reference: ClassVar[str] = "arXiv:2410.16523, with small batches"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"share": (0.1, 0.25, 0.5, 1.0)}

    share: float = 0.25
    first_part: float = 0.25

    def __post_init__(self) -> None:
        number("share", self.share, Range(0, 1, low_open=True), fix="1 is classical training")
        number("first_part", self.first_part, Range(0, 1), fix="0 is classical training")

    def prepare(self, job: Job) -> Arm:
        """Draw the part."""
        groups = job.train.groups.cpu()
        schedule = schedules.SubsetPretraining(
            groups,
            max(int((torch.bincount(groups) > 0).sum()), round(self.share * len(groups))),
            switch=job.epochs_of(self.first_part),
            seed=job.seed_for("subset"),
        )
        part = schedule.pool(0)
        rest = torch.ones(len(groups), dtype=torch.bool)
        rest[part] = False
        ranking = torch.cat([part, rest.nonzero().squeeze(1)]).to(job.device)

        def share(epoch: int) -> float:
            # half an example more, or rounding could take one away
            return (schedule.size + 0.5) / len(groups) if epoch < schedule.switch else 1.0

        feed = ShuffledFeed(ranking, job.batch_size, job.steps_per_epoch, seed=job.seed_for("order"), share=share)
        return Arm(feed=feed)

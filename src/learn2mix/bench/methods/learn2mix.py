"""Learn2Mix: the make-up of the batches moves towards where the losses are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learn2mix.bench.methods.base import Job, MixerFeed, MixingRate, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Learn2Mix(MixingRate):
    """Batches whose group proportions follow the group losses; plain mean loss.

    Args:
        mixing_rate: How fast they follow, in [0, 1]; None takes the task's.
    """

    name: ClassVar[str] = "learn2mix"
    summary: ClassVar[str] = "group proportions that follow the group losses"
    reference: ClassVar[str] = "arXiv:2412.16482, Algorithms 1 and 2"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        return Arm(feed=MixerFeed(job, self.policy(job.task)))

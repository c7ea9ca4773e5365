"""Stratified batches with an equal share of every group: the static answer to imbalance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, Shares, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Balanced(Method):
    """Static proportions; plain mean loss."""

    name: ClassVar[str] = "balanced"
    summary: ClassVar[str] = "every batch with equal shares of all groups"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    classes: ClassVar[Shares] = "evened"
    mixes: ClassVar[bool] = True

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        return Arm(feed=MixerFeed(job, policies.Static("balanced")))

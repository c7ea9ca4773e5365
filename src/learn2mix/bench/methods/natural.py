"""Stratified batches at the training set's own proportions: learn2mix without its adapting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Natural(Method):
    """Static proportions; plain mean loss."""

    name: ClassVar[str] = "natural"
    summary: ClassVar[str] = "every batch stratified at the training set's own proportions"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        return Arm(feed=MixerFeed(job, policies.Static("natural")))

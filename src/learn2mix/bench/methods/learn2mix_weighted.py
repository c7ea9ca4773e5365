"""Learn2Mix by weights: natural batches, with the losses weighted as learn2mix would have sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from learn2mix import policies
from learn2mix.bench.methods.base import Job, MixerFeed, MixingRate, add
from learn2mix.bench.training import Arm, Batch, Role
from learn2mix.feedback import Feedback


@add
@dataclass(frozen=True)
class Learn2MixWeighted(MixingRate):
    """Stratified batches at the training set's own proportions; losses weighted ``alpha_i / alpha~_i``.

    A control: the expected gradient is learn2mix's, without its resampling.

    Args:
        mixing_rate: How fast alpha follows the group losses, in [0, 1]; None takes the task's.
    """

    name: ClassVar[str] = "learn2mix-weighted"
    summary: ClassVar[str] = "natural batches, losses weighted as learn2mix would have sampled"
    reference: ClassVar[str] = "a control, for arXiv:2412.16482"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed", "combine"})

    def prepare(self, job: Job) -> Arm:
        """Make the feed."""
        feed = WeightingFeed(job, self.policy(job.task))
        return Arm(feed=feed, combine=feed.combine)


class WeightingFeed:
    """Natural batches, and weights that follow the group losses as proportions would.

    Args:
        job: The run.
        policy: How the proportions, here only weights, move.
    """

    def __init__(self, job: Job, policy: policies.Learn2Mix) -> None:
        self._batches = MixerFeed(job, policies.Static("natural"))
        self._policy = policy
        self._prior = self._batches.mixer.proportions
        self._state = policy.init(self._prior)
        self._feedback = Feedback(list(range(job.num_groups)))
        self.weights = torch.ones(job.num_groups, device=job.device)

    def epoch(self) -> Iterator[Tensor]:
        """Go through the epoch's batches: indices (M,)."""
        return self._batches.epoch()

    def observe(self, losses: Tensor, batch: Batch) -> None:
        """Add the losses to their groups' sums."""
        self._batches.observe(losses, batch)
        losses, counted, groups = self._feedback.read(losses, batch.groups)
        self._feedback.add(self._feedback.rows(losses, counted), groups, settled=True)

    def combine(self, losses: Tensor, batch: Batch) -> Tensor:
        """Average the weighted losses."""
        return (self.weights[batch.groups] * losses).mean()

    def step(self) -> None:
        """Move the weights by the group losses, which are gathered as the mixer gathers them."""
        self._batches.step()
        heard = self._feedback.hear(self._feedback.sums())
        self._feedback.forget(heard)
        if heard.losses is not None:
            self._state = self._policy.update(self._state, heard.losses, counts=heard.counts)
            self.weights = torch.as_tensor(self._state.proportions / self._prior).to(self.weights)

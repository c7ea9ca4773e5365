"""Group DRO: loss weights that grow with the group losses, at every step, under balanced sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, Shares, add
from learn2mix.bench.training import Arm, Batch, Role
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class GroupDRO(Method):
    """Minimise ``sum_g q_g L_g`` where ``q_g`` is multiplied by ``exp(step_size * L_g)`` at every step, then normalised.

    Args:
        step_size: eta_q, above 0.
    """

    name: ClassVar[str] = "group-dro"
    summary: ClassVar[str] = "loss weights that grow with the group losses, on balanced batches"
    reference: ClassVar[str] = "Sagawa et al., arXiv:1911.08731, Algorithm 1 in its mini-batch form"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed", "combine"})
    classes: ClassVar[Shares] = "evened"
    clashes: ClassVar[Mapping[str, str]] = {
        "selector": "group-dro's weights would follow the selector's factors rather than the losses"
    }
    mixes: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"step_size": (0.0001, 0.001, 0.01, 0.1, 1.0)}

    step_size: float = 0.01

    def __post_init__(self) -> None:
        number("step_size", self.step_size, Range(0, low_open=True, high_open=True), fix="0.01 is its authors'")

    def prepare(self, job: Job) -> Arm:
        """Make the mixer and start from equal weights."""
        weigh = WorstGroups(job.num_groups, self.step_size, job.device)
        feed = MixerFeed(job, policies.Static("balanced"))
        return Arm(feed=feed, combine=weigh.combine)


class WorstGroups:
    """The weighted sum of a batch's group losses; a group that is not in the batch neither counts nor changes.

    Args:
        num_groups: The number of groups k.
        step_size: eta_q.
        device: Where the losses are.
    """

    def __init__(self, num_groups: int, step_size: float, device: torch.device) -> None:
        self._step_size = step_size
        # as logarithms: squared errors in the thousands would overflow an exponential
        self._log_weights = torch.zeros(num_groups, dtype=torch.float64, device=device)

    @property
    def weights(self) -> Tensor:
        """The weights q, (k,), sum 1."""
        return self._log_weights.softmax(0)

    def __call__(self, losses: Tensor, groups: Tensor) -> Tensor:
        """Update the weights by the group losses, then return their weighted sum."""
        sums = losses.new_zeros(len(self._log_weights)).index_add(0, groups, losses)
        means = sums / torch.bincount(groups, minlength=len(sums)).clamp_min(1)
        self._log_weights = (self._log_weights + self._step_size * means.detach().double()).log_softmax(0)
        return (self.weights.to(means) * means).sum()

    def combine(self, losses: Tensor, batch: Batch) -> Tensor:
        """Do that for a batch."""
        return self(losses, batch.groups)

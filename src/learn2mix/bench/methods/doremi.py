"""DoReMi: two networks trained beforehand find the proportions, which then stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Batch, Role, difficulty
from learn2mix.policies.base import Floats
from learn2mix.policies.doremi import excess


@add
@dataclass(frozen=True)
class Doremi(Method):
    """Batches of fixed proportions: the average weights that a proxy network was trained with.

    Beforehand, a reference network is trained classically for the whole budget, and its loss on every training example
    is kept. Then the proxy, from other initial weights, is trained on balanced batches for as long, its losses weighted by
    weights that grow with the losses in excess of the reference's; see :class:`learn2mix.policies.Doremi`. Both are
    preparation: counted and timed apart. Their length follows the budget by itself.

    Args:
        step_size: eta, above 0.
        smoothing: c, in (0, 1].
    """

    name: ClassVar[str] = "doremi"
    summary: ClassVar[str] = "fixed proportions that a proxy network found against a reference"
    reference: ClassVar[str] = "Xie et al., arXiv:2305.10429"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"step_size": (0.01, 0.1, 1.0, 10.0)}

    step_size: float = 1.0
    smoothing: float = 1e-3

    def __post_init__(self) -> None:
        policies.Doremi(self.step_size, self.smoothing)  # the policy knows what they may be

    def prepare(self, job: Job) -> Arm:
        """Train the reference and the proxy; keep the average of the proxy's weights."""
        return Arm(feed=MixerFeed(job, policies.Static(self.proportions(job).tolist())))

    def proportions(self, job: Job) -> Floats:
        """Find the proportions, (k,)."""
        proxy = ProxyWeights(policies.Doremi(self.step_size, self.smoothing), reference_losses(job), job.num_groups)
        # without a selector, whose factors would go into the excess before it is clipped
        arm = Arm(feed=MixerFeed(replace(job, selector=None), policies.Static("balanced")), combine=proxy.combine)
        job.train_beforehand(arm, job.epochs, purpose="proxy", turn=1, turns=2)
        return proxy.state.average

    def rehearsal(self) -> Method:
        """Take even proportions."""
        return _Rehearsal(self.step_size, self.smoothing)


class _Rehearsal(Doremi):
    """The same steps without the two runs before them."""

    def proportions(self, job: Job) -> Floats:
        """Give even ones."""
        return np.full(job.num_groups, 1 / job.num_groups)


def reference_losses(job: Job) -> Tensor:
    """Train a network classically for the budget and give its loss on every training example, (n,) float64."""
    network = job.train_beforehand(Arm(), job.epochs, purpose="reference", turns=2).network
    with job.preparation.counting(network):
        return difficulty(network, job.train, job.task.loss, job.chunk)


class ProxyWeights:
    """The mean of a balanced batch's losses, each weighted by ``k * a`` of its group, after a has moved.

    Args:
        policy: How a moves.
        reference: The reference network's loss on each example of the set trained on, (n,).
        num_groups: The number of groups k.
    """

    def __init__(self, policy: policies.Doremi, reference: Tensor, num_groups: int) -> None:
        self._policy, self._reference, self._num_groups = policy, reference, num_groups
        self.state = policy.init(np.full(num_groups, 1 / num_groups))

    def combine(self, losses: Tensor, batch: Batch) -> Tensor:
        """Move the weights by the batch's mean excess losses, then weight."""
        over = excess(losses.double(), self._reference[batch.rows])
        # a loss that is not finite ends the run with its epoch; until then it says nothing of its group
        over = over.nan_to_num(0, posinf=0)
        counts = torch.bincount(batch.groups, minlength=self._num_groups)
        means = torch.bincount(batch.groups, weights=over, minlength=self._num_groups) / counts.clamp_min(1)
        self.state = self._policy.update(self.state, means.cpu().numpy(), counts=counts.cpu().numpy())
        weights = torch.as_tensor(self._num_groups * self.state.proportions).to(losses)
        return (weights[batch.groups] * losses).mean()

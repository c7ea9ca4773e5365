"""Group DRO by sampling: batches filled in proportion to the weights that group-dro puts on the losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class GroupDROSampling(Method):
    """Batches in proportion to q, where ``q_g`` is multiplied by ``exp(step_size * L_g)`` at every step, then normalised.

    The plain mean of the losses is minimised: in expectation the gradient of group-dro, which weights balanced batches.

    Args:
        step_size: eta_q, above 0.
    """

    name: ClassVar[str] = "group-dro-sampling"
    summary: ClassVar[str] = "batches filled by weights that grow with the group losses"
    reference: ClassVar[str] = "Sagawa et al., arXiv:1911.08731, by sampling instead of weighting"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"step_size": (0.0001, 0.001, 0.01, 0.1, 1.0)}

    step_size: float = 0.01

    def __post_init__(self) -> None:
        policies.GroupDRO(self.step_size)  # the policy knows what it may be

    def prepare(self, job: Job) -> Arm:
        """Make the mixer and start from equal shares."""
        return Arm(feed=MixerFeed(job, policies.GroupDRO(self.step_size), update_every=1))

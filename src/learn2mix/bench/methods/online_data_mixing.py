"""Online data mixing: groups as arms of a bandit that is rewarded by the loss, at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class OnlineDataMixing(Method):
    """Batches whose group proportions follow smoothed losses, over an even share that shrinks; plain mean loss.

    See :class:`learn2mix.policies.OnlineDataMixing` for both forms. With K groups the first ``K ln K`` steps are even.

    Args:
        released: Take the form of the authors' code instead of the paper's.
        smoothing: xi, in [0, 1).
    """

    name: ClassVar[str] = "online-data-mixing"
    summary: ClassVar[str] = "a bandit over the groups, rewarded by their losses"
    reference: ClassVar[str] = "Albalak et al., arXiv:2312.02406"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"smoothing": (0.0, 0.5, 0.9, 0.99)}

    released: bool = False
    smoothing: float = 0.9

    def __post_init__(self) -> None:
        policies.OnlineDataMixing(smoothing=self.smoothing)  # the policy knows what it may be
        if not isinstance(self.released, bool):
            raise TypeError(f"released was {self.released!r}; it must be True or False")

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        form = "released" if self.released else "paper"
        return Arm(feed=MixerFeed(job, policies.OnlineDataMixing(form, smoothing=self.smoothing), update_every=1))

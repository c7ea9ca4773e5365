"""InfoBatch: examples below their group's mean loss are left out of a pass at random, and weighted up when they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learn2mix import selectors
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.training import Arm, Role
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class InfoBatch(Method):
    """Batches at the training set's own proportions, or a composed method's, filled by InfoBatch within each group.

    An epoch has as many steps as any other method's: what is left out makes room for more passes, not for fewer steps.
    See :class:`learn2mix.selectors.InfoBatch`.

    Args:
        prune: The probability that an easy example is left out of a pass, 0 or more and below 1.
        first_part: The part of the budget with pruning, from 0 to 1, rounded down to epochs; 0.875 is the authors'.
        keep_scale: Whether the factors of a group average to 1 rather than to more; the authors' do not.
    """

    name: ClassVar[str] = "infobatch"
    summary: ClassVar[str] = "easy examples are left out at random, and weighted up when not"
    reference: ClassVar[str] = "Qin et al., arXiv:2303.04947, with groups and a fixed number of steps"
    changes: ClassVar[frozenset[Role]] = frozenset({"selector"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"prune": (0.1, 0.3, 0.5, 0.7)}

    prune: float = 0.5
    first_part: float = 0.875
    keep_scale: bool = False

    def __post_init__(self) -> None:
        selectors.InfoBatch(self.prune, keep_scale=self.keep_scale)
        number("first_part", self.first_part, Range(0, 1), fix="0.875 is its authors'")

    def prepare(self, job: Job) -> Arm:
        """Say from which epoch on nothing is left out."""
        until = int(self.first_part * job.epochs)
        return Arm(selector=selectors.InfoBatch(self.prune, until, self.keep_scale))

"""Last loss: within each group examples are drawn by the loss they had last, and weighted so that means stay unbiased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learn2mix import selectors
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class LastLoss(Method):
    """Batches at the training set's own proportions, or a composed method's, filled by last loss within each group.

    No forward pass is spent on choosing. See :class:`learn2mix.selectors.LastLoss`.

    Args:
        uniform: The part of the draws that pays no heed to the losses, above 0 and at most 1.
    """

    name: ClassVar[str] = "last-loss"
    summary: ClassVar[str] = "examples drawn by their last loss and weighted, within each group"
    reference: ClassVar[str] = "weights as in arXiv:1803.00942, by last loss instead of gradient norm"
    changes: ClassVar[frozenset[Role]] = frozenset({"selector"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"uniform": (0.05, 0.1, 0.3, 0.5)}

    uniform: float = 0.1

    def __post_init__(self) -> None:
        selectors.LastLoss(self.uniform)

    def prepare(self, job: Job) -> Arm:
        """Make the selector."""
        return Arm(selector=selectors.LastLoss(self.uniform))

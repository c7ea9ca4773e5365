"""Mixup that stops: mixed batches first, plain ones for the rest of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learn2mix import transforms
from learn2mix.bench.methods.base import Job, add
from learn2mix.bench.methods.mixup import Mixup, mixed_by
from learn2mix.bench.training import Arm
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class MixupStopped(Mixup):
    """Mixup for a first part of the steps, with the very draws of ``mixup``; then classical training.

    Args:
        alpha: Above 0; as for Mixup.
        until: The part of the budget's steps that is mixed, from 0 (classical) to 1 (Mixup). The default is ours: the
            source has no number that we could check.
    """

    name: ClassVar[str] = "mixup-stopped"
    summary: ClassVar[str] = "mixup for the first part of the budget, then plain batches"
    reference: ClassVar[str] = "Liu et al., arXiv:2303.01475, for the idea; the default is ours"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"until": (0.25, 0.5, 0.75, 0.9)}

    until: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        number("until", self.until, Range(0, 1), fix="it is a part of the budget; 0.75 stops after three quarters")

    def prepare(self, job: Job) -> Arm:
        """Find the last step that is mixed, and seed the draws."""
        until = round(self.until * job.epochs * job.steps_per_epoch)
        return Arm(forward=mixed_by(transforms.Mixup(self.alpha, until=until, seed=job.seed_for("mixing"))))

"""Midpoint Mixup: every example meets its partner half-way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learn2mix import transforms
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.methods.mixup import mixed_by, nothing_between_words
from learn2mix.bench.tasks.base import Kind, Task
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class MidpointMixup(Method):
    """Train on ``(x + x[order]) / 2`` in place of ``x``, judged by both classes alike.

    For classification, where its authors show what it is good for: a network that has to tell both halves of every
    example cannot rest on one feature a class.
    """

    name: ClassVar[str] = "midpoint-mixup"
    summary: ClassVar[str] = "each batch mixed half and half with itself in another order"
    reference: ClassVar[str] = "Chidambaram et al., arXiv:2210.13512"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"forward"})
    pairs: ClassVar[bool] = True

    def refusal(self, task: Task) -> str:
        """Refuse words besides."""
        return nothing_between_words(self, task) or super().refusal(task)

    def prepare(self, job: Job) -> Arm:
        """Seed the draws."""
        return Arm(forward=mixed_by(transforms.MidpointMixup(seed=job.seed_for("mixing"))))

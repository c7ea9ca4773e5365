"""Classical training: the set, shuffled anew every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.training import Arm


@add
@dataclass(frozen=True)
class Classical(Method):
    """Plain shuffling without replacement, the last partial batch dropped; plain mean loss."""

    name: ClassVar[str] = "classical"
    summary: ClassVar[str] = "plain shuffling without replacement"
    reference: ClassVar[str] = "arXiv:2412.16482, CL"

    def prepare(self, job: Job) -> Arm:
        """Prepare nothing."""
        return Arm()

"""Learn2Mix: the make-up of the batches moves towards where the losses are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Learn2Mix(Method):
    """Batches whose group proportions follow the group losses; plain mean loss.

    Args:
        mixing_rate: How fast they follow, in [0, 1]; None takes the task's.
    """

    name: ClassVar[str] = "learn2mix"
    summary: ClassVar[str] = "group proportions that follow the group losses"
    reference: ClassVar[str] = "arXiv:2412.16482, Algorithms 1 and 2"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"mixing_rate": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}

    mixing_rate: float | None = None

    def __post_init__(self) -> None:
        if self.mixing_rate is not None:
            policies.Learn2Mix(mixing_rate=self.mixing_rate)  # the policy knows what it may be

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        policy = policies.Learn2Mix(mixing_rate=self._rate(job.task))
        return Arm(feed=MixerFeed(job, policy))

    def settings(self, task: Task) -> dict[str, Any]:
        """Return the mixing rate in use."""
        return {"mixing_rate": self._rate(task)}

    def _rate(self, task: Task) -> float:
        return task.mixing_rate if self.mixing_rate is None else self.mixing_rate

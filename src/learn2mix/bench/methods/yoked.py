"""Yoked: the proportions of another run of learn2mix, replayed whatever this run's losses are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from learn2mix.bench import seeds
from learn2mix.bench.methods.base import Job, Method, MixerFeed, MixingRate, add
from learn2mix.bench.training import Arm, Role
from learn2mix.policies.base import Floats


@add
@dataclass(frozen=True)
class Yoked(MixingRate):
    """Batches whose proportions follow the path that learn2mix took with another seed.

    A control: the path is right on average, but does not answer to this run's losses. The other run has the same
    training set, other initial weights and another order; it is preparation, counted and timed apart.

    Args:
        mixing_rate: The other run's, in [0, 1]; None takes the task's.
    """

    name: ClassVar[str] = "yoked"
    summary: ClassVar[str] = "the path of proportions of learn2mix with another seed, replayed"
    reference: ClassVar[str] = "a control, for arXiv:2412.16482"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True

    def prepare(self, job: Job) -> Arm:
        """Train the other run and keep its path."""
        other = replace(job, seed=seeds.derive(job.task.name, job.seed, "yoked"))
        feed = MixerFeed(other, self.policy(job.task))
        path: list[Floats] = []

        def note(*epoch: Any) -> None:
            path.append(feed.mixer.proportions)

        other.train_beforehand(Arm(feed=feed, start_epoch=note), job.epochs - 1, purpose="weights")
        note()  # where the last epoch left it
        return Arm(feed=MixerFeed(job, Replay(tuple(path))))

    def rehearsal(self) -> Method:
        """Replay a path of one epoch."""
        return _Rehearsal(self.mixing_rate)


class _Rehearsal(Yoked):
    """A replay without the run before it."""

    def prepare(self, job: Job) -> Arm:
        """Stay at the training set's proportions."""
        return super().prepare(replace(job, epochs=1))


@dataclass(frozen=True, eq=False)
class ReplayState:
    """Where :class:`Replay` stands.

    Args:
        proportions: (k,).
        updates: Updates so far.
    """

    proportions: Floats
    updates: int


@dataclass(frozen=True, eq=False)
class Replay:
    """The policy: go through a path, and stay at its end.

    Args:
        path: Proportions (k,) by epoch.
    """

    path: tuple[Floats, ...]

    def init(self, prior: Floats) -> ReplayState:
        """Start where the path does."""
        return ReplayState(np.array(self.path[0]), 0)

    def update(self, state: ReplayState, losses: Floats, *, counts: Floats, **signals: Any) -> ReplayState:
        """Go on along the path, whatever the losses."""
        made = state.updates + 1
        return ReplayState(np.array(self.path[min(made, len(self.path) - 1)]), made)

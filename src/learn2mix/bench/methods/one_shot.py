"""One-shot: group losses measured once, after the first epoch, and the proportions that they give kept for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learn2mix import policies
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Role
from learn2mix.policies.base import Floats


@add
@dataclass(frozen=True)
class OneShot(Method):
    """The first epoch at the training set's proportions, all others at that epoch's normalised group losses.

    A control: where it does as well as learn2mix, it is not the adapting that helps.
    """

    name: ClassVar[str] = "one-shot"
    summary: ClassVar[str] = "proportions from the first epoch's group losses, kept for good"
    reference: ClassVar[str] = "a control, for arXiv:2412.16482"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    mixes: ClassVar[bool] = True

    def prepare(self, job: Job) -> Arm:
        """Make the mixer."""
        return Arm(feed=MixerFeed(job, Once()))


@dataclass(frozen=True, eq=False)
class OnceState:
    """Where :class:`Once` stands.

    Args:
        proportions: (k,).
        measured: Whether the losses were taken.
    """

    proportions: Floats
    measured: bool


class Once:
    """The policy: jump to the first normalised group losses, and stay."""

    def init(self, prior: Floats) -> OnceState:
        """Start at the training set's proportions."""
        return OnceState(np.array(prior), measured=False)

    def update(self, state: OnceState, losses: Floats, *, counts: Floats, **signals: Any) -> OnceState:
        """Jump, the first time."""
        if state.measured:
            return state
        jump = policies.Learn2Mix(mixing_rate=1.0)
        moved = jump.update(jump.init(state.proportions), losses, counts=counts)
        return OnceState(moved.proportions, measured=True)

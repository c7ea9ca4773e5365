"""What a step of a method took, round after round, as the clock measured it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class StepTimes:
    """One method's times; a value a round.

    Args:
        step_seconds: An optimiser step within an epoch, with all that fills and judges its batch.
        epoch_seconds: What an epoch costs beyond its steps: making its order, ending it, moving proportions.
        steps_per_epoch: Steps that share an epoch's cost.
    """

    step_seconds: tuple[float, ...]
    epoch_seconds: tuple[float, ...]
    steps_per_epoch: int

    @property
    def seconds_per_step(self) -> float:
        """The median step, and its share of the median epoch's cost."""
        return statistics.median(self.step_seconds) + statistics.median(self.epoch_seconds) / self.steps_per_epoch

    @property
    def by_round(self) -> tuple[float, ...]:
        """Seconds a step in each round, for paired ratios between methods."""
        pairs = zip(self.step_seconds, self.epoch_seconds, strict=True)
        return tuple(step + epoch / self.steps_per_epoch for step, epoch in pairs)

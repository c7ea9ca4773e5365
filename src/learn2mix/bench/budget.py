"""How long a run trains: so many epochs, so many steps, or so many seconds by a measured step time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Budget:
    """One budget, in one of three units.

    A budget in seconds is turned into steps beforehand, by the step time that a timing run measured: what a run does
    then hangs on its settings alone, not on what else the machine was doing.

    Args:
        epochs: Epochs of N // M steps, at least 1.
        steps: Optimiser steps, at least 1; the last epoch may be a part of one.
        seconds: Seconds of training, preparation and evaluation left out, above 0; with ``seconds_per_step``.
        seconds_per_step: The method's measured time of a step, above 0.

    Raises:
        TypeError: ``epochs`` or ``steps`` is no int.
        ValueError: Not exactly one unit is given, it is out of range, or seconds come without a step time.

    >>> Budget(epochs=3).in_steps(steps_per_epoch=10), Budget(seconds=1.0, seconds_per_step=0.3).in_steps(10)
    (30, 3)
    """

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None
    seconds_per_step: float | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("epochs", "steps", "seconds")}
        chosen = {name: value for name, value in given.items() if value is not None}
        if len(chosen) != 1:
            raise ValueError(f"a budget was given in {len(chosen)} units ({chosen}); give epochs, steps or seconds")
        for name, value in chosen.items():
            if name == "seconds" and not (math.isfinite(value) and value > 0):
                raise ValueError(f"the budget is {value} seconds; it must be finite and above 0")
            if name != "seconds" and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"the budget is {value!r} {name}; it must be a whole number, an int")
            if name != "seconds" and value < 1:
                raise ValueError(f"the budget is {value} {name}; it must be at least 1")
        timed = self.seconds_per_step is not None and self.seconds_per_step > 0
        if (self.seconds is not None) != timed:
            raise ValueError(
                f"seconds is {self.seconds} and seconds_per_step {self.seconds_per_step}; a budget in seconds needs the "
                "measured time of a step, and no other takes it"
            )

    @classmethod
    def of(cls, budget: int | Budget | None, default: int) -> Budget:
        """Take a whole number for epochs, and nothing for ``default`` epochs."""
        if isinstance(budget, Budget):
            return budget
        return cls(epochs=default if budget is None else budget)

    def in_steps(self, steps_per_epoch: int) -> int:
        """Return the number of steps, at least 1, where an epoch has ``steps_per_epoch``."""
        if self.epochs is not None:
            return self.epochs * steps_per_epoch
        if self.seconds is not None and self.seconds_per_step is not None:
            return max(1, int(self.seconds / self.seconds_per_step))
        return self.steps or 1

    def settings(self) -> dict[str, Any]:
        """Return what goes into a run's settings; the steps that seconds allow are the method's own."""
        if self.seconds is not None:
            return {"seconds": self.seconds, "method_steps": self.in_steps(1)}
        return {"epochs": self.epochs} if self.epochs is not None else {"steps": self.steps}

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} seconds"
        number, unit = (self.epochs, "epoch") if self.epochs is not None else (self.steps, "step")
        return f"{number} {unit}" if number == 1 else f"{number} {unit}s"

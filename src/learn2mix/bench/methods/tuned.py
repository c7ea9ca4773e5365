"""A method with a learning rate of its own, as tuning gives it one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from learn2mix.bench.methods.base import Job, Method
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import Arm


@dataclass(frozen=True)
class Tuned(Method):
    """A method with a learning rate of its own, under the method's own name.

    The rate is among the method's settings, not the task's: tuned methods with different rates are still compared with
    each other. All that the method trains beforehand takes the rate too.

    Args:
        method: The method.
        learning_rate: Its learning rate, finite and above 0.

    Raises:
        ValueError: The rate is out of range, or the method has one already.

    >>> from learn2mix.bench.methods import Learn2Mix
    >>> from learn2mix.bench.tasks import digits
    >>> tuned = Tuned(Learn2Mix(mixing_rate=0.3), 0.01)
    >>> tuned.name, tuned.settings(digits.DIGITS)
    ('learn2mix', {'learning_rate': 0.01, 'mixing_rate': 0.3})
    """

    method: Method
    learning_rate: float

    def __post_init__(self) -> None:
        if isinstance(self.method, Tuned):
            raise ValueError(f"{self.method} is tuned already; give the method itself")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be finite and above 0")
        # what is a method's class's is an instance's here
        for name in ("name", "version", "summary", "reference", "kinds", "changes", "mixes", "instead", "search"):
            object.__setattr__(self, name, getattr(self.method, name))

    def refusal(self, task: Task) -> str:
        """Refuse what the method refuses."""
        return self.method.refusal(task)

    def prepare(self, job: Job) -> Arm:
        """Make the method ready."""
        return self.method.prepare(job)

    def given(self) -> dict[str, Any]:
        """Return the method's settings and the learning rate, as they were given."""
        return {"learning_rate": self.learning_rate, **self.method.given()}

    def settings(self, task: Task) -> dict[str, Any]:
        """Return the method's settings and the learning rate."""
        return {"learning_rate": self.learning_rate, **self.method.settings(task)}

    def learning_rate_on(self, task: Task) -> float:
        """Return the learning rate, whatever the task's."""
        return self.learning_rate

    def with_settings(self, **settings: Any) -> Method:
        """Change the method's settings."""
        return Tuned(self.method.with_settings(**settings), self.learning_rate)

    def cut(self, part: float) -> Method:
        """Cut the method."""
        return Tuned(self.method.cut(part), self.learning_rate)

    def rehearsal(self) -> Method:
        """Rehearse the method at this rate."""
        return Tuned(self.method.rehearsal(), self.learning_rate)

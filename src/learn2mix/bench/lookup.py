"""Tasks and methods by their names."""

from __future__ import annotations

from collections.abc import Sequence

from learn2mix import registry
from learn2mix.bench import methods as _methods  # noqa: F401  (registers them)
from learn2mix.bench import tasks as _tasks  # noqa: F401  (registers them)
from learn2mix.bench.methods.base import Method
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.tasks.base import Task
from learn2mix.checks import brief


def find_task(task: str | Task) -> Task:
    """Look a task up by its name; a task is returned as it is.

    Raises:
        ValueError: There is no task of that name.
    """
    if isinstance(task, Task):
        return task
    found: Task = registry.get("task", task).part
    return found


def find_method(method: str | Method) -> Method:
    """Look a method up by its name and make it with its defaults; a method is returned as it is.

    Names joined by ``+`` stand for all these methods at once, see :class:`Composed`.

    Raises:
        TypeError: It is neither.
        ValueError: There is no method of that name, or those named do not go together.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise TypeError(
            f"method was {brief(method)} ({type(method).__name__}); it must be a name such as 'learn2mix', or a method made, "
            "such as Learn2Mix(mixing_rate=0.2)"
        )
    parts: list[Method] = [registry.get("method", name.strip()).part() for name in method.split("+")]
    return parts[0] if len(parts) == 1 else Composed(tuple(parts))


def fitting(task: Task, methods: Sequence[str | Method] | None = None) -> list[Method]:
    """Make those methods that fit a task.

    One that fits the task's kind but not the task has its stand-in take its place.

    Args:
        task: The task.
        methods: Methods, or their names; None takes all that are registered.
    """
    asked = methods or [entry.name for entry in registry.entries("method")]
    made = [find_method(method) for method in asked]
    stand_ins = [m.instead for m in made if m.instead and task.kind in m.kinds and m.refusal(task)]
    fits = [method for method in made if not method.refusal(task)]
    known = {method.name for method in fits}
    return [*fits, *(find_method(name) for name in dict.fromkeys(stand_ins) if name not in known)]

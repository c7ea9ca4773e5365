"""Which runs a comparison consists of, and the data they need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learn2mix.bench.budget import Budget
from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.lookup import find_method, find_task
from learn2mix.bench.methods.base import Method
from learn2mix.bench.record import settings_key
from learn2mix.bench.runner import settings_of
from learn2mix.bench.tasks.base import Task

Budgets = int | Budget | Mapping[str, Budget] | None


@dataclass(frozen=True)
class Cell:
    """One run to be had: what to call, and the settings under which its result is kept.

    Args:
        task: The task.
        method: The method.
        seed: The seed.
        budget: How long it trains.
        evaluate_on: ``"test"`` or ``"validation"``.
        settings: All that decides the result; see :func:`settings_of`.
    """

    task: Task
    method: Method
    seed: int
    budget: Budget
    evaluate_on: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of its run in a store."""
        return settings_key(self.settings)

    def __str__(self) -> str:
        return f"{self.task.name}, {self.method.name}, seed {self.seed}"


class Shelf:
    """Loads each task's data when asked, and keeps those of the last task alone.

    Args:
        given: Data by task name, for tasks that are not to load theirs.
        data_dir: A folder of local copies.
    """

    def __init__(self, given: Mapping[str, Data] | None = None, data_dir: str | os.PathLike[str] | None = None) -> None:
        self._given = dict(given or {})
        self._data_dir = data_dir
        self._last: tuple[str, Data] | None = None

    def get(self, task: Task, progress: Progress = quiet) -> Data:
        """Return a task's data."""
        if task.name in self._given:
            return self._given[task.name]
        if self._last is None or self._last[0] != task.name:
            self._last = None  # before loading: two sets need not fit into memory at once
            self._last = (task.name, task.load(self._data_dir, progress))
        return self._last[1]


def plan(
    tasks: Sequence[str | Task],
    methods: Sequence[str | Method],
    seeds: Iterable[int],
    budget: Budgets = None,
    *,
    shelf: Shelf | None = None,
    evaluate_on: str = "test",
    progress: Progress = quiet,
) -> list[Cell]:
    """List the runs of a comparison: all tasks and methods of the first seed, then of the next.

    Args:
        tasks: Tasks, or their names.
        methods: Methods, or their names.
        seeds: The seeds.
        budget: The budget of every run, a whole number for epochs, or one by the method's name; None takes each task's.
        shelf: Where the data are.
        evaluate_on: ``"test"``, or ``"validation"`` for tuning.
        progress: Told how far decoding is, where that is needed.

    Raises:
        TypeError: ``tasks`` or ``methods`` is one name, or ``seeds`` a number.
        ValueError: There is no task, method or seed to run, or one is unknown or given twice.
    """
    shelf = shelf or Shelf()
    if isinstance(tasks, str) or isinstance(methods, str):
        raise TypeError(f"tasks is {tasks!r} and methods {methods!r}; give lists, of one name too: [{tasks!r}]")
    if isinstance(seeds, int):
        raise TypeError(f"seeds is {seeds}; give the seeds themselves, for instance range({seeds})")
    seeds = list(seeds)
    if not (tasks and methods and seeds):
        raise ValueError(
            f"{len(tasks)} tasks, {len(methods)} methods and {len(seeds)} seeds make no run; give some of each"
        )
    chosen = [find_method(method) for method in methods]
    prints = [(task, shelf.get(task, progress).fingerprint) for task in map(find_task, tasks)]
    cells = []
    for seed in seeds:
        for task, fingerprint in prints:
            for method in chosen:
                if isinstance(budget, Mapping) and method.name not in budget:
                    raise ValueError(f"there is no budget for {method.name}; there are some for {', '.join(budget)}")
                own = Budget.of(budget[method.name] if isinstance(budget, Mapping) else budget, task.epochs)
                settings = settings_of(task, method, seed, own, fingerprint=fingerprint, evaluate_on=evaluate_on)
                cells.append(Cell(task, method, seed, own, evaluate_on, settings))
    if len({cell.key for cell in cells}) < len(cells):
        raise ValueError(
            f"a run is planned twice among tasks {[task.name for task, _ in prints]}, methods "
            f"{[method.name for method in chosen]} and seeds {seeds}; give each once"
        )
    return cells

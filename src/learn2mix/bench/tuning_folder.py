"""What was tuned, kept in a folder beside the runs that are made with it, and added to when more methods are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from learn2mix.bench.budget import Budget
from learn2mix.bench.data import Data
from learn2mix.bench.methods.base import Method
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.tuning import SEEDS, Tuning, trial_budget, tune

TRIALS = 8
"""How many trials a method has if nothing else is asked for."""


def tuned_in(
    folder: Path,
    task: Task,
    methods: Sequence[Method],
    *,
    reported: Iterable[int],
    data: Data,
    trials: int = TRIALS,
    budget: Budget | None = None,
    **options: Any,
) -> Tuning:
    """Read what was chosen for methods from a folder, and tune those that it lacks.

    Choices are in ``tuned.json``, written anew with all of them; trials in ``trials``, so that tuning that was killed goes
    on where it was.

    Args:
        folder: The folder.
        task: The task.
        methods: The methods.
        reported: The seeds that results will be reported on.
        data: The task's data.
        trials: See :func:`tune`, as for the budget and other options.
        budget: The budget of a trial.
        options: ``device``, ``workers`` and ``watch``.

    Returns:
        The choices for these methods.

    Raises:
        ValueError: The folder's methods were tuned on another task, on other data, on a reported seed or by other trials, or
            see :func:`tune`.
    """
    place, names, reported = folder / "tuned.json", [method.name for method in methods], list(reported)
    # where a run is cheap enough for many seeds, so is a trial
    seeds = SEEDS if task.seeds >= 20 else SEEDS[:1]
    there = Tuning.load(place) if place.exists() else None
    known = {choice.method.name for choice in there.choices} if there is not None else set()
    if there is not None:
        there.methods_for(task, reported, data.fingerprint)
    missing = [method for method in methods if method.name not in known]
    if there is not None and missing:
        was = (there.trials, dict(there.budget), there.seeds)
        now = (trials, trial_budget(budget, task).settings(), seeds)
        if was != now:
            raise ValueError(
                f"{place} is of (trials, budget, seeds) {was}, and {missing[0].name} would be tuned by {now}; move the file "
                "away and tune all of them alike"
            )
    if there is None or missing:
        store = Store(folder / "trials")
        new = tune(
            task,
            missing,
            store=store,
            seeds=seeds,
            reported=reported,
            trials=trials,
            budget=budget,
            data=data,
            **options,
        )
        there = new if there is None else dataclasses.replace(there, choices=there.choices + new.choices)
        there.save(place)
    return there.only(names)


def tuned_folder_name(name: str, trials: int, budget: Budget | None) -> str:
    """Name the folder of a task's tuned runs: other trials, and trials for another budget, have a folder of their own.

    Args:
        name: The folder's name without tuning.
        trials: Trials for each method.
        budget: The budget of the runs compared, None for the task's own.

    >>> tuned_folder_name("digits", 8, None), tuned_folder_name("digits", 5, Budget(epochs=2))
    ('digits+tuned', 'digits+tuned=5+epochs=2')
    """
    if budget is None:
        return f"{name}+tuned" + (f"={trials}" if trials != TRIALS else "")
    return "+".join([f"{name}+tuned={trials}", *(f"{unit}={number}" for unit, number in budget.settings().items())])


def quarter(budget: Budget) -> Budget:
    """Give a trial's part of a budget in epochs or in steps, at least one.

    >>> quarter(Budget(epochs=10)), quarter(Budget(steps=3)).steps
    (Budget(epochs=2, steps=None, seconds=None, seconds_per_step=None), 1)
    """
    return Budget(**{unit: max(1, round(number / 4)) for unit, number in budget.settings().items()})

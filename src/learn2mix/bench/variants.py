"""Tasks under other settings: another profile, optimiser, learning rate or batch size."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import torch

from learn2mix.bench.data.profiles import named
from learn2mix.bench.lookup import find_task
from learn2mix.bench.tasks.base import Task
from learn2mix.checks import Range, number, whole_number

_POSITIVE = Range(0, low_open=True, high_open=True)
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def vary(
    task: str | Task,
    *,
    profile: str | None = None,
    imbalance_factor: float | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
) -> Task:
    """Change a task's settings; what is not given stays.

    Args:
        task: The task, or its name.
        profile: The imbalance of its training set, by name, see :func:`learn2mix.bench.data.profiles.named`; ``"none"`` leaves
            the set as it is.
        imbalance_factor: How many times rarer the rarest groups become, at least 1; with a profile.
        optimizer: One of :data:`OPTIMIZERS`.
        learning_rate: Above 0.
        batch_size: Examples a batch, at least 1.

    Raises:
        TypeError: A number is none.
        ValueError: A name is unknown, a number is out of range, or a profile and its factor do not go together.

    >>> vary("digits", profile="exponential", imbalance_factor=20, learning_rate=0.01).profile
    Exponential(factor=20)
    """
    base = find_task(task)
    changes: dict[str, Any] = {}
    plain = profile in (None, "none")
    if plain != (imbalance_factor is None):
        raise ValueError(
            f"profile is {profile!r} and the imbalance factor {imbalance_factor}; a profile needs a factor, and a factor a "
            "profile: for instance exponential and 100"
        )
    if imbalance_factor is not None:
        number("imbalance_factor", imbalance_factor, Range(1, high_open=True), fix="for instance 10")
    if profile is not None:
        changes["profile"] = None if imbalance_factor is None else named(profile, imbalance_factor)
    if optimizer is not None:
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"no optimiser is called {optimizer!r}; there are: {', '.join(OPTIMIZERS)}")
        changes["optimizer"] = OPTIMIZERS[optimizer]
    if learning_rate is not None:
        changes["learning_rate"] = number("learning_rate", learning_rate, _POSITIVE, fix="the task's own is a start")
    if batch_size is not None:
        changes["batch_size"] = whole_number("batch_size", batch_size, low=1)
    return replace(base, **changes)


def folder_name(task: Task) -> str:
    """Name a task's folder of runs: the task, and what differs from the task as it is registered.

    >>> folder_name(vary("digits", batch_size=16, optimizer="sgd"))
    'digits+batch_size=16+optimizer=sgd'
    >>> folder_name(vary("digits"))
    'digits'
    """
    try:
        usual = find_task(task.name).settings()
    except ValueError:
        return task.name
    differing = {key: value for key, value in task.settings().items() if value != usual[key]}
    return "+".join([task.name, *(f"{key}={_plain(value)}" for key, value in differing.items())])


def _plain(value: Any) -> str:
    """Write a value so that it can be a part of a file's name.

    >>> _plain("Exponential(factor=100)"), _plain(1e-05)
    ('exponential-factor-100', '1e-05')
    """
    if not isinstance(value, str):
        return str(value)
    said = re.sub(r"\w+=None(, )?", "", value)  # what was left to its default says nothing
    return re.sub(r"[^a-z0-9.]+", "-", said.lower()).strip("-")

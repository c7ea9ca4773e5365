"""Tasks under other settings: another profile, optimiser, learning rate or batch size."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from learn2mix.bench.data.profiles import named
from learn2mix.bench.lookup import find_task
from learn2mix.bench.tasks.base import Task
from learn2mix.checks import Range, number, whole_number

_POSITIVE = Range(0, low_open=True, high_open=True)
_LONGEST = 160
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
    proportions: Sequence[float] | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
) -> Task:
    """Change a task's settings; what is not given stays.

    Args:
        task: The task, or its name.
        profile: The imbalance of its training set, by name; see :func:`learn2mix.bench.data.profiles.named`. ``"none"`` leaves
            the set as it is.
        imbalance_factor: How many times rarer the rarest groups become, at least 1; with a profile that takes it.
        proportions: The groups' relative sizes in their order, one a group, each above 0; with ``"given"``.
        optimizer: One of :data:`OPTIMIZERS`.
        learning_rate: Above 0.
        batch_size: Examples a batch, at least 1.

    Raises:
        TypeError: A number is none.
        ValueError: A name is unknown, a number is out of range, or a profile takes something else.

    >>> vary("digits", profile="exponential", imbalance_factor=20, learning_rate=0.01).profile
    Exponential(factor=20)
    """
    base = find_task(task)
    changes: dict[str, Any] = {}
    if any(given is not None for given in (profile, imbalance_factor, proportions)):
        changes["profile"] = named(profile, imbalance_factor=imbalance_factor, proportions=proportions)
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
    name = "+".join([task.name, *(f"{key}={_plain(value)}" for key, value in differing.items())])
    # a file system takes 255 bytes: of a hundred given proportions their digest tells them apart
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _plain(value: Any) -> str:
    """Write a value so that it can be a part of a file's name.

    >>> _plain("Exponential(factor=100)"), _plain(1e-05)
    ('exponential-factor-100', '1e-05')
    """
    if not isinstance(value, str):
        return str(value)
    said = re.sub(r"\w+=None(, )?", "", value)  # what was left to its default says nothing
    return re.sub(r"[^a-z0-9.]+", "-", said.lower()).strip("-")

"""What a diagnosed run records besides: each class's training accuracy and feature gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import Batch, Judge, Trainer
from learn2mix.diagnostics import ClassRecorder


def settings(task: Task) -> dict[str, Any]:
    """Return what goes into a diagnosed run's settings; another run's are as ever.

    Raises:
        ValueError: The task has no classes.
    """
    if task.kind != "classification":
        raise ValueError(f"{task.name} is a {task.kind}; what is diagnosed is classes: leave diagnose out there")
    return {"diagnose": True}


def watch(trainer: Trainer) -> ClassRecorder:
    """Record every batch that a trainer trains on from now on; it trains just as it would have.

    Features are what goes into the last ``nn.Linear`` of the model, before a method changes them there.

    Raises:
        ValueError: The model has no ``nn.Linear``.
    """
    recorder, forward = ClassRecorder(trainer.model, trainer.num_groups), trainer.arm.forward

    def recorded(model: nn.Module, batch: Batch) -> Judge:
        with recorder(batch.y, batch.groups):
            return forward(model, batch)

    trainer.arm = replace(trainer.arm, forward=recorded)
    return recorder


def row(recorder: ClassRecorder) -> dict[str, list[float]]:
    """Give the epoch's row of the curves, a number a group, and start the next."""
    reading = recorder.read()
    recorder.reset()
    return {
        "train_group_accuracy": reading.accuracy.tolist(),
        "feature_gradient": reading.feature_gradient.tolist(),
    }

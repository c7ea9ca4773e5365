"""One run: a task, a method, a seed and a budget in; curves out."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from learn2mix.bench import diagnosis, provenance, seeds
from learn2mix.bench.arithmetic import exact_arithmetic, fixed_threads
from learn2mix.bench.budget import Budget
from learn2mix.bench.data import Data, Examples, Progress, quiet
from learn2mix.bench.lookup import find_method, find_task
from learn2mix.bench.methods.base import Job, Method
from learn2mix.bench.record import Run
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import DivergedError, EpochSummary, Scores, Trainer, Work, evaluate, reestimate
from learn2mix.checks import whole_number
from learn2mix.diagnostics import ClassRecorder

_STATISTICS_BATCHES = 10
_EVALUATE_ON = ("test", "validation")


def settings_of(
    task: Task, method: Method, seed: int, budget: int | Budget, *, fingerprint: str, evaluate_on: str = "test"
) -> dict[str, Any]:
    """Return all that decides a run's result, as JSON values; its hash is the run's name.

    Args:
        task: The task.
        method: The method.
        seed: The run's seed.
        budget: How long it trains; a whole number for epochs.
        fingerprint: The data's, see :attr:`Data.fingerprint`.
        evaluate_on: ``"test"``, or ``"validation"`` for tuning.

    Raises:
        TypeError: ``seed`` is no integer.
        ValueError: ``seed`` is negative, ``evaluate_on`` is neither of the two, or the method does not fit the task.
    """
    whole_number("seed", seed)
    if evaluate_on not in _EVALUATE_ON:
        raise ValueError(f"evaluate_on is {evaluate_on!r}; it must be 'test', or 'validation' for tuning")
    refusal = method.refusal(task)
    if refusal:
        raise ValueError(f"{refusal}; leave it out there")
    return {
        **task.settings(),
        "method": method.name,
        "method_version": method.version,
        "method_settings": method.settings(task),
        "seed": seed,
        **Budget.of(budget, task.epochs).settings(),
        "evaluate_on": evaluate_on,
        "data": fingerprint,
    }


def run(
    task: str | Task,
    method: str | Method,
    seed: int = 0,
    budget: int | Budget | None = None,
    *,
    data: Data | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    evaluate_on: str = "test",
    device: torch.device | str | None = None,
    diagnose: bool = False,
    progress: Progress = quiet,
) -> Run:
    """Train once and return the curves; stores nothing, changes nothing outside, and repeats exactly.

    Args:
        task: A task, or its name.
        method: A method, or its name.
        seed: Decides split, imbalance cut, initial weights, order, dropout and selection, each by itself and alike
            for all methods; 0 or more.
        budget: Epochs of N // M optimiser steps, or a :class:`Budget` in another unit; None takes the task's.
        data: The task's data, where they are at hand; otherwise the task loads them.
        data_dir: A folder of local copies of the data.
        evaluate_on: ``"test"``; or ``"validation"``, for tuning: a tenth of the training set, held out before the
            imbalance cut.
        device: Where to train; None takes the CPU.
        diagnose: Whether to add curves of each class's training accuracy and feature gradients; see :class:`Run`. All
            other curves are as without, but for the seconds.
        progress: Called with what is being done (``"decoding"``, ``"preparing"``, ``"training"``), how much of it is
            done, and how much there is.

    Returns:
        The run; see :class:`Run` for its curves.

    Raises:
        DivergedError: A loss became NaN or infinite.
        ValueError: An argument is out of range, the data do not fit the task, or what has no classes is to be diagnosed.

    >>> result = run("digits", "classical", seed=0, budget=2)
    >>> result.curves["steps"].tolist()
    [0.0, 16.0, 32.0]
    """
    task, method = find_task(task), find_method(method)
    data = data or task.load(data_dir, progress)
    budget = Budget.of(budget, task.epochs)
    settings = settings_of(task, method, seed, budget, fingerprint=data.fingerprint, evaluate_on=evaluate_on)
    if diagnose:
        settings |= diagnosis.settings(task)
    with fixed_threads(task.threads), exact_arithmetic():
        try:
            ready = make_ready(
                task, method, seed, data, budget=budget, evaluate_on=evaluate_on, device=device, progress=progress
            )
            recorder = diagnosis.watch(ready.trainer) if diagnose else None
            with seeds.isolated(ready.job.seed_for("dropout"), ready.job.device):
                curves = _train(ready, budget, progress, recorder)
        except DivergedError as error:
            advice = "a lower learning rate may help"
            raise DivergedError(f"{task.name}, {method.name}, seed {seed}: {error}; {advice}") from error
        return Run(settings, curves, _facts(ready, data.group_names), provenance.describe(ready.job.device))


@dataclass(frozen=True)
class Ready:
    """A run about to start.

    Args:
        job: What the method was made ready from.
        trainer: The arm, its network at the initial weights that all methods share.
        test: The examples to evaluate on.
        preparation_seconds: How long the method took to be made ready.
    """

    job: Job
    trainer: Trainer
    test: Examples
    preparation_seconds: float

    def evaluate(self) -> Scores:
        """Evaluate the model as it is; batch normalisation takes its statistics from the natural mix."""
        job, task = self.job, self.job.task
        with seeds.isolated(job.seed_for("statistics"), job.device):
            sample = torch.randperm(len(job.train))[: _STATISTICS_BATCHES * job.batch_size].sort().values
            reestimate(self.trainer.model, job.train, sample.to(job.device), job.batch_size)
        return evaluate(self.trainer.model, self.test, task.loss, task.metric.per_example, job.num_groups, job.chunk)


def make_ready(
    task: Task,
    method: Method,
    seed: int,
    data: Data,
    *,
    budget: Budget | None = None,
    evaluate_on: str = "test",
    device: torch.device | str | None = None,
    progress: Progress = quiet,
) -> Ready:
    """Split and cut the data, prepare the method, make the network: all that comes before the first step.

    Raises:
        ValueError: The training set is smaller than a batch, or the data do not fit the task or the method.
    """
    num_groups = len(data.group_names)
    train, test = task.split(data, seed, evaluate_on)
    if len(train) < task.batch_size:
        raise ValueError(
            f"{task.name} has {len(train)} training examples and a batch size of {task.batch_size}; a batch must not be "
            "larger than the set"
        )
    target = torch.device(device or "cpu")
    steps_per_epoch = len(train) // task.batch_size
    epochs = -(-Budget.of(budget, task.epochs).in_steps(steps_per_epoch) // steps_per_epoch)
    own = replace(task, learning_rate=method.learning_rate_on(task))
    job = Job(own, train.to(target), num_groups, seed, epochs, steps_per_epoch, progress=progress)
    start = time.perf_counter()
    # a world of its own, so that a method that trains beforehand leaves dropout in the run as it is for the others
    with seeds.isolated(job.seed_for("preparation"), target):
        arm = method.prepare(job)
    seconds = time.perf_counter() - start
    return Ready(job, job.trainer(arm), test.to(target), seconds)


def _train(
    ready: Ready, budget: Budget, progress: Progress, recorder: ClassRecorder | None
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Train for the budget and write a row an epoch, the last of which may be a part of one."""
    trainer, per_epoch = ready.trainer, ready.job.steps_per_epoch
    steps = budget.in_steps(per_epoch)
    sizes = torch.tensor(ready.job.train.group_sizes(ready.job.num_groups))
    rows: dict[str, list[Any]] = defaultdict(list)
    wall = cpu = 0.0
    # before training there is no training batch whose loss could be told
    before = EpochSummary(float("nan"), float("nan"), sizes.double() / sizes.sum())
    _write_row(rows, 0.0, trainer.work, before, (wall, cpu), ready.evaluate(), recorder)
    for epoch in range(1, ready.job.epochs + 1):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        left = steps - trainer.work.steps
        summary = trainer.train_epoch(left if left < per_epoch else None)
        wall += time.perf_counter() - wall_start
        cpu += time.process_time() - cpu_start
        scores = ready.evaluate()
        if not np.isfinite(scores.loss):
            raise DivergedError(f"the loss on the test set became {scores.loss} in epoch {epoch}")
        _write_row(rows, trainer.work.steps / per_epoch, trainer.work, summary, (wall, cpu), scores, recorder)
        progress("training", epoch, ready.job.epochs)
    return {name: np.asarray(column, dtype=np.float32) for name, column in rows.items()}


def _write_row(
    rows: dict[str, list[Any]],
    epoch: float,
    work: Work,
    summary: EpochSummary,
    seconds: tuple[float, float],
    scores: Scores,
    recorder: ClassRecorder | None,
) -> None:
    row: dict[str, Any] = {
        "epoch": epoch,
        "steps": work.steps,
        "forwarded": work.forwarded,
        "backpropagated": work.backpropagated,
        "train_loss": summary.train_loss,
        "train_metric": summary.train_metric,
        "test_loss": scores.loss,
        "test_metric": scores.metric,
        "group_metric": scores.group_metric.tolist(),
        "proportions": summary.proportions.tolist(),
        "wall_seconds": seconds[0],
        "cpu_seconds": seconds[1],
    }
    if recorder is not None:
        row |= diagnosis.row(recorder)
    for name, value in row.items():
        rows[name].append(value)


def _facts(ready: Ready, group_names: Sequence[str]) -> dict[str, Any]:
    job, work = ready.job, ready.job.preparation
    return {
        "metric": job.task.metric.name,
        "group_names": list(group_names),
        "train_group_sizes": job.train.group_sizes(job.num_groups),
        "test_group_sizes": ready.test.group_sizes(job.num_groups),
        "steps_per_epoch": job.steps_per_epoch,
        "batch_size": job.batch_size,
        "reference_metric": job.task.metric.constant(job.train.y, ready.test.y),
        "preparation": {
            "seconds": ready.preparation_seconds,
            "steps": work.steps,
            "forwarded": work.forwarded,
            "backpropagated": work.backpropagated,
        },
    }

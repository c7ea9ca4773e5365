"""What a step costs, by method: a timing run of its own in which all methods take turns.

Seconds measured while runs are made depend on what else the machine was doing. Here every method trains a few steps in
turn, round after round, in one process with a fixed number of threads, so that whatever slows the machine slows all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from learn2mix.bench import provenance, seeds
from learn2mix.bench.arithmetic import exact_arithmetic, fixed_threads
from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.lookup import find_method, find_task
from learn2mix.bench.methods.base import Method
from learn2mix.bench.record import Run
from learn2mix.bench.runner import make_ready
from learn2mix.bench.step_times import StepTimes
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import DivergedError, Trainer


class OneStepError(ValueError):
    """An epoch has one step, so that its start cannot be told from a step."""


@dataclass(frozen=True)
class Timing:
    """Step times of several methods on one task, measured together.

    Args:
        task: The task's name.
        settings: Its settings; under others it has other times.
        methods: The times by method.
        machine: What they were measured on.
        versions: And with.
    """

    task: str
    settings: dict[str, Any]
    methods: dict[str, StepTimes]
    machine: dict[str, Any]
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values: ``seconds_per_step`` by method, the raw rounds, machine and versions."""
        return {
            "task": self.task,
            "settings": self.settings,
            "seconds_per_step": {name: times.seconds_per_step for name, times in self.methods.items()},
            "rounds": {name: asdict(times) for name, times in self.methods.items()},
            "machine": self.machine,
            "versions": self.versions,
        }


def measure(
    task: str | Task,
    methods: Sequence[str | Method],
    *,
    rounds: int = 15,
    seconds: float = 10.0,
    steps: int = 5,
    threads: int | None = None,
    data: Data | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: Progress = quiet,
) -> Timing:
    """Measure seconds per training step, all methods in turn; evaluation and preparation are left out.

    Args:
        task: A task, or its name.
        methods: Methods, or their names.
        rounds: How often each method has its turn at least, from 1; one more round before them warms up.
        seconds: Rounds go on until so much time has passed, which gives short steps more of them.
        steps: Steps a turn, at least 2 and at most an epoch's; the first bears the start of an epoch.
        threads: Threads of torch while measuring; None takes the task's.
        data: The task's data, where they are at hand.
        data_dir: A folder of local copies of the data.
        device: Where to train; None takes the CPU.
        progress: Told how much is done, in thousandths.

    Returns:
        Medians and the raw times of every round.

    Raises:
        OneStepError: An epoch has fewer than 2 steps.
        DivergedError: A method's loss becomes NaN or infinite.
        ValueError: ``rounds`` or ``steps`` is too small, or a method comes twice.
    """
    if rounds < 1 or steps < 2:
        raise ValueError(f"rounds is {rounds} and steps {steps}; there must be at least 1 round and 2 steps")
    task, chosen = find_task(task), [find_method(method) for method in methods]
    if len({method.name for method in chosen}) < len(chosen):
        raise ValueError(f"a method was given twice among {[method.name for method in chosen]}; give each once")
    data = data or task.load(data_dir, progress)
    target = torch.device(device or "cpu")
    with fixed_threads(threads or task.threads), exact_arithmetic(), seeds.isolated(0, target):
        ready = {m.name: make_ready(task, m.rehearsal(), 0, data, device=target) for m in chosen}
        per_epoch = {name: one.job.steps_per_epoch for name, one in ready.items()}
        if min(per_epoch.values()) < 2:
            raise OneStepError(f"{task.name} has one step an epoch; an epoch's start cannot be told from a step")
        trainers = {name: one.trainer for name, one in ready.items()}
        turns = _take_turns(trainers, min(steps, *per_epoch.values()), target, (rounds, seconds), progress)
        machine = provenance.machine(target)
    times = {}
    for name, turn in turns.items():
        step_seconds, epoch_seconds = zip(*turn[1:], strict=True)
        times[name] = StepTimes(step_seconds, epoch_seconds, per_epoch[name])
    return Timing(task.name, task.settings(), times, machine, provenance.versions())


def stored(
    store: Store,
    task: str | Task,
    methods: Sequence[str | Method],
    *,
    ended: Iterable[Run] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: Progress = quiet,
) -> dict[str, Any] | None:
    """Return a store's step times; where they lack a method, measure it together with those that are there.

    Args:
        store: Where the times are kept.
        task: A task, or its name.
        methods: Methods whose times are wanted.
        ended: Runs, if only methods that one of them is of are to be timed.
        data_dir: A folder of local copies of the data.
        device: Where to train; None takes the CPU. Times of another device are not taken.
        progress: Told how much is done.

    Returns:
        The times as JSON values, see :meth:`Timing.to_json`; None where they cannot be measured: a method's loss becomes
        infinite, or an epoch has one step.

    Raises:
        ValueError: A name is unknown, or the data do not fit the task.
    """
    task, wanted = find_task(task), {method.name: method for method in map(find_method, methods)}
    if ended is not None:
        there = {run.settings["method"] for run in ended}
        wanted = {name: method for name, method in wanted.items() if name in there}
    kept = store.timing()
    if not wanted:
        return kept
    here = machine_of(device)
    if kept is not None and kept["machine"].get("device", here) == here:
        if set(wanted) <= set(kept["seconds_per_step"]):
            return kept
        others = (find_method(name) for name in kept["seconds_per_step"] if name not in wanted)
        wanted |= {method.name: method for method in others if not method.refusal(task)}
    try:
        timing = measure(task, list(wanted.values()), data_dir=data_dir, device=device, progress=progress)
    except (DivergedError, OneStepError):
        return None
    store.put_timing(timing.to_json())
    return store.timing()


def machine_of(device: torch.device | str | None) -> str:
    """Name a device as timings do."""
    return str(provenance.machine(torch.device(device or "cpu"))["device"])


Turn = tuple[float, float]


def _take_turns(
    trainers: dict[str, Trainer], steps: int, device: torch.device, at_least: tuple[int, float], progress: Progress
) -> dict[str, list[Turn]]:
    """Give every trainer its turn, round after round, until there are enough rounds and enough time has passed."""
    rounds, seconds = at_least
    turns: dict[str, list[Turn]] = {name: [] for name in trainers}
    start, number = time.perf_counter(), 0
    while number <= rounds or time.perf_counter() - start < seconds:
        for name in _rotated(list(trainers), number):
            turns[name].append(_turn(trainers[name], steps, device))
        number += 1
        progress("timing steps", *_share_done(number, rounds + 1, time.perf_counter() - start, seconds))
    return turns


def _share_done(number: int, rounds: int, passed: float, seconds: float) -> tuple[int, int]:
    """Tell in thousandths how much is done: whichever of rounds and time is further from its end."""
    return int(1000 * min(1.0, number / rounds, passed / seconds if seconds > 0 else 1.0)), 1000


def _turn(trainer: Trainer, steps: int, device: torch.device) -> Turn:
    """Train the first steps of an epoch and end it; return the seconds of a step, and of the epoch beyond its steps."""
    training = trainer.steps()
    start = _now(device)
    next(training)
    first = _now(device)
    for _ in range(steps - 1):
        next(training)
    last = _now(device)
    training.close()
    trainer.end_epoch()
    end = _now(device)
    step = (last - first) / (steps - 1)
    return step, (first - start - step) + (end - last)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _rotated(names: list[str], by: int) -> list[str]:
    """Start each round with another method, so that none always follows the same one."""
    by %= len(names)
    return names[by:] + names[:by]

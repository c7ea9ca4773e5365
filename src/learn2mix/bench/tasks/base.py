"""What a task is: data, imbalance, network, loss, metric and settings, all of them fixed beforehand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learn2mix import registry
from learn2mix.bench import seeds
from learn2mix.bench.data import Data, Examples, Progress, quiet
from learn2mix.bench.data.profiles import Profile
from learn2mix.bench.data.splits import cut, hold_out, standardise

_VALIDATION = 0.1  # the part of the training set that tuning validates on

PerExample = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs (n, ...) and targets (n, ...), returns one number an example, (n,)."""


class Augment(Protocol):
    """Changes inputs at random."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Take a batch's inputs (n, ...) as stored and a generator on their device; return what the network is given."""
        ...


Kind = Literal["classification", "regression", "reconstruction"]
"""What the targets are: class numbers that are the groups too, (n,); numbers, (n,); or the inputs themselves."""


class Load(Protocol):
    """Loads a task's data from a folder of local copies, or from where the task finds them by itself."""

    def __call__(self, data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
        """Load the data."""
        ...


@dataclass(frozen=True)
class Metric:
    """What a task reports; smaller is better.

    Args:
        name: Its name in reports.
        per_example: Its value for each example; the metric is the mean.
        constant: From the training targets, what the best constant prediction scores on the test targets.
    """

    name: str
    per_example: PerExample
    constant: Callable[[Tensor, Tensor], float]


def _majority_error(train_y: Tensor, test_y: Tensor) -> float:
    majority = torch.bincount(train_y).argmax()
    return float((test_y != majority).double().mean())


def _wrong(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) != y).float()


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Squared error an example, summed over what an example consists of: (n, ...) and as many -> (n,)."""
    return (outputs.reshape(len(y), -1) - y.reshape(len(y), -1)).square().sum(dim=1)


def _error_of_the_mean(train_y: Tensor, test_y: Tensor) -> float:
    mean = train_y.double().mean(dim=0)
    return float(squared_error(mean.expand(test_y.shape), test_y.double()).mean())


MSE = Metric("mse", squared_error, _error_of_the_mean)
"""The mean over examples of the squared error, for images the sum over pixels; the constant is the training mean."""

ERROR = Metric("error", _wrong, _majority_error)
"""The error rate, in [0, 1]; the constant prediction is the most frequent training class."""


def cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy an example: logits (n, k), classes (n,) -> (n,), in nats."""
    return F.cross_entropy(outputs, y, reduction="none")


@dataclass(frozen=True)
class Task:
    """One problem with everything that is the same for all methods.

    Args:
        name: The name people type.
        version: Raised by any change that changes results.
        summary: One line for listings.
        load: Loads the data.
        network: Makes the network; its initial weights come from torch's global generator.
        batch_size: Examples a batch, M.
        epochs: The budget E, in epochs of N // M steps.
        mixing_rate: Learn2Mix's mixing rate for this task, in (0, 1).
        learning_rate: The optimiser's learning rate.
        optimizer: Makes the optimiser from the parameters and ``lr``.
        profile: The imbalance of the training set, from its group sizes; None leaves it as it is.
        test_fraction: The part of each group that is drawn for testing where the data have no test set, in (0, 1).
        loss: The loss an example.
        metric: The primary metric, declared beforehand.
        seeds: How many seeds a comparison takes if nothing else is asked for.
        kind: What the targets are; methods say which kinds they fit.
        tokens: Whether inputs are numbers of words, between which nothing lies.
        standardise: Whether every input column gets mean 0 and standard deviation 1 on the training set, after the cut.
        augment: What is done to a training batch's inputs, drawn anew each time; None leaves them as they are.
        threads: Threads of torch to train with, where the network is too small for several to help: the result then
            does not depend on the machine's number of cores. None leaves them as they are.
        reference: Where the settings come from.
    """

    name: str
    version: int
    summary: str
    load: Load
    network: Callable[[], nn.Module]
    batch_size: int
    epochs: int
    mixing_rate: float
    learning_rate: float
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    profile: Profile | None = None
    test_fraction: float = 0.3
    loss: PerExample = cross_entropy
    metric: Metric = ERROR
    seeds: int = 5
    kind: Kind = "classification"
    tokens: bool = False
    standardise: bool = False
    augment: Augment | None = None
    threads: int | None = None
    reference: str = ""

    def settings(self) -> dict[str, Any]:
        """Return what goes into a run's settings, as JSON values; the version stands for the rest."""
        return {
            "task": self.name,
            "task_version": self.version,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "optimizer": getattr(self.optimizer, "__name__", repr(self.optimizer)),
            "profile": repr(self.profile),
        }

    def split(self, data: Data, seed: int, evaluate_on: str = "test") -> tuple[Examples, Examples]:
        """Give the training set and the set to evaluate on, as they are for every method with this seed.

        In this order: where the data have no test set, a part of each group is drawn for it; for tuning, a tenth of each
        group of what is left is held out and takes the test set's place; then the training set is cut to the profile;
        then, where the task asks for it, every input column is standardised by what is left of the training set.

        Args:
            data: The task's data.
            seed: The run's seed.
            evaluate_on: ``"test"``, or ``"validation"`` for tuning.

        Raises:
            ValueError: A group is too small for its part of a split, or the profile does not fit the groups.
        """
        train, test, num_groups = data.train, data.test, len(data.group_names)

        def seed_for(purpose: str) -> int:
            return seeds.derive(self.name, seed, purpose)

        if test is None:
            train, test = hold_out(train, self.test_fraction, num_groups, seed_for("split"))
        if evaluate_on == "validation":
            train, test = hold_out(train, _VALIDATION, num_groups, seed_for("validation"))
        if self.profile is not None:
            train = train.take(cut(train.groups, self.profile(train.group_sizes(num_groups)), seed_for("cut")))
        if self.standardise:
            train, test = standardise(train, train), standardise(test, train)
        return train, test


def add(task: Task) -> Task:
    """Register a task under its name."""
    registry.add(registry.Entry(task.name, "task", task, task.summary, reference=task.reference))
    return task

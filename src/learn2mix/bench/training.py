"""The one training loop: every method's arm goes through it, and its work is counted here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from learn2mix.bench.data import Examples
from learn2mix.bench.tasks.base import PerExample
from learn2mix.selectors import Selector


class DivergedError(ValueError):
    """A loss is no longer a finite number; nothing that follows would mean anything."""


@dataclass(frozen=True, eq=False)
class Batch(Examples):
    """Examples of the set trained on, with their places in it.

    Args:
        x: Inputs, (m, ...).
        y: Targets, (m, ...).
        groups: Group positions, (m,).
        rows: Indices into the set trained on, int64, (m,).
    """

    rows: Tensor

    @classmethod
    def of(cls, train: Examples, rows: Tensor) -> Batch:
        """Gather rows of the set trained on."""
        taken = train.take(rows)
        return cls(taken.x, taken.y, taken.groups, rows)

    def take(self, indices: Tensor) -> Batch:
        """Gather positions of the batch, (m,)."""
        taken = super().take(indices)
        return Batch(taken.x, taken.y, taken.groups, self.rows[indices])


class Feed(Protocol):
    """What fills the batches, epoch after epoch."""

    def epoch(self) -> Iterator[Tensor]:
        """Go through one epoch's batches: indices into the set trained on, (M,), on its device."""
        ...

    def observe(self, losses: Tensor, batch: Batch) -> None:
        """Take notice of the losses (m,), detached, of what was trained on."""
        ...

    def step(self) -> None:
        """End the epoch."""
        ...


Select = Callable[[nn.Module, Batch], Tensor]
"""Chooses what of a batch to train on: positions in the batch, (m,), int64. Its forward passes are counted."""

Combine = Callable[[Tensor, Batch], Tensor]
"""Makes the number to minimise of the losses (m,) of a batch."""

Judge = Callable[[PerExample], Tensor]
"""Applies a criterion an example, a loss or a metric, to what went through the network: (m,)."""

Forward = Callable[[nn.Module, Batch], Judge]
"""Sends a batch through the network, changed or as it is."""

StartEpoch = Callable[[int, nn.Module], None]
"""Told before each epoch which one it is, from 0, and given the model. Its forward passes are counted."""


def mean_loss(losses: Tensor, batch: Batch) -> Tensor:
    """Average the losses."""
    return losses.mean()


def plainly(model: nn.Module, batch: Batch) -> Judge:
    """Send a batch through as it is, each example judged by its own target."""
    outputs = model(batch.x)
    return lambda criterion: criterion(outputs, batch.y)


def unwrapped(model: nn.Module) -> nn.Module:
    """Leave a network as it is."""
    return model


Role = Literal["selector", "train", "feed", "select", "forward", "loss", "combine", "wrap", "start_epoch"]
"""What a method can change: the parts of an :class:`Arm`."""


@dataclass(frozen=True)
class Arm:
    """What a method changes of classical training; what it does not name is as there.

    Args:
        selector: Which examples fill the seats that a mixer gives a group; None for each in turn.
        train: The examples that the feed's indices point at; None for the task's.
        feed: What fills the batches; None for plain shuffling, or for natural proportions where there is a selector.
        loss: The loss an example, of outputs and targets, which the feed observes too; None for the task's.
        combine: Makes one number of a batch's losses.
        select: Chooses what to train on from a batch; None takes all of it.
        forward: Sends a batch through the network.
        wrap: Puts something around the network; what it returns is trained and evaluated.
        start_epoch: Called before each epoch; None where there is nothing to do.
    """

    selector: Selector | None = None
    train: Examples | None = None
    feed: Feed | None = None
    loss: PerExample | None = None
    combine: Combine = mean_loss
    select: Select | None = None
    forward: Forward = plainly
    wrap: Callable[[nn.Module], nn.Module] = unwrapped
    start_epoch: StartEpoch | None = None

    @property
    def changes(self) -> frozenset[str]:
        """The roles that are not as in classical training."""
        return frozenset(part.name for part in fields(self) if getattr(self, part.name) is not part.default)


@dataclass
class Work:
    """Work done so far.

    Args:
        steps: Optimiser steps.
        forwarded: Examples that went forward through the network, selection and scoring included.
        backpropagated: Examples whose loss was differentiated.
    """

    steps: int = 0
    forwarded: int = 0
    backpropagated: int = 0

    @contextmanager
    def counting(self, network: nn.Module) -> Iterator[None]:
        """Count every example that goes forward through ``network`` inside the block, whoever sends it."""

        def count(module: nn.Module, args: tuple[Any, ...]) -> None:
            self.forwarded += len(args[0])

        handle = network.register_forward_pre_hook(count)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class EpochSummary:
    """What an epoch of training leaves.

    Args:
        train_loss: The mean over its batches of the number minimised, the method's own.
        train_metric: The mean of the task's metric over the examples trained on, as the network was when it saw them.
        proportions: The make-up of what was trained on, (k,), float64, sums to 1.
    """

    train_loss: float
    train_metric: float
    proportions: Tensor


@dataclass(eq=False)
class Trainer:
    """One arm in training.

    Args:
        network: The network, on the device of the arm's examples.
        make_optimizer: Makes the optimiser of a model.
        arm: The method, made ready, with examples, feed and loss.
        num_groups: The number of groups k.
        metric: The task's metric an example.
        augment: What is done to a batch's inputs before anything else sees them.
        work: Where the work is counted.
    """

    network: nn.Module
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    arm: Arm
    num_groups: int
    metric: PerExample
    augment: Callable[[Tensor], Tensor] | None = None
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        train, feed, loss = self.arm.train, self.arm.feed, self.arm.loss
        if train is None or feed is None or loss is None:
            raise ValueError("the arm lacks examples, feed or loss; Job.trainer fills in the task's")
        self._train, self._feed, self._loss = train, feed, loss
        self.model = self.arm.wrap(self.network)
        self._optimizer = self.make_optimizer(self.model)
        self._epoch = 0
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._losses: list[Tensor] = []
        self._metrics: list[Tensor] = []
        self._groups: list[Tensor] = []

    def steps(self) -> Generator[None, None, None]:
        """Train for one epoch, pausing after every optimiser step."""
        with self.work.counting(self.network):
            if self.arm.start_epoch is not None:
                self.arm.start_epoch(self._epoch, self.model)
            for rows in self._feed.epoch():
                self._step(Batch.of(self._train, rows))
                yield

    def _step(self, batch: Batch) -> None:
        if self.augment is not None:
            batch = replace(batch, x=self.augment(batch.x))
        if self.arm.select is not None:
            batch = batch.take(self.arm.select(self.model, batch))
        judge = self.arm.forward(self.model, batch)
        losses = judge(self._loss)
        self._feed.observe(losses.detach(), batch)
        loss = self.arm.combine(losses, batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        # kept, not looked at: a look at every loss would halt a GPU at every step
        self._losses.append(loss.detach())
        self._metrics.append(self._measure(judge, losses))
        self._groups.append(batch.groups)
        self.work.steps += 1
        self.work.backpropagated += len(batch)

    @torch.no_grad()
    def _measure(self, judge: Judge, losses: Tensor) -> Tensor:
        return (losses if self.metric is self._loss else judge(self.metric)).detach().mean()

    def end_epoch(self) -> EpochSummary:
        """Let the feed end its epoch; return what the epoch left.

        Raises:
            DivergedError: The epoch's mean loss is not finite.
        """
        train_loss, train_metric = (
            torch.stack([torch.stack(self._losses), torch.stack(self._metrics)]).double().mean(1).tolist()
        )
        if not torch.tensor(train_loss).isfinite():
            raise DivergedError(f"the training loss became {train_loss} within {self.work.steps} steps")
        counts = torch.bincount(torch.cat(self._groups), minlength=self.num_groups).cpu()
        self._feed.step()
        self._epoch += 1
        self._start_epoch()
        return EpochSummary(train_loss, train_metric, counts.double() / counts.sum())

    def train_epoch(self, steps: int | None = None) -> EpochSummary:
        """Train for one epoch, or for its first ``steps`` steps, and end it; see :meth:`end_epoch`."""
        with closing(self.steps()) as training:
            for _ in islice(training, steps):
                pass
        return self.end_epoch()


@dataclass(frozen=True)
class Scores:
    """How a network does on a set: mean loss, mean metric, and the metric by group (k,), float64."""

    loss: float
    metric: float
    group_metric: Tensor


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode inside the block, and afterwards each of its modules into the mode it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def reestimate(model: nn.Module, examples: Examples, sample: Tensor, batch_size: int) -> None:
    """Take the statistics of a model's batch normalisation anew from a sample (m,), batch by batch; without any, do nothing.

    What a method puts into its batches shifts the running statistics; taken from the same natural mix for every method
    they do not tell one from another. Dropout, where there is any, draws from torch's global generator.
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        # of near equal size: each counts alike, and one of a single example has no variance
        parts = torch.tensor_split(sample, -(-len(sample) // batch_size))
        with evaluating(model):
            model.train()
            update_bn((examples.x[part] for part in parts), model)


@torch.no_grad()
def evaluate(
    model: nn.Module, examples: Examples, loss: PerExample, metric: PerExample, num_groups: int, chunk: int
) -> Scores:
    """Evaluate a network on examples, in evaluation mode, without counting it as work.

    Args:
        model: The network; every module's mode is as it was afterwards.
        examples: What to evaluate on; every group is to have some.
        loss: The task's loss an example, the same for all methods.
        metric: The task's metric an example.
        num_groups: The number of groups k.
        chunk: How many examples go through the network at once.
    """
    values = []
    with evaluating(model):
        for part in examples.chunks(chunk):
            outputs = model(part.x)
            losses = loss(outputs, part.y)
            values.append(torch.stack([losses, losses if metric is loss else metric(outputs, part.y)]))
    losses, metrics = torch.cat(values, dim=1).double().cpu()
    groups = examples.groups.cpu()
    sums = torch.bincount(groups, weights=metrics, minlength=num_groups)
    return Scores(float(losses.mean()), float(metrics.mean()), sums / torch.bincount(groups, minlength=num_groups))


@torch.no_grad()
def difficulty(model: nn.Module, examples: Examples, loss: PerExample, chunk: int) -> Tensor:
    """Score examples, in their own order, by their loss: (n,) float64.

    Double precision keeps the easiest apart, whose probabilities are within 1e-7 of 1.
    """
    with evaluating(model):
        return torch.cat([loss(model(part.x).double(), part.y) for part in examples.chunks(chunk)])

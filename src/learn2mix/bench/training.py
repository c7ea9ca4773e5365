"""The one training loop: every method's arm goes through it, and its work is counted here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from learn2mix.bench.data import Examples
from learn2mix.bench.tasks.base import PerExample


class DivergedError(ValueError):
    """A loss is no longer a finite number; nothing that follows would mean anything."""


class Feed(Protocol):
    """What fills the batches, epoch after epoch."""

    def epoch(self) -> Iterator[Tensor]:
        """Go through one epoch's batches: indices into the arm's examples, (M,), on their device."""
        ...

    def observe(self, losses: Tensor, groups: Tensor) -> None:
        """Take notice of a batch's losses (n,), detached, and groups (n,)."""
        ...

    def step(self) -> None:
        """End the epoch."""
        ...


Select = Callable[[nn.Module, Examples], Tensor]
"""Chooses the rows of a batch to train on: positions in the batch, (m,), int64. Its forward passes are counted."""


Combine = Callable[[Tensor, Tensor], Tensor]
"""Makes the number to minimise of a batch's losses (n,) and groups (n,)."""


def mean_loss(losses: Tensor, groups: Tensor) -> Tensor:
    """Average the losses, whatever their groups."""
    return losses.mean()


def _unwrapped(model: nn.Module) -> nn.Module:
    return model


@dataclass(frozen=True)
class Arm:
    """A method made ready for one run: all in which it may differ from the others.

    Args:
        train: The examples that the feed's indices point at.
        feed: What fills the batches.
        loss: The loss an example, of outputs and targets.
        combine: Makes one number of a batch's losses.
        select: Chooses what to train on from a batch; None takes all of it.
        wrap: Puts something around the network; what it returns is trained and evaluated.
    """

    train: Examples
    feed: Feed
    loss: PerExample
    combine: Combine = mean_loss
    select: Select | None = None
    wrap: Callable[[nn.Module], nn.Module] = _unwrapped


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
        arm: The method, made ready.
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
        self.model = self.arm.wrap(self.network)
        self._optimizer = self.make_optimizer(self.model)
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._losses: list[Tensor] = []
        self._metrics: list[Tensor] = []
        self._groups: list[Tensor] = []

    def steps(self) -> Generator[None, None, None]:
        """Train for one epoch, pausing after every optimiser step."""
        with self.work.counting(self.network):
            for indices in self.arm.feed.epoch():
                self._step(self.arm.train.take(indices))
                yield

    def _step(self, batch: Examples) -> None:
        if self.augment is not None:
            batch = Examples(self.augment(batch.x), batch.y, batch.groups)
        if self.arm.select is not None:
            batch = batch.take(self.arm.select(self.model, batch))
        outputs = self.model(batch.x)
        losses = self.arm.loss(outputs, batch.y)
        self.arm.feed.observe(losses.detach(), batch.groups)
        loss = self.arm.combine(losses, batch.groups)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        # kept, not looked at: a look at every loss would halt a GPU at every step
        self._losses.append(loss.detach())
        self._metrics.append(self._measure(outputs, batch.y, losses))
        self._groups.append(batch.groups)
        self.work.steps += 1
        self.work.backpropagated += len(batch)

    @torch.no_grad()
    def _measure(self, outputs: Tensor, y: Tensor, losses: Tensor) -> Tensor:
        same = self.metric is self.arm.loss
        return (losses if same else self.metric(outputs.detach(), y)).detach().mean()

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
        self.arm.feed.step()
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


def reestimate(model: nn.Module, examples: Examples, sample: Tensor, batch_size: int) -> None:
    """Take the statistics of a model's batch normalisation anew from a sample (m,), batch by batch; without any, do nothing.

    What a method puts into its batches shifts the running statistics; taken from the same natural mix for every method
    they do not tell one from another. Dropout, where there is any, draws from torch's global generator.
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        # of near equal size: each counts alike, and one of a single example has no variance
        parts = torch.tensor_split(sample, -(-len(sample) // batch_size))
        update_bn((examples.x[part] for part in parts), model)


@torch.no_grad()
def evaluate(
    model: nn.Module, examples: Examples, loss: PerExample, metric: PerExample, num_groups: int, chunk: int = 2000
) -> Scores:
    """Evaluate a network on examples, in evaluation mode, without counting it as work.

    Args:
        model: The network; put back into training mode afterwards.
        examples: What to evaluate on; every group is to have some.
        loss: The task's loss an example, the same for all methods.
        metric: The task's metric an example.
        num_groups: The number of groups k.
        chunk: How many examples go through the network at once.
    """
    model.eval()
    values = []
    for part in examples.chunks(chunk):
        outputs = model(part.x)
        losses = loss(outputs, part.y)
        values.append(torch.stack([losses, losses if metric is loss else metric(outputs, part.y)]))
    model.train()
    losses, metrics = torch.cat(values, dim=1).double().cpu()
    groups = examples.groups.cpu()
    sums = torch.bincount(groups, weights=metrics, minlength=num_groups)
    return Scores(float(losses.mean()), float(metrics.mean()), sums / torch.bincount(groups, minlength=num_groups))

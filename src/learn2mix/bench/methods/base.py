"""What a method is, what it is given, and the two ways to fill batches that most of them share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learn2mix import Mixer, policies, registry
from learn2mix.bench import seeds
from learn2mix.bench.data import Examples, Progress, quiet
from learn2mix.bench.tasks.base import Kind, Task
from learn2mix.bench.training import Arm, Batch, Combine, Role, Trainer, Work
from learn2mix.policies import Policy
from learn2mix.selectors import Selector


@dataclass(frozen=True)
class Job:
    """What a method may know of the run that it is made ready for.

    Args:
        task: The task.
        train: The training set, split and cut, on the training device.
        num_groups: The number of groups k.
        seed: The run's seed; draw from :meth:`seed_for`, never from it.
        epochs: How long the run will train, in epochs, a part of one counting whole; for schedules.
        steps_per_epoch: Optimiser steps an epoch, P, the same for every method; N // M of the task's training set.
        selector: Which examples fill the seats of a group, where the run has a method for that; mixers take it up.
        preparation: Where work done before training is to be counted.
        progress: Told how far a long preparation is.
    """

    task: Task
    train: Examples
    num_groups: int
    seed: int
    epochs: int
    steps_per_epoch: int
    selector: Selector | None = None
    preparation: Work = field(default_factory=Work)
    progress: Progress = quiet

    @property
    def device(self) -> torch.device:
        """The device of the training set."""
        return self.train.x.device

    @property
    def batch_size(self) -> int:
        """Examples a batch, M."""
        return self.task.batch_size

    @property
    def chunk(self) -> int:
        """How many examples may go through the network at once without a gradient.

        A batch fits into memory with all that its gradient needs; small inputs go through in larger pieces.
        """
        return min(2000, max(self.batch_size, 2**18 // max(1, self.train.x[0].numel())))

    def epochs_of(self, part: float) -> int:
        """Give a part of the run, in [0, 1], in whole epochs: at least one, unless it is 0."""
        return max(1, round(part * self.epochs)) if part else 0

    def class_sizes(self) -> Tensor:
        """Count the training examples of each class, (k,), on the CPU; of a classification."""
        return torch.bincount(self.train.y, minlength=self.num_groups).cpu()

    def seed_for(self, purpose: str) -> int:
        """Derive the seed for a purpose, in [0, 2^63); methods that name the same purpose get the same."""
        return seeds.derive(self.task.name, self.seed, purpose)

    def network(self, purpose: str = "weights") -> nn.Module:
        """Make the task's network on the device, its initial weights decided by the task, the seed and the purpose."""
        with seeds.isolated(self.seed_for(purpose)):
            return self.task.network().to(self.device)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the task's optimiser for a model."""
        return self.task.optimizer(model.parameters(), lr=self.task.learning_rate)

    def trainer(self, arm: Arm, *, work: Work | None = None, purpose: str = "weights") -> Trainer:
        """Put an arm and the task's network and optimiser together, ready for the first step.

        Args:
            arm: What the method changes; the rest is classical training.
            work: Where the work is counted; None starts a new count.
            purpose: What the initial weights are for; see :meth:`network`.
        """
        generator = seeds.generator(self.seed_for("augmentation"), self.device)
        augment = None if self.task.augment is None else partial(self.task.augment, generator=generator)
        metric = self.task.metric.per_example
        network = self.network(purpose)
        return Trainer(network, self.optimizer, self.complete(arm), self.num_groups, metric, augment, work or Work())

    def train_beforehand(self, arm: Arm, epochs: int, *, purpose: str, turn: int = 0, turns: int = 1) -> Trainer:
        """Train another network, whose work counts as preparation, and give its trainer.

        Args:
            arm: What is changed of classical training.
            epochs: How long, in epochs.
            purpose: What the initial weights are for; see :meth:`network`.
            turn: Which of the method's trainings this is, from 0, for the progress.
            turns: How many it has, all as long.
        """
        trainer = self.trainer(arm, work=self.preparation, purpose=purpose)
        for epoch in range(epochs):
            trainer.train_epoch()
            self.progress("preparing", turn * epochs + epoch + 1, turns * epochs)
        return trainer

    def complete(self, arm: Arm) -> Arm:
        """Give an arm what it lacks for training: the task's examples and loss, what fills batches, a selector's factors.

        Raises:
            ValueError: There is a selector, and the batches are not filled by a mixer that has it.
        """
        train = self.train if arm.train is None else arm.train
        feed, combine = arm.feed, arm.combine
        if feed is None and arm.selector is None:
            feed = shuffled(self, train)
        elif feed is None:
            feed = MixerFeed(replace(self, train=train, selector=arm.selector), policies.Static("natural"))
        if isinstance(feed, MixerFeed) and feed.selects:
            combine = feed.weighting(combine)
        elif arm.selector is not None:
            raise ValueError(
                f"{type(arm.selector).__name__} chooses examples within groups, and {type(feed).__name__} fills the batches "
                "without regard to that; compose it with a method whose proportions a mixer keeps, such as learn2mix"
            )
        loss = self.task.loss if arm.loss is None else arm.loss
        return replace(arm, train=train, feed=feed, loss=loss, combine=combine)


Shares = Literal["", "evened", "corrected"]


@dataclass(frozen=True)
class Method(ABC):
    """One way to train: a frozen value whose fields are its settings.

    Attributes:
        name: The name people type.
        version: Raised by any change that changes results.
        summary: One line for listings.
        reference: Where it is defined.
        kinds: The kinds of task that it fits.
        changes: The parts of an :class:`Arm` that :meth:`prepare` sets.
        mixes: Whether a mixer fills its batches, so that a selector may choose within the groups.
        classes: What it does about classes of unequal size: those it trains on are ``"evened"`` out, or ``"corrected"`` for;
            neither is done twice.
        beside: Other methods that correct for class sizes and yet go together with it, by name.
        pairs: Whether it trains on pairs of examples, so that one weight an example does not do.
        clashes: Methods that it must not be composed with, by name or by what they change, and why, as a clause.
        instead: The method that takes its place on a task of such a kind that it still does not fit.
        search: The values that tuning may give to the method's main setting, by its name, in ascending order; empty
            where it has none. The value in use need not be among them.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "regression", "reconstruction"})
    changes: ClassVar[frozenset[Role]] = frozenset()
    mixes: ClassVar[bool] = False
    classes: ClassVar[Shares] = ""
    beside: ClassVar[frozenset[str]] = frozenset()
    pairs: ClassVar[bool] = False
    clashes: ClassVar[Mapping[str, str]] = {}
    instead: ClassVar[str] = ""
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def refusal(self, task: Task) -> str:
        """Say why the method does not fit a task; nothing where it does."""
        if task.kind in self.kinds:
            return ""
        return f"{self.name} is for {' and '.join(sorted(self.kinds))}, and {task.name} is a {task.kind}"

    @abstractmethod
    def prepare(self, job: Job) -> Arm:
        """Make the method ready for a run: give what it changes.

        What happens here is timed and counted apart from training.
        """

    def settings(self, task: Task) -> dict[str, Any]:
        """Return what goes into a run's settings, as JSON values; ``task`` fills in what was left to it."""
        return self.given()

    def learning_rate_on(self, task: Task) -> float:
        """Return the optimiser's learning rate; a method that takes another than the task's has it in its settings."""
        return task.learning_rate

    def given(self) -> dict[str, Any]:
        """Return the settings as they were given, by name: None for what is left to the task."""
        return dataclasses.asdict(self)

    def with_settings(self, **settings: Any) -> Method:
        """Return the method with those settings changed that it has; others, and None, are passed over."""
        known = self.given()
        return replace(self, **{key: value for key, value in settings.items() if key in known and value is not None})

    def cut(self, part: float) -> Method:
        """Return the method for a part of the task's budget, in (0, 1]: what it does beforehand lasts that part too."""
        return self

    def rehearsal(self) -> Method:
        """Return a method whose steps cost the same and whose preparation is cheap, to time steps with."""
        return self


@dataclass(frozen=True)
class MixingRate(Method):
    """What the methods have in common whose proportions or weights move as learn2mix's do.

    Args:
        mixing_rate: How fast they follow the group losses, in [0, 1]; None takes the task's.
    """

    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"mixing_rate": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}

    mixing_rate: float | None = None

    def __post_init__(self) -> None:
        if self.mixing_rate is not None:
            policies.Learn2Mix(mixing_rate=self.mixing_rate)  # the policy knows what it may be

    def settings(self, task: Task) -> dict[str, Any]:
        """Return the mixing rate in use."""
        return {"mixing_rate": self.policy(task).mixing_rate}

    def policy(self, task: Task) -> policies.Learn2Mix:
        """Make the policy."""
        return policies.Learn2Mix(mixing_rate=task.mixing_rate if self.mixing_rate is None else self.mixing_rate)


M = TypeVar("M", bound=type[Method])


def add(method: M) -> M:
    """Register a class of methods under its name."""
    registry.add(registry.Entry(method.name, "method", method, method.summary, reference=method.reference))
    return method


def everything(epoch: int) -> float:
    """Let the whole set be drawn from in any epoch."""
    return 1.0


class ShuffledFeed:
    """Batches from a shuffled order, without replacement until the pool is used up and then from a new order.

    Args:
        ranking: Indices of the examples, (N,), on their device; an epoch's pool is a first part of it.
        batch_size: Examples a batch, M.
        steps: Batches an epoch, P. With P = N // M and a pool of all N this drops the last, partial batch.
        seed: Decides the orders.
        share: The part of the ranking, in (0, 1], that an epoch (from 0) draws from.
    """

    def __init__(
        self,
        ranking: Tensor,
        batch_size: int,
        steps: int,
        *,
        seed: int,
        share: Callable[[int], float] = everything,
    ) -> None:
        self.ranking = ranking
        self._batch_size = batch_size
        self._steps = steps
        self._share = share
        # on the CPU: the same order on every device
        self._generator = seeds.generator(seed)
        self._epoch = 0

    def epoch(self) -> Iterator[Tensor]:
        """Go through the epoch's batches: indices (M,)."""
        pool = max(1, int(self._share(self._epoch) * len(self.ranking)))
        needed = self._steps * self._batch_size
        passes = [torch.randperm(pool, generator=self._generator) for _ in range(-(-needed // pool))]
        positions = torch.cat(passes)[:needed].to(self.ranking.device)
        yield from self.ranking[positions].view(self._steps, self._batch_size)

    def observe(self, losses: Tensor, batch: Batch) -> None:
        """Take no notice."""

    def step(self) -> None:
        """Go on to the next epoch."""
        self._epoch += 1


def shuffled(job: Job, examples: Examples) -> ShuffledFeed:
    """Fill batches from a new order of ``examples`` every epoch: what classical training does."""
    ranking = torch.arange(len(examples), device=job.device)
    return ShuffledFeed(ranking, job.batch_size, job.steps_per_epoch, seed=job.seed_for("order"))


class MixerFeed:
    """Batches from a :class:`learn2mix.Mixer`, which hears the losses if its policy or selector has a use for them.

    Args:
        job: The run, with the selector if there is one.
        policy: How the proportions move.
        update_every: Move them after each so many batches rather than at the end of an epoch.
    """

    def __init__(self, job: Job, policy: Policy, *, update_every: int | None = None) -> None:
        self._device = job.device
        self._batch_size, self._steps = job.batch_size, job.steps_per_epoch
        self.selects = job.selector is not None
        self._listens = self.selects or getattr(policy, "adaptive", True)
        self.mixer = Mixer(
            job.train.groups,
            job.batch_size,
            policy=policy,
            selector=job.selector,
            seed=job.seed_for("order"),
            update_every=update_every,
        )

    def epoch(self) -> Iterator[Tensor]:
        """Go through the epoch's batches: indices (M,)."""
        for indices in islice(self.mixer.batch_sampler, self._steps):
            yield torch.tensor(indices, device=self._device)

    def observe(self, losses: Tensor, batch: Batch) -> None:
        """Hand the losses to the mixer, or tell it that a batch was trained on."""
        if not self._listens:
            self.mixer.skip(1)
            return
        left_out = self._batch_size - len(losses)  # drawn, but not trained on: they have no loss
        there = F.pad(torch.ones_like(losses), (0, left_out))
        groups, rows = (torch.cat([of, of[:1].expand(left_out)]) for of in (batch.groups, batch.rows))
        self.mixer.observe(F.pad(losses, (0, left_out)), groups, weights=there if left_out else None, indices=rows)

    def weighting(self, combine: Combine) -> Combine:
        """Let the losses be multiplied by the selector's factors before they are combined."""

        def weighted(losses: Tensor, batch: Batch) -> Tensor:
            return combine(losses * self.mixer.weights_of(batch.rows), batch)

        return weighted

    def step(self) -> None:
        """Let the mixer move the proportions."""
        self.mixer.step()

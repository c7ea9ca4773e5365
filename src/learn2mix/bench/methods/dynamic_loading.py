"""Dynamic batch loading: proportions grow where the validation loss is above that of a network trained beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from learn2mix import policies
from learn2mix.bench.data import Examples
from learn2mix.bench.data.splits import hold_out
from learn2mix.bench.methods.base import Job, Method, MixerFeed, add
from learn2mix.bench.training import Arm, Batch, DivergedError, Role, evaluate
from learn2mix.checks import whole_number

_HELD_OUT = 0.1


@add
@dataclass(frozen=True)
class DynamicLoading(Method):
    """Batches whose proportions are multiplied by the exponential of the validation losses above a reference.

    A tenth of each group, at least one example, is held out for validation, and the rest is trained on. The references
    are the validation losses of a network trained classically on the rest for the whole budget: preparation, counted and
    timed apart. Forward passes of validation during training are counted with the run's. See
    :class:`learn2mix.policies.DynamicLoading`.

    Args:
        updates: How often the proportions move, evenly over the budget, at most at every step. The paper has 64 in its
            pruning stage (3200 steps, every 50).
        released: Take the form of the authors' code instead of the paper's: no maximum, and a little of even shares.
    """

    name: ClassVar[str] = "dynamic-loading"
    summary: ClassVar[str] = "proportions that grow where validation is above a reference"
    reference: ClassVar[str] = "Xia et al., arXiv:2310.06694"
    changes: ClassVar[frozenset[Role]] = frozenset({"train", "feed", "start_epoch"})
    clashes: ClassVar[Mapping[str, str]] = {
        "infobatch": "dynamic-loading ends its mixer's epochs when it validates, and infobatch counts in the run's",
        "last-loss": "dynamic-loading ends its mixer's epochs when it validates, and passes that are cut leave no scores",
        "loss": "dynamic-loading's references are of a network trained on the task's own loss",
        "wrap": "dynamic-loading would validate changed logits against references without",
    }

    updates: int = 64
    released: bool = False

    def __post_init__(self) -> None:
        whole_number("updates", self.updates, low=1, fix="64 is its authors' in pruning")
        if not isinstance(self.released, bool):
            raise TypeError(f"released was {self.released!r}; it must be True or False")

    def prepare(self, job: Job) -> Arm:
        """Hold the validation examples out and measure what is to be reached on them."""
        rest, held = hold_out(job.train, _HELD_OUT, job.num_groups, job.seed_for("hold-out"))
        policy = policies.DynamicLoading(
            self.references(job, rest, held), clip=not self.released, smoothing=1e-4 if self.released else 0.0
        )
        every = max(1, job.epochs * job.steps_per_epoch // self.updates)
        feed = ValidatingFeed(replace(job, train=rest), policy, held, every)
        return Arm(train=rest, feed=feed, start_epoch=feed.start_epoch)

    def references(self, job: Job, rest: Examples, held: Examples) -> list[float]:
        """Train a network classically for the budget; give its validation losses, (k,)."""
        trainer = job.train_beforehand(Arm(train=rest), job.epochs, purpose="reference")
        with job.preparation.counting(trainer.network):
            losses: list[float] = group_losses(trainer.model, held, job).tolist()
        return losses

    def rehearsal(self) -> Method:
        """Take 0 as the reference."""
        return _Rehearsal(self.updates, self.released)


class _Rehearsal(DynamicLoading):
    """The same steps without the run before them."""

    def references(self, job: Job, rest: Examples, held: Examples) -> list[float]:
        """Give 0 for each."""
        return [0.0] * job.num_groups


def group_losses(model: nn.Module, examples: Examples, job: Job) -> Tensor:
    """Give the mean loss of each group, (k,) float64, the task's own; in evaluation mode.

    Raises:
        DivergedError: One is not finite.
    """
    loss = job.task.loss
    found = evaluate(model, examples, loss, loss, job.num_groups, job.chunk).group_metric
    if not found.isfinite().all():
        raise DivergedError(f"validation losses became {found.tolist()}")
    return found


class ValidatingFeed(MixerFeed):
    """Batches from a mixer whose proportions move by validation losses, every so many steps.

    Args:
        job: The run, with the examples that are trained on.
        policy: How the proportions move.
        held: The validation examples.
        every: Steps between two updates.
    """

    def __init__(self, job: Job, policy: policies.DynamicLoading, held: Examples, every: int) -> None:
        super().__init__(job, policy)
        self._job, self._held, self._every = job, held, every
        self._model: nn.Module | None = None
        self._trained_on = 0
        self._batches = self._passes()

    def start_epoch(self, epoch: int, model: nn.Module) -> None:
        """Take the model that is to be validated."""
        self._model = model

    def epoch(self) -> Iterator[Tensor]:
        """Go through the epoch's batches: indices (M,); validate after those where it is due."""
        for _ in range(self._steps):
            yield torch.tensor(next(self._batches), device=self._device)
            if self._trained_on >= self._every and self._model is not None:
                losses = group_losses(self._model, self._held, self._job)
                self.mixer.step(validation_losses=losses.numpy())
                self._batches, self._trained_on = self._passes(), 0

    def observe(self, losses: Tensor, batch: Batch) -> None:
        """Count the batch; the mixer takes what it drew for trained on once it was observed."""
        super().observe(losses, batch)
        self._trained_on += 1

    def step(self) -> None:
        """Go on: the mixer's epochs are from update to update."""

    def _passes(self) -> Iterator[list[int]]:
        while True:
            yield from self.mixer.batch_sampler

"""Mixup: each batch mixed with itself in another order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from learn2mix import transforms
from learn2mix.bench.data.pixels import unit_range
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import Arm, Batch, Forward, Judge, Role


@add
@dataclass(frozen=True)
class Mixup(Method):
    """Train on ``lam * x + (1 - lam) * x[order]``, ``lam ~ Beta(alpha, alpha)`` once a batch, in place of ``x``.

    Class ids are judged as pairs, ``lam * loss(y) + (1 - lam) * loss(y[order])``; numbers and images are mixed like the
    inputs. So an autoencoder is to rebuild what two images laid over each other look like. Bytes are mixed as floats, and
    after augmentation. The training metric is weighted like the loss. A mixed example counts for the group of its first
    half, also where a policy listens to the losses.

    Args:
        alpha: Above 0; 1 is the authors' for CIFAR-10.
    """

    name: ClassVar[str] = "mixup"
    summary: ClassVar[str] = "each batch mixed with itself in another order"
    reference: ClassVar[str] = "Zhang et al., arXiv:1710.09412"
    changes: ClassVar[frozenset[Role]] = frozenset({"forward"})
    pairs: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"alpha": (0.1, 0.2, 0.4, 1.0, 2.0)}

    alpha: float = 1.0

    def __post_init__(self) -> None:
        transforms.Mixup(self.alpha)  # the transform knows what it may be

    def refusal(self, task: Task) -> str:
        """Refuse words besides."""
        return nothing_between_words(self, task) or super().refusal(task)

    def prepare(self, job: Job) -> Arm:
        """Seed the draws."""
        return Arm(forward=mixed_by(transforms.Mixup(self.alpha, seed=job.seed_for("mixing"))))


def nothing_between_words(method: Method, task: Task) -> str:
    """Say why a method that mixes inputs does not fit a task of words; nothing where there are none."""
    if not task.tokens:
        return ""
    return f"{method.name} would mix numbers of words in {task.name}: what lies between two of them is another word"


def mixed_by(transform: Callable[[Tensor, Tensor], transforms.Mixed]) -> Forward:
    """Make the forward pass that mixes a batch first."""

    def forward(model: nn.Module, batch: Batch) -> Judge:
        return judged(model, transform(unit_range(batch.x), batch.y))

    return forward


def judged(model: nn.Module, mixed: transforms.Mixed) -> Judge:
    """Send a mixed batch through; judge what comes out by the mixed targets."""
    outputs = model(mixed.x)
    return lambda criterion: mixed.loss(criterion, outputs)

"""C-Mixup: for regression, partners whose labels are near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from learn2mix import transforms
from learn2mix.bench.data import Examples
from learn2mix.bench.data.pixels import unit_range
from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.methods.mixup import judged, nothing_between_words
from learn2mix.bench.tasks.base import Kind, Task
from learn2mix.bench.training import Arm, Batch, Forward, Judge, Role
from learn2mix.checks import Range, number


@add
@dataclass(frozen=True)
class CMixup(Method):
    """Train on examples mixed with partners from the whole training set, the likelier the nearer their target.

    Input and target are mixed by the same weight, ``lam ~ Beta(alpha, alpha)``, one a batch. A mixed example counts for the
    group of its first half.

    Args:
        bandwidth: Of the kernel over targets, above 0, in standard deviations of the training targets, so that it means
            the same on every task. The authors chose one for each set in its own units; the default is ours.
        alpha: Above 0; 2 is the authors' for most sets.
    """

    name: ClassVar[str] = "c-mixup"
    summary: ClassVar[str] = "mixup of examples whose targets are near; regression"
    reference: ClassVar[str] = "Yao et al., arXiv:2210.05775; the bandwidth is ours"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"regression"})
    changes: ClassVar[frozenset[Role]] = frozenset({"forward"})
    pairs: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"bandwidth": (0.1, 0.25, 0.5, 1.0, 2.0)}

    bandwidth: float = 0.5
    alpha: float = 2.0

    def __post_init__(self) -> None:
        number(
            "bandwidth",
            self.bandwidth,
            Range(0, low_open=True, high_open=True),
            fix="it is in standard deviations of the targets; 0.5 is a start",
        )
        transforms.CMixup([0.0], self.bandwidth, alpha=self.alpha)  # the transform knows what it may be

    def refusal(self, task: Task) -> str:
        """Refuse words, classes, and inputs that change from one time to the next besides."""
        if task.kind == "classification":
            return (
                f"{self.name} draws partners by how near their targets are, and the class numbers of {task.name} are neither "
                "near nor far; mixup draws them regardless"
            )
        if task.augment is not None:
            return f"{self.name} takes partners as they are stored, and {task.name} augments its batches"
        return nothing_between_words(self, task) or super().refusal(task)

    def prepare(self, job: Job) -> Arm:
        """Sort the targets."""
        bandwidth, seed = in_units_of(job.train, self.bandwidth), job.seed_for("mixing")
        c_mixup = transforms.CMixup(job.train.y, bandwidth, alpha=self.alpha, seed=seed)
        return Arm(forward=with_partners(c_mixup, job.train))


def in_units_of(train: Examples, bandwidth: float) -> float:
    """Turn standard deviations of the targets into their units; of targets that are all equal, any will do."""
    return bandwidth * (float(train.y.double().std(correction=0)) or 1.0)


def with_partners(c_mixup: transforms.CMixup, train: Examples) -> Forward:
    """Make the forward pass that mixes a batch with partners from the set trained on."""

    def forward(model: nn.Module, batch: Batch) -> Judge:
        partners = train.take(c_mixup.partners(batch.rows))
        mixed = c_mixup(unit_range(batch.x), batch.y, partner_x=unit_range(partners.x), partner_y=partners.y)
        return judged(model, mixed)

    return forward

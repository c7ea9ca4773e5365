"""Random oversampling: the rare groups' examples repeated, before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from learn2mix.bench import seeds
from learn2mix.bench.methods.base import Job, Method, Shares, ShuffledFeed, add
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Oversample(Method):
    """Repeat examples of the smaller groups until all are as large as the largest, then train classically.

    What SMOTE does without its interpolation, and so for inputs between which there is nothing, such as words. An
    epoch is as many steps as before.
    """

    name: ClassVar[str] = "oversample"
    summary: ClassVar[str] = "examples of the rare groups repeated until all groups are equal"
    reference: ClassVar[str] = "imbalanced-learn, RandomOverSampler"
    changes: ClassVar[frozenset[Role]] = frozenset({"feed"})
    classes: ClassVar[Shares] = "evened"

    def prepare(self, job: Job) -> Arm:
        """Choose what to repeat."""
        ranking = repeated(job.train.groups, job.num_groups, job.seed_for("oversample")).to(job.device)
        feed = ShuffledFeed(ranking, job.batch_size, job.steps_per_epoch, seed=job.seed_for("order"))
        return Arm(feed=feed)


def repeated(groups: Tensor, num_groups: int, seed: int) -> Tensor:
    """List all examples, then those drawn again with replacement until every group is as large as the largest.

    Args:
        groups: Group positions, (N,).
        num_groups: The number of groups k.
        seed: Decides what is drawn.

    Returns:
        Indices into ``groups``, (k * size of the largest,), int64.

    >>> torch.bincount(torch.tensor([0, 0, 0, 1])[repeated(torch.tensor([0, 0, 0, 1]), 2, seed=0)]).tolist()
    [3, 3]
    """
    groups = groups.cpu()
    sizes = torch.bincount(groups, minlength=num_groups).tolist()
    generator = seeds.generator(seed)
    parts = [torch.arange(len(groups))]
    for group, size in enumerate(sizes):
        members = (groups == group).nonzero().squeeze(1)
        parts.append(members[torch.randint(size, (max(sizes) - size,), generator=generator)])
    return torch.cat(parts)

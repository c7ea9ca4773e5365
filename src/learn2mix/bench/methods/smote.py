"""SMOTE: the rare classes filled up with points between neighbours, before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from learn2mix.bench.data import Examples
from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind, Task
from learn2mix.bench.training import Arm, Role


@add
@dataclass(frozen=True)
class Smote(Method):
    """Oversample to equal classes as imbalanced-learn does by default (5 neighbours), then train classically.

    The inputs are flattened and in the network's own scale; pixels kept as whole numbers are rounded back to them. An
    epoch is as many steps as before oversampling.
    """

    name: ClassVar[str] = "smote"
    summary: ClassVar[str] = "synthetic examples between neighbours of the rare classes"
    reference: ClassVar[str] = "arXiv:2412.16482, SMOTE; Chawla et al., JAIR 16, 2002"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"train"})
    classes: ClassVar[Shares] = "evened"
    instead: ClassVar[str] = "oversample"

    def refusal(self, task: Task) -> str:
        """Refuse words besides: a point between two numbers of words is another word."""
        if task.tokens:
            return (
                f"smote would interpolate between numbers of words in {task.name}; oversample repeats examples instead"
            )
        return super().refusal(task)

    def prepare(self, job: Job) -> Arm:
        """Make the synthetic examples."""
        return Arm(train=oversample(job.train, job.seed_for("smote")))


def oversample(train: Examples, seed: int) -> Examples:
    """Add synthetic examples until all classes are as large as the largest.

    Args:
        train: Examples whose groups are their classes.
        seed: Decides the synthetic examples.

    Returns:
        The examples of ``train``, then the synthetic ones.

    Raises:
        ImportError: Imbalanced-learn is not installed.
        ValueError: The groups are not the classes, or a class that is to grow has fewer than 6 examples.
    """
    try:
        from imblearn.over_sampling import SMOTE
    except ImportError as error:
        raise ImportError("the method smote needs imbalanced-learn: pip install 'learn2mix[bench]'") from error
    if not torch.equal(train.y, train.groups):
        raise ValueError(
            "smote needs the classes as groups: a point between two examples has a class, but no other group"
        )
    sizes = torch.bincount(train.y)
    small = [i for i, n in enumerate(sizes.tolist()) if n < 6 and n < int(sizes.max())]
    if small:
        raise ValueError(
            f"class {small[0]} has {int(sizes[small[0]])} training examples; smote places points between an example and one "
            "of its 5 nearest of the same class, so a class needs at least 6: choose a milder imbalance"
        )
    flat = train.x.flatten(1).float().cpu().numpy()
    x, y = SMOTE(random_state=seed % 2**32).fit_resample(flat, train.y.cpu().numpy())
    made = torch.from_numpy(x[len(flat) :])
    if not train.x.is_floating_point():
        made = made.round()
    new_x = made.to(train.x).reshape(-1, *train.x.shape[1:])
    new_y = torch.from_numpy(y[len(flat) :]).to(train.y)
    joined_y = torch.cat([train.y, new_y])
    return Examples(torch.cat([train.x, new_x]), joined_y, joined_y)

"""Post-hoc logit adjustment: classical training, evaluated on logits from which the class shares are taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Role
from learn2mix.posthoc import LogitAdjusted


@add
@dataclass(frozen=True)
class PostHocLogitAdjustment(Method):
    """Train as ever; in evaluation mode the logits are less ``strength * log(class share)``.

    The task's loss on the test set is that of the adjusted logits too.

    Args:
        strength: tau, at least 0.
    """

    name: ClassVar[str] = "post-hoc-logit-adjustment"
    summary: ClassVar[str] = "classical training, the class shares taken out of the logits after"
    reference: ClassVar[str] = "Menon et al., arXiv:2007.07314"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"wrap"})
    classes: ClassVar[Shares] = "corrected"
    clashes: ClassVar[Mapping[str, str]] = {"lort": "both correct a trained network for the class shares"}
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"strength": (0.0, 0.5, 1.0, 1.5, 2.0)}

    strength: float = 1.0

    def __post_init__(self) -> None:
        LogitAdjusted(nn.Identity(), [1, 1], strength=self.strength)  # it knows what its settings may be

    def prepare(self, job: Job) -> Arm:
        """Take the classes' shares from the training set."""
        counts = job.class_sizes().to(job.device)
        return Arm(wrap=lambda network: LogitAdjusted(network, counts, strength=self.strength).to(job.device))

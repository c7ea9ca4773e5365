"""LDAM on classical batches, with the cosine classifier it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Role
from learn2mix.losses import LDAMLoss, with_cosine_classifier


@add
@dataclass(frozen=True)
class LDAM(Method):
    """Cross-entropy of ``scale * (cosine - m_y at the target)``, with ``m_c`` proportional to ``n_c^(-1/4)``.

    The network's last linear layer becomes a cosine classifier that starts from its weights. It gives ``scale * cosine``,
    so that the network is evaluated on ordinary logits, and the loss takes ``scale * m_y`` off.

    Args:
        margin: The rarest class's, at least 0.
        scale: Above 0.
    """

    name: ClassVar[str] = "ldam"
    summary: ClassVar[str] = "cosine classifier, with margins that grow with a class's rarity"
    reference: ClassVar[str] = "Cao et al., arXiv:1906.07413"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"loss", "wrap"})
    classes: ClassVar[Shares] = "corrected"
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"margin": (0.1, 0.25, 0.5, 0.75)}

    margin: float = 0.5
    scale: float = 30.0

    def __post_init__(self) -> None:
        LDAMLoss([1, 1], margin=self.margin, scale=self.scale)  # the loss knows what its settings may be

    def prepare(self, job: Job) -> Arm:
        """Take the classes' sizes from the training set."""
        loss = LDAMLoss(job.class_sizes(), margin=self.margin, scale=self.scale, reduction="none").to(job.device)
        return Arm(loss=loss, wrap=partial(with_cosine_classifier, num_classes=job.num_groups, scale=self.scale))

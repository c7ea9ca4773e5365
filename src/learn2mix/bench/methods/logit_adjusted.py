"""Logit-adjusted loss on classical batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Role
from learn2mix.losses import logit_adjusted_loss


@add
@dataclass(frozen=True)
class LogitAdjusted(Method):
    """Cross-entropy of the logits plus ``strength * log(class share)``; evaluated on the plain logits.

    Args:
        strength: tau, at least 0.
    """

    name: ClassVar[str] = "logit-adjusted"
    summary: ClassVar[str] = "cross-entropy, logits shifted by the log of the class shares"
    reference: ClassVar[str] = "Menon et al., arXiv:2007.07314; balanced softmax, arXiv:2007.10740"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"loss"})
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"strength": (0.0, 0.5, 1.0, 1.5, 2.0)}

    strength: float = 1.0

    def prepare(self, job: Job) -> Arm:
        """Take the classes' shares from the training set."""
        counts = torch.bincount(job.train.y)
        loss = partial(logit_adjusted_loss, counts=counts, strength=self.strength, reduction="none")
        return Arm(loss=loss)

"""Major feature weakening on classical batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from learn2mix.bench.methods.base import Job, Method, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Batch, Judge, Role
from learn2mix.transforms import FeatureWeakening


@add
@dataclass(frozen=True)
class MFW(Method):
    """Mix the features of large classes with others of the batch; see :class:`~learn2mix.transforms.FeatureWeakening`.

    Args:
        strength: How much of its own features the largest class loses, in [0, 1].
        labels: Whether an example keeps its label (``"keep"``) or is judged against its partner's too (``"mix"``).
        distribution: Whether lambda is the schedule's (``"fixed"``) or drawn between it and 1 (``"uniform"``).
        layer: The name of the layer in the network; none for the last ``nn.Linear``.
        side: ``"input"`` of the layer, or ``"output"``.
    """

    name: ClassVar[str] = "mfw"
    summary: ClassVar[str] = "features of large classes mixed with others of the batch"
    reference: ClassVar[str] = "after the abstract of Ye, Zhan and Chao, arXiv:2104.01769"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"forward"})
    clashes: ClassVar[Mapping[str, str]] = {"smote": "smote makes the classes equal, so that none is a major one"}
    search: ClassVar[Mapping[str, tuple[float, ...]]] = {"strength": (0.0, 0.25, 0.5, 0.75)}

    strength: float = 0.5
    labels: str = "keep"
    distribution: str = "fixed"
    layer: str = ""
    side: str = "input"

    def __post_init__(self) -> None:
        # the transform knows what its settings may be; a layer on the meta device draws no weights
        self._weakening(nn.Linear(1, 2, device="meta"), [1, 1])
        object.__setattr__(self, "pairs", self.labels == "mix")

    def prepare(self, job: Job) -> Arm:
        """Take the class sizes from the training set; the layer is looked up in what is trained."""
        counts, seed = job.class_sizes(), job.seed_for("weakening")
        made: dict[nn.Module, FeatureWeakening] = {}

        def forward(model: nn.Module, batch: Batch) -> Judge:
            if model not in made:
                made[model] = self._weakening(model, counts, layer=self.layer or None, seed=seed)
            with made[model](batch.y) as weakened:
                outputs = model(batch.x)
            return lambda criterion: weakened.loss(criterion, outputs)

        return Arm(forward=forward)

    def _weakening(self, model: nn.Module, counts: Any, *, layer: str | None = None, seed: int = 0) -> FeatureWeakening:
        return FeatureWeakening(
            model,
            counts,
            strength=self.strength,
            labels=self.labels,
            distribution=self.distribution,
            layer=layer,
            side=self.side,
            seed=seed,
        )

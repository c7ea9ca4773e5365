"""Major feature weakening: features of large classes are mixed with others of the batch, so that they are harder to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from learn2mix.checks import Range, brief, class_sizes, number
from learn2mix.hooks import check_side, find_layer, tapped
from learn2mix.registry import register
from learn2mix.transforms.base import Criterion, Draws, weigh

Schedule = Callable[[Tensor, float], Tensor]
"""Takes class sizes (k,) and the strength; returns what each class keeps of its own features, lambda, (k,) in [0, 1]."""

_LABELS = ("keep", "mix")
_DISTRIBUTIONS = ("fixed", "uniform")


def weaken_majors(counts: Tensor, strength: float) -> Tensor:
    """Leave the smallest class as it is, weaken the largest by ``strength``, and those between by how much larger they are.

    ``lam(n) = 1 - strength * (n - n_min) / (n_max - n_min)``; 1 for all where all are equal. A class ten times the
    smallest and a tenth of the largest loses less than a tenth of the strength: the small ones of a long tail are nearly
    untouched.

    Args:
        counts: Class sizes, (k,).
        strength: How much of its own features the largest class loses, in [0, 1].

    Returns:
        lambda, (k,).

    Example:
        >>> weaken_majors(torch.tensor([30.0, 20.0, 10.0]), 0.5)
        tensor([0.5000, 0.7500, 1.0000])

    Reference:
        Ours. The abstract of arXiv 2104.01769 says only that features of major classes are weakened.
    """
    above = counts - counts.min()
    return 1 - strength * above / above.max().clamp(min=torch.finfo(counts.dtype).tiny)


@dataclass(frozen=True, eq=False)
class Weakened:
    """What is done to one batch.

    Args:
        labels: The labels y, (n,).
        kept: What each example keeps of its own features, lambda, (n,), in [0, 1].
        partners: With which example of the batch each is mixed, (n,), a permutation; the example itself may be its own.
        rule: The label rule, ``"keep"`` or ``"mix"``.
    """

    labels: Tensor
    kept: Tensor
    partners: Tensor
    rule: str = "keep"

    def features(self, features: Tensor) -> Tensor:
        """Mix features (n, ...) as drawn: ``lam_i h_i + (1 - lam_i) h_partner``; where lambda is 1 they are as they were.

        Raises:
            ValueError: Their first dimension is not that of the labels.
        """
        if features.ndim == 0 or len(features) != len(self.labels):
            raise ValueError(
                f"the features had shape {tuple(features.shape)} for {len(self.labels)} labels; their first dimension must "
                "be the batch, whole; choose a layer where it is"
            )
        own = self.kept.view(-1, *[1] * (features.ndim - 1))
        mixed = own.to(features.dtype) * features + (1 - own).to(features.dtype) * features[self.partners]
        # so that no infinity of a partner gets into what is not weakened
        return torch.where(own < 1, mixed, features)

    def loss(self, criterion: Criterion, outputs: Tensor, weight: Tensor | None = None) -> Tensor:
        """Apply a criterion of outputs and labels to what the network made of the batch, by the label rule.

        Args:
            criterion: A loss or a metric an example, (n,); with ``"keep"`` and no weights also one of the batch.
            outputs: The network's, (n, ...).
            weight: One an example, floating, (n,), as a selector's factors (:meth:`Mixer.weights_of`): an example's own
                on the loss against its label, its partner's on that against the partner's.

        Returns:
            Against the examples' own labels (``"keep"``), or ``lam_i`` of that and ``1 - lam_i`` of the same against their
            partners' labels (``"mix"``), (n,).

        Raises:
            TypeError: ``weight`` is no floating tensor.
            ValueError: It is not (n,), or the criterion is reduced.
        """
        own = weigh(criterion(outputs, self.labels), weight)
        if self.rule == "keep":
            return own
        if own.shape != self.labels.shape:
            raise ValueError(
                f"the criterion gave shape {tuple(own.shape)}; where labels are mixed it must give one number an example, "
                f'({len(self.labels)},): make it with reduction="none"'
            )
        partner_weight = None if weight is None else weight[self.partners.to(weight.device)]
        other = weigh(criterion(outputs, self.labels[self.partners]), partner_weight)
        kept = self.kept.to(own.dtype)
        return torch.where(kept < 1, kept * own + (1 - kept) * other, own)


@register(
    "mfw",
    family="transform",
    summary="features of large classes mixed with others of the batch, in the manner of MFW",
    example={"counts": (30, 10, 5)},
    reference="after the abstract of arXiv 2104.01769",
)
class FeatureWeakening:
    r"""Weaken the features of large classes inside a ``with`` block around the forward pass.

    .. math:: h_i' = \lambda(n_{y_i}) h_i + (1 - \lambda(n_{y_i})) h_{\pi(i)}, \qquad \text{loss of } (g(h_i'), y_i)

    h are the features at a layer, g is the rest of the network, pi a random permutation of the same batch (of all classes;
    an example may be its own partner), n_c the class sizes. Gradients go to an example's own features and to its
    partner's. Outside the block, as in evaluation, the network is as it was; hooks are gone even after an error, and its
    ``state_dict`` never changes.

    Mixing commutes with a linear layer: at the default, the input of the last ``nn.Linear``, it is the logits that are
    mixed just as well.

    Partners and lambdas are drawn when the block is entered, the same on every device. A layer that is called several
    times inside the block, as by activation checkpointing when ``backward`` is in there too, gets the same ones each time.

    Args:
        network: The network, or the part of it that holds the layer.
        counts: Training examples of each class, above 0, (k,).
        strength: How much of its own features the largest class loses, in [0, 1]; 0 is plain training. The default is
            ours.
        schedule: Makes lambda (k,) of the counts (k,), float64, and the strength; :func:`weaken_majors` is ours.
        labels: ``"keep"``: an example keeps its label, which a plain loss on the labels does; how the authors do it is
            unverified. ``"mix"``: judged against both labels, as Mixup does, by the block's :meth:`Weakened.loss`.
        distribution: ``"fixed"``: lambda is the schedule's. ``"uniform"``: drawn for every example between the schedule's
            and 1. Which the authors draw is unverified.
        layer: The layer, a module of ``network`` or its name; None for the last ``nn.Linear``. Which one the authors weaken
            is unverified.
        side: ``"input"`` of the layer, or ``"output"``.
        seed: 0 or more. The n-th batch's draws depend on it and n alone (and on NumPy's way to draw them, which a new
            version may change); global generators are not used.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, the network has no such layer, or the schedule does not give k numbers in
            [0, 1].

    Example:
        >>> from torch.nn import functional as F
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> weaken = FeatureWeakening(model, [90, 10], strength=0.5, seed=0)
        >>> weaken.kept
        tensor([0.5000, 1.0000], dtype=torch.float64)
        >>> x, y = torch.randn(6, 2, 2), torch.tensor([0, 0, 0, 0, 0, 1])
        >>> with weaken(y):
        ...     logits = model(x)
        >>> F.cross_entropy(logits, y).backward()

    Reference:
        After the abstract of Ye, Zhan and Chao, Procrustean Training for Imbalanced Deep Learning (arXiv 2104.01769,
        ICCV 2021), which says that features of major classes are mixed with those of other data of the mini-batch. The
        full text was not at hand: the formula is the simplest that fits, and what is not in the abstract is an argument.
    """

    kept: Tensor
    """What each class keeps of its own features, lambda, (k,), float64."""

    def __init__(
        self,
        network: nn.Module,
        counts: Any,
        *,
        strength: float = 0.5,
        schedule: Schedule = weaken_majors,
        labels: str = "keep",
        distribution: str = "fixed",
        layer: nn.Module | str | None = None,
        side: str = "input",
        seed: int = 0,
    ) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule was {brief(schedule)}; it must be a function of the counts and the strength")
        for name, value, known in (("labels", labels, _LABELS), ("distribution", distribution, _DISTRIBUTIONS)):
            if value not in known:
                raise ValueError(f"{name} was {value!r}; it must be one of {', '.join(map(repr, known))}")
        self.layer, self.side = find_layer(network, layer), check_side(side)
        self.labels, self.distribution = labels, distribution
        strength = number("strength", strength, Range(0, 1), fix="0 leaves all features as they are")
        self.kept = _kept(counts, schedule, strength)
        self._draws = Draws(seed, transform=type(self).__name__)

    @contextmanager
    def __call__(self, y: Tensor) -> Iterator[Weakened]:
        """Weaken the features of a batch inside the block.

        Args:
            y: The batch's classes, from 0 to k - 1, (n,), integers.

        Yields:
            What was drawn for the batch; needed for the label rule ``"mix"``.

        Raises:
            TypeError: ``y`` is no tensor of integers, or what the layer takes or gives is no tensor.
            ValueError: ``y`` has another shape than (n,) or (on a CPU, where looking costs nothing) another class; the
                features are not (n, ...); or the layer was not called inside the block.
        """
        drawn = self._draw(y)
        with tapped(self.layer, self.side, drawn.features):
            yield drawn

    def _draw(self, y: Tensor) -> Weakened:
        if not isinstance(y, Tensor) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
            raise TypeError(f"y was {brief(y)}; it must be a tensor of the batch's classes, integers, (n,)")
        if y.ndim != 1:
            raise ValueError(f"y had shape {tuple(y.shape)}; it must be (n,), one class an example")
        y, classes = y.long(), len(self.kept)  # a class may be above what the type of y holds
        if y.device.type == "cpu" and ((y < 0) | (y >= classes)).any():
            raise ValueError(
                f"y was {brief(y.tolist())}; with counts of {classes} classes it must be from 0 to {classes - 1}"
            )
        if self.kept.device != y.device:
            self.kept = self.kept.to(y.device, torch.float32 if y.device.type == "mps" else torch.float64)
        kept = self.kept[y]
        generator = self._draws.next()
        partners = torch.from_numpy(generator.permutation(len(y))).to(y.device)
        if self.distribution == "uniform":
            kept = 1 - torch.from_numpy(generator.random(len(y))).to(kept) * (1 - kept)
        return Weakened(y, kept, partners, self.labels)

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were weakened, and the seed."""
        return self._draws.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next draws are those that followed it.

        Raises:
            TypeError: It is no such state.
            ValueError: It is no such state, or one of another seed.
        """
        self._draws.load_state_dict(state)


def _kept(counts: Any, schedule: Schedule, strength: float) -> Tensor:
    """Make lambda of the counts, and check both."""
    sizes = class_sizes(counts).cpu().double()
    kept = torch.as_tensor(schedule(sizes, strength), dtype=torch.float64)
    if kept.shape != sizes.shape or not ((kept >= 0) & (kept <= 1)).all():
        raise ValueError(
            f"schedule gave {brief(kept.tolist())} for {len(sizes)} classes; it must give a lambda in [0, 1] for each, 1 to "
            "leave a class as it is"
        )
    return kept

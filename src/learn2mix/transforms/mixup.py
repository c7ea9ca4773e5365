"""Mixup: a batch mixed with itself in another order, inputs and targets alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learn2mix.checks import Range, brief, number, whole_number
from learn2mix.registry import register

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch after mixing.

    Args:
        x: Mixed inputs, (n, ...).
        y: The targets of the batch, as they were, (n, ...).
        partner_y: The targets of each example's partner, (n, ...).
        lam: The weight of the batch itself, in [0, 1]; the partners have the rest.
    """

    x: Tensor
    y: Tensor
    partner_y: Tensor
    lam: float

    @cached_property
    def target(self) -> Tensor:
        """Mixed targets, ``lam * y + (1 - lam) * partner_y``, (n, ...); of floating targets alone."""
        return torch.lerp(self.partner_y, self.y, self.lam)

    def loss(self, criterion: Criterion, outputs: Tensor) -> Tensor:
        """Apply a criterion of outputs and targets to what the network made of ``x``.

        - targets that are no floats (class ids): ``lam * criterion(outputs, y) + (1 - lam) * criterion(outputs, partner_y)``;
        - floating targets (numbers, probabilities): ``criterion(outputs, lam * y + (1 - lam) * partner_y)``.

        Class ids cannot be averaged, hence two rules. They agree where the criterion is linear in its target (cross-entropy
        with probabilities), and differ by a term without gradient, ``lam * (1 - lam) * (y - partner_y)^2``, for squared
        errors; so numbers kept as integers train alike. For absolute or Huber errors they are two different losses.

        Args:
            criterion: A loss, or a metric: accuracy on a mixed batch must be weighted like the loss. Reduced or not.
            outputs: The network's, (n, ...).
        """
        if self.lam == 1:  # the partners have no part in it, not even an infinite one
            return criterion(outputs, self.y)
        if self.y.is_floating_point():
            return criterion(outputs, self.target)
        return self.lam * criterion(outputs, self.y) + (1 - self.lam) * criterion(outputs, self.partner_y)


def mix(x: Tensor, y: Tensor, *, partner_x: Tensor, partner_y: Tensor, lam: float) -> Mixed:
    """Mix a batch with given partners by a given weight: ``lam * x + (1 - lam) * partner_x``.

    Args:
        x: Inputs, floating, (n, ...).
        y: Targets, (n, ...).
        partner_x: The partners' inputs, of the shape and type of ``x``.
        partner_y: The partners' targets, of the shape and type of ``y``.
        lam: The weight of ``x``, in [0, 1].

    Raises:
        TypeError: The inputs are no floats, or ``lam`` is no number.
        ValueError: ``lam`` lies outside [0, 1], the lengths differ, or the partners have another shape or type.

    Example:
        >>> mixed = mix(torch.tensor([4.0]), torch.tensor([1]), partner_x=torch.tensor([0.0]),
        ...             partner_y=torch.tensor([0]), lam=0.75)
        >>> mixed.x, mixed.loss(lambda outputs, y: y.float(), mixed.x)
        (tensor([3.]), tensor([0.7500]))
    """
    number("lam", lam, Range(0, 1))
    if not x.is_floating_point():
        raise TypeError(
            f"x had dtype {x.dtype}; between whole numbers there is nothing to mix: turn images into floats first, "
            "x.float() / 255; word numbers cannot be mixed, their embeddings can"
        )
    _check_lengths(x, y)
    for name, own, other in (("x", x, partner_x), ("y", y, partner_y)):
        if own.shape != other.shape or own.dtype != other.dtype:
            raise ValueError(
                f"partner_{name} had shape {tuple(other.shape)} and dtype {other.dtype}; it must be like {name}, "
                f"{tuple(own.shape)} and {own.dtype}: one partner an example, prepared in the same way"
            )
    # lerp leaves an example that is its own partner exactly as it is
    return Mixed(torch.lerp(partner_x, x, lam), y, partner_y, lam)


@register(
    "mixup",
    family="transform",
    summary="each batch mixed with itself in another order, one Beta-distributed weight a batch",
    example={"alpha": 1.0},
    search_space={"alpha": (0.1, 0.2, 0.4, 1.0, 2.0)},
    reference="arXiv 1710.09412",
)
class Mixup:
    """Mix each batch with a random order of itself.

    ``x~ = lam * x + (1 - lam) * x[order]``, ``lam ~ Beta(alpha, alpha)``, one a batch; targets by :meth:`Mixed.loss`. An
    example may be its own partner. Train on ``x~`` alone; evaluate on plain inputs.

    Args:
        alpha: Above 0. Small: nearly plain batches; 1: every weight as likely; large: nearly halves. 1 is the authors'
            for CIFAR-10.
        until: How many batches are mixed; those after pass through as they are, with ``lam`` 1. None never stops. Long
            training with Mixup is reported to overfit its mixed targets (arXiv 2303.01475); when to stop is left to you:
            that paper's own point was not checked.
        seed: 0 or more. The n-th batch's draws depend on it and n alone (and on NumPy's way to draw them, which a new
            version may change); global generators are not used.

    Raises:
        TypeError: A setting is of the wrong type.
        ValueError: A setting lies outside its range.

    Example:
        >>> mixup = Mixup(alpha=1.0, seed=0)
        >>> x, y = torch.eye(4), torch.arange(4)
        >>> mixed = mixup(x, y)
        >>> torch.allclose(mixed.x, mixed.lam * x + (1 - mixed.lam) * x[mixed.partner_y])
        True
        >>> mixed.loss(torch.nn.functional.cross_entropy, torch.zeros(4, 4))  # ln 4, whatever the weight
        tensor(1.3863)

    Reference:
        Zhang et al., mixup: Beyond Empirical Risk Minimization (arXiv 1710.09412); the weight once a batch and
        the pair of losses as in the authors' code.
    """

    def __init__(self, alpha: float = 1.0, *, until: int | None = None, seed: int = 0) -> None:
        self.alpha = check_alpha(alpha)
        self.until = None if until is None else whole_number("until", until, fix="None never stops")
        self._draws = Draws(seed)

    def __call__(self, x: Tensor, y: Tensor) -> Mixed:
        """Mix a batch.

        Args:
            x: Inputs, floating, (n, ...).
            y: Targets: class ids, (n, ...), or floats, (n, ...).

        Raises:
            TypeError: The inputs are no floats.
            ValueError: The lengths differ.
        """
        if self.until is not None and self._draws.made >= self.until:
            return Mixed(x, y, y, 1.0)
        generator = self._draws.next()
        return mix_in_order(x, y, float(generator.beta(self.alpha, self.alpha)), generator)

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were mixed, and the seed."""
        return self._draws.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next draws are those that followed it.

        Raises:
            TypeError: It is no such state.
            ValueError: It is no such state, or one of another seed.
        """
        self._draws.load_state_dict(state)


def mix_in_order(x: Tensor, y: Tensor, lam: float, generator: np.random.Generator) -> Mixed:
    """Mix a batch with a random order of itself."""
    _check_lengths(x, y)
    order = torch.from_numpy(generator.permutation(len(x)))
    return mix(x, y, partner_x=x[order.to(x.device)], partner_y=y[order.to(y.device)], lam=lam)


def _check_lengths(x: Tensor, y: Tensor) -> None:
    if len(x) != len(y):
        raise ValueError(f"x had {len(x)} rows and y had {len(y)}; give one target an example")


def check_alpha(alpha: float) -> float:
    """Return the parameter of the Beta distribution, checked."""
    allowed = Range(0, low_open=True, high_open=True)
    return float(number("alpha", alpha, allowed, fix="0 would be plain training, and infinity midpoint Mixup"))


class Draws:
    """Random numbers by the number of the draw: the n-th ones depend on the seed and n alone.

    Args:
        seed: 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = whole_number("seed", seed)
        self.made = 0
        """Draws so far."""

    def next(self) -> np.random.Generator:
        """Give the generator of the next draw."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.made,))
        self.made += 1
        return np.random.Generator(np.random.Philox(sequence))

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""
        return {"seed": self.seed, "made": self.made}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a position; refuse one of another seed."""
        if not isinstance(state, Mapping):
            raise TypeError(
                f"the state was {brief(state)} ({type(state).__name__}); it must be what state_dict() returned"
            )
        if set(state) != {"seed", "made"}:
            raise ValueError(f"the state held {brief(list(state))}; it must be what state_dict() returned, whole")
        if state["seed"] != self.seed:
            raise ValueError(
                f"the state was saved with seed {brief(state['seed'])}, and this one has {self.seed}; make it with the seed "
                "it was saved with"
            )
        self.made = whole_number("the state's made", state["made"])

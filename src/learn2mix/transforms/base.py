"""What the transforms share: a batch after mixing, draws that can be resumed, checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learn2mix.checks import Range, brief, number, tensor, whole_number

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch after mixing.

    Args:
        x: Mixed inputs, (n, ...).
        y: The targets of the batch, as they were, (n, ...).
        partner_y: The targets of each example's partner, (n, ...).
        lam: The share of the batch itself, in [0, 1]; the partners have the rest.
        partners: Where in the batch each example's partner is, int64, (n,); None where partners come from elsewhere.
    """

    x: Tensor
    y: Tensor
    partner_y: Tensor
    lam: float
    partners: Tensor | None = None

    @cached_property
    def target(self) -> Tensor:
        """Mixed targets, ``lam * y + (1 - lam) * partner_y``, (n, ...); of floating targets alone."""
        return torch.lerp(self.partner_y, self.y, self.lam)

    def loss(
        self, criterion: Criterion, outputs: Tensor, weight: Tensor | None = None, partner_weight: Tensor | None = None
    ) -> Tensor:
        """Apply a criterion of outputs and targets to what the network made of ``x``.

        - targets that are no floats (class ids): ``lam * criterion(outputs, y) + (1 - lam) * criterion(outputs, partner_y)``;
        - floating targets (numbers, probabilities): ``criterion(outputs, lam * y + (1 - lam) * partner_y)``.

        Class ids cannot be averaged, hence two rules. They agree where the criterion is linear in its target (cross-entropy
        with probabilities), and differ by a term without gradient, ``lam * (1 - lam) * (y - partner_y)^2``, for squared
        errors; so numbers kept as integers train alike. For absolute or Huber errors they are two different losses.

        Weights of examples, as of a selector's (:meth:`Mixer.weights_of`), go with their targets: an example's own on the
        first term, its partner's on the second; where the targets are mixed, the weights are mixed alike. A criterion with
        weights of classes needs none of this: it sees each target.

        Args:
            criterion: A loss, or a metric: accuracy on a mixed batch must be weighted like the loss. Reduced or not;
                with ``weight`` not.
            outputs: The network's, (n, ...).
            weight: One an example of the batch, floating, (n,). What comes back is not divided by their sum.
            partner_weight: One a partner, (n,); without it ``weight`` at :attr:`partners`.

        Raises:
            TypeError: A weight is no floating tensor.
            ValueError: It is not (n,), the criterion is reduced, or the partners' weights are missing.
        """
        if weight is None and partner_weight is not None:
            raise ValueError("partner_weight was given without weight; give the weights of the batch itself too")
        for name, given in (("weight", weight), ("partner_weight", partner_weight)):
            if given is not None:
                check_weight(given, len(self.y), name)
        if weight is not None and partner_weight is None:
            if self.partners is None:
                raise ValueError(
                    "weight was given without partner_weight, and the partners are not of the batch; give theirs too, for "
                    "instance mixer.weights_of(partners)"
                )
            partner_weight = weight[self.partners.to(weight.device)]
        if self.lam in (0, 1):  # what has no share has no part in it, not even an infinite one
            target, each = (self.y, weight) if self.lam == 1 else (self.partner_y, partner_weight)
            return weigh(criterion(outputs, target), each)
        if self.y.is_floating_point():
            if weight is not None and partner_weight is not None:
                weight = self.lam * weight + (1 - self.lam) * partner_weight
            return weigh(criterion(outputs, self.target), weight)
        own = weigh(criterion(outputs, self.y), weight)
        return self.lam * own + (1 - self.lam) * weigh(criterion(outputs, self.partner_y), partner_weight)


def mix(
    x: Tensor, y: Tensor, *, partner_x: Tensor, partner_y: Tensor, lam: float, partners: Tensor | None = None
) -> Mixed:
    """Mix a batch with given partners by a given weight: ``lam * x + (1 - lam) * partner_x``.

    Args:
        x: Inputs, floating, (n, ...).
        y: Targets, (n, ...).
        partner_x: The partners' inputs, of the shape and type of ``x``.
        partner_y: The partners' targets, of the shape and type of ``y``.
        lam: The share of ``x``, in [0, 1].
        partners: Where in the batch the partners are, (n,), if they are in it; kept as :attr:`Mixed.partners`.

    Raises:
        TypeError: The inputs are no floats, something is no tensor, or ``lam`` is no number.
        ValueError: ``lam`` lies outside [0, 1], the lengths differ, or the partners have another shape or type.

    Example:
        >>> mixed = mix(torch.tensor([4.0]), torch.tensor([1]), partner_x=torch.tensor([0.0]),
        ...             partner_y=torch.tensor([0]), lam=0.75)
        >>> mixed.x, mixed.loss(lambda outputs, y: y.float(), mixed.x)
        (tensor([3.]), tensor([0.7500]))
    """
    lam = float(number("lam", lam, Range(0, 1)))
    check_partners(x, y, partner_x, partner_y)
    # lerp leaves an example that is its own partner exactly as it is
    return Mixed(torch.lerp(partner_x, x, lam), y, partner_y, lam, partners)


def mix_in_order(x: Tensor, y: Tensor, lam: float, generator: np.random.Generator) -> Mixed:
    """Mix a batch with a random order of itself."""
    order = torch.from_numpy(generator.permutation(len(x))).to(y.device)
    return mix(x, y, partner_x=x[order.to(x.device)], partner_y=y[order], lam=lam, partners=order)


def weigh(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply losses (n, ...) by a weight an example, (n,); None leaves them as they are.

    Raises:
        TypeError: The weight is no floating tensor.
        ValueError: It is not (n,), or the losses are reduced.
    """
    if weight is None:
        return losses
    if losses.ndim == 0:
        raise ValueError('the criterion gave a single number; with weights it must be one with reduction="none"')
    check_weight(weight, len(losses))
    return losses * weight.to(losses.device).view(-1, *[1] * (losses.ndim - 1))


def check_weight(weight: Tensor, n: int, name: str = "weight") -> None:
    """Refuse what is not one weight for each of n examples."""
    if not tensor(name, weight, f"a tensor of one weight an example, ({n},)").is_floating_point():
        raise TypeError(f"{name} had dtype {weight.dtype}; it must be floating; pass {name}.float()")
    if weight.shape != (n,):
        raise ValueError(f"{name} had shape {tuple(weight.shape)}; it must be ({n},), one weight an example")


def check_partners(x: Tensor, y: Tensor, partner_x: Tensor, partner_y: Tensor) -> None:
    """Refuse what :func:`mix` refuses of a batch and its partners."""
    check_batch(x, y)
    for name, own, other in (("x", x, partner_x), ("y", y, partner_y)):
        tensor(f"partner_{name}", other, f"a tensor like {name}")
        if own.shape != other.shape or own.dtype != other.dtype:
            raise ValueError(
                f"partner_{name} had shape {tuple(other.shape)} and dtype {other.dtype}; it must be like {name}, "
                f"{tuple(own.shape)} and {own.dtype}: one partner an example, prepared in the same way"
            )


def check_batch(x: Tensor, y: Tensor) -> None:
    """Refuse what is no batch of floating inputs with a target each."""
    tensor("x", x, "a batch of inputs, floating, (n, ...)")
    tensor("y", y, "the batch's targets, (n, ...)")
    if not x.is_floating_point():
        raise TypeError(
            f"x had dtype {x.dtype}; between whole numbers there is nothing to mix: turn images into floats first, "
            "x.float() / 255; word numbers cannot be mixed, their embeddings can"
        )
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"x had shape {tuple(x.shape)} and y {tuple(y.shape)}; both must be batches, (n, ...)")
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
        settings: What a state must have been saved with to be taken up here; kept in it.
    """

    def __init__(self, seed: int, **settings: Any) -> None:
        if isinstance(seed, Tensor):
            raise TypeError(f"seed was {brief(seed)} (Tensor); it must be an integer of 0 or more; pass int(seed)")
        self.settings = {"seed": whole_number("seed", seed), **settings}
        self.made = 0
        """Draws so far."""

    def next(self) -> np.random.Generator:
        """Give the generator of the next draw."""
        sequence = np.random.SeedSequence(self.settings["seed"], spawn_key=(self.made,))
        self.made += 1
        return np.random.Generator(np.random.Philox(sequence))

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and the settings."""
        return {**self.settings, "made": self.made}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a position; refuse one of other settings."""
        self.made = self.position(state)

    def position(self, state: Mapping[str, Any]) -> int:
        """Return the position that a state holds, once checked."""
        check_keys(state, {*self.settings, "made"})
        for name, value in self.settings.items():
            if type(state[name]) is not type(value) or state[name] != value:
                raise ValueError(
                    f"the state was saved with {name} {brief(state[name])}, and this one has {brief(value)}; make it with the "
                    f"{name} it was saved with"
                )
        return whole_number("the state's made", state["made"])


def check_keys(state: Mapping[str, Any], keys: Set[str]) -> None:
    """Refuse what is no mapping of these keys."""
    if not isinstance(state, Mapping):
        raise TypeError(f"the state was {brief(state)} ({type(state).__name__}); it must be what state_dict() returned")
    if state.keys() != keys:
        raise ValueError(f"the state held {brief(list(state))}; it must be what state_dict() returned, whole")

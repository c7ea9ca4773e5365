"""Mixup: a batch mixed with itself in another order, inputs and targets alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from learn2mix.checks import whole_number
from learn2mix.registry import register
from learn2mix.transforms.base import Draws, Mixed, check_alpha, check_batch, mix_in_order


@register(
    "mixup",
    family="transform",
    summary="each batch mixed with itself in another order, one Beta-distributed weight a batch",
    example={"alpha": 1.0},
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
        self._draws = Draws(seed, transform=type(self).__name__, alpha=self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> Mixed:
        """Mix a batch.

        Args:
            x: Inputs, floating, (n, ...).
            y: Targets: class ids, (n, ...), or floats, (n, ...).

        Raises:
            TypeError: The inputs are no floats, or something is no tensor.
            ValueError: The lengths differ.
        """
        check_batch(x, y)
        if self.until is not None and self._draws.made >= self.until:
            return Mixed(x, y, y, 1.0, torch.arange(len(y), device=y.device))
        generator = self._draws.next()
        return mix_in_order(x, y, float(generator.beta(self.alpha, self.alpha)), generator)

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were mixed, the seed and ``alpha``."""
        return self._draws.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next draws are those that followed it.

        Raises:
            TypeError: It is no such state.
            ValueError: It is no such state, or one of another transform, seed or ``alpha``.
        """
        self._draws.load_state_dict(state)

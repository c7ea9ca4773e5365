"""Midpoint Mixup: every example meets its partner half-way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from learn2mix.registry import register
from learn2mix.transforms.base import Draws, Mixed, check_batch, mix_in_order


@register(
    "midpoint-mixup",
    family="transform",
    summary="each batch mixed half and half with itself in another order",
    reference="arXiv 2210.13512",
)
class MidpointMixup:
    """Mix each batch half and half with a random order of itself: :class:`Mixup` with ``lam`` always 1/2.

    ``x~ = (x + x[order]) / 2``; class ids cost ``(CE(f(x~), y) + CE(f(x~), y[order])) / 2``. An example may be its own
    partner, and only so does the network ever see a plain input.

    Args:
        seed: 0 or more; see :class:`Mixup`.

    Raises:
        TypeError: ``seed`` is no integer.
        ValueError: It is negative.

    Example:
        >>> import torch
        >>> mixed = MidpointMixup(seed=0)(torch.eye(3), torch.arange(3))
        >>> mixed.lam, mixed.x.equal((torch.eye(3) + torch.eye(3)[mixed.partner_y]) / 2)
        (0.5, True)

    Reference:
        Chidambaram et al., Provably Learning Diverse Features in Multi-View Data with Midpoint Mixup (arXiv 2210.13512);
        their code names it by alpha = 0.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._draws = Draws(seed, transform=type(self).__name__)

    def __call__(self, x: Tensor, y: Tensor) -> Mixed:
        """Mix a batch; see :meth:`Mixup.__call__`."""
        check_batch(x, y)
        return mix_in_order(x, y, 0.5, self._draws.next())

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were mixed, and the seed."""
        return self._draws.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken; see :meth:`Mixup.load_state_dict`."""
        self._draws.load_state_dict(state)

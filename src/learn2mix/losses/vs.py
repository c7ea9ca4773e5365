"""Vector scaling: in training, rare classes' logits are divided by larger numbers and shifted down by their rarity."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from learn2mix.checks import Range, class_sizes, number
from learn2mix.losses.base import along_classes, check_reduction, cross_entropy, widened
from learn2mix.registry import register


@register(
    "vs",
    family="loss",
    summary="cross-entropy, logits divided as in cdt and shifted as in logit-adjusted",
    example={"counts": (30, 10, 5)},
    search_space={"strength": (0.0, 0.5, 1.0, 1.5, 2.0)},
    reference="arXiv 2103.01550",
)
def vs_loss(
    logits: Tensor,
    targets: Tensor,
    counts: Any,
    *,
    gamma: float = 0.3,
    strength: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute cross-entropy on logits that are divided and shifted by class sizes.

    ``l = CE(logits / a + strength * log(pi), target)``, ``a_c = (max(counts) / counts_c)**gamma``, ``pi = counts /
    sum(counts)``. At ``strength`` 0 it is :func:`~learn2mix.losses.cdt_loss`, at ``gamma`` 0
    :func:`~learn2mix.losses.logit_adjusted_loss`. Predict with the plain logits: both belong to training alone.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        counts: Training examples of each class, above 0, (k,); only their ratios count. The values of a tensor on an
            accelerator are not checked: that would halt it at every step.
        gamma: 0 (no division) or more. The default is that of a reimplementation (orparask/VS-Loss).
        strength: tau, 0 (no shift) or more. The default is logit adjustment's.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``gamma``, ``strength`` or a count is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``gamma`` or ``strength`` is negative or infinite, ``reduction`` unknown, or ``counts`` are not k
            numbers above 0.

    Example:
        >>> import torch
        >>> logits = torch.log(torch.tensor([[1.0, 9.0]]))
        >>> vs_loss(logits, torch.tensor([1]), [4, 1], gamma=0.5)  # 9 becomes 3, then 1 : 9 become 4 : 3, so ln 7/3
        tensor(0.8473)

    Reference:
        Kini et al., Label-Imbalanced and Group-Sensitive Classification under Overparameterization (arXiv 2103.01550).
        Its form was read in a reimplementation (orparask/VS-Loss).
    """
    return _scaled(logits, targets, _scaling(class_sizes(counts, look=False), gamma, strength), ignore_index, reduction)


def _scaling(sizes: Tensor, gamma: float, strength: float) -> tuple[Tensor, Tensor]:
    gamma = number("gamma", gamma, Range(0, high_open=True), fix="0.1 to 0.3 is usual")
    strength = number("strength", strength, Range(0, high_open=True), fix="1 is usual")
    return (sizes.max() / sizes) ** gamma, strength * (sizes / sizes.sum()).log()


def _scaled(
    logits: Tensor, targets: Tensor, scaling: tuple[Tensor, Tensor], ignore_index: int, reduction: str
) -> Tensor:
    wide = widened(logits)
    temperatures, shift = (along_classes(values, wide) for values in scaling)
    scaled = wide / temperatures + shift
    return cross_entropy(scaled, targets, logits, ignore_index=ignore_index, reduction=reduction)


class VSLoss(nn.Module):
    """:func:`vs_loss` as a module; takes the same settings.

    They are checked once, here, and so are the counts; what is kept are the temperatures and the shift, buffers (k,).

    Example:
        >>> loss = VSLoss([1000, 100, 10], gamma=0.5)
        >>> loss.temperatures  # the roots of 1, 10 and 100
        tensor([ 1.0000,  3.1623, 10.0000])
        >>> loss.shift.exp().sum()
        tensor(1.)
    """

    temperatures: Tensor
    shift: Tensor

    def __init__(
        self,
        counts: Any,
        *,
        gamma: float = 0.3,
        strength: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        temperatures, shift = _scaling(class_sizes(counts), gamma, strength)
        self.register_buffer("temperatures", temperatures.float())
        self.register_buffer("shift", shift.float())
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`vs_loss`."""
        return _scaled(logits, targets, (self.temperatures, self.shift), self.ignore_index, self.reduction)

"""Class-dependent temperatures: in training, the logits of rare classes are divided by larger numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from learn2mix.checks import Range, class_sizes, number
from learn2mix.losses.base import along_classes, check_reduction, cross_entropy, widened
from learn2mix.registry import register


@register(
    "cdt",
    family="loss",
    summary="cross-entropy, logits divided by temperatures that grow with rarity",
    example={"counts": (30, 10, 5)},
    search_space={"gamma": (0.0, 0.1, 0.2, 0.3, 0.4)},
    reference="arXiv 2001.01385",
)
def cdt_loss(
    logits: Tensor,
    targets: Tensor,
    counts: Any,
    *,
    gamma: float = 0.2,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute cross-entropy on logits divided by class-dependent temperatures.

    ``l = CE(logits / a, target)``, ``a_c = (max(counts) / counts_c)**gamma``: 1 for the largest class, more for rarer
    ones, so that a rare class must earn a larger logit for the same loss. Predict with the plain logits: the
    temperatures belong to training alone. ``logits`` are left as they are.

    Unlike most losses this one heeds a shift of all logits of an example: it is ``a`` times a number that changes nothing.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        counts: Training examples of each class, above 0, (k,); only their ratios count. The values of a tensor on an
            accelerator are not checked: that would halt it at every step.
        gamma: 0 (plain cross-entropy) or more. The default is that of a reimplementation (BagofTricks-LT), which
            quotes grids of 0 to 0.4 for CIFAR-10, to 0.2 for CIFAR-100, to 0.1 for iNaturalist.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``gamma`` or a count is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``gamma`` is negative or infinite, ``reduction`` unknown, or ``counts`` are not k numbers above 0.

    Example:
        >>> import torch
        >>> logits = torch.log(torch.tensor([[1.0, 9.0]]))
        >>> cdt_loss(logits, torch.tensor([1]), [400, 100], gamma=0.5)  # a = (1, 2): 9 becomes 3, so ln 4/3
        tensor(0.2877)

    Reference:
        Ye et al., Identifying and Compensating for Feature Deviation in Imbalanced Deep Learning (arXiv 2001.01385).
    """
    temperatures = _temperatures(class_sizes(counts, look=False), gamma)
    return _tempered(logits, targets, temperatures, ignore_index, reduction)


def _temperatures(sizes: Tensor, gamma: float) -> Tensor:
    gamma = number("gamma", gamma, Range(0, high_open=True), fix="0.1 to 0.4 is usual")
    return (sizes.max() / sizes) ** gamma


def _tempered(logits: Tensor, targets: Tensor, temperatures: Tensor, ignore_index: int, reduction: str) -> Tensor:
    wide = widened(logits)
    tempered = wide / along_classes(temperatures, wide)
    return cross_entropy(tempered, targets, logits, ignore_index=ignore_index, reduction=reduction)


class CDTLoss(nn.Module):
    """:func:`cdt_loss` as a module; takes the same settings.

    They are checked once, here, and so are the counts, wherever they lie; what is kept are the temperatures, a buffer (k,).

    Example:
        >>> CDTLoss([1000, 100, 10], gamma=0.5).temperatures  # the roots of 1, 10 and 100
        tensor([ 1.0000,  3.1623, 10.0000])
    """

    temperatures: Tensor

    def __init__(self, counts: Any, *, gamma: float = 0.2, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.register_buffer("temperatures", _temperatures(class_sizes(counts), gamma).float())
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`cdt_loss`."""
        return _tempered(logits, targets, self.temperatures, self.ignore_index, self.reduction)

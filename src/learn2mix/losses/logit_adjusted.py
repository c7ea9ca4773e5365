"""Logit-adjusted loss, also known as balanced softmax: rare classes need a margin in proportion to their rarity."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from learn2mix.checks import Range, class_sizes, number
from learn2mix.losses.base import along_classes, check_reduction, cross_entropy, widened
from learn2mix.registry import register


@register(
    "logit-adjusted",
    family="loss",
    summary="cross-entropy of the logits plus the log of the class shares",
    example={"counts": (30, 10, 5)},
    search_space={"strength": (0.0, 0.5, 1.0, 1.5, 2.0)},
    reference="arXiv 2007.07314; at strength 1 balanced softmax, arXiv 2007.10740",
)
def logit_adjusted_loss(
    logits: Tensor,
    targets: Tensor,
    counts: Any,
    *,
    strength: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute cross-entropy on logits shifted by the class shares.

    ``l = CE(logits + strength * log(pi), target)``, ``pi = counts / sum(counts)``. Predict with the plain logits: the
    shift belongs to training alone, and never together with its post-hoc counterpart.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        counts: Training examples of each class, above 0, (k,); only their ratios count. The values of a tensor on an
            accelerator are not checked: that would halt it at every step.
        strength: tau, 0 (plain cross-entropy) or more; 1 makes the balanced error the one that is minimised.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``strength`` or a count is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``strength`` is negative or infinite, ``reduction`` unknown, or ``counts`` are not k numbers above 0.

    Example:
        >>> import torch
        >>> logit_adjusted_loss(torch.zeros(2, 2), torch.tensor([0, 1]), [3, 1], reduction="none")  # ln 4/3, ln 4
        tensor([0.2877, 1.3863])

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment (arXiv 2007.07314), Eq. 10.
    """
    return _shifted(logits, targets, _shift(class_sizes(counts, look=False), strength), ignore_index, reduction)


def _shift(sizes: Tensor, strength: float) -> Tensor:
    strength = number("strength", strength, Range(0, high_open=True), fix="1 is usual")
    return strength * (sizes / sizes.sum()).log()


def _shifted(logits: Tensor, targets: Tensor, shift: Tensor, ignore_index: int, reduction: str) -> Tensor:
    wide = widened(logits)
    adjusted = wide + along_classes(shift, wide)
    return cross_entropy(adjusted, targets, logits, ignore_index=ignore_index, reduction=reduction)


class LogitAdjustedLoss(nn.Module):
    """:func:`logit_adjusted_loss` as a module; takes the same settings.

    They are checked once, here, and so are the counts, wherever they lie; what is kept is the shift, a buffer (k,).

    Example:
        >>> import torch
        >>> LogitAdjustedLoss([3, 1])(torch.zeros(1, 2), torch.tensor([1]))  # ln 4
        tensor(1.3863)
    """

    shift: Tensor

    def __init__(
        self, counts: Any, *, strength: float = 1.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.register_buffer("shift", _shift(class_sizes(counts), strength).float())
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`logit_adjusted_loss`."""
        return _shifted(logits, targets, self.shift, self.ignore_index, self.reduction)

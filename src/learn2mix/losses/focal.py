"""Focal loss, with class weights: easy examples cost less, rare classes more."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from learn2mix.checks import Range, brief, class_sizes, number
from learn2mix.losses.base import check_reduction, class_dim, class_ids, narrowed, widened
from learn2mix.registry import register


def inverse_frequency_weights(counts: Any) -> Tensor:
    """Weight classes by the inverse of their size: ``w_i`` proportional to ``1 / n_i``, scaled to sum to k.

    Args:
        counts: Training examples of each class, above 0, shape (k,).

    Returns:
        Float32, shape (k,), sum k.

    Raises:
        TypeError: A count is no number.
        ValueError: A count is 0 or less or not finite, or there are not k of them in a row.

    Example:
        >>> inverse_frequency_weights([30, 10])
        tensor([0.5000, 1.5000])
    """
    sizes = class_sizes(counts)
    weights = 1 / sizes
    return (weights * (len(sizes) / weights.sum())).float()


@register(
    "focal",
    family="loss",
    summary="easy examples are weighted down by (1 - p)^focusing, rare classes up by weight",
    example={"focusing": 2.0},
    reference="arXiv 1708.02002; with class weights arXiv 1901.05555",
)
def focal_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Any = None,
    *,
    focusing: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute the focal loss of class logits.

    ``l = (1 - p)**focusing * weight[target] * CE`` with ``CE = -log p``, p the softmax probability of the target. Unlike
    the Learn2Mix authors' code, p is the unweighted probability: the weight scales the loss and does not change which
    examples count as easy.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        weight: Finite and 0 or more, (k,), a tensor, an array or a list, checked where it lies on the host;
            :func:`inverse_frequency_weights` makes it class-balanced. None for all ones.
        focusing: 0 (plain cross-entropy) or more.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target. The mean is over targets, not over
            weights as in ``torch.nn.functional.cross_entropy``: the weights already average to 1 over classes.

    Raises:
        TypeError: ``focusing`` or a weight is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``focusing`` is negative or infinite, ``reduction`` unknown, a weight negative or not finite, or
            ``weight`` has another shape than (k,).

    Example:
        >>> logits = torch.log(torch.tensor([[0.5, 0.5], [0.9, 0.1]]))
        >>> focal_loss(logits, torch.tensor([0, 0]), reduction="none")  # 0.5**2 * ln 2, 0.1**2 * ln (1 / 0.9)
        tensor([0.1733, 0.0011])

    Reference:
        Lin et al., Focal Loss for Dense Object Detection (arXiv 1708.02002), Eq. 5; softmax form.
    """
    focusing = check_settings(focusing, reduction)
    return focal(logits, targets, class_weight(weight), focusing, ignore_index, reduction)


def check_settings(focusing: float, reduction: str) -> float:
    """Refuse what :func:`focal_loss` refuses of its settings; return ``focusing``."""
    check_reduction(reduction)
    return number("focusing", focusing, Range(0, high_open=True), fix="0.5 to 2 is usual")


def class_weight(weight: Any) -> Tensor | None:
    """Return class weights as a tensor, once checked; a look at what lies on an accelerator would halt it.

    Raises:
        TypeError: They are no numbers.
        ValueError: They are not in a row, or (on the host) one is negative or not finite.
    """
    if weight is None:
        return None
    rule = "it must hold one weight a class, finite and 0 or more"
    try:
        given = weight if isinstance(weight, Tensor) else torch.as_tensor(weight, dtype=torch.float32, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"weight was {brief(weight)}; {rule}; give a tensor or list of numbers") from None
    if given.ndim != 1:
        raise ValueError(f"weight had shape {tuple(given.shape)}; {rule}, (k,)")
    if given.device.type == "cpu" and not ((given >= 0) & given.isfinite()).all():
        raise ValueError(f"weight was {brief(given.tolist())}; {rule}; inverse_frequency_weights(counts) makes some")
    return given


def focal(
    logits: Tensor, targets: Tensor, weight: Tensor | None, focusing: float, ignore_index: int, reduction: str
) -> Tensor:
    """Compute :func:`focal_loss` with settings and weights that were checked before."""
    ids, wide = class_ids(targets, logits), widened(logits)
    num_classes = logits.shape[class_dim(logits)]
    if weight is not None and tuple(weight.shape) != (num_classes,):
        raise ValueError(
            f"weight had shape {tuple(weight.shape)} for logits of shape {tuple(logits.shape)}; it must be "
            f"({num_classes},), one weight a class"
        )
    cross_entropy = functional.cross_entropy(wide, ids, reduction="none", ignore_index=ignore_index)
    # expm1 keeps 1 - p exact for p near 1; the bound keeps the gradient of a power below 1 finite at p = 1.
    easy = -torch.expm1(-cross_entropy).clamp(max=-torch.finfo(cross_entropy.dtype).tiny)
    loss = easy**focusing * cross_entropy
    counted = ids != ignore_index
    if weight is not None:
        loss = loss * weight.to(loss.dtype)[torch.where(counted, ids, 0)]
    if reduction != "none":
        loss = loss.sum() / counted.sum() if reduction == "mean" else loss.sum()
    return narrowed(loss, logits)


class FocalLoss(nn.Module):
    """:func:`focal_loss` as a module; takes the same settings, which are checked once, here.

    Example:
        >>> loss = FocalLoss(inverse_frequency_weights([30, 10]), focusing=0.0)
        >>> loss(torch.zeros(1, 2), torch.tensor([1]))  # 1.5 * ln 2
        tensor(1.0397)
    """

    def __init__(
        self, weight: Any = None, *, focusing: float = 2.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.weight: Tensor | None
        focusing = check_settings(focusing, reduction)
        self.register_buffer("weight", class_weight(weight))
        self.focusing, self.ignore_index, self.reduction = focusing, ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`focal_loss`."""
        return focal(logits, targets, self.weight, self.focusing, self.ignore_index, self.reduction)

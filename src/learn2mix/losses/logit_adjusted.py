"""Logit-adjusted loss, also known as balanced softmax: rare classes need a margin in proportion to their rarity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from learn2mix.checks import Range, brief, number
from learn2mix.registry import register

_REDUCTIONS = ("mean", "sum", "none")


@register(
    "logit-adjusted",
    family="loss",
    summary="cross-entropy of the logits plus strength times the log of the class shares",
    example={"counts": (30, 10, 5)},
    search_space={"strength": (0.5, 1.0, 1.5)},
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
        counts: Training examples of each class, above 0, (k,); only their ratios count.
        strength: tau, 0 (plain cross-entropy) or more; 1 makes the balanced error the one that is minimised.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``strength`` is no number.
        ValueError: ``strength`` is negative, ``reduction`` unknown, or ``counts`` are not k numbers above 0.

    Example:
        >>> logit_adjusted_loss(torch.zeros(2, 2), torch.tensor([0, 1]), [3, 1], reduction="none")  # ln 4/3, ln 4
        tensor([0.2877, 1.3863])

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment (arXiv 2007.07314), Eq. 10.
    """
    number("strength", strength, Range(0), fix="1 is usual")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction was {reduction!r}; it must be one of {', '.join(map(repr, _REDUCTIONS))}")
    sizes = torch.as_tensor(counts, dtype=torch.float64, device=logits.device)
    class_dim = min(1, logits.ndim - 1)
    if tuple(sizes.shape) != (logits.shape[class_dim],) or not ((sizes > 0) & sizes.isfinite()).all():
        raise ValueError(
            f"counts was {brief(sizes.tolist())} for logits of shape {tuple(logits.shape)}; it must hold "
            f"{logits.shape[class_dim]} numbers above 0, the training examples of each class; merge or drop a class "
            "without examples"
        )
    shift = (strength * (sizes / sizes.sum()).log()).to(logits.dtype)
    adjusted = logits + shift.view(-1, *[1] * (logits.ndim - class_dim - 1))
    return functional.cross_entropy(adjusted, targets, ignore_index=ignore_index, reduction=reduction)


class LogitAdjustedLoss(nn.Module):
    """:func:`logit_adjusted_loss` as a module; takes the same settings.

    Example:
        >>> LogitAdjustedLoss([3, 1])(torch.zeros(1, 2), torch.tensor([1]))  # ln 4
        tensor(1.3863)
    """

    counts: Tensor

    def __init__(
        self, counts: Any, *, strength: float = 1.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.register_buffer("counts", torch.as_tensor(counts, dtype=torch.float64))
        self.strength, self.ignore_index, self.reduction = strength, ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`logit_adjusted_loss`."""
        return logit_adjusted_loss(
            logits,
            targets,
            self.counts,
            strength=self.strength,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

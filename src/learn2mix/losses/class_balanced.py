"""Class-balanced loss: classes are weighted by the inverse of their effective number of examples."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from learn2mix.checks import Range, class_sizes, number
from learn2mix.losses.base import of_classes
from learn2mix.losses.focal import check_settings, focal
from learn2mix.registry import register

_BETA = Range(0, 1, high_open=True)


def effective_number_weights(counts: Any, beta: float = 0.9999) -> Tensor:
    """Weight classes by the inverse of their effective number of examples.

    ``w_c`` proportional to ``1 / E_c``, ``E_c = (1 - beta**n_c) / (1 - beta)``, scaled to sum to k. E_c never exceeds
    ``1 / (1 - beta)``: classes much larger than that weigh alike. ``beta = 0`` weights all classes alike, and beta near
    1 by the inverse of their size, as :func:`~learn2mix.losses.inverse_frequency_weights` does.

    Args:
        counts: Training examples of each class, 1 or more, (k,): numbers, not shares.
        beta: From 0 to below 1.

    Returns:
        Float32, (k,), sum k.

    Raises:
        TypeError: ``beta`` or a count is no number.
        ValueError: ``beta`` lies outside [0, 1), a count is below 1, or there are not k of them in a row.

    Example:
        >>> effective_number_weights([2, 1], beta=0.5)  # E = (1.5, 1)
        tensor([0.8000, 1.2000])

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples (arXiv 1901.05555).
    """
    return _weights(class_sizes(counts, low=1), beta).float()


def _weights(sizes: Tensor, beta: float) -> Tensor:
    beta = number("beta", beta, _BETA, fix="0.9, 0.99, 0.999 and 0.9999 are usual")
    weights = 1 / (1 - beta**sizes)  # 1 / E_c but for a factor
    return weights * (len(sizes) / weights.sum())


@register(
    "class-balanced",
    family="loss",
    summary="cross-entropy, classes weighted by their effective numbers of examples",
    example={"counts": (30, 10, 5)},
    search_space={"beta": (0.9, 0.99, 0.999, 0.9999)},
    reference="arXiv 1901.05555",
)
def class_balanced_loss(
    logits: Tensor,
    targets: Tensor,
    counts: Any,
    *,
    beta: float = 0.9999,
    focusing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute the class-balanced loss of class logits, in its softmax form.

    ``l = w[target] * (1 - p)**focusing * CE`` with ``CE = -log p``, p the softmax probability of the target and w the
    :func:`effective_number_weights`, which sum to k.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        counts: Training examples of each class, 1 or more, (k,): numbers, not shares. The values of a tensor on an
            accelerator are not checked: that would halt it at every step.
        beta: From 0 (no weights) to below 1 (near 1: inverse frequency). The authors' code tries 0.9 to 0.9999.
        focusing: 0 (cross-entropy) or more (class-balanced focal loss).
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target. The mean is over targets, not over
            weights as in ``torch.nn.functional.cross_entropy``.

    Raises:
        TypeError: ``beta``, ``focusing`` or a count is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``beta`` lies outside [0, 1), ``focusing`` is negative or infinite, ``reduction`` unknown, or
            ``counts`` are not k numbers of at least 1.

    Example:
        >>> import torch
        >>> logits, targets = torch.zeros(2, 2), torch.tensor([0, 1])
        >>> class_balanced_loss(logits, targets, [2, 1], beta=0.5, reduction="none")  # (0.8, 1.2) * ln 2
        tensor([0.5545, 0.8318])

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples (arXiv 1901.05555); there the sigmoid form
        is used besides.
    """
    focusing = check_settings(focusing, reduction)
    weight = _weights(class_sizes(counts, low=1, look=False), beta)
    return _weighted(logits, targets, weight, focusing, ignore_index, reduction)


def _weighted(
    logits: Tensor, targets: Tensor, weight: Tensor, focusing: float, ignore_index: int, reduction: str
) -> Tensor:
    return focal(logits, targets, of_classes(weight, logits), focusing, ignore_index, reduction)


class ClassBalancedLoss(nn.Module):
    """:func:`class_balanced_loss` as a module; takes the same settings.

    They are checked once, here, and so are the counts, wherever they lie; what is kept are the weights, a buffer (k,).

    Example:
        >>> import torch
        >>> loss = ClassBalancedLoss([2, 1], beta=0.5)
        >>> loss(torch.zeros(1, 2), torch.tensor([1]))  # 1.2 * ln 2
        tensor(0.8318)
    """

    weight: Tensor

    def __init__(
        self,
        counts: Any,
        *,
        beta: float = 0.9999,
        focusing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        focusing = check_settings(focusing, reduction)
        self.register_buffer("weight", effective_number_weights(counts, beta))
        self.focusing, self.ignore_index, self.reduction = focusing, ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`class_balanced_loss`."""
        return _weighted(logits, targets, self.weight, self.focusing, self.ignore_index, self.reduction)

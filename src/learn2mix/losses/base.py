"""What the losses share: checks, and values of each class laid along the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from learn2mix.checks import brief

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """Refuse a reduction that torch's losses do not know.

    Raises:
        ValueError: It is none of ``"mean"``, ``"sum"``, ``"none"``.
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction was {reduction!r}; it must be one of {', '.join(map(repr, _REDUCTIONS))}")


def check_class_ids(targets: Tensor) -> None:
    """Refuse targets that are probabilities.

    Raises:
        TypeError: Their dtype is a floating one.
    """
    if targets.dtype.is_floating_point:
        raise TypeError(f"targets had dtype {targets.dtype}; they must be class ids; pass probabilities.argmax(1)")


def class_sizes(counts: Any, *, low: float = 0, look: bool = True) -> Tensor:
    """Return the training examples of each class, once checked.

    Args:
        counts: Sequence, array or tensor of numbers above 0, (k,).
        low: What they must be at least, besides.
        look: False leaves the values of a tensor on an accelerator unchecked, for a look at them would halt it. What
            lies on the host is always checked.

    Returns:
        (k,), float64 (float32 where a device has no float64), where ``counts`` lay.

    Raises:
        TypeError: They are no numbers.
        ValueError: They are not in a row, one is not finite, not above 0 or below ``low``, or there are none.
    """
    rule = f"it must hold the number of training examples of each class, {f'at least {low:g}' if low else 'above 0'}"
    try:
        given = counts if isinstance(counts, Tensor) else torch.as_tensor(counts, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"counts was {brief(counts)}; {rule}; give a list or tensor of numbers") from None
    sizes = given.to(torch.float32 if given.device.type == "mps" else torch.float64)
    looked_at = look or sizes.device.type == "cpu"
    in_a_row = sizes.ndim == 1 and len(sizes) > 0
    if not in_a_row or (looked_at and not ((sizes > 0) & (sizes >= low) & sizes.isfinite()).all()):
        shown = brief(sizes.tolist()) if looked_at else f"of shape {tuple(sizes.shape)}"
        raise ValueError(f"counts was {shown}; {rule}; merge or drop a class without examples")
    return sizes


def class_dim(logits: Tensor) -> int:
    """Tell which dimension of logits (n, k), (n, k, ...) or (k,) is that of the classes."""
    return min(1, logits.ndim - 1)


def of_classes(values: Tensor, logits: Tensor) -> Tensor:
    """Move one value a class, (k,), made of counts, to the device of logits with as many classes; nothing is waited for.

    Raises:
        ValueError: The logits have another number of classes.
    """
    num_classes = logits.shape[class_dim(logits)]
    if len(values) != num_classes:
        raise ValueError(
            f"counts was of {len(values)} classes for logits of shape {tuple(logits.shape)}; it must hold "
            f"{num_classes} numbers above 0, the training examples of each class; give each class of the data one logit"
        )
    return values.to(logits.device, non_blocking=True)


def along_classes(values: Tensor, logits: Tensor) -> Tensor:
    """Lay one value a class, (k,), made of counts, along the class dimension of logits.

    Returns:
        (k,), or (k, 1, ...) for logits (n, k, ...); on their device, in their dtype.

    Raises:
        ValueError: The logits have another number of classes.

    Example:
        >>> along_classes(torch.tensor([1.0, 2.0]), torch.zeros(5, 2, 3, 3)).shape
        torch.Size([2, 1, 1])
    """
    laid = of_classes(values, logits).to(logits.dtype)
    return laid.view(-1, *[1] * (logits.ndim - class_dim(logits) - 1))

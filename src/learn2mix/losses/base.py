"""What the losses share: checks, and values of each class laid along the logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from learn2mix.checks import tensor

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """Refuse a reduction that torch's losses do not know.

    Raises:
        ValueError: It is none of ``"mean"``, ``"sum"``, ``"none"``.
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction was {reduction!r}; it must be one of {', '.join(map(repr, _REDUCTIONS))}")


def check_class_ids(targets: Tensor, logits: Tensor) -> None:
    """Refuse targets that are not one class id for each place of the logits.

    Raises:
        TypeError: They are no tensor, or probabilities: their dtype is a floating one.
        ValueError: Their shape is not that of the logits without the classes.
    """
    tensor("targets", targets, "a tensor of class ids, one an example")
    if targets.dtype.is_floating_point:
        raise TypeError(f"targets had dtype {targets.dtype}; they must be class ids; pass probabilities.argmax(1)")
    dim = class_dim(logits)
    expected = (*logits.shape[:dim], *logits.shape[dim + 1 :])
    if tuple(targets.shape) != expected:
        raise ValueError(
            f"targets had shape {tuple(targets.shape)} for logits of shape {tuple(logits.shape)}; they must be class ids, "
            f"{expected}: one an example, not one-hot"
        )


def widened(logits: Tensor) -> Tensor:
    """Give logits of a half type in float32, others as they are: what is added to them is not to be rounded before."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def cross_entropy(changed: Tensor, targets: Tensor, logits: Tensor, *, ignore_index: int, reduction: str) -> Tensor:
    """Compute cross-entropy of changed logits in the dtype that that of the logits themselves would have.

    Args:
        changed: Made of ``widened(logits)``.
        targets: Class ids.
        logits: As they were given.
        ignore_index: As in torch.
        reduction: As in torch.

    Raises:
        TypeError: The targets are no class ids.
        ValueError: They are not one for each place, or the reduction is unknown.
    """
    check_reduction(reduction)
    check_class_ids(targets, logits)
    loss = functional.cross_entropy(changed, targets, ignore_index=ignore_index, reduction=reduction)
    # in an autocast region cross-entropy gives float32
    return loss if changed.dtype == logits.dtype or _autocasts(logits.device.type) else loss.to(logits.dtype)


def _autocasts(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # torch before 2.4
        return torch.is_autocast_enabled() or torch.is_autocast_cpu_enabled()
    except RuntimeError:  # a device without autocasting, such as meta
        return False


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
            f"{num_classes} numbers above 0, the training examples of each class; give each class of the data one "
            "logit; if these were labels, give torch.bincount(labels)"
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

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


def check_logits(logits: Tensor) -> Tensor:
    """Return logits, once seen to be some.

    Raises:
        TypeError: They are no floating tensor.
        ValueError: They are a single number.
    """
    if not tensor("logits", logits, "a tensor of a number a class, (n, k)").is_floating_point():
        raise TypeError(f"logits had dtype {logits.dtype}; they must be floating; pass logits.float()")
    if logits.ndim == 0:
        raise ValueError("logits was a single number; it must be (n, k), a number a class; give (k,) for one example")
    return logits


def class_ids(targets: Tensor, logits: Tensor) -> Tensor:
    """Return targets as int64, once seen to be one class id for each place of the logits.

    Whether each is one of the k classes is left to torch: to look would halt an accelerator.

    Raises:
        TypeError: The logits are no floating tensor; the targets are no tensor, or not of integers.
        ValueError: The targets' shape is not that of the logits without the classes.
    """
    check_logits(logits)
    if tensor("targets", targets, "a tensor of class ids, one an example").is_floating_point():
        raise TypeError(f"targets had dtype {targets.dtype}; they must be class ids; pass probabilities.argmax(1)")
    if targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"targets had dtype {targets.dtype}; they must be class ids, integers; pass targets.long()")
    dim = class_dim(logits)
    expected = (*logits.shape[:dim], *logits.shape[dim + 1 :])
    if tuple(targets.shape) != expected:
        raise ValueError(
            f"targets had shape {tuple(targets.shape)} for logits of shape {tuple(logits.shape)}; they must be class ids, "
            f"{expected}: one an example, not one-hot"
        )
    return targets.long()  # a tensor of bytes would index as a mask does


def widened(logits: Tensor) -> Tensor:
    """Give logits of a half type in float32, others as they are: what is done to them is not to be rounded before.

    Raises:
        TypeError: They are no floating tensor.
        ValueError: They are a single number.
    """
    return logits.float() if check_logits(logits).dtype in (torch.float16, torch.bfloat16) else logits


def narrowed(loss: Tensor, logits: Tensor) -> Tensor:
    """Give a loss made of ``widened(logits)`` the dtype that cross-entropy of the logits themselves would have."""
    # in an autocast region cross-entropy gives float32
    return loss if loss.dtype == logits.dtype or _autocasts(logits.device.type) else loss.to(logits.dtype)


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
    ids = class_ids(targets, logits)
    return narrowed(functional.cross_entropy(changed, ids, ignore_index=ignore_index, reduction=reduction), logits)


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
        TypeError: The logits are no floating tensor.
        ValueError: They have another number of classes.
    """
    num_classes = check_logits(logits).shape[class_dim(logits)]
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

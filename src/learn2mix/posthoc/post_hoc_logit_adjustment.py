"""Post-hoc logit adjustment: predict as if the classes had been equally frequent, whatever they were in training."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from learn2mix.checks import Range, class_sizes, module, number
from learn2mix.losses.base import along_classes, widened
from learn2mix.registry import register


@register(
    "post-hoc-logit-adjustment",
    family="post-hoc",
    summary="a trained network's logits less strength times the log of the class shares",
    example={"counts": (30, 10, 5)},
    reference="arXiv 2007.07314",
)
def adjust_logits(logits: Tensor, counts: Any, *, strength: float = 1.0) -> Tensor:
    """Shift logits against the class shares of the set that they were trained on.

    ``z - strength * log(pi)``, ``pi = counts / sum(counts)``. For logits trained by plain cross-entropy alone: where the
    loss was logit-adjusted, the shares are out of the logits already.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        counts: Training examples of each class, above 0, (k,); only their ratios count. The values of a tensor on an
            accelerator are not checked: that would halt it.
        strength: tau, 0 (the logits as they are) or more. At 1, logits that are the log of the true posterior, up to a
            constant, give the class that makes the balanced error smallest.

    Returns:
        As ``logits``, in their type.

    Raises:
        TypeError: ``strength`` or a count is no number, or the logits are no floating tensor.
        ValueError: ``strength`` is negative or infinite, or ``counts`` are not k finite numbers above 0.

    Example:
        >>> import torch
        >>> adjust_logits(torch.zeros(1, 2), [3, 1])  # less ln 3/4, ln 1/4
        tensor([[0.2877, 1.3863]])

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment (arXiv 2007.07314), its post-hoc form.
    """
    return _less(logits, _shift(class_sizes(counts, look=False), strength))


def _shift(sizes: Tensor, strength: float) -> Tensor:
    strength = number("strength", strength, Range(0, high_open=True), fix="1 is usual")
    return strength * (sizes / sizes.sum()).log()


def _less(logits: Tensor, shift: Tensor) -> Tensor:
    wide = widened(logits)
    return (wide - along_classes(shift, wide)).to(logits.dtype)


class LogitAdjusted(nn.Module):
    """A network whose logits are adjusted in evaluation mode, and only there; see :func:`adjust_logits`.

    In training mode it is the network itself, so that it can be put around one before or after training. It starts in the
    mode that the network is in.

    Args:
        model: Gives logits, (n, k) or (n, k, ...).
        counts: Training examples of each class, above 0, (k,).
        strength: tau, 0 or more.

    Raises:
        TypeError: ``model`` is no module, or ``strength`` or a count is no number.
        ValueError: ``strength`` is negative or infinite, or ``counts`` are not finite numbers above 0; when logits come, there
            are not as many counts as classes.

    Example:
        >>> import torch
        >>> model = LogitAdjusted(torch.nn.Identity(), [3, 1])
        >>> model(torch.zeros(1, 2)), model.eval()(torch.zeros(1, 2))
        (tensor([[0., 0.]]), tensor([[0.2877, 1.3863]]))
    """

    shift: Tensor

    def __init__(self, model: nn.Module, counts: Any, *, strength: float = 1.0) -> None:
        super().__init__()
        self.model = module("model", model)
        # not the counts: in half precision those above 65504 would be infinite
        self.register_buffer("shift", _shift(class_sizes(counts), strength).float())
        self.train(model.training)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Pass the inputs on; adjust the logits that come back, in evaluation mode."""
        logits: Tensor = self.model(*inputs, **options)
        return logits if self.training else _less(logits, self.shift)

"""LDAM: the right class must win by a margin that is the larger the rarer it is; with the cosine classifier it needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from learn2mix.checks import Range, brief, class_sizes, module, number
from learn2mix.losses.base import along_classes, check_reduction, class_dim, class_ids, cross_entropy, widened
from learn2mix.registry import register


@register(
    "ldam",
    family="loss",
    summary="cross-entropy after a margin, larger for rarer classes, is taken off the target's logit",
    example={"counts": (30, 10, 5)},
    reference="arXiv 1906.07413",
)
def ldam_loss(
    logits: Tensor,
    targets: Tensor,
    counts: Any,
    *,
    margin: float = 0.5,
    scale: float = 30.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute cross-entropy with a label-distribution-aware margin.

    ``l = CE(logits - scale * m[target] * onehot(target), target)``, ``m_c = margin * (min(counts) / counts_c)**0.25``:
    the rarest class has the margin ``margin``, one 16 times as large half of it. The margin belongs to training alone.

    ``logits`` are ``scale`` times cosines, as :class:`CosineLinear` gives them. In the authors' code the classifier gives
    bare cosines and the loss multiplies by the scale: the same loss, but there what the network gives are no logits.

    Args:
        logits: (n, k) or (n, k, ...); or (k,) for one example.
        targets: Class ids from 0 to k - 1, (n,) or (n, ...); or ().
        counts: Training examples of each class, above 0, (k,); only their ratios count. The values of a tensor on an
            accelerator are not checked: that would halt it at every step.
        margin: The rarest class's, in units of the cosine: 0 (plain cross-entropy) or more, 0.5 in the authors' code.
        scale: What the logits are cosines times of, above 0, 30 in the authors' code. For logits that are no cosines,
            1 gives margins in their own units.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``margin``, ``scale`` or a count is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``margin`` is negative, ``scale`` not above 0, one of them infinite, ``targets`` not one a place of
            the logits, ``reduction`` unknown, or ``counts`` are not k numbers above 0.

    Example:
        >>> logits, targets = torch.tensor([[4.0, 4.0]] * 2), torch.tensor([0, 1])
        >>> ldam_loss(logits, targets, [16, 1], scale=4, reduction="none")  # margins 1/4 and 1/2: ln(1 + e), ln(1 + e^2)
        tensor([1.3133, 2.1269])

    Reference:
        Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss (arXiv 1906.07413).
    """
    margins = _margins(class_sizes(counts, look=False), margin, scale)
    return _with_margins(logits, targets, margins, ignore_index, reduction)


def _margins(sizes: Tensor, margin: float, scale: float) -> Tensor:
    """Give what is taken off the target's logit, (k,)."""
    margin = number("margin", margin, Range(0, high_open=True), fix="0.5 is usual")
    scale = number("scale", scale, Range(0, low_open=True, high_open=True), fix="30 is usual")
    return scale * margin * (sizes.min() / sizes) ** 0.25


def _with_margins(logits: Tensor, targets: Tensor, margins: Tensor, ignore_index: int, reduction: str) -> Tensor:
    ids, wide = class_ids(targets, logits), widened(logits)
    margins = along_classes(margins, wide)
    classes = torch.arange(len(margins), device=logits.device).view(margins.shape)
    lowered = wide - margins * (ids.unsqueeze(class_dim(logits)) == classes)
    return cross_entropy(lowered, ids, logits, ignore_index=ignore_index, reduction=reduction)


class LDAMLoss(nn.Module):
    """:func:`ldam_loss` as a module; takes the same settings.

    They are checked once, here, and so are the counts, wherever they lie; what is kept are the margins in units of the
    logits, ``scale * m``, a buffer (k,).

    Example:
        >>> LDAMLoss([1600, 100]).margins  # 30 * (0.25, 0.5)
        tensor([ 7.5000, 15.0000])
    """

    margins: Tensor

    def __init__(
        self,
        counts: Any,
        *,
        margin: float = 0.5,
        scale: float = 30.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.register_buffer("margins", _margins(class_sizes(counts), margin, scale).float())
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See :func:`ldam_loss`."""
        return _with_margins(logits, targets, self.margins, self.ignore_index, self.reduction)


class CosineLinear(nn.Linear):
    """A classifier of directions: ``z_c = scale * cos(h, w_c)``, without bias; the last layer that LDAM asks for.

    A margin means nothing where logits can grow without bound; a cosine cannot. Vectors shorter than the rounding of
    their dtype (1e-7 in float32) are not stretched to length 1; zeros get logits of zero.

    Args:
        in_features: The width of h.
        out_features: The number of classes k.
        scale: What the cosines are multiplied by, above 0; give the loss the same.
        device: Of the weights (k, width).
        dtype: Of the weights.

    Raises:
        TypeError: ``scale`` is no number.
        ValueError: ``scale`` is not above 0, or infinite.

    Example:
        >>> head = CosineLinear(2, 3, scale=10)
        >>> _ = head.weight.data.copy_(torch.tensor([[7.0, 0.0], [0.0, 0.1], [-1.0, 0.0]]))
        >>> head(torch.tensor([[3.0, 4.0]]))  # however long h and the w_c are
        tensor([[ 6.,  8., -6.]], grad_fn=<MmBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        scale: float = 30.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias=False, device=device, dtype=dtype)
        self.scale = number("scale", scale, Range(0, low_open=True, high_open=True), fix="30 is usual")

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, scale: float = 30.0) -> CosineLinear:
        """Make one that starts from a copy of a linear layer's weights, (k, width), and goes without its bias.

        Raises:
            TypeError: It is no ``nn.Linear``, or ``scale`` is no number.
            ValueError: ``scale`` is not above 0, or infinite.
        """
        if not isinstance(linear, nn.Linear):
            raise TypeError(
                f"linear was {brief(linear)} ({type(linear).__name__}); it must be an nn.Linear, the classifier"
            )
        head = cls(linear.in_features, linear.out_features, scale=scale, device="meta")  # draws no random numbers
        head.weight = nn.Parameter(linear.weight.detach().clone())
        return head

    def forward(self, input: Tensor) -> Tensor:
        """Turn features (..., width) into logits (..., k)."""
        return functional.linear(self.scale * _directions(input), _directions(self.weight))

    def extra_repr(self) -> str:
        """Show the scale too."""
        return f"{super().extra_repr()}, scale={self.scale}"


def _directions(vectors: Tensor) -> Tensor:
    # In float32, for in float16 a length above 65504 is infinite. The usual bound of 1e-12 is 0 in float16, and the
    # gradient by a vector of zeros would be too large for it.
    return functional.normalize(widened(vectors), dim=-1, eps=torch.finfo(vectors.dtype).eps).to(vectors.dtype)


def with_cosine_classifier(network: nn.Module, num_classes: int, *, scale: float = 30.0) -> nn.Module:
    """Replace a network's last linear layer by a :class:`CosineLinear` that starts from its weights.

    Call it before the optimiser is made: the weights are new ones.

    Args:
        network: Changed in place.
        num_classes: The number of classes k, to see that the layer is the classifier.
        scale: What the cosines are multiplied by, above 0; give the loss the same.

    Returns:
        The network.

    Raises:
        TypeError: ``network`` is no module, or ``scale`` no number.
        ValueError: ``scale`` is not above 0, or infinite; the network has no linear layer within it, or the last one does
            not give k numbers.

    Example:
        >>> with_cosine_classifier(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), 3)[2]
        CosineLinear(in_features=5, out_features=3, bias=False, scale=30.0)
    """
    linear = [
        (name, layer) for name, layer in module("network", network).named_modules() if isinstance(layer, nn.Linear)
    ]
    name, last = linear[-1] if linear else ("", None)
    if not name or last is None or last.out_features != num_classes:
        raise ValueError(
            f"the network's last linear layer is {last}; for a cosine classifier it must be a part of the network and "
            f"give {num_classes} numbers, one a class; LDAM needs another network"
        )
    parent, _, place = name.rpartition(".")
    setattr(network.get_submodule(parent), place, CosineLinear.from_linear(last, scale=scale))
    return network

"""LORT, logits retargeting: once a network is trained, train its last layer alone on nearly even targets."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from learn2mix.checks import Range, module, number
from learn2mix.losses.base import check_reduction, class_ids, narrowed, widened
from learn2mix.registry import register


@register(
    "lort",
    family="post-hoc",
    summary="the last layer trained anew, alone, by cross-entropy against nearly even targets",
    reference="arXiv 2403.00250",
)
def retargeted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    smoothing: float = 0.98,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute cross-entropy against targets that differ little between the classes.

    With K classes and smoothing d the target is ``1 - d + d / K`` for the true class and ``d / K`` for each other one:
    label smoothing, far stronger than is usual. No class counts come into it. Every example that is fitted gets the same
    small margin, ``log(1 + K * (1 - d) / d)``, whatever its class.

    Args:
        logits: (n, K) or (n, K, ...); or (K,) for one example.
        targets: Class ids from 0 to K - 1, (n,) or (n, ...); or ().
        smoothing: d, 0 (plain cross-entropy) or more and below 1, where nothing would be left to learn.
        ignore_index: Targets with this value cost nothing and do not count in the mean.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss a target.

    Raises:
        TypeError: ``smoothing`` is no number, or ``targets`` are no tensor of class ids.
        ValueError: ``smoothing`` is out of range, or ``reduction`` unknown.

    Example:
        >>> import torch
        >>> fitted = torch.tensor([[0.51, 0.49]]).log()  # the targets for K = 2 themselves: their entropy is left
        >>> retargeted_cross_entropy(fitted, torch.tensor([0]))
        tensor(0.6929)

    Reference:
        LORT (arXiv 2403.00250, abstract) and its authors' code, whose smoothing is 0.98.
    """
    smoothing = number("smoothing", smoothing, Range(0, 1, high_open=True), fix="its authors have 0.98")
    check_reduction(reduction)
    ids, wide = class_ids(targets, logits), widened(logits)
    loss = functional.cross_entropy(
        wide, ids, label_smoothing=smoothing, ignore_index=ignore_index, reduction=reduction
    )
    return narrowed(loss, logits)


def train_head_alone(model: nn.Module, head: nn.Module) -> None:
    """Put a model into training mode with all but its head frozen; call it where ``model.train()`` would stand.

    Outside the head, weights ask for no gradient and lose what they have of one, so that an optimiser passes them over,
    its weight decay and momentum included; modules are in evaluation mode, so that the statistics of batch normalisation
    stay and dropout is off. The authors' code leaves them in training mode, where the statistics of a body that is called
    frozen go on moving. Until ``model.train()`` is called again, which undoes the second but not the first.

    Args:
        model: The network.
        head: The part of it that goes on training; see :func:`head_of`.

    Raises:
        TypeError: One of them is no module.
        ValueError: ``head`` is no part of the model, has no weights, or shares some with the rest.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> train_head_alone(model, model[2])
        >>> [name for name, weights in model.named_parameters() if weights.requires_grad]
        ['2.weight', '2.bias']
        >>> model[1].training, model[2].training
        (False, True)
    """
    inside = set(module("head", head).modules())
    body = [layer for layer in module("model", model).modules() if layer not in inside]
    if not inside <= set(model.modules()):
        raise ValueError(f"head was {type(head).__name__}; it must be a part of the model, for instance head_of(model)")
    trained = set(head.parameters())
    if not trained:
        raise ValueError(f"head was {type(head).__name__}, which has no weights; it must have some to train")
    frozen = {weights for layer in body for weights in layer.parameters(recurse=False)}
    if frozen & trained:
        raise ValueError(
            f"head was {type(head).__name__}, whose weights are in use elsewhere in the model too; training them would move "
            "the body; choose a head with weights of its own"
        )
    for weights in frozen:
        weights.requires_grad_(False)
        weights.grad = None
    for weights in trained:
        weights.requires_grad_(True)
    for layer in body:
        layer.training = False
    head.train()


def head_of(model: nn.Module) -> nn.Module:
    """Find a network's last layer: of its modules the last, in the order they were made, with weights of its own.

    Raises:
        TypeError: ``model`` is no module.
        ValueError: None in it has weights.

    Example:
        >>> head_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Flatten()))
        Linear(in_features=3, out_features=2, bias=True)
    """
    layers: list[nn.Module] = [
        layer
        for name, layer in module("model", model).named_modules()
        if "parametrizations" not in name.split(".")  # what a parametrised layer keeps its weights in is no layer
        and (parametrize.is_parametrized(layer) or any(True for _ in layer.parameters(recurse=False)))
    ]
    if not layers:
        raise ValueError(f"model was {type(model).__name__}, which has no weights; it must have a layer to train")
    return layers[-1]

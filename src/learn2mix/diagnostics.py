"""What training does to each class: how well it is fitted, and how hard its features are pushed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learn2mix.checks import brief, tensor, whole_number
from learn2mix.hooks import check_side, find_layer, tapped

Floats = NDArray[np.float64]

_FORWARDS, _CORRECT, _BACKWARDS, _NORMS = range(4)  # rows of the sums


@dataclass(frozen=True, eq=False)
class Reading:
    """What was recorded of each group, all (k,), float64.

    Args:
        counts: How many examples went forward.
        accuracy: The part of them whose largest logit was the label's, in [0, 1]; NaN for a group without any.
        feature_gradient: The mean over a group's examples of the norm of the loss's gradient with respect to their
            features, in the loss's unit over the features'; NaN for a group without any.
    """

    counts: Floats
    accuracy: Floats
    feature_gradient: Floats


class ClassRecorder:
    r"""Record training accuracy and feature gradients by class, in any training loop and without touching it.

    .. math:: \text{accuracy}_c = \text{mean}_{i: y_i = c} [\arg\max z_i = y_i], \qquad
              \text{feature gradient}_c = \text{mean}_{i: y_i = c}\, n \, \| \partial L / \partial h_i \|_2

    L is what ``backward`` is called on, h_i are an example's features at a layer, n is the batch's size: with a loss that
    is a mean over the batch that makes each example's own gradient, whatever n is. Both are of the network as it was
    trained: with dropout, augmentation, or features that a transform has changed.

    Nothing is changed: not the loss, not a gradient, not the ``state_dict``, not a generator; hooks are gone when the
    block ends, even by an error. Sums stay on the device, and nothing waits for it before :meth:`read`. Forward passes
    without gradients are not counted. Under a gradient scaler the gradients are the scaled ones.

    Args:
        network: What is called with the batch and gives its logits, (n, k).
        num_groups: The number of groups k.
        layer: The layer, a module of ``network`` or its name; None for the last ``nn.Linear``.
        side: ``"input"`` of the layer, or ``"output"``. The features must have a gradient: not the input of a first layer.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or the network has no such layer.

    Example:
        >>> from torch.nn import functional as F
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> recorder = ClassRecorder(model, 2)
        >>> x, y = torch.randn(5, 2), torch.tensor([0, 0, 0, 0, 1])
        >>> with recorder(y):
        ...     F.cross_entropy(model(x), y).backward()
        >>> recorder.read().counts  # at the end of an epoch; then recorder.reset()
        array([4., 1.])

    Reference:
        The quantities of the diagnosis in Ye, Zhan and Chao, Procrustean Training for Imbalanced Deep Learning (arXiv
        2104.01769, abstract). At which layer, and how the norms are averaged, is ours.
    """

    def __init__(
        self, network: nn.Module, num_groups: int, *, layer: nn.Module | str | None = None, side: str = "input"
    ) -> None:
        self.network, self.layer, self.side = network, find_layer(network, layer), check_side(side)
        self.num_groups = whole_number("num_groups", num_groups, low=1)
        # one column more, for groups that are none
        self._sums = torch.zeros(4, self.num_groups + 1, dtype=torch.float64)

    @contextmanager
    def __call__(self, labels: Tensor, groups: Tensor | None = None) -> Iterator[None]:
        """Record the forward and backward passes of a batch inside the block.

        Args:
            labels: The classes that the largest logits should be of, (n,), integers.
            groups: The groups to tell apart, from 0 to k - 1, (n,), integers; the labels where none are given.

        Raises:
            TypeError: Labels or groups are no tensor of integers; the network gives no tensor of logits, or the layer none of
                features.
            ValueError: Labels and groups are not (n,) both, the logits are not (n, ...), the features are not (n, ...) or
                have no gradient, or the network was not called inside the block.
        """
        groups = labels if groups is None else groups
        for name, given in (("labels", labels), ("groups", groups)):
            if tensor(name, given, "a tensor of integers, (n,)").is_floating_point() or given.is_complex():
                raise TypeError(f"{name} had dtype {given.dtype}; they must be integers, (n,); pass {name}.long()")
        if labels.ndim != 1 or groups.shape != labels.shape:
            raise ValueError(
                f"labels had shape {tuple(labels.shape)} and groups {tuple(groups.shape)}; both must be (n,), one an example"
            )
        groups = groups.long()  # num_groups may be above what their type holds
        known = (groups >= 0) & (groups < self.num_groups)
        columns = torch.where(known, groups, self.num_groups)
        if self._sums.device != columns.device:
            dtype = torch.float32 if columns.device.type == "mps" else torch.float64
            self._sums = self._sums.to(columns.device, dtype)

        def add(counts: int, values: int, numbers: Tensor) -> None:
            self._sums[counts].index_add_(0, columns, torch.ones_like(columns, dtype=self._sums.dtype))
            self._sums[values].index_add_(0, columns, numbers.to(self._sums.dtype))

        def judge(logits: Tensor) -> None:
            if torch.is_grad_enabled():
                if logits.ndim != 2 or len(logits) != len(labels):
                    raise ValueError(
                        f"the network gave shape {tuple(logits.shape)} for {len(labels)} labels; it must be logits, (n, k)"
                    )
                add(_FORWARDS, _CORRECT, logits.detach().argmax(dim=1) == labels)

        def measure(gradient: Tensor) -> None:
            each = gradient.detach().flatten(1).float() if gradient.dtype.itemsize < 4 else gradient.detach().flatten(1)
            add(_BACKWARDS, _NORMS, torch.linalg.vector_norm(each, dim=1) * len(each))

        def watch(features: Tensor) -> None:
            if torch.is_grad_enabled():
                if features.ndim < 2 or len(features) != len(labels):
                    raise ValueError(
                        f"the features had shape {tuple(features.shape)} for {len(labels)} labels; they must be (n, ...): "
                        "choose a layer where they are"
                    )
                if not features.requires_grad:
                    raise ValueError(
                        "the features have no gradient, no parameter is below them; choose a later layer or side"
                    )
                features.register_hook(measure)  # type: ignore[no-untyped-call]

        with tapped(self.network, "output", judge), tapped(self.layer, self.side, watch):
            yield

    def read(self) -> Reading:
        """Give what was recorded since the start or the last :meth:`reset`; here the device is waited for.

        Raises:
            ValueError: A group was not from 0 to k - 1.
        """
        sums = self._sums.to("cpu", torch.float64).numpy()
        stray = int(sums[_FORWARDS, -1])
        if stray:
            raise ValueError(
                f"{stray} examples had a group outside 0 to {self.num_groups - 1}; num_groups must be above the largest, and "
                "no group below 0"
            )
        forwards, correct, backwards, norms = sums[:, :-1].copy()
        with np.errstate(invalid="ignore"):
            return Reading(forwards, correct / forwards, norms / backwards)

    def reset(self) -> None:
        """Forget what was recorded, as at the start of an epoch."""
        self._sums.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Give what was recorded so far, to go on from within an epoch."""
        return {"sums": self._sums.to("cpu", torch.float64, copy=True)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            TypeError: It is no mapping, or holds no floating tensor.
            ValueError: It holds something else, or was of another number of groups.
        """
        shape = (4, self.num_groups + 1)
        rule = f"it must be what state_dict() of a recorder of {self.num_groups} groups gives"
        if not isinstance(state, Mapping):
            raise TypeError(f"the state was {brief(state)} ({type(state).__name__}); {rule}")
        if set(state) != {"sums"}:
            raise ValueError(f"the state held {brief(list(state))}; {rule}")
        sums = state["sums"]
        if not isinstance(sums, Tensor) or not sums.is_floating_point():
            raise TypeError(f"the state's sums were {brief(sums)}; {rule}")
        if tuple(sums.shape) != shape:
            raise ValueError(f"the state's sums had shape {tuple(sums.shape)}, not {shape}; {rule}")
        self._sums = sums.to(self._sums.device, self._sums.dtype, copy=True)

"""RC-Mixup: C-Mixup on what is left when the examples with the largest errors are put aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from learn2mix.checks import Range, brief, number, tensor, whole_number
from learn2mix.registry import register
from learn2mix.transforms.c_mixup import CMixup


@register(
    "rc-mixup",
    family="transform",
    summary="c-mixup that puts the examples with the largest errors aside, anew each epoch after a warm-up",
    example={"targets": (0.0, 0.5, 2.0), "bandwidth": 1.0, "rate": 0.3, "warm_up": 1},
    reference="arXiv 2405.17938",
)
class RCMixup(CMixup):
    """C-Mixup for labels of which a known part is wrong.

    For ``warm_up`` epochs it is :class:`CMixup` on everything. Before each epoch from then on the ``int(rate * N)`` examples
    with the largest squared errors are put aside, whatever was put aside before: batches are filled from the others
    alone, and partners drawn from them alone.

    Two things of the paper are left out, as both need clean validation examples: its search for the bandwidth every so
    many epochs, and going on from the best network of the warm-up rather than the last.

    Args:
        targets: The labels of the training set, (N,) or (N, ...); see :class:`CMixup`.
        bandwidth: Above 0, in the units of the labels. The authors start their search at 20, among 5 to 20.
        rate: The part of the labels that is wrong, 0 or more and below 1. It must be known: a rate too high throws good
            examples away, and the hard ones first. 0.3 in the authors' code, which makes that noise itself.
        warm_up: Epochs before the first cleaning, 0 or more; half of all in the authors' code.
        alpha: Above 0.
        seed: 0 or more; see :class:`Mixup`.

    Raises:
        TypeError: A setting is of the wrong type.
        ValueError: A setting lies outside its range.

    Example:
        >>> rc_mixup = RCMixup([0.0, 0.1, 0.2, 9.0], 1.0, rate=0.25, warm_up=1)
        >>> errors = torch.tensor([0.1, 0.0, 0.2, 80.0])
        >>> for epoch in range(2):
        ...     rc_mixup.start_epoch(epoch, lambda: errors)
        tensor([0, 1, 2, 3])
        tensor([0, 1, 2])

    Reference:
        Hwang et al., RC-Mixup: A Data Augmentation Strategy against Noisy Data for Regression Tasks (arXiv 2405.17938);
        the cleaning as in the authors' code.
    """

    def __init__(
        self, targets: Any, bandwidth: float, *, rate: float, warm_up: int, alpha: float = 2.0, seed: int = 0
    ) -> None:
        super().__init__(targets, bandwidth, alpha=alpha, seed=seed)
        self.rate = _check_rate(rate)
        self.warm_up = whole_number("warm_up", warm_up)

    def start_epoch(self, epoch: int, errors: Callable[[], Tensor]) -> Tensor:
        """Clean the set, if it is time; call it before each epoch, and not again when resuming within one.

        Args:
            epoch: Its number, from 0.
            errors: Measures the present network's squared errors on all N plain examples, in their order and in
                evaluation mode: (N,). Called from epoch ``warm_up`` on.

        Returns:
            The rows to fill the epoch's batches from, ascending, int64, (K,), on the CPU.

        Raises:
            TypeError: ``epoch`` is no integer, or the errors are no tensor.
            ValueError: ``epoch`` is negative, or there is not one error an example.
        """
        if whole_number("epoch", epoch) >= self.warm_up:
            measured = tensor("errors", errors(), "a tensor, one error a training example")
            if tuple(measured.shape) != (len(self._labels),):
                raise ValueError(
                    f"the errors had shape {tuple(measured.shape)}; they must be ({len(self._labels)},), one a training "
                    "example, those put aside before included"
                )
            self.restrict(kept_after_cleaning(measured, self.rate))
        elif not self._is_kept.all():  # a new training starts
            self.restrict(None)
        return self.kept


def kept_after_cleaning(errors: Tensor, rate: float) -> Tensor:
    """Give the rows that stay when the ``int(rate * N)`` largest errors are dropped.

    Args:
        errors: One an example, (N,); what is not a number counts as largest.
        rate: The part to drop, 0 or more and below 1; rounded down to whole examples. Of equal errors the later row goes.

    Returns:
        Rows, ascending, int64, (N - int(rate * N),), on the device of ``errors``.

    Raises:
        TypeError: ``rate`` is no number, or ``errors`` are no tensor.
        ValueError: It lies outside [0, 1), or ``errors`` are not one-dimensional.

    Example:
        >>> kept_after_cleaning(torch.tensor([0.5, 9.0, 0.1, 7.0]), 0.5)
        tensor([0, 2])
    """
    rate = _check_rate(rate)
    if tensor("errors", errors, "a tensor, one squared error an example").ndim != 1:
        raise ValueError(f"errors was {brief(errors)}; it must be (N,), one squared error an example")
    stay = len(errors) - int(rate * len(errors))
    return torch.argsort(errors.detach(), stable=True)[:stay].sort().values


def _check_rate(rate: float) -> float:
    allowed = Range(0, 1, high_open=True)
    return float(number("rate", rate, allowed, fix="it is the part of the labels that is wrong"))

"""What can be looked at besides the primary metric: other weightings of the groups, and how training itself goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learn2mix import metrics
from learn2mix.bench.record import Run

Array = NDArray[np.float64]
RowIndex = NDArray[np.intp] | slice
ALL = slice(None)
LAST = slice(-1, None)


@dataclass(frozen=True)
class Quantity:
    """Something that has a value at each row of a run's curves; smaller is better.

    Args:
        name: What it is called in JSON.
        label: What a chooser calls it, in words that follow the set it is measured on.
        explanation: What it is, in a sentence.
        values: Gives its values at some rows of a run's curves, (rows,); None where the run did not record it.
        compared: Whether methods may be compared by it; not where it is measured on the batches they trained on.
        in_metric: Whether it is in the unit of the primary metric.
    """

    name: str
    label: str
    explanation: str
    values: Callable[[Run, RowIndex], Array | None]
    compared: bool = True
    in_metric: bool = True


def reversed_shares(shares: ArrayLike) -> NDArray[np.float64]:
    """Turn shares around: the smallest becomes the largest, the second smallest the second largest, and so on.

    Groups of one size share alike what falls to them, so that the order of groups does not matter.

    Args:
        shares: Sizes or proportions, shape (k,), k >= 1.

    Returns:
        Shape (k,), the same numbers handed out in reverse order of size; the sum stays.

    Raises:
        ValueError: The shape is not (k,) with at least one group.

    >>> reversed_shares([0.6, 0.3, 0.1]).tolist()
    [0.1, 0.3, 0.6]
    """
    given = np.asarray(shares, dtype=np.float64)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"shares has shape {given.shape}, but must be (k,) with k >= 1: one share a group")
    order = np.argsort(given, kind="stable")
    turned = np.empty_like(given)
    turned[order] = given[order][::-1]
    _, kind = np.unique(given, return_inverse=True)
    return np.asarray((np.bincount(kind, weights=turned) / np.bincount(kind))[kind])


def _stored(curve: str) -> Callable[[Run, RowIndex], Array | None]:
    return lambda run, rows: run.curves[curve][rows].astype(np.float64) if curve in run.curves else None


def _pooled(pool: Callable[[Array, Array], Array]) -> Callable[[Run, RowIndex], Array]:
    """Make one value of the metric in each group, (rows, k), and the groups' shares of the training set, (k,)."""
    return lambda run, rows: pool(run.curves["group_metric"][rows].astype(np.float64), run.curves["proportions"][0])


PRIMARY = Quantity("final", "primary metric", "The task's primary metric, declared beforehand.", _stored("test_metric"))
WORST_GROUP = Quantity(
    "worst_group",
    "worst group",
    "The metric in the group where it is worst.",
    _pooled(lambda groups, _: metrics.worst_group(groups)),
)
BALANCED = Quantity(
    "balanced",
    "mean over groups",
    "The mean of the metric over groups, each counting the same.",
    _pooled(lambda groups, _: metrics.balanced(groups)),
)
NATURAL = Quantity(
    "natural",
    "natural mix",
    "The mean over groups, weighted by their sizes in the training set.",
    _pooled(metrics.weighted),
)
SHIFTED = Quantity(
    "shifted",
    "shifted test",
    "The mean over groups with the training shares turned around: the rarest group weighs what the most common has, "
    "the second rarest what the second most common has, and so on.",
    _pooled(lambda groups, shares: metrics.weighted(groups, reversed_shares(shares))),
)
TRAIN_LOSS = Quantity(
    "train_loss",
    "training loss",
    "The mean loss of the epoch's training batches. Methods with other losses or other batches measure another thing, "
    "so this is not comparable between them.",
    _stored("train_loss"),
    compared=False,
    in_metric=False,
)
TRAIN_METRIC = Quantity(
    "train_metric",
    "training metric",
    "The mean of the metric over the epoch's training batches as trained on. Their make-up differs between methods, so "
    "this is not comparable between them.",
    _stored("train_metric"),
    compared=False,
)
QUANTITIES = (PRIMARY, WORST_GROUP, BALANCED, NATURAL, SHIFTED, TRAIN_LOSS, TRAIN_METRIC)

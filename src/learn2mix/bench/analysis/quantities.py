"""What can be looked at besides the primary metric: other weightings of the groups, and how training itself goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learn2mix import metrics
from learn2mix.bench.record import Run


@dataclass(frozen=True)
class Quantity:
    """Something that has a value at each row of a run's curves; smaller is better.

    Args:
        name: The field of a :class:`~learn2mix.bench.analysis.figures.Row` that holds it.
        label: What a chooser calls it, in words that follow the set it is measured on.
        explanation: What it is, in a sentence.
        compared: Whether methods may be compared by it.
        in_metric: Whether it is in the unit of the primary metric.
    """

    name: str
    label: str
    explanation: str
    compared: bool = True
    in_metric: bool = True


PRIMARY = Quantity("final", "primary metric", "The task's primary metric, declared beforehand.")
QUANTITIES = (
    PRIMARY,
    Quantity("worst_group", "worst group", "The metric in the group where it is worst."),
    Quantity("balanced", "mean over groups", "The mean of the metric over groups, each counting the same."),
    Quantity("natural", "natural mix", "The mean over groups, weighted by their sizes in the training set."),
    Quantity(
        "shifted",
        "shifted test",
        "The mean over groups with the training shares turned around: the rarest group weighs what the most common has, "
        "the second rarest what the second most common has, and so on.",
    ),
    Quantity(
        "train_loss",
        "training loss",
        "The mean loss of the epoch's training batches. Methods with other losses or other batches measure another thing, "
        "so this is not comparable between them.",
        compared=False,
        in_metric=False,
    ),
    Quantity(
        "train_metric",
        "training metric",
        "The mean of the metric over the epoch's training batches as trained on. Their make-up differs between methods, so "
        "this is not comparable between them.",
        compared=False,
    ),
)


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


def curve(run: Run, quantity: Quantity, rows: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64] | None:
    """Return a quantity along a run.

    Args:
        run: The run.
        quantity: One of :data:`QUANTITIES`.
        rows: Which rows of the curves; all if not given.

    Returns:
        Shape (rows,); None where the run did not record it.
    """
    stored = _STORED.get(quantity.name)
    if stored is not None:
        return None if stored not in run.curves else run.curves[stored][rows].astype(np.float64)
    groups = run.curves["group_metric"][rows].astype(np.float64)
    if quantity.name == "worst_group":
        return metrics.worst_group(groups)
    if quantity.name == "balanced":
        return metrics.balanced(groups)
    shares = run.curves["proportions"][0]
    return metrics.weighted(groups, reversed_shares(shares) if quantity.name == "shifted" else shares)


def recorded(runs: Mapping[int, Run], quantity: Quantity) -> bool:
    """Tell whether all runs have a quantity."""
    stored = _STORED.get(quantity.name)
    return stored is None or all(stored in run.curves for run in runs.values())


_STORED = {"final": "test_metric", "train_loss": "train_loss", "train_metric": "train_metric"}

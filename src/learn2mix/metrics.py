"""What to read off group-wise results and curves: worst group, balanced, weighted, time to target.

Pure functions of arrays. The last axis is the group; axes before it (epochs, seeds) are kept. A NaN is passed on, so
that a run that diverged in one group cannot look good in a summary; drop a group without test examples before calling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def worst_group(values: ArrayLike, *, lower_is_better: bool = True) -> NDArray[np.float64]:
    """Take the worst group's value.

    Args:
        values: A value a group, shape (..., k), k >= 1; any unit.
        lower_is_better: True for errors and losses (worst = largest), False for accuracies.

    Returns:
        Shape (...), in the unit of ``values``.

    Raises:
        ValueError: ``values`` has no group axis or no group.

    >>> float(worst_group([0.1, 0.4, 0.2]))
    0.4
    """
    array = _with_groups(values)
    return np.asarray(array.max(axis=-1) if lower_is_better else array.min(axis=-1))


def balanced(values: ArrayLike) -> NDArray[np.float64]:
    """Average over the groups, each counting the same however many examples it has.

    Args:
        values: A value a group, shape (..., k), k >= 1; any unit.

    Returns:
        Shape (...), in the unit of ``values``.

    Raises:
        ValueError: ``values`` has no group axis or no group.

    >>> float(balanced([0.0, 0.25, 0.5]))
    0.25
    """
    return np.asarray(_with_groups(values).mean(axis=-1))


def weighted(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    r"""Average over the groups with given weights: :math:`\sum_i w_i v_i / \sum_i w_i`.

    With the sizes of the training set's groups as weights this is the value on the natural mix.

    Args:
        values: A value a group, shape (..., k), k >= 1; any unit.
        weights: Sizes or proportions, shape (k,), each >= 0, not all zero; they need not sum to 1.

    Returns:
        Shape (...), in the unit of ``values``.

    Raises:
        ValueError: The shapes do not fit, a weight is negative or not finite, or all are zero.

    >>> float(weighted([0.0, 0.5], [300, 100]))
    0.125
    """
    array = _with_groups(values)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != array.shape[-1:]:
        raise ValueError(
            f"weights has shape {shares.shape}, but values has {array.shape[-1]} groups; give one weight a group"
        )
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() == 0:
        raise ValueError(
            f"weights must be finite, at least 0 and not all 0, got {shares.tolist()}; give sizes or proportions"
        )
    return np.asarray(array @ (shares / shares.sum()))


def time_to_target(curve: ArrayLike, at: ArrayLike, *, target: float, lower_is_better: bool = True) -> float | None:
    """Find where a curve first reaches a target.

    Args:
        curve: The metric at each point, shape (rows,). A NaN reaches nothing.
        at: When each point was measured, in epochs, steps, examples or seconds, shape (rows,), never falling.
        target: The level to reach, in the unit of ``curve``; meeting it exactly counts.
        lower_is_better: True where the curve is to fall to the target, False where it is to rise to it.

    Returns:
        The value of ``at`` at the first such point, in its unit; None where the curve ends before it gets there
        (censored: all that is known is that it takes longer than the curve).

    Raises:
        ValueError: The shapes differ or are not (rows,), ``at`` falls, or the target is not finite.

    >>> time_to_target([0.9, 0.5, 0.2, 0.3], [0, 10, 20, 30], target=0.5)
    10.0
    >>> time_to_target([0.9, 0.5], [0, 10], target=0.1) is None
    True
    """
    values, times = np.asarray(curve, dtype=np.float64), np.asarray(at, dtype=np.float64)
    if values.ndim != 1 or values.shape != times.shape:
        raise ValueError(
            f"curve has shape {values.shape} and at {times.shape}; both must be (rows,), one time a point of the curve"
        )
    if not np.isfinite(target):
        raise ValueError(f"target must be a finite number, got {target}; give a level in the unit of the curve")
    if (np.diff(times) < 0).any():
        raise ValueError("at falls along the curve, but time only moves on; sort the points of the curve by at")
    hits = np.flatnonzero(values <= target if lower_is_better else values >= target)
    return float(times[hits[0]]) if hits.size else None


def _with_groups(values: ArrayLike) -> NDArray[np.float64]:
    """Check that the last axis holds at least one group."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"values has shape {array.shape}, but its last axis must hold the groups, at least one")
    return array

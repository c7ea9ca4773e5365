"""How sure the figures are: t-intervals, paired differences, Holm, interquartile mean, bootstrap.

Every estimate carries its n. Where nothing tells the spread (one value, or values that are all the same)
there is no interval, rather than one of no width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

CONFIDENCE = 0.95

Statistic = Callable[..., ArrayLike]
"""Takes samples, each a sequence of tasks of shape (..., seeds), and returns shape (...)."""


@dataclass(frozen=True)
class Estimate:
    """A mean, its 95 % interval, and what it rests on.

    Args:
        mean: The estimate; NaN where a value was not finite.
        low: Lower end of the interval, None where there is none.
        high: Upper end of the interval, None where there is none.
        n: Number of values (of pairs, for a paired difference).
        p: Two-sided p-value of the mean being 0, for differences only; None where there is none.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    p: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Reached:
    """When runs reached a target, some perhaps never.

    Args:
        reached: How many did.
        n: How many there are.
        median: Median time over all n, a run that never got there counting as later than any that did. None where
            that leaves the median open.
    """

    reached: int
    n: int
    median: float | None


def mean_interval(values: ArrayLike) -> Estimate:
    r"""Estimate a mean with its t-interval, :math:`\bar x \pm t_{0.975, n-1} s / \sqrt n` (s with n - 1).

    Args:
        values: Shape (n,), n >= 1, one a seed.

    Returns:
        The estimate; no interval where n is 1, the values are all the same, or one is not finite.

    Raises:
        ValueError: There is no value, or the shape is not (n,).

    >>> estimate = mean_interval([1.0, 2.0, 3.0])
    >>> estimate.mean, round(estimate.low, 3), round(estimate.high, 3), estimate.n
    (2.0, -0.484, 4.484, 3)
    >>> mean_interval([1.0])
    Estimate(mean=1.0, low=None, high=None, n=1, p=None)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values has shape {array.shape}, but must be (n,) with n >= 1: one value a seed")
    if not np.isfinite(array).all():
        return Estimate(float("nan"), None, None, array.size)
    mean = float(array.mean())
    if array.size == 1 or (array == array[0]).all():
        return Estimate(mean, None, None, array.size)
    half = float(half_widths(array[:, None])[0])
    return Estimate(mean, mean - half, mean + half, array.size)


def half_widths(values: ArrayLike) -> NDArray[np.float64]:
    """Half-widths of the t-intervals of many means at once, for the band around a curve.

    Args:
        values: Shape (n, rows), n >= 2: a curve a seed.

    Returns:
        Shape (rows,), in the unit of ``values``.

    Raises:
        ValueError: There are fewer than two curves.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 2:
        raise ValueError(f"values has shape {array.shape}, but must be (n, rows) with n >= 2: one seed has no spread")
    n = array.shape[0]
    quantile = float(scipy_stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return np.asarray(quantile * array.std(axis=0, ddof=1) / np.sqrt(n))


def paired_difference(treated: Mapping[int, float], reference: Mapping[int, float]) -> Estimate:
    """Estimate the mean of treated minus reference over the seeds that both have, by the paired t-test.

    Args:
        treated: Value by seed.
        reference: Value by seed.

    Returns:
        The estimate, n the number of common seeds, with its p-value where there is an interval.

    Raises:
        ValueError: No seed is common to both.

    >>> paired_difference({1: 0.5, 2: 0.7}, {2: 0.6, 3: 0.1}).n
    1
    """
    seeds = sorted(treated.keys() & reference.keys())
    if not seeds:
        raise ValueError(
            f"treated has seeds {sorted(treated)}, reference {sorted(reference)}: none in common, so nothing to pair; "
            "run both on the same seeds"
        )
    differences = np.array([treated[s] - reference[s] for s in seeds], dtype=np.float64)
    estimate = mean_interval(differences)
    if estimate.half_width is None:
        return estimate
    return replace(estimate, p=float(scipy_stats.ttest_1samp(differences, 0.0).pvalue))


def median_interval(values: ArrayLike) -> tuple[float, float] | None:
    """Bound a median by two of the values themselves, with at least 95 % whatever their distribution.

    Args:
        values: Shape (n,), n >= 1, finite.

    Returns:
        Lower and upper end; None below 6 values, of which even the outermost two hold the median less often.

    Raises:
        ValueError: There is no value, or the shape is not (n,).

    >>> median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    (1.0, 6.0)
    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0])

    Reference: Conover, "Practical nonparametric statistics", 1999, 3.2.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values has shape {array.shape}, but must be (n,) with n >= 1: one value a round")
    low, high = scipy_stats.quantile_test(array).confidence_interval(CONFIDENCE)
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def envelope(estimate: Estimate, others: Sequence[Estimate]) -> Estimate:
    """Widen an estimate until it holds whichever of several readings is the right one.

    Args:
        estimate: The reading in the middle.
        others: Readings under other values of something known only within bounds.

    Returns:
        The mean of ``estimate``, between the lowest and the highest end of all, with the largest of their p-values: 1
        where their means do not all lie on one side of 0, since between them lies a reading of none. Without an
        interval in one of them, ``estimate`` with none.

    >>> envelope(Estimate(2.0, 1.0, 3.0, 5, 0.001), [Estimate(1.5, 0.5, 2.5, 5, 0.01)])
    Estimate(mean=2.0, low=0.5, high=3.0, n=5, p=0.01)
    """
    readings = [estimate, *others]
    lows, highs, p_values = zip(*((one.low, one.high, one.p) for one in readings), strict=True)
    if None in lows or None in highs or None in p_values:
        return replace(estimate, low=None, high=None, p=None)
    one_side = len({np.sign(one.mean) for one in readings}) == 1
    return replace(estimate, low=min(lows), high=max(highs), p=max(p_values) if one_side else 1.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust a family of p-values by Holm's step-down method.

    The i-th smallest of m (from 0) is multiplied by m - i, capped at 1, and never falls below a smaller one's.

    Args:
        p_values: Each in [0, 1], or None for what was not tested, which is not counted; may be empty.

    Returns:
        The adjusted values, in the order given; None stays None.

    Raises:
        ValueError: A value is outside [0, 1].

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    p = np.array([value for value in p_values if value is not None], dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be in [0, 1], got {list(p_values)}; give None for a test that has none")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (p.size - np.arange(p.size))), 1.0)
    values = iter(adjusted.tolist())
    return [None if value is None else next(values) for value in p_values]


def reached(times: Sequence[float | None]) -> Reached:
    """Summarise times to a target, None for a run that did not reach it within its curve.

    Args:
        times: One a run, at least one, all of them curves of the same length.

    Returns:
        How many reached it, of how many, and the median over all.

    Raises:
        ValueError: There is no time.

    >>> reached([3.0, None, 5.0])
    Reached(reached=2, n=3, median=5.0)
    >>> reached([3.0, None])
    Reached(reached=1, n=2, median=None)
    """
    if not times:
        raise ValueError("times is empty; give one entry a run, None where the target was not reached")
    ordered = sorted(float("inf") if t is None else t for t in times)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    known = sum(t is not None for t in times)
    return Reached(known, len(times), middle if np.isfinite(middle) else None)


def interquartile_mean(scores: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Average the middle half of all scores of tasks x seeds.

    Args:
        scores: A task an array of shape (..., seeds), axes before the seeds alike for all tasks; on one scale across
            tasks (for instance error over the error of a constant prediction).

    Returns:
        Shape (...): the mean after the lowest and the highest quarter (rounded down) are left out.

    Raises:
        ValueError: There is no task, or one has no score.

    >>> float(interquartile_mean([[0.0, 2.0], [4.0, 100.0]]))
    3.0

    Reference: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021.
    """
    return np.asarray(scipy_stats.trim_mean(np.concatenate(_strata(scores), axis=-1), 0.25, axis=-1))


def probability_of_improvement(treated: Sequence[ArrayLike], reference: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Estimate the chance that a run of one method beats a run of the other, averaged over tasks.

    It says how often one ends lower, and nothing of by how much.

    Args:
        treated: A task an array of shape (..., seeds), axes before the seeds alike for all tasks; lower is better.
        reference: Likewise, the same tasks in the same order.

    Returns:
        Shape (...): the mean over tasks of P(treated < reference) + P(equal) / 2 over all pairs of runs, in [0, 1].

    Raises:
        ValueError: There is no task, one has no score, or the numbers of tasks differ.

    >>> float(probability_of_improvement([[1.0, 2.0]], [[2.0, 3.0]]))
    0.875

    Reference: Agarwal et al. 2021, as above.
    """
    ours, theirs = _strata(treated), _strata(reference)
    if len(ours) != len(theirs):
        raise ValueError(f"treated has {len(ours)} tasks, reference {len(theirs)}; give the same tasks in one order")
    wins = []
    for a, b in zip(ours, theirs, strict=True):
        mine, other = a[..., :, None], b[..., None, :]
        wins.append(((mine < other).mean(axis=(-2, -1)) + (mine <= other).mean(axis=(-2, -1))) / 2)
    return np.asarray(np.mean(wins, axis=0))


def bootstrap_interval(
    statistic: Statistic, *samples: Sequence[ArrayLike], seed: int, repetitions: int = 2000
) -> tuple[float, float]:
    """Bound a statistic over tasks x seeds by the stratified percentile bootstrap, 95 %.

    Runs are drawn again with replacement within each task (and within each method), never across.

    Args:
        statistic: For instance :func:`interquartile_mean`; called once, with as many samples as given, each task of
            which then has shape (repetitions, seeds); returns shape (repetitions,).
        samples: What the statistic takes: each a sequence of tasks, each an array of shape (seeds,).
        seed: Of the generator made here; no other is touched.
        repetitions: How often to draw, >= 100.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: Too few repetitions, no sample, no task, or a task has fewer than two runs.

    >>> low, high = bootstrap_interval(interquartile_mean, [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]], seed=0)
    >>> 1.0 <= low <= high <= 6.0
    True
    """
    if repetitions < 100:
        raise ValueError(f"repetitions must be at least 100 to have a 95 % interval, got {repetitions}; try 2000")
    if not samples:
        raise ValueError("no sample was given; pass what the statistic takes, a sequence of tasks each")
    strata = [_strata(sample) for sample in samples]
    if any(task.ndim != 1 for sample in strata for task in sample):
        raise ValueError("a task has several axes; give each task's scores as (seeds,), which are then drawn again")
    if min(task.size for sample in strata for task in sample) < 2:
        raise ValueError("a task has one run only, whose spread cannot be drawn; give at least two runs a task")
    generator = np.random.default_rng(seed)
    draws = [[generator.choice(task, (repetitions, task.size)) for task in sample] for sample in strata]
    low, high = np.quantile(
        np.asarray(statistic(*draws), dtype=np.float64), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    )
    return float(low), float(high)


def welch_difference(treated: Estimate, reference: Estimate) -> Estimate:
    """Difference of two independent means with Welch's interval, from means and t-intervals alone.

    For figures published as mean +- half-width: ``Estimate(mean, mean - half, mean + half, n)``.

    Args:
        treated: With an interval, n >= 2.
        reference: Likewise.

    Returns:
        treated minus reference; its n is that of the smaller sample.

    Raises:
        ValueError: One of them has no interval.
    """
    errors = []
    for estimate in (treated, reference):
        if estimate.half_width is None or estimate.n < 2:
            raise ValueError(f"{estimate} has no interval to take a spread from; Welch's needs n >= 2 on both sides")
        errors.append(estimate.half_width / float(scipy_stats.t.ppf(0.5 + CONFIDENCE / 2, estimate.n - 1)))
    variance = errors[0] ** 2 + errors[1] ** 2
    freedom = variance**2 / (errors[0] ** 4 / (treated.n - 1) + errors[1] ** 4 / (reference.n - 1))
    mean, error = treated.mean - reference.mean, float(np.sqrt(variance))
    half = float(scipy_stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    p = 2 * float(scipy_stats.t.sf(abs(mean) / error, freedom))
    return Estimate(mean, mean - half, mean + half, min(treated.n, reference.n), p)


def _strata(scores: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """Check that there is a task and that each holds a score."""
    arrays = [np.asarray(task, dtype=np.float64) for task in scores]
    if not arrays or any(a.ndim == 0 or a.size == 0 for a in arrays):
        raise ValueError(
            f"scores has shapes {[a.shape for a in arrays]}; give at least one task, each (..., seeds) with seeds >= 1"
        )
    return arrays

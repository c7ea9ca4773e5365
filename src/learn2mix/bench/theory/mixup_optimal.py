r"""What Mixup's loss asks for: the classifier that minimises it, in closed form on finite data.

Mixup trains on :math:`\lambda s + (1 - \lambda) t` with the label :math:`\lambda y_s + (1 - \lambda) y_t`, for s and t
drawn from the training set independently (a point may meet itself) and :math:`\lambda \sim` Beta(alpha, alpha). Near a
point x the best that a network can do is to give the mean label of what is mixed to there. Where mixtures of other
classes fall on a training point, that is not the point's own label: Mixup then fails on its own training set.

Reference: Chidambaram et al., Towards Understanding the Data Dependency of Mixup-style Training (arXiv 2110.07647, ICLR
2022). Theirs: Lemma 2.3, the failing data of Definition 2.6, the condition of Assumption 2.9. Worked out here: the
integrals over lambda in closed form, and the case of linear models (:func:`squared_loss`), for which the paper has a
theorem of another kind.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from learn2mix.checks import Range, brief, number

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

THREE_POINTS: tuple[list[list[float]], list[int]] = ([[0.0], [1.0], [2.0]], [1, 2, 1])
"""The failing data of Definition 2.6: points on a line, and their labels."""

_ALPHA = Range(0, low_open=True)


def optimal_label(x: ArrayLike, points: ArrayLike, labels: ArrayLike, *, radius: float, alpha: float = 1.0) -> Floats:
    r"""Give the Mixup-optimal classifier at x: the mean label of the mixtures that fall into the ball around it.

    With :math:`A^{ij}` the mixtures of a point of class i (its share is :math:`\lambda`) and one of class j that fall
    into the ball, :math:`\xi^{ij}` their probability and :math:`\xi^{ij}_\lambda = E[\lambda; A^{ij}]`,

    .. math:: N_i = \xi^{ii} + 2 \Big( \sum_{j > i} \xi^{ij}_\lambda + \sum_{j < i} (\xi^{ji} - \xi^{ji}_\lambda) \Big),
              \qquad h_\epsilon^i(x) = N_i / \sum_q N_q.

    For two points the lambdas in the ball are an interval, whose probability and first moment are differences of
    incomplete beta functions: nothing is simulated. Every point has the probability 1 / N. Time and memory are O(N^2 d) a
    point x.

    Args:
        x: Where, shape (d,) or (m, d).
        points: The training set, shape (N, d).
        labels: Their classes, integers, shape (N,).
        radius: epsilon, above 0; the ball is closed, but for rounding.
        alpha: Of the Beta distribution, above 0; ``inf`` for lambda = 1/2, Midpoint Mixup.

    Returns:
        h, shape (k,) or (m, k): probabilities of the k classes in ascending order; NaN where no mixture falls into the
        ball.

    Raises:
        TypeError: A number is none.
        ValueError: A shape does not fit, a coordinate is not finite, or a number is out of range.

    Example:
        >>> points, labels = THREE_POINTS
        >>> optimal_label([1.0], points, labels, radius=0.1, alpha=1).round(4)  # 11/80: class 2, as it should be
        array([0.1375, 0.8625])
        >>> optimal_label([1.0], points, labels, radius=0.1, alpha=128).round(4)  # now class 1, which is wrong
        array([0.6405, 0.3595])

    Reference: Lemma 2.3.
    """
    data, classes, of_point = _training_set(points, labels)
    where = np.asarray(x, dtype=np.float64)
    if where.ndim not in (1, 2) or where.shape[-1] != data.shape[1] or not np.isfinite(where).all():
        raise ValueError(
            f"x was {brief(where.tolist())}; for points of {data.shape[1]} dimensions it must be finite, (d,) or (m, d)"
        )
    epsilon = number("radius", radius, Range(0, low_open=True, high_open=True))
    a = number("alpha", alpha, _ALPHA, fix="infinity is Midpoint Mixup")
    one, other = np.triu_indices(len(data))
    along = data[one] - data[other]
    orders = np.where(one == other, 1.0, 2.0)  # (s, t) and (t, s) are two pairs, (s, s) is one
    found = np.empty((len(np.atleast_2d(where)), classes))
    for row, centre in enumerate(np.atleast_2d(where)):
        near, half = _interval(data[other] - centre, along, epsilon)
        share, mass = _moments(near, half, a)
        weights = np.bincount(of_point[one], orders * share, classes)
        weights += np.bincount(of_point[other], orders * (mass - share), classes)
        total = weights.sum()
        found[row] = weights / total if total > 0 else np.nan
    return found.reshape(*where.shape[:-1], classes)


def _interval(offset: Floats, along: Floats, radius: float) -> tuple[Floats, Floats]:
    """Give the lambdas for which ``|offset + lambda * along| <= radius``: the middle and half the length, NaN for none."""
    squared = np.einsum("pd,pd->p", along, along)
    same = squared == 0  # a point with itself, or two in one place: all lambdas or none
    middle = np.where(same, 0.5, -np.einsum("pd,pd->p", offset, along) / np.where(same, 1.0, squared))
    nearest = offset + middle[:, None] * along
    with np.errstate(over="ignore"):  # an infinite square holds everything
        room = np.square(radius) - np.einsum("pd,pd->p", nearest, nearest)
    half = np.sqrt(np.where(room >= 0, room, np.nan) / np.where(same, 1.0, squared))
    return middle, np.where(same & (room >= 0), 0.5, half)


def _moments(middle: Floats, half: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Give E[lambda; interval] and P(interval), for lambda ~ Beta(alpha, alpha)."""
    # by symmetry an interval above 1/2 is turned round: differences near 1 would lose what is small
    turned = middle > 0.5
    centre = np.where(turned, 1 - middle, middle)
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    if math.isinf(alpha):
        mass = ((low <= 0.5) & (high >= 0.5)).astype(np.float64)
        share = mass / 2
    else:
        mass = betainc(alpha, alpha, high) - betainc(alpha, alpha, low)
        share = (betainc(alpha + 1, alpha, high) - betainc(alpha + 1, alpha, low)) / 2
    mass, share = np.nan_to_num(mass), np.nan_to_num(share)
    return np.where(turned, mass - share, share), mass


def blocked_points(points: ArrayLike, labels: ArrayLike, *, tolerance: float = 1e-9) -> Integers:
    """Find the training points through which a segment between points of other classes passes.

    Where there are none, Mixup cannot fail on the training set: there is a radius from which on, for smaller ones, the
    optimal classifier is right at every training point whatever alpha is. A point of another class in the same place
    counts as a segment.

    Args:
        points: The training set, shape (N, d).
        labels: Their classes, integers, shape (N,).
        tolerance: How near a segment may come, in the unit of the points, 0 or more.

    Returns:
        Rows (i, s, t) with s <= t, shape (found, 3): point i lies on the segment from point s to point t, neither of
        which is of its class.

    Raises:
        TypeError: ``tolerance`` is no number.
        ValueError: A shape does not fit, a coordinate is not finite, or ``tolerance`` is out of range.

    Example:
        >>> blocked_points(*THREE_POINTS)
        array([[1, 0, 2]])

    Reference: Assumption 2.9 and Theorem 2.10. What "cannot fail" means for finite data, and why, is in ``docs/theory.md``.
    """
    data, _, of_point = _training_set(points, labels)
    within = number("tolerance", tolerance, Range(0, high_open=True))
    one, other = np.triu_indices(len(data))
    along = data[one] - data[other]
    squared = np.einsum("pd,pd->p", along, along)
    rows = []
    for i, point in enumerate(data):
        offset = data[other] - point
        foot = np.clip(-np.einsum("pd,pd->p", offset, along) / np.where(squared == 0, 1.0, squared), 0, 1)
        apart = np.linalg.norm(offset + foot[:, None] * along, axis=1)
        foreign = (of_point[one] != of_point[i]) & (of_point[other] != of_point[i])
        rows += [(i, one[pair], other[pair]) for pair in np.flatnonzero(foreign & (apart <= within))]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def squared_loss(residuals: ArrayLike, *, alpha: float = 1.0) -> float:
    r"""Give Mixup's expected squared error of a linear model with an intercept, from its residuals on the plain data.

    For such a model a mixture's residual is the mixture of the residuals r, so that

    .. math:: E |\lambda r_s + (1 - \lambda) r_t|^2 = \frac{\alpha + 1}{2 \alpha + 1} \overline{|r|^2}
              + \frac{\alpha}{2 \alpha + 1} |\bar r|^2.

    Least squares makes both terms least at once: with an intercept its residuals have mean 0. **So Mixup and plain
    training have the same minimisers, whatever the data and alpha.** Without an intercept, with another loss, or before
    the minimum is reached, they need not agree.

    Args:
        residuals: Predictions less targets at the training points, shape (N,) or (N, c).
        alpha: Of the Beta distribution, above 0; ``inf`` for lambda = 1/2.

    Raises:
        TypeError: A number is none.
        ValueError: There are no residuals, one is not finite, or ``alpha`` is out of range.

    Example:
        >>> squared_loss([1.0, -1.0], alpha=1), squared_loss([1.0, 1.0], alpha=1)  # 2/3, and 1 as ever
        (0.6666666666666666, 1.0)

    Reference: ours. The paper's own theorem on linear models is about classifiers and separable data.
    """
    r = np.asarray(residuals, dtype=np.float64)
    if r.ndim not in (1, 2) or r.size == 0 or not np.isfinite(r).all():
        raise ValueError(f"residuals was {brief(r.tolist())}; they must be finite, (N,) or (N, c), at least one")
    a = number("alpha", alpha, _ALPHA, fix="infinity is Midpoint Mixup")
    own = 0.5 if math.isinf(a) else (a + 1) / (2 * a + 1)
    r = r.reshape(len(r), -1)
    return float(own * (r**2).sum(axis=1).mean() + (1 - own) * (r.mean(axis=0) ** 2).sum())


def _training_set(points: ArrayLike, labels: ArrayLike) -> tuple[Floats, int, Integers]:
    """Check a training set; return the points, the number of classes, and each point's place among them."""
    data, given = np.asarray(points, dtype=np.float64), np.asarray(labels)
    if data.ndim != 2 or 0 in data.shape or not np.isfinite(data).all():
        raise ValueError(
            f"points was {brief(data.tolist())}; they must be finite numbers, shape (N, d), on a line (N, 1)"
        )
    if given.shape != data.shape[:1] or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"labels was {brief(given.tolist())}; for {len(data)} points it must hold as many integers")
    classes, of_point = np.unique(given, return_inverse=True)
    return data, len(classes), of_point

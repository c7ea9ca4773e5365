r"""Quadratic losses, one a group, and exact gradient descent on their weighted mean: what the theory is tried on.

Group i's loss is :math:`L_i(\theta) = \frac12 (\theta - \theta^*_i)^T A_i (\theta - \theta^*_i) + c_i`. What can be
proved of it stands in :mod:`learn2mix.bench.theory`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learn2mix.checks import Range, brief, number, whole_number
from learn2mix.policies import Learn2Mix, Policy
from learn2mix.policies.base import check_proportions

Floats = NDArray[np.float64]

STEP_SIZE = Range(0, low_open=True, high_open=True)


@dataclass(frozen=True, eq=False)
class QuadraticGroups:
    """The losses of k groups over d parameters: a bowl each, and what no training takes away.

    ``L_i(theta) = 1/2 (theta - minimiser_i)^T A_i (theta - minimiser_i) + c_i``

    Args:
        curvatures: A, symmetric with eigenvalues above 0, shape (k, d, d), or (k,) for one parameter.
        floors: c, each group's loss at its minimiser, 0 or more, shape (k,); in the unit of a loss.
        minimisers: Where each group's loss is least, shape (k, d), or (d,) for one that all share; the origin where
            nothing is given.

    Raises:
        ValueError: A shape does not fit, a matrix is not symmetric or not positive definite, a floor is negative, or a
            number is not finite.

    Example:
        >>> groups = QuadraticGroups([1, 3], floors=[1, 1])
        >>> groups.losses([2.0])
        array([3., 7.])
        >>> groups.gradients([2.0])
        array([[2.],
               [6.]])
        >>> groups.bounds
        (1.0, 3.0)
    """

    curvatures: Floats
    floors: Floats
    minimisers: Floats

    def __init__(self, curvatures: ArrayLike, floors: ArrayLike, minimisers: ArrayLike | None = None) -> None:
        matrices = np.array(curvatures, dtype=np.float64)
        matrices = matrices[:, None, None] if matrices.ndim == 1 else matrices
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or 0 in matrices.shape:
            raise ValueError(f"curvatures had shape {np.shape(curvatures)}; it must be (k, d, d), a matrix a group")
        k, d = matrices.shape[:2]
        least = np.zeros(d) if minimisers is None else np.array(minimisers, dtype=np.float64)
        least = np.tile(least, (k, 1)) if least.ndim == 1 else least
        values = {"curvatures": matrices, "floors": np.array(floors, dtype=np.float64), "minimisers": least}
        for name, shape in {"floors": (k,), "minimisers": (k, d)}.items():
            if values[name].shape != shape:
                raise ValueError(
                    f"{name} had shape {values[name].shape}; for {k} groups and {d} parameters it must be {shape}"
                )
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise ValueError(f"{name} was {brief(value.tolist())}; all of it must be finite")
        if (values["floors"] < 0).any():
            raise ValueError(f"floors was {brief(values['floors'].tolist())}; losses that mix must be 0 or more")
        _check_matrices(matrices)
        for name, value in values.items():
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def minimiser(self) -> Floats:
        """theta*, shape (d,), where all groups share it.

        Raises:
            ValueError: They do not.
        """
        if (self.minimisers != self.minimisers[0]).any():
            raise ValueError(
                f"minimisers was {brief(self.minimisers.tolist())}; the propositions need one that all groups share; see "
                "weighted_minimiser for groups without one"
            )
        return np.asarray(self.minimisers[0])

    @property
    def limit(self) -> Floats:
        """The proportions that Prop. 2.3 ends at, ``c / sum(c)``, shape (k,).

        Raises:
            ValueError: The groups share no minimiser, or all floors are 0, where nothing is left to normalise.
        """
        _ = self.minimiser
        if not self.floors.any():
            raise ValueError("floors was all 0; then the losses vanish at theta* and have no shares there; raise one")
        return np.asarray(self.floors / self.floors.sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """mu* and L*: the least and largest eigenvalue that a weighted Hessian can have, over all proportions.

        They are those of single groups: weighting takes averages, and an average of matrices lies between them.
        """
        eigenvalues = np.linalg.eigvalsh(self.curvatures)
        return float(eigenvalues.min()), float(eigenvalues.max())

    def losses(self, theta: ArrayLike) -> Floats:
        """Give each group's loss at ``theta`` (d,), shape (k,).

        Raises:
            ValueError: ``theta`` has another shape.
        """
        apart = self.point(theta) - self.minimisers
        return np.asarray(np.einsum("ka,kab,kb->k", apart, self.curvatures, apart) / 2 + self.floors)

    def gradients(self, theta: ArrayLike) -> Floats:
        """Give the gradient of each group's loss at ``theta`` (d,), shape (k, d).

        Raises:
            ValueError: ``theta`` has another shape.
        """
        return np.asarray(np.einsum("kab,kb->ka", self.curvatures, self.point(theta) - self.minimisers))

    def hessian(self, proportions: ArrayLike) -> Floats:
        """Give the curvature of the loss weighted by ``proportions`` (k,), shape (d, d).

        Raises:
            ValueError: They are not k numbers of 0 or more that sum to 1.
        """
        return np.asarray(np.tensordot(self.shares(proportions), self.curvatures, axes=1))

    def weighted_minimiser(self, proportions: ArrayLike) -> Floats:
        """Give where the loss weighted by ``proportions`` (k,) is least, shape (d,).

        Raises:
            ValueError: They are not k numbers of 0 or more that sum to 1.
        """
        pull = np.einsum("k,kab,kb->a", self.shares(proportions), self.curvatures, self.minimisers)
        return np.asarray(np.linalg.solve(self.hessian(proportions), pull))

    def point(self, theta: ArrayLike) -> Floats:
        """Return ``theta`` as an array, shape (d,), after checking its shape.

        Raises:
            ValueError: It has another.
        """
        point = np.asarray(theta, dtype=np.float64)
        if point.shape != self.minimisers.shape[1:]:
            raise ValueError(
                f"theta had shape {point.shape}; there are {self.minimisers.shape[1]} parameters; pass (d,)"
            )
        return point

    def shares(self, proportions: ArrayLike) -> Floats:
        """Return ``proportions`` as an array, shape (k,), after checking that they are some.

        Raises:
            TypeError: They are no numbers.
            ValueError: They are not k numbers of 0 or more that sum to 1.
        """
        return check_proportions(proportions, len(self.floors), "the call")


def _check_matrices(matrices: Floats) -> None:
    """Check that each has a single lowest point: symmetric, all eigenvalues above 0."""
    skew = np.abs(matrices - matrices.transpose(0, 2, 1)).max()
    if skew > 1e-9 * np.abs(matrices).max():
        raise ValueError(
            f"curvatures held a matrix and its transpose {skew:g} apart; use (A + A^T) / 2, which gives the same losses"
        )
    smallest = float(np.linalg.eigvalsh(matrices).min())
    if smallest <= 0:
        raise ValueError(
            f"curvatures held the eigenvalue {smallest:g}; all must be above 0, or a group has no single minimiser"
        )


@dataclass(frozen=True, eq=False)
class Descent:
    """A run of T steps; row t is the state before step t, the last row the state at the end.

    Args:
        thetas: Parameters, shape (T + 1, d).
        proportions: alpha, shape (T + 1, k).
        losses: Group losses at ``thetas``, shape (T + 1, k).
    """

    thetas: Floats
    proportions: Floats
    losses: Floats


def descend(
    groups: QuadraticGroups,
    theta: ArrayLike,
    *,
    natural: ArrayLike,
    learning_rate: float,
    steps: int,
    policy: Policy | None = None,
) -> Descent:
    """Descend the weighted loss while a policy moves the weights.

    ``theta_{t+1} = theta_t - eta * sum_i alpha_{t,i} grad L_i(theta_t)``; ``alpha_{t+1}`` is the policy's from
    ``L(theta_t)``: the losses are those seen on the way, before the step, as in a training loop with one step an epoch.

    Args:
        groups: The losses.
        theta: Where to start, shape (d,).
        natural: alpha~, the shares of the training set, at which alpha starts, shape (k,).
        learning_rate: eta, above 0; below ``2 / L*`` the propositions hold.
        steps: T, 0 or more.
        policy: How alpha moves; ``Learn2Mix()`` where none is given. ``Learn2Mix(0)`` is classical training.

    Returns:
        The path.

    Raises:
        TypeError: A number is of the wrong kind.
        ValueError: A shape does not fit, or a number is out of range.

    Example:
        >>> groups = QuadraticGroups([1, 3], floors=[1, 1])
        >>> run = descend(groups, [2.0], natural=[0.75, 0.25], learning_rate=0.25, steps=1, policy=Learn2Mix(0.5))
        >>> run.thetas[1], run.proportions[1]  # 2 - 1/4 * 3/2 * 2, and halfway from 3/4 to 3/10
        (array([1.25]), array([0.525, 0.475]))

    Reference: Algorithms 1 and 2 with exact gradients and one step an epoch.
    """
    eta = number("learning_rate", learning_rate, STEP_SIZE)
    mixing: Policy = Learn2Mix() if policy is None else policy
    point = groups.point(theta)
    state = mixing.init(groups.shares(natural))
    counts = np.ones(len(groups.floors))
    rows = [(point, state.proportions, groups.losses(point))]
    for _ in range(whole_number("steps", steps)):
        _, proportions, losses = rows[-1]
        point = point - eta * (proportions @ groups.gradients(point))
        state = mixing.update(state, losses, counts=counts)
        rows.append((point, state.proportions, groups.losses(point)))
    thetas, shares, seen = (np.stack(column) for column in zip(*rows, strict=True))
    return Descent(thetas, shares, seen)

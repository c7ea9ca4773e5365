r"""What can be proved of learn2mix, on losses for which it can be: quadratic ones that share their minimiser.

Theta moves by exact gradient descent on the alpha-weighted loss, alpha by Algorithm 2, one update a step. What each
result assumes, and how little of it a network meets, stands in ``docs/theory.md``.

Reference: Venkatasubramanian and Tarokh, Learn2Mix (arXiv 2412.16482), Propositions 2.3 and 2.5. Theirs: that theta
and alpha converge, theta at the rate of :func:`contraction_rate`, and that a mixing rate under which a step is nearer
exists. Worked out here: how fast alpha converges, which rate theta has in the end, and all mixing rates that help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learn2mix.bench.theory.quadratics import STEP_SIZE, QuadraticGroups, descend
from learn2mix.checks import Range, brief, number, whole_number
from learn2mix.policies import Learn2Mix

Floats = NDArray[np.float64]


def contraction_rate(groups: QuadraticGroups, *, learning_rate: float) -> float:
    """Give the factor by which the distance to theta* shrinks at least, at every step, whatever alpha does.

    ``rho = max(|1 - eta mu*|, |1 - eta L*|)``

    Args:
        groups: Losses with one minimiser.
        learning_rate: eta, above 0. rho is below 1 where it is below ``2 / L*``.

    Raises:
        ValueError: The groups share no minimiser, or the learning rate is out of range.

    Example:
        >>> contraction_rate(QuadraticGroups([1, 3], floors=[1, 1]), learning_rate=0.25)
        0.75

    Reference: Prop. 2.3.
    """
    _ = groups.minimiser
    eta = number("learning_rate", learning_rate, STEP_SIZE)
    return max(abs(1 - eta * curvature) for curvature in groups.bounds)


def final_rate(groups: QuadraticGroups, proportions: ArrayLike, *, learning_rate: float) -> float:
    """Give the factor by which a step shrinks the distance to theta* while alpha stays where it is.

    The largest ``|1 - eta lambda|`` over the eigenvalues of the weighted Hessian. At ``groups.limit`` it is the rate at
    which learn2mix ends, at alpha~ that of classical training. Not in the paper.

    Args:
        groups: Losses with one minimiser.
        proportions: alpha, shape (k,).
        learning_rate: eta, above 0.

    Raises:
        ValueError: The groups share no minimiser, or an argument is out of range.

    Example:
        >>> groups = QuadraticGroups([1, 3], floors=[1, 1])
        >>> final_rate(groups, groups.limit, learning_rate=0.25), final_rate(groups, [0.75, 0.25], learning_rate=0.25)
        (0.5, 0.625)
    """
    _ = groups.minimiser
    eta = number("learning_rate", learning_rate, STEP_SIZE)
    return float(np.abs(1 - eta * np.linalg.eigvalsh(groups.hessian(proportions))).max())


def proportions_bound(
    groups: QuadraticGroups,
    theta: ArrayLike,
    *,
    natural: ArrayLike,
    learning_rate: float,
    mixing_rate: float,
    steps: int,
) -> Floats:
    r"""Bound how far learn2mix's proportions are from their limit, before each step.

    The distance is the share of a batch that goes to other groups than in the limit,
    :math:`\frac12 \sum_i |\alpha_i - \alpha^*_i|`. With :math:`q_t = \frac12 \rho^{2t} |\theta_0 - \theta^*|^2 \sum_i
    \lambda_{\max}(A_i)`, which no run's excess loss surpasses, and :math:`C = \sum_i c_i`,

    .. math:: b_0 = \frac12 \sum_i |\tilde\alpha_i - \alpha^*_i|, \quad
              b_{t+1} = (1 - \gamma) b_t + \gamma \frac{q_t}{C + q_t},

    which falls like :math:`\max(1 - \gamma, \rho^2)^t` in the end (times t where the two are equal).

    Args:
        groups: Losses with one minimiser, not all floors 0.
        theta: theta_0, where the run starts, shape (d,).
        natural: alpha~, at which alpha starts, shape (k,).
        learning_rate: eta, above 0.
        mixing_rate: gamma, 0 to 1.
        steps: T, 0 or more.

    Returns:
        b, shape (T + 1,); each in [0, 1].

    Raises:
        ValueError: The groups share no minimiser, all floors are 0, or an argument is out of range.

    Example:
        >>> groups = QuadraticGroups([1, 3], floors=[1, 1])
        >>> proportions_bound(
        ...     groups, [2.0], natural=[0.75, 0.25], learning_rate=0.25, mixing_rate=0.5, steps=1
        ... )  # 1/4, then 1/2 * 1/4 + 1/2 * 8/10
        array([0.25 , 0.525])

    Reference: ours. Prop. 2.3 says that alpha converges, not how fast.
    """
    gamma = number("mixing_rate", mixing_rate, Range(0, 1))
    squared_rate = contraction_rate(groups, learning_rate=learning_rate) ** 2
    apart = groups.point(theta) - groups.minimiser
    excess = float(apart @ apart) / 2 * float(np.linalg.eigvalsh(groups.curvatures).max(axis=1).sum())
    floor = float(groups.floors.sum())
    bounds = [float(np.abs(groups.shares(natural) - groups.limit).sum()) / 2]
    for _ in range(whole_number("steps", steps)):
        bounds.append((1 - gamma) * bounds[-1] + gamma * excess / (floor + excess))
        excess *= squared_rate
    return np.array(bounds)


def advantage(apart: ArrayLike, gradient: ArrayLike, reference: ArrayLike, *, learning_rate: float) -> float:
    r"""Tell how much nearer to the goal one gradient step ends than another from the same point.

    .. math:: 2 (\theta - \theta^*) \cdot (g - \tilde g) - \eta (|g|^2 - |\tilde g|^2)

    Times eta this is :math:`|\tilde\theta' - \theta^*|^2 - |\theta' - \theta^*|^2` for the ends :math:`\theta' = \theta
    - \eta g` and :math:`\tilde\theta' = \theta - \eta \tilde g`. No assumption is made on where g comes from.

    Args:
        apart: theta - theta*, shape (d,).
        gradient: g, that of the alpha-weighted loss, shape (d,).
        reference: g~, that of the alpha~-weighted loss, shape (d,).
        learning_rate: eta, above 0.

    Returns:
        Above 0 where the step along ``gradient`` ends nearer, 0 at a draw.

    Raises:
        ValueError: The shapes differ, or the learning rate is out of range.

    Example:
        >>> advantage([2.0], [4.0], [3.0], learning_rate=0.25)  # ends at 1, not at 5/4: (25/16 - 1) / eta
        2.25
        >>> advantage([2.0], [4.0], [3.0], learning_rate=0.75)  # ends at -1, not at -1/4
        -1.25

    Reference: the criterion behind Prop. 2.5.
    """
    eta = number("learning_rate", learning_rate, STEP_SIZE)
    delta, g, other = (np.asarray(vector, dtype=np.float64) for vector in (apart, gradient, reference))
    if delta.ndim != 1 or not delta.shape == g.shape == other.shape:
        raise ValueError(
            f"apart, gradient and reference had shapes {delta.shape}, {g.shape} and {other.shape}; all must be (d,)"
        )
    return float(2 * (delta @ (g - other)) - eta * (g @ g - other @ other))


def nearer(apart: ArrayLike, gradient: ArrayLike, reference: ArrayLike, *, learning_rate: float) -> bool:
    """Tell whether a step along ``gradient`` ends at least as near the goal as one along ``reference``.

    ``eta (|g|^2 - |g~|^2) <= 2 (theta - theta*) . (g - g~)``

    Args:
        apart: As for :func:`advantage`.
        gradient: As for :func:`advantage`.
        reference: As for :func:`advantage`.
        learning_rate: As for :func:`advantage`.

    Raises:
        ValueError: As for :func:`advantage`.

    Example:
        >>> nearer([2.0], [4.0], [3.0], learning_rate=0.25), nearer([2.0], [4.0], [3.0], learning_rate=0.75)
        (True, False)
    """
    return advantage(apart, gradient, reference, learning_rate=learning_rate) >= 0


def helpful_mixing_rates(
    groups: QuadraticGroups,
    theta: ArrayLike,
    *,
    natural: ArrayLike,
    learning_rate: float,
    present: ArrayLike | None = None,
    target: ArrayLike | None = None,
) -> tuple[float, float] | None:
    r"""Give the mixing rates for which one update of alpha and one step end at least as near theta* as a classical step.

    The step's gradient is linear in gamma, :math:`g(\gamma) = g_0 + \gamma h`, so that with the ends :math:`e_0 =
    \theta - \eta g_0 - \theta^*` and :math:`\tilde e = \theta - \eta \tilde g - \theta^*` those rates are the solution of

    .. math:: \eta^2 |h|^2 \gamma^2 - 2 \eta (e_0 \cdot h) \gamma + |e_0|^2 - |\tilde e|^2 \le 0.

    Args:
        groups: Losses with one minimiser.
        theta: The point from which both steps are taken, shape (d,).
        natural: alpha~, at which the classical step is taken, shape (k,).
        learning_rate: eta, above 0.
        present: alpha before the update, shape (k,); alpha~ where none is given, as at the start of a run.
        target: Normalised group losses that alpha moves towards, shape (k,); those at ``theta`` where none are given.

    Returns:
        The least and the largest such rate within [0, 1], or None where there is none. Starting at alpha~, the least is
        always 0, which is the classical step itself.

    Raises:
        ValueError: The groups share no minimiser, all losses at ``theta`` are 0, or an argument is out of range.

    Example:
        >>> groups = QuadraticGroups([1, 3], floors=[1, 1])
        >>> low, high = helpful_mixing_rates(groups, [2.0], natural=[0.75, 0.25], learning_rate=7 / 12)
        >>> low, round(high, 6)  # up to 10/21
        (0.0, 0.47619)

    Reference: Prop. 2.5 says that such rates exist, up to a beta above 0. Here they are solved for; they may be none.
    """
    eta = number("learning_rate", learning_rate, STEP_SIZE)
    gradients = groups.gradients(theta)
    shares = groups.shares(natural)
    before = shares if present is None else groups.shares(present)
    if target is None:
        losses = groups.losses(theta)
        if not losses.any():
            raise ValueError(
                f"all losses at theta {brief(theta)} were 0; they have no shares to move towards; give target"
            )
        target = losses / losses.sum()
    turn = (groups.shares(target) - before) @ gradients
    apart = groups.point(theta) - groups.minimiser
    end, classical_end = (apart - eta * (weights @ gradients) for weights in (before, shares))
    square, along = eta * float(turn @ turn), float(end @ turn)
    behind = 0.0 if present is None else float(end @ end - classical_end @ classical_end)
    if square == 0:  # the update turns nothing: the same step for every rate
        return (0.0, 1.0) if behind <= 0 else None
    discriminant = along**2 - square * behind / eta
    if discriminant < 0:
        return None
    low, high = ((along + sign * discriminant**0.5) / square for sign in (-1, 1))
    return (max(low, 0.0), min(high, 1.0)) if low <= 1 and high >= 0 else None


def largest_mixing_rate(
    groups: QuadraticGroups,
    theta: ArrayLike,
    *,
    natural: ArrayLike,
    learning_rate: float,
    target: ArrayLike | None = None,
) -> float:
    r"""Give beta: from alpha~, mixing rates up to it end a step at least as near theta* as the classical step does.

    With h the gradients weighted by target - alpha~, and the classical step's end :math:`\tilde e` seen from theta*,

    .. math:: \beta = \frac{2\, \tilde e \cdot h}{\eta |h|^2}, \text{ kept within } [0, 1].

    It is above 0 if and only if what the update adds to the gradient points along the error that the classical step
    leaves. As eta goes to 0 that is :math:`\sum_i (\text{target}_i - \tilde\alpha_i)(L_i - c_i) > 0`: weight must move
    to loss that can be reduced. Half of the unclipped value is the rate that ends nearest.

    Args:
        groups: Losses with one minimiser.
        theta: The point from which both steps are taken, shape (d,).
        natural: alpha~, shape (k,).
        learning_rate: eta, above 0.
        target: As for :func:`helpful_mixing_rates`.

    Returns:
        beta; 1 also where the update changes nothing, and every rate is a draw.

    Raises:
        ValueError: As for :func:`helpful_mixing_rates`.

    Example:
        >>> steep_is_harder = QuadraticGroups([1, 3], floors=[1, 1])
        >>> largest_mixing_rate(steep_is_harder, [2.0], natural=[0.75, 0.25], learning_rate=0.25)
        1.0
        >>> flat_is_harder = QuadraticGroups([1, 3], floors=[10, 2])
        >>> largest_mixing_rate(flat_is_harder, [2.0], natural=[0.5, 0.5], learning_rate=0.25)
        0.0

    Reference: the beta of Prop. 2.5, which the paper takes to be above 0. Here it may be 0.
    """
    rates = helpful_mixing_rates(groups, theta, natural=natural, learning_rate=learning_rate, target=target)
    return 0.0 if rates is None else rates[1]


# The two examples of docs/theory.md, each with its alpha~.
TO_THE_STEEPER = (QuadraticGroups([1, 3], floors=[1, 1]), (0.75, 0.25))
TO_THE_FLATTER = (QuadraticGroups([1, 3], floors=[3, 1]), (0.5, 0.5))


def draw(path: str | Path, *, learning_rate: float = 0.25, mixing_rate: float = 0.1, steps: int = 60) -> None:
    """Draw two runs from theta = 2: one where adapting helps, one where it hurts. The same file every time.

    Left, the distance to theta* of learn2mix and of classical training, under ``rho^t``; right, alpha of the steeper
    group, its limit, and how far from it :func:`proportions_bound` lets it be.

    Args:
        path: Where to write the SVG.
        learning_rate: eta, above 0.
        mixing_rate: gamma, 0 to 1.
        steps: T, 1 or more.

    Raises:
        ImportError: Matplotlib is not installed.
        ValueError: A number is out of range.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("the picture is drawn with matplotlib: pip install 'learn2mix[bench]'") from error
    style: dict[Any, Any] = {
        "svg.hashsalt": "learn2mix",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context():
        mpl.rcdefaults()  # the reader's own style must not change the picture
        mpl.rcParams.update(style)
        figure = Figure(figsize=(9, 6), layout="constrained")
        rows = figure.subplots(2, 2, sharex=True, sharey="col")
        titles = ("weight moves to the steeper group", "near theta*, weight moves to the flatter group")
        for (left, right), title, (groups, natural) in zip(rows, titles, (TO_THE_STEEPER, TO_THE_FLATTER), strict=True):
            setting: dict[str, Any] = {"natural": natural, "learning_rate": learning_rate, "steps": steps}
            run = descend(groups, [2.0], policy=Learn2Mix(mixing_rate), **setting)
            classical = descend(groups, [2.0], policy=Learn2Mix(0), **setting)
            times = np.arange(len(run.thetas))
            rho = contraction_rate(groups, learning_rate=learning_rate)
            left.plot(times, 2 * rho**times, color="#999999", linestyle="--", label="bound, rho^t |theta_0 - theta*|")
            left.plot(times, np.abs(classical.thetas[:, 0]), color="#444444", label="classical")
            left.plot(times, np.abs(run.thetas[:, 0]), color="#0072b2", label="learn2mix")
            left.set(yscale="log", ylabel="|theta_t - theta*|", title=title)
            bound = proportions_bound(groups, [2.0], mixing_rate=mixing_rate, **setting)
            limit = groups.limit[1]
            band = np.clip([limit - bound, limit + bound], 0, 1)
            right.fill_between(times, band[0], band[1], color="#dddddd", label="within the bound of the limit")
            right.axhline(limit, color="#999999", linestyle="--", label="limit, c / sum(c)")
            right.plot(times, run.proportions[:, 1], color="#0072b2", label="learn2mix")
            right.set(ylim=(0, 1), ylabel="alpha of the steeper group")
        for panel in rows[1]:
            panel.set_xlabel("step")
        for panel in rows[0]:
            panel.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})

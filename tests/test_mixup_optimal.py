"""The Mixup-optimal classifier: exact numbers, an independent simulation, when it fails, when it cannot, and linear models."""

import math
from fractions import Fraction as Q
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from learn2mix.bench.theory.mixup_optimal import THREE_POINTS, blocked_points, optimal_label, squared_loss
from learn2mix.transforms import Mixup

PAGE = Path(__file__).parents[1] / "docs" / "theory.md"
ALPHAS = [0.02, 0.3, 1.0, 2.5, 32.0, 1000.0, math.inf]


def label_at_1(radius, alpha):
    """Class 1's part of the optimal label at the middle one of the three points, whose class is 2."""
    return float(optimal_label([1.0], *THREE_POINTS, radius=radius, alpha=alpha)[0])


# --- The three points, in exact numbers -------------------------------------------------------------------------------


def integral(alpha, low, high, power):
    """Of lambda^power times the density of Beta(alpha, alpha), alpha a whole number: a polynomial, in fractions."""
    constant = Q(math.factorial(2 * alpha - 1), math.factorial(alpha - 1) ** 2)
    total = Q(0)
    for j in range(alpha):  # (1 - lambda)^(alpha - 1), multiplied out
        exponent = alpha + j + power
        total += (-1) ** j * math.comb(alpha - 1, j) * (high**exponent - low**exponent) / exponent
    return constant * total


def in_fractions(alpha, eps):
    """Class 1's part at the middle point, from the pairs that can fall within eps of it, written out one by one.

    The point with itself (once, class 2); 0 with 2 (two orders, class 1), where lambda is within eps / 2 of 1/2; and 1
    with 0 or with 2 (two orders each), where the point's share lambda is at least 1 - eps and class 1 has the rest.
    """
    opposite = integral(alpha, (1 - eps) / 2, (1 + eps) / 2, 0)
    near, own = (integral(alpha, 1 - eps, Q(1), power) for power in (0, 1))
    first, second = 2 * opposite + 4 * (near - own), 1 + 4 * own
    return first / (first + second)


@pytest.mark.parametrize("alpha", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("eps", [Q(1, 100), Q(1, 20), Q(1, 10), Q(1, 5), Q(1, 2)])
def test_against_rational_arithmetic(alpha, eps):
    assert label_at_1(float(eps), alpha) == pytest.approx(float(in_fractions(alpha, eps)), rel=1e-9)


@pytest.mark.parametrize(("eps", "value"), [(0.05, Q(21, 260)), (0.1, Q(11, 80)), (0.2, Q(12, 55))])
def test_alpha_1_by_hand(eps, value):
    """Uniform lambda: 0 with 2 falls in with probability eps, twice; 1 with a neighbour with eps, four times, of which
    class 1 has eps / 2. So (2 eps + 2 eps^2) / (1 + 6 eps)."""
    assert label_at_1(eps, 1) == pytest.approx(float(value), rel=1e-12)
    assert (2 * eps + 2 * eps**2) / (1 + 6 * eps) == pytest.approx(float(value))


def test_the_limit_is_two_thirds():
    """lambda = 1/2: the ball holds the point with itself, once, and 0 with 2, twice."""
    for eps in (0.49, 0.25, 0.1, 1e-3, 1e-6):
        assert label_at_1(eps, math.inf) == pytest.approx(2 / 3, rel=1e-15)
    for eps in (0.25, 0.1, 1e-3, 1e-6):  # half the ball's width is 6 standard deviations of lambda
        assert label_at_1(eps, 20 / eps**2) == pytest.approx(2 / 3, abs=1e-9)


def test_the_table_of_the_page():
    """Its figures, to half a unit of the last digit, and from which alpha on it fails."""
    lines = PAGE.read_text().partition("| alpha | epsilon 0.05 | 0.1 | 0.2 |")[2].splitlines()[2:7]
    rows = {name: [float(cell) for cell in cells] for name, *cells in (line.strip("| ").split(" | ") for line in lines)}
    turns = rows.pop("fails from alpha =")
    assert list(rows) == ["1", "32", "128", "infinity"]
    for alpha, cells in rows.items():
        found = [label_at_1(eps, math.inf if alpha == "infinity" else int(alpha)) for eps in (0.05, 0.1, 0.2)]
        assert cells == pytest.approx(found, abs=0.000501)
    for eps, turn in zip((0.05, 0.1, 0.2), turns, strict=True):
        assert label_at_1(eps, turn - 0.01) < 0.5 < label_at_1(eps, turn + 0.01)


def test_the_figures_that_were_simulated_before():
    """Of an earlier Monte Carlo run, to its two digits and a unit of the last."""
    earlier = {1: (0.08, 0.14, 0.22), 32: (0.38, 0.53, 0.64), 128: (0.53, 0.64, 0.67)}
    for alpha, values in earlier.items():
        assert [label_at_1(eps, alpha) for eps in (0.05, 0.1, 0.2)] == pytest.approx(values, abs=0.01)


@given(st.floats(1e-4, 0.49))
def test_for_every_radius_some_alpha_fails(eps):
    """Theorem 2.7, on its data. And a small alpha does not."""
    assert label_at_1(eps, 1 / eps**2) > 0.5
    assert label_at_1(eps, 1) < 0.5


@pytest.mark.parametrize("alpha", ALPHAS)
def test_for_every_alpha_a_small_radius_does_not_fail(alpha):
    """But midpoints stay where they are."""
    assert (label_at_1(1e-6, alpha) > 0.5) == math.isinf(alpha)


def test_the_outer_points_are_right_whatever_alpha_is():
    for alpha in ALPHAS:
        found = optimal_label([[0.0], [2.0]], *THREE_POINTS, radius=0.2, alpha=alpha)
        assert (found[:, 0] > 0.9).all()


# --- Any data, against simulation and by symmetries -------------------------------------------------------------------


def simulated(x, points, labels, radius, alpha, draws, seed):
    """Draw pairs and lambdas; count the labels of what falls into the ball, and how much does."""
    rng = np.random.default_rng(seed)
    s, t = rng.integers(len(points), size=(2, draws))
    lam = rng.beta(alpha, alpha, size=draws)[:, None]
    inside = np.linalg.norm(lam * points[s] + (1 - lam) * points[t] - x, axis=1) <= radius
    hot = np.eye(len(np.unique(labels)))[np.unique(labels, return_inverse=True)[1]]
    soft = (lam * hot[s] + (1 - lam) * hot[t])[inside]
    return soft.mean(axis=0), len(soft)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 6.0])
@pytest.mark.parametrize(("dimensions", "classes", "radius"), [(1, 2, 0.2), (2, 3, 0.3), (3, 3, 0.6), (5, 4, 1.3)])
def test_against_simulation(alpha, dimensions, classes, radius):
    """A soft label lies in [0, 1], so its standard deviation is at most 1/2; 5 of the mean's are allowed."""
    rng = np.random.default_rng(dimensions)
    points, labels = rng.normal(size=(9, dimensions)), np.arange(9) % classes + 3
    for x in (points[4], (points[0] + points[1]) / 2, rng.normal(size=dimensions) / 3):
        expected, n = simulated(x, points, labels, radius, alpha, draws=200_000, seed=1)
        assert n > 500
        found = optimal_label(x, points, labels, radius=radius, alpha=alpha)
        assert found.shape == (classes,)
        np.testing.assert_allclose(found, expected, atol=2.5 / math.sqrt(n))


DATA = st.tuples(st.integers(1, 4), st.integers(2, 8), st.integers(0, 10**6))


@given(DATA, st.sampled_from(ALPHAS), st.floats(0.05, 3))
def test_what_holds_for_any_data(shape, alpha, radius):
    d, n, seed = shape
    rng = np.random.default_rng(seed)
    points, labels, x = rng.normal(size=(n, d)), rng.integers(3, size=n), rng.normal(size=(4, d))
    found = optimal_label(x, points, labels, radius=radius, alpha=alpha)
    told = ~np.isnan(found[:, 0])
    np.testing.assert_allclose(found[told].sum(axis=1), 1)
    assert (found[told] >= -1e-12).all()
    # the order of the points, the names of the classes, moves and turns do not matter
    order, turn = rng.permutation(n), np.linalg.qr(rng.normal(size=(d, d)))[0]
    moved = optimal_label(x @ turn + 7, points[order] @ turn + 7, labels[order] * 5 - 4, radius=radius, alpha=alpha)
    if not math.isinf(alpha):  # whether just lambda = 1/2 is in the ball is for rounding to say
        np.testing.assert_allclose(moved, found, atol=1e-6)
    # one point at a time is the same
    np.testing.assert_array_equal(optimal_label(x[0], points, labels, radius=radius, alpha=alpha), found[0])
    # a ball that holds everything gives the classes' shares
    all_in = optimal_label(x[0], points, labels, radius=100, alpha=alpha)
    np.testing.assert_allclose(all_in, np.unique(labels, return_counts=True)[1] / n)


def test_far_in_the_tail_nothing_is_lost():
    """alpha = 200, and a ball round x = 0.01 of a segment from 0 (class 0) to 1 (class 1), or mirrored at its other end.

    The probability is below 1e-200, but its first moment over it is well defined: between 0.005 and 0.015.
    """
    points, labels = [[0.0], [1.0]], [0, 1]
    near = optimal_label([0.01], points, labels, radius=0.005, alpha=200)
    mirrored = optimal_label([0.99], points, labels, radius=0.005, alpha=200)
    assert 0.0149 < near[1] < 0.015  # the mass lies at the end nearer to the middle
    np.testing.assert_allclose(near, mirrored[::-1], rtol=1e-9)


def test_where_nothing_falls_nothing_is_told():
    found = optimal_label([[5.0], [0.5]], *THREE_POINTS, radius=0.1)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_points_in_one_place_count_each():
    """Two of class 0 and one of class 1 there: pairs within give 4, 1 and 4 mixed halves; 2/3 and 1/3, whatever alpha."""
    for alpha in ALPHAS:
        found = optimal_label([0.0, 0.0], np.zeros((3, 2)), [0, 0, 1], radius=0.5, alpha=alpha)
        np.testing.assert_allclose(found, [2 / 3, 1 / 3])


# --- When it cannot fail ----------------------------------------------------------------------------------------------


def test_the_condition_by_hand():
    assert blocked_points(*THREE_POINTS).tolist() == [[1, 0, 2]]
    assert blocked_points([[0.0], [1.0], [2.0]], [1, 1, 2]).tolist() == []  # a segment with an end of the class itself
    assert blocked_points([[0.0], [1.0], [2.0]], [1, 2, 3]).tolist() == [[1, 0, 2]]  # the ends may differ
    square = [[0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [1.0, 1.1]]
    assert blocked_points(square, [0, 0, 1, 1]).tolist() == [[2, 0, 1]]
    assert blocked_points(square, [0, 0, 1, 1], tolerance=0.08).tolist() == [[2, 0, 1], [3, 0, 1]]  # 0.1 / sqrt 2 away
    twice = [[0.0], [0.0], [3.0]]
    assert blocked_points(twice, [0, 1, 0]).tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 2]]
    beyond = [[0.0], [1.0], [3.0]]
    assert blocked_points(beyond, [0, 0, 1]).tolist() == []  # on the line, but not between


def smallest_distance(points):
    """From any point to any segment that it is no end of, by a fine grid of each segment."""
    grid = np.linspace(0, 1, 2001)[:, None]
    n = len(points)
    return min(
        np.linalg.norm(grid * points[s] + (1 - grid) * points[t] - points[i], axis=1).min()
        for i in range(n)
        for s in range(n)
        for t in range(s + 1)
        if i not in (s, t)
    )


@settings(max_examples=30)
@given(st.integers(2, 4), st.integers(3, 6), st.integers(0, 10**6))
def test_where_no_segment_passes_it_is_right_at_every_training_point(d, n, seed):
    """Points at random lie on no segment; half the smallest distance to one is a radius that will do for every alpha."""
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(n, d)), np.arange(n) % 2
    assert len(blocked_points(points, labels)) == 0
    radius = smallest_distance(points) / 2
    for alpha in ALPHAS:
        found = optimal_label(points, points, labels, radius=radius, alpha=alpha)
        assert found[np.arange(n), labels].min() > 0.5


def test_a_segment_with_an_end_of_the_class_does_no_harm_in_a_small_ball():
    """0 lies between -10, of its own class, and 1, in 40 directions: not blocked, and with a small radius no alpha fails."""
    turns = np.linspace(0, np.pi, 40, endpoint=False)
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    points = np.concatenate([np.zeros((1, 2)), -10 * directions, directions])
    labels = [0] * 41 + [1] * 40
    blocked = blocked_points(points, labels)
    assert 0 not in blocked[:, 0]
    small, large = (
        [optimal_label([0.0, 0.0], points, labels, radius=eps, alpha=a)[0] for a in ALPHAS] for eps in (1e-3, 0.5)
    )
    assert min(small) > 0.5
    assert min(large) < 0.5  # how small it must be hangs on the data


def test_moving_the_middle_point_off_the_line_mends_it():
    """By more than the radius: then no alpha fails."""
    for up, blocked in ((0.0, 1), (0.2, 0)):
        points, labels = [[0.0, 0.0], [1.0, up], [2.0, 0.0]], [1, 2, 1]
        assert len(blocked_points(points, labels)) == blocked
        wrong = [optimal_label(points[1], points, labels, radius=0.1, alpha=alpha)[0] for alpha in ALPHAS]
        assert (max(wrong) > 0.5) == bool(blocked)


# --- A network that is trained --------------------------------------------------------------------------------------


def trained_on_three_points(alpha, steps=300):
    """Class 1's probability at the three points, after Adam on batches of 16 of each."""
    x = torch.tensor(THREE_POINTS[0]).repeat(16, 1)
    y = torch.tensor(THREE_POINTS[1]).repeat(16) - 1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer, mixup = torch.optim.Adam(net.parameters(), lr=0.03), None if alpha is None else Mixup(alpha, seed=0)
    for _ in range(steps):
        optimizer.zero_grad()
        if mixup is None:
            F.cross_entropy(net(x), y).backward()
        else:
            mixed = mixup(x, y)
            mixed.loss(F.cross_entropy, net(mixed.x)).backward()
        optimizer.step()
    return net(x[:3]).softmax(dim=1)[:, 0].tolist()


def test_a_network_trained_with_mixup_gets_its_own_training_point_wrong():
    """As the optimal classifier says; without Mixup, or with alpha 1, it does not."""
    for alpha, fails in ((None, False), (1.0, False), (128.0, True)):
        left, middle, right = trained_on_three_points(alpha)
        assert min(left, right) > 0.9
        assert (middle > 0.5) == fails


# --- Linear models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "own"), [(1, Q(2, 3)), (2, Q(3, 5)), (0.5, Q(3, 4)), (math.inf, Q(1, 2))])
def test_the_squared_loss_by_hand(alpha, own):
    """E lambda^2 + E (1 - lambda)^2 is 2/3 for uniform lambda. Residuals 3, -1: mean of squares 5, square of the mean 1."""
    assert squared_loss([3.0, -1.0], alpha=alpha) == pytest.approx(float(own * 5 + (1 - own)))
    assert squared_loss([[3.0, 0.0], [-1.0, 2.0]], alpha=alpha) == pytest.approx(float(own * 7 + (1 - own) * 2))


def test_the_squared_loss_against_all_pairs():
    """Every pair of 7 points and a fine grid of lambda, with the model itself evaluated at the mixtures."""
    rng = np.random.default_rng(0)
    x, y, w, b = rng.normal(size=(7, 3)), rng.normal(size=7), rng.normal(size=3), 0.4
    grid = (np.arange(20000) + 0.5) / 20000
    for alpha, density in ((1, np.ones(20000)), (2, 6 * grid * (1 - grid)), (3, 30 * (grid * (1 - grid)) ** 2)):
        total = 0.0
        for s in range(7):
            for t in range(7):
                mixed = grid[:, None] * x[s] + (1 - grid)[:, None] * x[t]
                error = mixed @ w + b - (grid * y[s] + (1 - grid) * y[t])
                total += (density * error**2).mean()
        assert squared_loss(x @ w + b - y, alpha=alpha) == pytest.approx(total / 49, rel=1e-6)


def mixup_minimiser(inputs, targets, alpha):
    """Least squares on the plain rows and the mean row, weighted as the formula has it."""
    own = 0.5 if math.isinf(alpha) else (alpha + 1) / (2 * alpha + 1)
    n = len(inputs)
    rows = np.concatenate([inputs * math.sqrt(own / n), inputs.mean(axis=0)[None] * math.sqrt(1 - own)])
    values = np.concatenate([targets * math.sqrt(own / n), targets.mean(axis=0)[None] * math.sqrt(1 - own)])
    return np.linalg.lstsq(rows, values, rcond=None)[0]


@given(st.integers(1, 5), st.integers(2, 30), st.sampled_from(ALPHAS), st.integers(0, 10**6))
def test_with_an_intercept_mixup_and_plain_training_have_the_same_minimiser(d, n, alpha, seed):
    """Any data, any alpha, fewer or more points than parameters; the targets are one-hot classes."""
    rng = np.random.default_rng(seed)
    inputs = np.concatenate([rng.normal(size=(n, d)), np.ones((n, 1))], axis=1)
    targets = np.eye(3)[rng.integers(3, size=n)]
    plain = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    np.testing.assert_allclose(inputs @ mixup_minimiser(inputs, targets, alpha), inputs @ plain, atol=1e-7)
    least = squared_loss(inputs @ plain - targets, alpha=alpha)
    for _ in range(5):
        elsewhere = plain + rng.normal(size=plain.shape) * 10.0 ** rng.integers(-3, 2)
        assert squared_loss(inputs @ elsewhere - targets, alpha=alpha) >= least - 1e-12


def test_without_an_intercept_they_differ():
    """w x on (1, 0) and (2, 1): plain 2/5. Mixup, alpha 1: 2/3 (5 w - 2) + 1/2 (3 w - 1) = 0 for half the slope, 11/29."""
    inputs, targets = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    assert np.linalg.lstsq(inputs, targets, rcond=None)[0].item() == pytest.approx(2 / 5)
    assert mixup_minimiser(inputs, targets, 1.0).item() == pytest.approx(11 / 29)
    slope = [squared_loss(inputs * w - targets, alpha=1) for w in (11 / 29 - 1e-3, 11 / 29, 11 / 29 + 1e-3)]
    assert slope[1] < min(slope[0], slope[2])


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": [0.0, 1.0]}, r"points was \[0.0, 1.0\]; they must be finite numbers, shape \(N, d\)"),
        ({"points": [[0.0], [math.nan]]}, "points was"),
        ({"points": np.empty((0, 2))}, "points was"),
        ({"labels": [0]}, r"labels was \[0\]; for 2 points it must hold as many integers"),
        ({"labels": [0.0, 1.0]}, "labels was"),
        ({"x": [0.0, 1.0]}, r"x was \[0.0, 1.0\]; for points of 1 dimensions"),
        ({"x": 0.0}, "x was 0.0"),
        ({"x": [math.inf]}, "x was"),
        ({"radius": 0.0}, "radius was 0.0; it must be a number, above 0"),
        ({"radius": math.inf}, "radius was inf"),
        ({"alpha": 0.0}, "alpha was 0.0; it must be a number, above 0; infinity is Midpoint Mixup"),
    ],
)
def test_refusals(arguments, message):
    given = {"x": [0.0], "points": [[0.0], [1.0]], "labels": [0, 1], "radius": 0.1, **arguments}
    with pytest.raises(ValueError, match=message):
        optimal_label(**given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blocked_points([[0.0]], [0], tolerance=-1), "tolerance was -1"),
        (lambda: squared_loss([]), r"residuals was \[\]; they must be finite"),
        (lambda: squared_loss([math.nan]), "residuals was"),
        (lambda: squared_loss([1.0], alpha=-1), "alpha was -1"),
    ],
)
def test_more_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The paper's theory on quadratic losses: its rates, its limits and its criterion, in exact numbers worked by hand."""

import math
import re
from fractions import Fraction as F
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from learn2mix import Mixer
from learn2mix.bench import theory
from learn2mix.bench.theory import (
    QuadraticGroups,
    advantage,
    contraction_rate,
    descend,
    final_rate,
    helpful_mixing_rates,
    largest_mixing_rate,
    nearer,
    proportions_bound,
)
from learn2mix.bench.theory.propositions import TO_THE_FLATTER, TO_THE_STEEPER
from learn2mix.policies import Learn2Mix, State

PICTURE = Path(__file__).parents[1] / "docs" / "theory.svg"

# The worked example: two groups, one parameter, theta* = 0, L_1 = theta^2 / 2 + 1, L_2 = 3 theta^2 / 2 + 1, from theta = 2
# and alpha~ = (3/4, 1/4), with eta = 1/4 and gamma = 1/2.
#   step 1: curvature 3/4 + 3/4 = 3/2, theta = 2 (1 - 3/8) = 5/4;     losses 3, 7: alpha = halfway from 3/4 to 3/10 = 21/40
#   step 2: curvature 21/40 + 57/40 = 39/20, theta = 5/4 * 41/80;     losses 57/32, 107/32: from 21/40 to 57/164
STEEP, NATURAL = TO_THE_STEEPER
THETAS = [F(2), F(5, 4), F(41, 64)]
SHARES = [F(3, 4), F(21, 40), F(1431, 3280)]


def close(values, expected):
    """Compare with exact numbers to 1e-12."""
    np.testing.assert_allclose(values, np.array(expected, dtype=np.float64), rtol=1e-12, atol=0)


@st.composite
def runs(draw, max_groups=5):
    """Give groups that share a minimiser, and a start, alpha~ and eta for a run on them."""
    k, d = draw(st.integers(2, max_groups)), draw(st.integers(1, 4))
    share = draw(st.floats(0.02, 0.98))  # of the largest learning rate allowed
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    turns = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    stretched = turns * np.exp(rng.uniform(np.log(0.1), np.log(10), size=(k, 1, d)))
    matrices = stretched @ turns.transpose(0, 2, 1)
    floors = rng.exponential(size=k) * 10.0 ** draw(st.integers(-3, 2)) + 1e-4
    groups = QuadraticGroups((matrices + matrices.transpose(0, 2, 1)) / 2, floors, rng.normal(size=d))
    theta = groups.minimiser + rng.normal(size=d) * 10.0 ** draw(st.integers(-2, 2))
    natural = rng.dirichlet(np.ones(k))
    return groups, theta, {"natural": natural, "learning_rate": share * 2 / groups.bounds[1]}


def distances(groups, run):
    return np.linalg.norm(run.thetas - groups.minimiser, axis=1)


def misplaced(groups, run):
    """Share of a batch that goes to other groups than in the limit."""
    return np.abs(run.proportions - groups.limit).sum(axis=1) / 2


# --- A run, in exact numbers ------------------------------------------------------------------------------------------


def test_two_steps_worked_by_hand():
    run = descend(STEEP, [2.0], natural=NATURAL, learning_rate=0.25, steps=2, policy=Learn2Mix(0.5))
    close(run.thetas[:, 0], THETAS)
    close(run.proportions, [(share, 1 - share) for share in SHARES])
    close(run.losses[:2], [(3, 7), (F(57, 32), F(107, 32))])


def test_the_library_s_mixer_makes_the_same_run():
    """Batches of 40 hold 30 and 10, then 21 and 19 examples of the groups: just alpha, so that SGD is exact descent."""
    labels, curvature = torch.tensor([0] * 30 + [1] * 10), torch.tensor([1.0, 3.0], dtype=torch.float64)
    mixer = Mixer(labels, 40, policy=Learn2Mix(0.5), seed=0)
    theta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.25)
    for epoch in range(2):
        (batch,) = mixer.batch_sampler
        losses = curvature[labels[batch]] * theta**2 / 2 + 1
        mixer.observe(losses, labels[batch])
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        mixer.step()
        close(theta.item(), THETAS[epoch + 1])
        close(mixer.proportions[0], SHARES[epoch + 1])


def test_a_run_against_rational_arithmetic():
    """Three groups in one dimension, nine steps, with theta* = 1/3; the reference never rounds."""
    curvatures, floors, eta, gamma = [F(1, 2), F(2), F(5)], [F(3), F(1), F(1, 7)], F(1, 5), F(1, 3)
    star, theta, alpha = F(1, 3), F(-4), [F(1, 2), F(3, 10), F(1, 5)]
    thetas, alphas = [theta], [alpha]
    for _ in range(9):
        losses = [a * (theta - star) ** 2 / 2 + c for a, c in zip(curvatures, floors, strict=True)]
        theta -= eta * sum(share * a for share, a in zip(alpha, curvatures, strict=True)) * (theta - star)
        alpha = [share + gamma * (loss / sum(losses) - share) for share, loss in zip(alpha, losses, strict=True)]
        thetas.append(theta)
        alphas.append(alpha)
    groups = QuadraticGroups([float(a) for a in curvatures], [float(c) for c in floors], [1 / 3])
    run = descend(
        groups, [-4.0], natural=[0.5, 0.3, 0.2], learning_rate=0.2, steps=9, policy=Learn2Mix(mixing_rate=1 / 3)
    )
    close(run.thetas[:, 0] - 1 / 3, [theta - star for theta in thetas])
    close(run.proportions, alphas)


# --- Proposition 2.3 --------------------------------------------------------------------------------------------------


def test_the_contraction_rate_by_hand():
    assert contraction_rate(STEEP, learning_rate=0.25) == 3 / 4  # |1 - 1/4| and |1 - 3/4|
    assert contraction_rate(STEEP, learning_rate=0.625) == 7 / 8  # |1 - 5/8| and |1 - 15/8|
    assert contraction_rate(STEEP, learning_rate=2 / 3) == pytest.approx(1)  # eta = 2 / L*


def test_the_bounds_of_the_curvature_are_those_of_single_groups():
    """Eigenvalues 1, 4 and 2, 3; half of each is diag(2, 3.5)."""
    groups = QuadraticGroups([np.diag([1.0, 4.0]), np.diag([3.0, 3.0])], floors=[1, 1])
    assert groups.bounds == (1, 4)
    close(groups.hessian([0.5, 0.5]), np.diag([2.0, 3.5]))


@given(run=runs(), gamma=st.floats(0, 1))
def test_theta_contracts_at_least_at_rho(run, gamma):
    groups, theta, setting = run
    path = distances(groups, descend(groups, theta, steps=40, policy=Learn2Mix(gamma), **setting))
    rho = contraction_rate(groups, learning_rate=setting["learning_rate"])
    assert rho < 1
    assert (path[1:] <= rho * path[:-1] + 1e-13).all()
    assert (path <= rho ** np.arange(41) * path[0] + 1e-12).all()


class _Erratic:
    """Proportions that have nothing to do with the losses."""

    def init(self, prior):
        self.rng = np.random.default_rng(0)
        return State(prior)

    def update(self, state, losses, *, counts, **signals):
        return State(self.rng.dirichlet(np.full(len(losses), 0.1)))


@given(run=runs())
def test_theta_contracts_whatever_the_proportions_do(run):
    """Prop. 2.3's bound on theta says nothing for Algorithm 2: it holds for proportions drawn by lot."""
    groups, theta, setting = run
    path = distances(groups, descend(groups, theta, steps=40, policy=_Erratic(), **setting))
    rho = contraction_rate(groups, learning_rate=setting["learning_rate"])
    assert (path <= rho ** np.arange(41) * path[0] + 1e-12).all()


@given(run=runs(), gamma=st.floats(0, 1))
def test_the_error_of_alpha_follows_the_recursion_and_stays_within_the_bound(run, gamma):
    groups, theta, setting = run
    path = descend(groups, theta, steps=60, policy=Learn2Mix(gamma), **setting)
    error, target = path.proportions - groups.limit, path.losses / path.losses.sum(axis=1, keepdims=True)
    expected = (1 - gamma) * error[:-1] + gamma * (target[:-1] - groups.limit)
    np.testing.assert_allclose(error[1:], expected, rtol=0, atol=1e-13)
    bound = proportions_bound(groups, theta, mixing_rate=gamma, steps=60, **setting)
    assert (misplaced(groups, path) <= bound + 1e-12).all()
    assert (bound <= 1).all()
    assert (np.abs(error).max(axis=1) <= bound + 1e-12).all()  # no group's share is further off than that


@given(run=runs(), gamma=st.floats(0.05, 1))
def test_the_bound_falls_like_the_slower_of_the_two_rates(run, gamma):
    """Its closed form: q / (C + q) <= q / C makes it a geometric sum, equal to K (a^t - b^t) / (a - b)."""
    groups, theta, setting = run
    rho, times = contraction_rate(groups, learning_rate=setting["learning_rate"]), np.arange(200)
    a, b = 1 - gamma, rho**2
    assume(abs(a - b) > 1e-3)
    bound = proportions_bound(groups, theta, mixing_rate=gamma, steps=199, **setting)
    steepest = np.linalg.eigvalsh(groups.curvatures).max(axis=1).sum()
    excess = steepest * np.sum((theta - groups.minimiser) ** 2) / 2 / groups.floors.sum()
    closed = a**times * bound[0] + gamma * excess * (a**times - b**times) / (a - b)
    assert (bound <= closed * (1 + 1e-9) + 1e-15).all()
    assert (closed <= (bound[0] + gamma * excess / abs(a - b)) * max(a, b) ** times * (1 + 1e-9)).all()


def test_the_bound_by_hand():
    """Half of |1/4| + |-1/4|; q = 4 / 2 * (1 + 3) = 8 and C = 2; then q = 8 * 9/16."""
    bound = proportions_bound(STEEP, [2.0], natural=NATURAL, learning_rate=0.25, mixing_rate=0.5, steps=2)
    second = F(1, 8) + F(1, 2) * F(8, 10)
    close(bound, [F(1, 4), second, second / 2 + F(1, 2) * F(9, 2) / (2 + F(9, 2))])


# Both groups have curvature 1 and eta = 1/2, so that theta halves at every step and rho^2 = 1/4 is met exactly. With
# c = (1, 3) and q = theta^2 / 2 = 2 * 4^-t the target's error is (1 + q) / (4 + 2 q) - 1/4 = q / (8 + 4 q), or 4^-t / 4.
ALIKE = QuadraticGroups([1, 1], floors=[1, 3])


@pytest.mark.parametrize(("gamma", "rate"), [(0.25, 0.75), (0.5, 0.5), (0.9, 0.25), (1.0, 0.25)])
def test_alpha_converges_at_the_slower_of_the_two_rates(gamma, rate):
    run = descend(ALIKE, [2.0], natural=[0.5, 0.5], learning_rate=0.5, steps=16, policy=Learn2Mix(gamma))
    error = misplaced(ALIKE, run)
    assert error[16] / error[15] == pytest.approx(rate, rel=2e-5)


def test_where_the_two_rates_are_equal_a_factor_t_comes_in():
    """1 - gamma = rho^2 = 1/4: 4^t e_t grows by gamma * 4 * 1/4 = 3/4 a step."""
    run = descend(ALIKE, [2.0], natural=[0.5, 0.5], learning_rate=0.5, steps=13, policy=Learn2Mix(0.75))
    scaled = misplaced(ALIKE, run) * 4.0 ** np.arange(14)
    assert scaled[13] - scaled[12] == pytest.approx(0.75, rel=1e-6)


def test_without_mixing_alpha_stays():
    run = descend(STEEP, [2.0], natural=NATURAL, learning_rate=0.25, steps=50, policy=Learn2Mix(0))
    assert (run.proportions == NATURAL).all()
    assert distances(STEEP, run)[50] == pytest.approx(2 * (5 / 8) ** 50)


@pytest.mark.parametrize(
    ("example", "learn2mix", "classical"), [(TO_THE_STEEPER, 1 / 2, 5 / 8), (TO_THE_FLATTER, 5 / 8, 1 / 2)]
)
def test_the_floors_alone_decide_which_is_faster_in_the_end(example, learn2mix, classical):
    """Curvatures 1 and 3, eta 1/4: halves make 2 and 1 - 2/4; (3/4, 1/4) makes 3/2 and 1 - 3/8. Both have rho = 3/4."""
    groups, natural = example
    for gamma, shares, rate in ((0.1, groups.limit, learn2mix), (0.0, natural, classical)):
        assert final_rate(groups, shares, learning_rate=0.25) == rate
        run = descend(groups, [2.0], natural=natural, learning_rate=0.25, steps=150, policy=Learn2Mix(gamma))
        path = distances(groups, run)
        assert path[150] / path[149] == pytest.approx(rate, rel=1e-6)


def test_the_final_rate_is_that_of_the_slowest_direction():
    """Curvatures (1, 4) and (3, 2), halves (2, 3), eta 1/4: 1 - 1/2 and 1 - 3/4."""
    groups = QuadraticGroups([np.diag([1.0, 4.0]), np.diag([3.0, 2.0])], floors=[1, 1])
    assert final_rate(groups, groups.limit, learning_rate=0.25) == 1 / 2


def test_the_figures_of_the_page():
    """After 60 steps of the two runs that the picture shows."""
    ends = {}
    for name, (groups, natural) in {"steep": TO_THE_STEEPER, "flat": TO_THE_FLATTER}.items():
        for gamma in (0.1, 0.0):
            run = descend(groups, [2.0], natural=natural, learning_rate=0.25, steps=60, policy=Learn2Mix(gamma))
            ends[name, gamma] = float(f"{distances(groups, run)[60]:.1e}")
    assert ends == {("steep", 0.1): 1.1e-17, ("steep", 0.0): 1.1e-12, ("flat", 0.1): 8.2e-14, ("flat", 0.0): 1.7e-18}


def test_where_the_losses_vanish_there_is_no_limit_to_name():
    """No floors: the target is A / sum(A) at every theta, though c / sum(c) is 0 / 0."""
    groups = QuadraticGroups([1, 3], floors=[0, 0])
    with pytest.raises(ValueError, match=r"floors was all 0"):
        groups.limit  # noqa: B018
    run = descend(groups, [2.0], natural=NATURAL, learning_rate=0.25, steps=100, policy=Learn2Mix(0.5))
    close(run.proportions[-1], [F(1, 4), F(3, 4)])


# --- Groups that do not share their minimiser -------------------------------------------------------------------------
#
# L_1 = theta^2 / 2 + 1/16 and L_2 = (theta - 1)^2 / 2 + 1, alpha~ = (3/4, 1/4). The weighted minimiser is theta =
# alpha_2. A resting point needs alpha_2 = L_2 / (L_1 + L_2) there: at 3/4, L_1 = 9/32 + 2/32 and L_2 = 1/32 + 32/32, 33
# to 11, and there is no other: a (L_1 + L_2) - L_2 rises in a. The classical minimiser is 1/4, the losses there 3/32 and
# 41/32.
APART = QuadraticGroups([1, 1], floors=[1 / 16, 1], minimisers=[[0], [1]])


def test_without_a_shared_minimiser_learn2mix_ends_elsewhere():
    setting = {"natural": NATURAL, "learning_rate": 0.25, "steps": 400}
    classical = descend(APART, [2.0], policy=Learn2Mix(0), **setting)
    close(classical.thetas[-1], [F(1, 4)])
    close(APART.weighted_minimiser(NATURAL), [F(1, 4)])
    there = classical.losses[-1] / classical.losses[-1].sum()
    close(there, [F(3, 44), F(41, 44)])

    run = descend(APART, [2.0], policy=Learn2Mix(0.1), **setting)
    close(run.thetas[-1], [F(3, 4)])
    close(run.proportions[-1], [F(1, 4), F(3, 4)])  # and not 3/44, 41/44
    close(run.losses[-1], [F(11, 32), F(33, 32)])


@given(run=runs(max_groups=3), seed=st.integers(0, 2**32))
def test_where_learn2mix_comes_to_rest(run, seed):
    """At the minimiser of its own weighted loss, with the normalised losses of that point for proportions."""
    shared, theta, setting = run
    apart = np.random.default_rng(seed).normal(size=(len(shared.floors), len(theta)))
    groups = QuadraticGroups(shared.curvatures, shared.floors + 1, apart)
    path = descend(groups, theta, policy=Learn2Mix(0.05), steps=1500, **setting)
    assume(np.abs(path.thetas[-1] - path.thetas[-2]).max() < 1e-12)  # it may also go round for ever: the next test
    np.testing.assert_allclose(path.thetas[-1], groups.weighted_minimiser(path.proportions[-1]), rtol=0, atol=1e-8)
    np.testing.assert_allclose(path.proportions[-1], path.losses[-1] / path.losses[-1].sum(), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("rate", "rests"), [(0.5, True), (0.9, False)])
def test_without_a_shared_minimiser_it_may_never_come_to_rest(rate, rests):
    """Though eta < 2 / L* = 2 and gamma < 1, as Prop. 2.3 asks.

    Minimisers 0 and 1, both floors 1/56: by symmetry it could rest at theta = alpha_2 = 1/2, where both losses are
    1/8 + 1/56 = 1/7 and the target falls by 7/4 a unit of theta. Around it a step is [[1 - eta, eta], [-7/4 gamma, 1 -
    gamma]]; with eta = gamma = s its eigenvalues 1 - s +- i s sqrt(7/4) have modulus^2 (1 - s)^2 + 7/4 s^2: 11/16 at 1/2,
    571/400 at 9/10.
    """
    groups = QuadraticGroups([1, 1], floors=[1 / 56, 1 / 56], minimisers=[[0], [1]])
    run = descend(
        groups, [0.5 + 1e-6], natural=[0.5, 0.5], learning_rate=rate, steps=400, policy=Learn2Mix(mixing_rate=rate)
    )
    late = np.abs(run.thetas[-50:, 0] - 0.5)
    assert late.max() < 1e-12 if rests else late.max() > 0.3


def test_what_needs_a_shared_minimiser_says_so():
    for call in (
        lambda: APART.minimiser,
        lambda: APART.limit,
        lambda: contraction_rate(APART, learning_rate=0.1),
        lambda: final_rate(APART, NATURAL, learning_rate=0.1),
        lambda: largest_mixing_rate(APART, [0.0], natural=NATURAL, learning_rate=0.1),
        lambda: proportions_bound(APART, [0.0], natural=NATURAL, learning_rate=0.1, mixing_rate=0.1, steps=1),
    ):
        with pytest.raises(ValueError, match="need one that all groups share"):
            call()


# --- Proposition 2.5: when a step is nearer ---------------------------------------------------------------------------

SMALL = st.integers(-50, 50)
TRIPLES = st.integers(1, 4).flatmap(lambda d: st.tuples(*[st.lists(SMALL, min_size=d, max_size=d)] * 3))


@given(vectors=TRIPLES, sixteenths=st.integers(1, 64))
def test_the_criterion_is_the_same_as_ending_nearer(vectors, sixteenths):
    """Small whole numbers and sixteenths are exact in float64: no tolerance, and ties count."""
    apart, g, other = (np.array(vector, dtype=np.float64) for vector in vectors)
    eta = sixteenths / 16
    end, reference = (float(v @ v) for v in (apart - eta * g, apart - eta * other))
    assert nearer(apart, g, other, learning_rate=eta) == (end <= reference)
    assert eta * advantage(apart, g, other, learning_rate=eta) == reference - end
    # the criterion as the paper's proof has it
    assert nearer(apart, g, other, learning_rate=eta) == (eta * (g @ g - other @ other) <= 2 * apart @ (g - other))


@pytest.mark.parametrize(
    ("eta", "left", "ends", "holds"),
    [
        (F(1, 4), F(621, 400), (F(41, 40), F(5, 4)), True),
        (F(7, 12), F(1449, 400), (F(-11, 40), F(1, 4)), False),
    ],
)
def test_the_criterion_by_hand(eta, left, ends, holds):
    """The worked example at theta = 2: alpha = 21/40 after one update, g = 2 * 39/20 and g~ = 2 * 3/2.

    The right side is 2 * 2 * (39/10 - 3) = 18/5 = 1440/400. With the larger eta, still below 2/3, the step overshoots.
    """
    gradients = STEEP.gradients([2.0])
    g, other = np.array([0.525, 0.475]) @ gradients, np.array(NATURAL) @ gradients
    close([g[0], other[0]], [F(39, 10), 3])
    close([2 - float(eta) * g[0], 2 - float(eta) * other[0]], ends)
    close(advantage([2.0], g, other, learning_rate=float(eta)), F(18, 5) - left)
    assert nearer([2.0], g, other, learning_rate=float(eta)) is holds


@pytest.mark.parametrize(
    ("groups", "natural", "eta", "beta"),
    [
        # Weight moves to the steeper group: h = 2 * 9/20 * (3 - 1) = 9/5, e~ = 2 (1 - 3/2 eta), beta = 2 e~ / (eta h).
        (STEEP, (0.75, 0.25), F(1, 4), 1),  # 50/9
        (STEEP, (0.75, 0.25), F(7, 12), F(10, 21)),
        (STEEP, (0.75, 0.25), F(5, 8), F(2, 9)),  # e~ = 1/8, and 1/4 * 8/9
        # Weight moves to the flatter group: losses 12 and 8, target (3/5, 2/5), h = 2 (1/10 - 3/10) = -2/5, e~ = 1.
        (QuadraticGroups([1, 3], floors=[10, 2]), (0.5, 0.5), F(1, 4), 0),
        # The same from alpha~ = (1/4, 3/4), where eta = 1/2 overshoots to e~ = -1/2: now flatter helps, 2 e~ / (eta h) > 1.
        (QuadraticGroups([1, 3], floors=[10, 2]), (0.25, 0.75), F(1, 2), 1),
        # Losses 3 and 7 from (3/10, 7/10): nothing moves, every rate is a draw.
        (STEEP, (0.3, 0.7), F(1, 4), 1),
    ],
)
def test_the_largest_mixing_rate_by_hand(groups, natural, eta, beta):
    found = largest_mixing_rate(groups, [2.0], natural=natural, learning_rate=float(eta))
    assert found == pytest.approx(float(beta), rel=1e-12)


def test_the_best_mixing_rate_is_half_of_the_largest():
    """eta = 7/12, beta = 10/21: at beta the step lands at -1/4, as far as the classical 1/4; at 5/21 on theta* itself."""
    losses = STEEP.losses([2.0])
    for gamma, end in ((0, F(1, 4)), (5 / 21, 0), (10 / 21, F(-1, 4))):
        shares = Learn2Mix(gamma).update(State(np.array(NATURAL)), losses, counts=np.ones(2)).proportions
        assert 2 - 7 / 12 * (shares @ STEEP.gradients([2.0]))[0] == pytest.approx(float(end), abs=1e-12)


@pytest.mark.parametrize(("theta", "beta"), [(2.0, 1), (1.5, 1), (1.4, 0), (0.1, 0)])
def test_the_same_groups_far_away_and_near(theta, beta):
    """L_1 = theta^2 / 2 + 3 and L_2 = 3 theta^2 / 2 + 1 cross at theta^2 = 2: below, the flatter group is the harder."""
    groups, natural = TO_THE_FLATTER
    assert largest_mixing_rate(groups, [theta], natural=natural, learning_rate=0.25) == beta


def brute_force(groups, theta, rates, *, natural, learning_rate, present):
    """Take the steps, with the policy's own update: squared distances, and that of the classical step."""
    losses, gradients = groups.losses(theta), groups.gradients(theta)
    ends = []
    for shares in [
        *(Learn2Mix(g).update(State(present), losses, counts=np.ones(len(losses))).proportions for g in rates),
        natural,
    ]:
        ends.append(float(np.sum((theta - learning_rate * shares @ gradients - groups.minimiser) ** 2)))
    return np.array(ends[:-1]), ends[-1]


@given(run=runs(), elsewhere=st.booleans(), seed=st.integers(0, 2**32))
def test_helpful_rates_against_brute_force(run, elsewhere, seed):
    groups, theta, setting = run
    present = np.random.default_rng(seed).dirichlet(np.ones(len(groups.floors))) if elsewhere else setting["natural"]
    rates = np.linspace(0, 1, 201)
    ends, classical = brute_force(groups, theta, rates, present=present, **setting)
    found = helpful_mixing_rates(groups, theta, present=present if elsewhere else None, **setting)
    low, high = (2.0, -1.0) if found is None else found
    inside = (rates >= low) & (rates <= high)
    assert (ends[inside] <= classical * (1 + 1e-9)).all()
    assert (ends[~inside] >= classical * (1 - 1e-9)).all()
    if not elsewhere:
        assert low == 0
        assert largest_mixing_rate(groups, theta, **setting) == high
    if found is not None and 0 < high < 1:  # at its end it is a draw
        (at_high,), _ = brute_force(groups, theta, [high], present=present, **setting)
        assert at_high == pytest.approx(classical, rel=1e-6)


@given(run=runs())
def test_for_small_steps_weight_must_move_to_loss_that_can_be_reduced(run):
    """(theta - theta*) . h = 2 sum (target - alpha~) (L - c) on quadratics, and e~ = theta - theta* as eta goes to 0."""
    groups, theta, setting = run
    losses, setting = groups.losses(theta), {**setting, "learning_rate": 1e-7 / groups.bounds[1]}
    gain = (losses / losses.sum() - setting["natural"]) @ (losses - groups.floors)
    turn = (losses / losses.sum() - setting["natural"]) @ groups.gradients(theta)
    scale = losses.sum()
    assert (theta - groups.minimiser) @ turn == pytest.approx(2 * gain, rel=1e-9, abs=1e-9 * scale)
    assume(abs(gain) > 1e-4 * scale)
    assert largest_mixing_rate(groups, theta, **setting) == (1 if gain > 0 else 0)


@given(run=runs())
def test_without_floors_and_from_equal_shares_a_small_step_is_never_worse(run):
    """Then the sum is that of the losses, times sum p^2 - 1/k, p being their shares: 0 or more."""
    shared, theta, setting = run
    groups, k = QuadraticGroups(shared.curvatures, np.zeros(len(shared.floors)), shared.minimisers), len(shared.floors)
    shares = groups.losses(theta) / groups.losses(theta).sum()
    assume(shares @ shares > 1 / k + 1e-4)
    setting = {"natural": np.full(k, 1 / k), "learning_rate": 1e-7 / groups.bounds[1]}
    assert largest_mixing_rate(groups, theta, **setting) == 1


def test_all_three_kinds_of_beta_are_common():
    """No corner cases: of 300 random pairs of bowls in three dimensions, each kind has a tenth at least."""
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        turns = np.linalg.qr(rng.normal(size=(2, 3, 3)))[0]
        matrices = (turns * rng.uniform(0.1, 10, size=(2, 1, 3))) @ turns.transpose(0, 2, 1)
        groups = QuadraticGroups((matrices + matrices.transpose(0, 2, 1)) / 2, rng.uniform(0.1, 10, size=2))
        setting = {"natural": rng.dirichlet([1, 1]), "learning_rate": 1.8 / groups.bounds[1]}
        found.append(largest_mixing_rate(groups, rng.normal(size=3), **setting))
    none, all_ = found.count(0), found.count(1)
    assert min(none, all_, 300 - none - all_) >= 30


@pytest.mark.parametrize(
    ("target", "expected"), [((0.25, 0.75), (0.5, 1)), ((0.75, 0.25), None), ((0.8, 0.2), None), ((0.7, 0.3), None)]
)
def test_helpful_rates_in_the_middle_of_a_run(target, expected):
    """alpha has got to (3/4, 1/4), curvature 3/2; the classical step, at 2, leaves half of the error.

    Towards (1/4, 3/4), curvature 5/2, the step leaves (5/2 - gamma) / 4: half or less from gamma = 1/2. Towards (7/10,
    3/10) it would take gamma = 5; away from there, or at rest, it never gets there.
    """
    groups, natural = TO_THE_FLATTER
    found = helpful_mixing_rates(
        groups, [1.0], natural=natural, present=(0.75, 0.25), target=target, learning_rate=0.25
    )
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_helpful_rates_in_two_dimensions():
    """Eta = 1/4 leaves (1 - a/4) of each coordinate of (4, 1), a being its weighted curvature: (2, 1/2) classically."""
    matrices = [np.diag(diagonal) for diagonal in ([2.0, 1.0], [2.0, 3.0], [1.0, 1.0], [1.0, 5.0])]
    groups = QuadraticGroups(matrices, floors=[1, 1, 1, 1])
    setting = {"natural": (0.5, 0.5, 0, 0), "learning_rate": 0.25}
    first, second, third, fourth = np.eye(4)
    # at (4, 0) the first two groups have one gradient: nothing turns, any rate is a draw
    assert helpful_mixing_rates(groups, [4.0, 0.0], target=first, **setting) == (0, 1)
    # from (2, 1/2) towards (2, 3/4), and towards (2, 1/4)
    assert helpful_mixing_rates(groups, [4.0, 1.0], target=first, **setting) == (0, 0)
    assert helpful_mixing_rates(groups, [4.0, 1.0], target=second, **setting) == (0, 1)
    # from (2, 3/4) towards (2, 5/8): rate 2 would do; from (3, 3/4) towards (3, -1/4): none would, past 2
    assert helpful_mixing_rates(groups, [4.0, 1.0], present=first, target=(0.75, 0.25, 0, 0), **setting) is None
    assert helpful_mixing_rates(groups, [4.0, 1.0], present=third, target=fourth, **setting) is None


# --- Errors, and the picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"curvatures": [[1, 2]]}, r"curvatures had shape \(1, 2\); it must be \(k, d, d\)"),
        ({"floors": [1]}, r"floors had shape \(1,\); for 2 groups and 1 parameters it must be \(2,\)"),
        ({"minimisers": [[0, 0]]}, r"minimisers had shape \(1, 2\); .* it must be \(2, 1\)"),
        ({"floors": [1, math.nan]}, r"floors was \[1.0, nan\]; all of it must be finite"),
        ({"floors": [1, -1]}, r"floors was \[1.0, -1.0\]; losses that mix must be 0 or more"),
        ({"curvatures": [1, 0]}, r"held the eigenvalue 0; all must be above 0"),
        ({"curvatures": [[[1, 1], [0, 1]]] * 2, "minimisers": [0, 0]}, r"a matrix and its transpose 1 apart"),
    ],
)
def test_groups_that_are_none(arguments, told):
    QuadraticGroups(curvatures=[1, 3], floors=[1, 1], minimisers=[0])
    with pytest.raises(ValueError, match=told):
        QuadraticGroups(**{"curvatures": [1, 3], "floors": [1, 1], "minimisers": [0], **arguments})


def test_groups_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        STEEP.floors[0] = 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"theta": [1.0, 2.0]}, r"theta had shape \(2,\); there are 1 parameters"),
        ({"natural": [1.0]}, r"shape \(1,\); there are 2 groups"),
        ({"learning_rate": 0.0}, r"learning_rate was 0.0; it must be a number, above 0"),
        ({"steps": -1}, r"steps was -1; it must be 0 or more"),
    ],
)
def test_runs_that_are_none(arguments, told):
    with pytest.raises(ValueError, match=told):
        descend(STEEP, **{"theta": [2.0], "natural": NATURAL, "learning_rate": 0.25, "steps": 1, **arguments})


def test_vectors_of_different_lengths_have_no_criterion():
    with pytest.raises(ValueError, match=r"had shapes \(1,\), \(2,\) and \(1,\); all must be \(d,\)"):
        advantage([1.0], [1.0, 2.0], [1.0], learning_rate=0.1)


def test_a_target_needs_losses():
    groups = QuadraticGroups([1, 3], floors=[0, 0])
    with pytest.raises(ValueError, match=r"all losses at theta \[0.0\] were 0"):
        largest_mixing_rate(groups, [0.0], natural=NATURAL, learning_rate=0.1)


def test_the_picture_is_the_same_every_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        theory.draw(tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    assert "<dc:date>" not in drawn
    stored = PICTURE.read_text()
    made_with = re.compile(r"Matplotlib v[\d.]+")
    if made_with.search(drawn)[0] == made_with.search(stored)[0]:  # another release may draw the same otherwise
        assert drawn == stored

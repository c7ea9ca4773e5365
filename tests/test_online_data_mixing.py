"""Online data mixing: both forms by hand and against the formulas written out, and how long it stays even."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import SIZES, arm_of, of_groups, toy, toy_job
from harness import Training, assert_resumes, small_mixer, states_of
from learn2mix import Mixer
from learn2mix.bench.methods.online_data_mixing import OnlineDataMixing as OnlineDataMixingMethod
from learn2mix.policies import OnlineDataMixing

FORMS = ["paper", "released"]
EPOCHS = st.lists(
    st.tuples(st.lists(st.floats(0, 10), min_size=4, max_size=4), st.lists(st.integers(0, 2), min_size=4, max_size=4)),
    min_size=1,
    max_size=12,
)


def proportions_of(*arguments):
    return np.array([state.proportions for state in states_of(*arguments)])


def epsilon(num_groups, t):
    return min(1 / num_groups, math.sqrt(math.log(num_groups) / (num_groups * t))) if t else 1 / num_groups


def written_out(form, smoothing, prior, epochs, counts):
    """Both forms, one number at a time, as the formulas stand."""
    k = len(prior)
    pi, rewards = ([1 / k] * k if form == "paper" else list(prior)), [0.0] * k
    for t, (losses, seen) in enumerate(zip(epochs, counts, strict=True), start=1):
        for i in range(k):
            if seen[i]:
                heard = losses[i] / pi[i] if form == "paper" else math.exp(losses[i])
                rewards[i] = smoothing * rewards[i] + (1 - smoothing) * heard
        powers = [math.exp(epsilon(k, t - 1) * r) for r in rewards] if form == "paper" else rewards
        chosen = [power / sum(powers) if sum(powers) else 1 / k for power in powers]
        pi = [(1 - k * epsilon(k, t)) * share + epsilon(k, t) for share in chosen]
    return pi


def test_the_papers_form_by_hand():
    """Two groups: eps_0 = eps_1 = 1/2, 2 eps_2 = sqrt(ln 2), 2 eps_3 = sqrt(2 ln 2 / 3).

    Losses 1 and 3 over shares 1/2: rewards a tenth of 2 and 6. The second update adds nine tenths of that: 0.38 and
    1.14, halved by eps_1. The third sees group 0 alone, with loss 1 over its share pi_2; eps_2 in the exponent.
    """
    states = states_of(OnlineDataMixing(), [0.9, 0.1], [[1, 3], [1, 3], [1, 9]], [[1, 1], [2, 2], [4, 0]])
    np.testing.assert_array_equal([state.proportions for state in states[:2]], [[0.5, 0.5]] * 2)
    np.testing.assert_allclose(states[1].rewards, [0.2, 0.6], rtol=1e-14)
    np.testing.assert_allclose(states[2].rewards, [0.38, 1.14], rtol=1e-14)
    even = math.sqrt(math.log(2))
    first = (1 - even) / (1 + math.exp(0.57 - 0.19)) + even / 2
    np.testing.assert_allclose(states[2].proportions, [first, 1 - first], rtol=1e-14)
    reward = 0.9 * 0.38 + 0.1 / first
    np.testing.assert_allclose(states[3].rewards, [reward, 1.14], rtol=1e-14)
    even_next = math.sqrt(2 * math.log(2) / 3)
    first = (1 - even_next) / (1 + math.exp(even / 2 * (1.14 - reward))) + even_next / 2
    np.testing.assert_allclose(states[3].proportions, [first, 1 - first], rtol=1e-14)
    assert states[3].updates == 3


def test_the_released_form_by_hand():
    """Losses ln 2 and ln 6: rewards a tenth of 2 and 6, shares 1 : 3 of what is not even; group 0 alone: 0.542 : 1.14."""
    policy = OnlineDataMixing(form="released")
    losses = [math.log(2), math.log(6)]
    states = states_of(policy, [0.9, 0.1], [losses] * 3, [[1, 1], [2, 2], [4, 0]])
    assert states[0].proportions.tolist() == [0.9, 0.1]
    assert states[1].proportions.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(np.exp(states[1].rewards), [0.2, 0.6], rtol=1e-14)
    even = math.sqrt(math.log(2))
    expected = (1 - even) * np.array([0.25, 0.75]) + even / 2
    np.testing.assert_allclose(states[2].proportions, expected, rtol=1e-14)
    np.testing.assert_allclose(np.exp(states[3].rewards), [0.542, 1.14], rtol=1e-14)
    even = math.sqrt(2 * math.log(2) / 3)
    expected = (1 - even) * np.array([0.542, 1.14]) / 1.682 + even / 2
    np.testing.assert_allclose(states[3].proportions, expected, rtol=1e-14)


def test_three_groups_by_hand():
    """3 ln 3 = 3.2958: even for three updates, then 3 eps_4 = sqrt(3.2958 / 4); rewards 1 - 0.9^4 of 3 L under 1/3 each."""
    policy, losses = OnlineDataMixing(), [0.0, 1.0, 2.0]
    states = states_of(policy, [0.2, 0.3, 0.5], [losses] * 4)
    for state in states[:4]:
        assert state.proportions.tolist() == [1 / 3] * 3
    rewards = (1 - 0.9**4) * 3 * np.array(losses)
    np.testing.assert_allclose(states[4].rewards, rewards, rtol=1e-14)
    even, powers = math.sqrt(3 * math.log(3) / 4), np.exp(rewards / 3)  # eps_3 is still 1/3
    np.testing.assert_allclose(states[4].proportions, (1 - even) * powers / powers.sum() + even / 3, rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
@given(epochs=EPOCHS, smoothing=st.sampled_from([0.0, 0.5, 0.9]))
def test_updates_are_those_of_the_formulas(form, epochs, smoothing):
    losses, counts = zip(*epochs, strict=True)
    prior = [0.1, 0.2, 0.3, 0.4]
    found = proportions_of(OnlineDataMixing(form=form, smoothing=smoothing), prior, losses, counts)[-1]
    np.testing.assert_allclose(found, written_out(form, smoothing, prior, losses, counts), rtol=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("num_groups", "even"), [(2, 1), (3, 3), (22, 68), (49, 190)])
def test_it_stays_even_until_the_updates_exceed_k_ln_k(form, num_groups, even):
    """K ln K is 1.39, 3.30, 68.004 and 190.7."""
    assert even == int(num_groups * math.log(num_groups))
    losses = np.arange(num_groups) / 10
    path = proportions_of(OnlineDataMixing(form=form), np.full(num_groups, 1 / num_groups), [losses] * (even + 1))
    assert (path[: even + 1] == 1 / num_groups).all()  # to the last bit
    assert (np.diff(path[even + 1]) > 0).all()


def test_every_group_keeps_an_even_share_of_epsilon():
    path = proportions_of(OnlineDataMixing(form="released"), [0.25] * 4, [[0, 0, 0, 50]] * 100)
    for t in range(1, 101):
        assert path[t].min() == pytest.approx(epsilon(4, t), rel=1e-9)


def test_in_the_papers_form_the_shares_return_to_even_ones():
    """R nears L / pi, so near even shares ln(pi_1 / pi_0) is about eps (6 - 2). The released form settles at e^2 to 1."""
    path = proportions_of(OnlineDataMixing(), [0.5, 0.5], [[1, 3]] * 2000)
    leaning = path[:, 1] - 0.5
    assert leaning.argmax() < 40
    assert leaning.max() > 0.05
    assert leaning[2000] == pytest.approx(4 * epsilon(2, 2000) / 4, rel=0.1)  # a quarter of the logarithm, near 1/2
    path = proportions_of(OnlineDataMixing(form="released"), [0.5, 0.5], [[1, 3]] * 2000)
    settled = 1 / (1 + math.exp(-2))
    assert path[2000, 1] == pytest.approx(settled + 2 * epsilon(2, 2000) * (0.5 - settled), rel=1e-9)


def test_a_group_not_seen_keeps_its_reward():
    for form in FORMS:
        first, second = states_of(OnlineDataMixing(form=form), [0.5, 0.5], [[1, 3], [100, 2]], [[1, 1], [0, 1]])[1:]
        assert second.rewards[0] == first.rewards[0]
        assert second.rewards[1] != first.rewards[1]


@pytest.mark.parametrize("form", FORMS)
@given(st.permutations(range(4)))
def test_the_order_of_groups_does_not_matter_to_missing_ones(form, order):
    policy, prior = OnlineDataMixing(form=form), np.array([0.1, 0.2, 0.3, 0.4])
    losses, counts = np.array([1.0, 3.0, 0.5, 2.0]), np.array([3, 0, 1, 2])
    plain = proportions_of(policy, prior, [losses] * 9, [counts] * 9)
    moved = proportions_of(policy, prior[order], [losses[order]] * 9, [counts[order]] * 9)
    np.testing.assert_allclose(moved, plain[:, order], rtol=1e-12)


def test_huge_losses_give_the_shares_that_small_ones_of_equal_differences_do():
    """exp(5000) overflows, but the rewards' ratio does not: the released form goes by the losses' differences alone."""
    small = proportions_of(OnlineDataMixing(form="released"), [0.5, 0.5], [[0, 1.5], [2, 1]] * 3)
    huge = proportions_of(OnlineDataMixing(form="released"), [0.5, 0.5], [[5000, 5001.5], [5002, 5001]] * 3)
    np.testing.assert_allclose(huge, small, rtol=1e-9)
    path = proportions_of(OnlineDataMixing(), [0.5, 0.5], [[0, 1e6]] * 2)
    even = math.sqrt(math.log(2))
    np.testing.assert_allclose(path[2], [even / 2, 1 - even / 2], rtol=1e-12)  # exp(1.9e5 / 2) to 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("losses", [[1.7e308, 1.7e308, 0.0], [-1.7e308, 1.7e308, 1.0], [5e-324, 0.0, 0.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_the_largest_losses_leave_shares(form, losses, smoothing):
    path = proportions_of(OnlineDataMixing(form=form, smoothing=smoothing), [0.2, 0.3, 0.5], [losses] * 9)
    assert np.isfinite(path).all()
    assert (path >= 0).all()
    np.testing.assert_allclose(path.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{"update_every": 1}, {}])
def test_it_goes_on_from_a_saved_state(form, options):
    policy = OnlineDataMixing(form=form, smoothing=0.5)
    assert_resumes(lambda: small_mixer(policy=policy, **options), Training(epochs=4), cuts=[0, 1, 6, 13])


@pytest.mark.parametrize("form", FORMS)
def test_a_mixer_draws_more_of_the_group_with_the_higher_loss(form):
    labels = torch.tensor([0] * 80 + [1] * 20)
    mixer = Mixer(labels, 10, policy=OnlineDataMixing(form=form), update_every=1)
    assert mixer.proportions.tolist() == ([0.5, 0.5] if form == "paper" else [0.8, 0.2])
    drawn = torch.zeros(2)
    for _ in range(3):
        for batch in mixer.batch_sampler:
            mixer.observe(1.0 + 2.0 * labels[batch], labels[batch])
            drawn += torch.bincount(labels[batch], minlength=2)
        mixer.step()
    assert drawn[1] > drawn[0]
    assert len(mixer.history) == 30


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (ValueError, {"form": "code"}, "form was 'code'; it must be one of 'paper', 'released'"),
        (ValueError, {"form": None}, "form was None"),
        (ValueError, {"smoothing": 1.0}, "smoothing was 1.0; it must be a number, at least 0 and below 1"),
        (TypeError, {"smoothing": "0.9"}, "smoothing was '0.9'"),
    ],
)
def test_refusals(error, given, message):
    with pytest.raises(error, match=message):
        OnlineDataMixing(**given)


@pytest.mark.parametrize("losses", [[1.0, math.nan], [1.0, math.inf], [1.0], [1.0, 2.0, 3.0]])
def test_losses_that_are_refused(losses):
    policy = OnlineDataMixing()
    with pytest.raises(ValueError, match=r"losses (was|had shape)"):
        policy.update(policy.init(np.array([0.5, 0.5])), np.array(losses), counts=np.ones(2))


# --- In the bench -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("released", [False, True])
def test_the_bench_method_moves_at_every_step(released):
    """Losses of groups 0, 1, 2 throughout, all in every batch of 8; against the formulas written out, update by update."""
    form, losses = ("released" if released else "paper"), [0.5, 1.0, 2.0]
    prior = np.array(SIZES) / 84
    arm = arm_of(OnlineDataMixingMethod(released=released, smoothing=0.5), toy_job())
    for step, _ in enumerate(arm.feed.epoch()):
        expected = written_out(form, 0.5, prior, [losses] * step, [[1, 1, 1]] * step)
        np.testing.assert_allclose(arm.feed.mixer.proportions, expected, rtol=1e-9)
        groups = torch.arange(8) % 3
        arm.feed.observe(torch.tensor(losses, dtype=torch.float64)[groups], of_groups(groups))
    assert step == 9


def test_the_bench_method_takes_the_papers_form():
    assert OnlineDataMixingMethod().settings(toy()) == {"released": False, "smoothing": 0.9}
    with pytest.raises(ValueError, match=r"smoothing was 1; it must be a number, at least 0 and below 1; 0.9 is its"):
        OnlineDataMixingMethod(smoothing=1)

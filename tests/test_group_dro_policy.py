"""Group DRO by sampling: updates worked by hand, the min-max point it is for, and what it does beside the worst."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import arm_of, of_groups, toy, toy_job
from harness import Training, assert_resumes, save_and_load, small_mixer
from learn2mix import Mixer
from learn2mix.bench.methods.group_dro_sampling import GroupDROSampling
from learn2mix.policies import GroupDRO

LOSSES = st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5)


def path_of(policy, prior, epochs, counts=None):
    """Give the proportions after each update, the start included."""
    state = policy.init(np.array(prior, dtype=np.float64))
    path = [state.proportions]
    for number, losses in enumerate(epochs):
        seen = np.ones(len(prior)) if counts is None else np.array(counts[number])
        state = policy.update(state, np.array(losses, dtype=np.float64), counts=seen)
        path.append(state.proportions)
    return np.array(path)


def ln(*numbers):
    return [math.log(number) for number in numbers]


def test_two_groups_by_hand():
    """Factors 1 and 3 from equal shares; then 3 and 1, back again; then 1 and 2."""
    path = path_of(GroupDRO(step_size=1.0), [0.9, 0.1], [ln(1, 3), ln(3, 1), ln(1, 2)])
    np.testing.assert_allclose(path, [[1 / 2, 1 / 2], [1 / 4, 3 / 4], [1 / 2, 1 / 2], [1 / 3, 2 / 3]], rtol=1e-14)


def test_three_groups_by_hand_with_some_not_seen():
    """Step size 1/2. Factors 2 : 1 : 4; then, without group 1, 4 : 1 on the 6/7 of the others; then group 1 alone."""
    epochs = [[2 * loss for loss in ln(*factors)] for factors in ((2, 1, 4), (4, 1e6, 1), (1, 8, 1))]
    path = path_of(GroupDRO(step_size=0.5), [0.2, 0.3, 0.5], epochs, [[5, 1, 1], [3, 0, 2], [0, 4, 0]])
    expected = [[1 / 3] * 3, [2 / 7, 1 / 7, 4 / 7], [4 / 7, 1 / 7, 2 / 7], [4 / 7, 1 / 7, 2 / 7]]
    np.testing.assert_allclose(path, expected, rtol=1e-14)


def test_the_adjustment_goes_by_the_root_of_the_groups_size():
    """Of 1000 examples 900 and 100: C / 30 and C / 10. C = 30 ln 2 gives factors 2 and 8; with losses ln 4 and 0, 8 and 8."""
    policy = GroupDRO(step_size=1.0, adjustment=30 * math.log(2), num_examples=1000)
    path = path_of(policy, [0.9, 0.1], [[0, 0]])
    np.testing.assert_allclose(path[1], [1 / 5, 4 / 5], rtol=1e-14)
    path = path_of(policy, [0.9, 0.1], [ln(4, 1), ln(4, 1)])
    np.testing.assert_allclose(path, [[1 / 2, 1 / 2]] * 3, rtol=1e-13)


@given(LOSSES, st.sampled_from([0.01, 1.0, 3.0]))
def test_updates_are_those_of_the_formula(epochs, step_size):
    """``q_g * exp(eta * L_g) / sum``, one number at a time."""
    q = [1 / 3] * 3
    for losses, found in zip(epochs, path_of(GroupDRO(step_size), [0.2, 0.3, 0.5], epochs)[1:], strict=True):
        q = [share * math.exp(step_size * loss) for share, loss in zip(q, losses, strict=True)]
        q = [share / sum(q) for share in q]
        np.testing.assert_allclose(found, q, rtol=1e-10, atol=1e-300)


@given(LOSSES, st.lists(st.integers(0, 1), min_size=3, max_size=3), st.floats(-3, 3))
def test_only_differences_among_the_groups_seen_count(epochs, seen, shift):
    policy, counts = GroupDRO(step_size=1.0), [seen] * len(epochs)
    path = path_of(policy, [0.2, 0.3, 0.5], epochs, counts)
    shifted = path_of(policy, [0.2, 0.3, 0.5], np.array(epochs) + shift, counts)
    np.testing.assert_allclose(path, shifted, rtol=1e-9)
    kept = np.array(seen) == 0
    np.testing.assert_allclose(path[:, kept], np.full((len(path), kept.sum()), 1 / 3), rtol=1e-12)


@given(st.permutations(range(4)))
def test_the_order_of_groups_does_not_matter_to_adjustment_and_missing_groups(order):
    policy = GroupDRO(step_size=0.5, adjustment=2.0, num_examples=100)
    prior, losses, counts = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 3.0, 0.0, 2.0]), np.array([3, 0, 1, 2])
    plain = path_of(policy, prior, [losses] * 3, [counts] * 3)
    moved = path_of(policy, prior[order], [losses[order]] * 3, [counts[order]] * 3)
    np.testing.assert_allclose(moved, plain[:, order], rtol=1e-12)


def test_a_share_that_has_vanished_comes_back():
    """e^-3000 is 0 as a share; its logarithm is kept, and as much the other way makes it even again."""
    path = path_of(GroupDRO(step_size=1.0), [0.5, 0.5], [[0, 1000]] * 3 + [[1000, 0]] * 3)
    assert path[3].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(path[-1], [0.5, 0.5], rtol=1e-12)


@pytest.mark.parametrize("step_size", [0.01, 1e300])
def test_huge_losses_and_steps_leave_shares(step_size):
    policy = GroupDRO(step_size, adjustment=1.0, num_examples=10)
    for losses in ([1.7e308, 1.7e308, 0.0], [-1.7e308, 1.7e308, 1.0], [5e-324, 0.0, 0.0]):
        path = path_of(policy, [0.2, 0.3, 0.5], [losses] * 3)
        assert np.isfinite(path).all()
        np.testing.assert_allclose(path.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("options", [{"update_every": 1}, {}])
def test_it_goes_on_from_a_saved_state(options):
    policy = GroupDRO(step_size=0.2, adjustment=1.5, num_examples=13)
    assert_resumes(lambda: small_mixer(policy=policy, **options), Training(epochs=3), cuts=[1, 4, 6, 9])
    state = small_mixer(policy=policy).state_dict()
    with pytest.raises(ValueError, match="adjustment"):
        small_mixer(policy=GroupDRO(step_size=0.2)).load_state_dict(save_and_load(state))


# --- What it is for ---------------------------------------------------------------------------------------------------


def test_the_worst_group_gains_until_none_is_worse():
    """Fit one number t: an example of group 0 costs t^2, of the ten times rarer group 1 (t - 1)^2 + 1/2.

    The larger of the two is least where they are equal: t = 3/4, 9/16 each. There t stands still when q_0 * 3/4 equals
    q_1 * 1/4, so q_1 = 3/4: most of the weight on the group that is the worse one under natural batches (t = 1/11) and
    balanced ones (t = 1/2, where it costs 3/4) alike.
    """
    labels = torch.tensor([0] * 100 + [1] * 10)
    mixer = Mixer(labels, 10, policy=GroupDRO(step_size=0.3), update_every=1)
    t, shares = 0.0, []
    while mixer.epoch < 50:
        for batch in mixer.batch_sampler:
            ones = labels[batch].double()
            mixer.observe((1 - ones) * t**2 + ones * ((t - 1) ** 2 + 0.5), labels[batch])
            t -= 0.1 * (2 * (t - ones)).mean().item()
            shares.append(mixer.proportions[1])
        mixer.step()
    assert t == pytest.approx(3 / 4, abs=0.02)
    assert np.mean(shares[-200:]) == pytest.approx(3 / 4, abs=0.02)
    assert max(t**2, (t - 1) ** 2 + 0.5) < 0.6


def test_a_small_share_grows_however_rarely_it_is_drawn():
    """Ten groups and four seats: at a share of 0.02 a group is in every twelfth batch, and its loss is the highest.

    With factors of 1 for missing groups it would gain 3 in 12 of what the others gain with a loss of 1 in 2.3.
    """
    labels = torch.arange(10).repeat_interleave(10)
    mixer = Mixer(labels, 4, policy=GroupDRO(step_size=0.1), update_every=1)

    def train(loss_of_3, until):
        while mixer.epoch < 60:
            for batch in mixer.batch_sampler:
                mixer.observe(torch.where(labels[batch] == 3, loss_of_3, 1.0), labels[batch])
                if until(mixer.proportions[3]):
                    return
            mixer.step()

    train(0.0, lambda share: share < 0.02)
    assert mixer.proportions[3] < 0.02
    train(3.0, lambda share: share > 0.9)
    assert mixer.proportions[3] > 0.9


# --- What it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (ValueError, {"adjustment": 1.0}, r"adjustment=1.0 and no num_examples; .* add num_examples=len\(dataset\)"),
        (ValueError, {"adjustment": 1.0, "num_examples": 0}, "num_examples was 0; it must be 1 or more"),
        (TypeError, {"adjustment": 1.0, "num_examples": 10.5}, "num_examples was 10.5"),
        (ValueError, {"step_size": 0}, "step_size was 0; it must be a number, above 0; 0.01 is its authors'"),
        (ValueError, {"step_size": math.inf}, "step_size was inf"),
        (ValueError, {"adjustment": -1.0, "num_examples": 10}, "adjustment was -1.0"),
    ],
)
def test_refusals(error, given, message):
    GroupDRO(step_size=0.1, adjustment=1.0, num_examples=10)
    with pytest.raises(error, match=message):
        GroupDRO(**given)


@pytest.mark.parametrize("losses", [[1.0, math.nan], [1.0, math.inf], [1.0], [1.0, 2.0, 3.0]])
def test_losses_that_are_refused(losses):
    policy = GroupDRO()
    state = policy.init(np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"losses (was|had shape)"):
        policy.update(state, np.array(losses), counts=np.ones(2))


# --- In the bench -----------------------------------------------------------------------------------------------------


def test_the_bench_method_moves_at_every_step_and_fills_batches_by_it():
    """Losses 0, ln 2 and ln 4 at step size 1: 1 : 2 : 4 after a step, 1 : 4 : 16 after two, and so on, seen in the batches."""
    arm = arm_of(GroupDROSampling(step_size=1.0), toy_job())
    for step, rows in enumerate(arm.feed.epoch()):
        q = np.array([1.0, 2.0, 4.0]) ** step
        np.testing.assert_allclose(arm.feed.mixer.proportions, q / q.sum(), rtol=1e-9)
        groups = arm.train.groups[rows]
        assert (np.abs(np.bincount(groups, minlength=3) - 8 * q / q.sum()) < 1).all()
        # all groups are told of, whatever the batch holds: one not seen would not move
        losses, told = torch.tensor(ln(1, 2, 4), dtype=torch.float64), torch.arange(3)
        arm.feed.observe(losses[told].repeat(3)[:8], of_groups(told.repeat(3)[:8]))
        if step == 4:
            break


def test_the_bench_method_has_its_authors_step_size():
    assert GroupDROSampling().settings(toy()) == {"step_size": 0.01}
    with pytest.raises(ValueError, match=r"step_size was 0; it must be a number, above 0; 0.01 is its authors'"):
        GroupDROSampling(step_size=0)

"""DoReMi: updates worked by hand, what is clipped where, the average that counts, and which domains it raises."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bench_toys import arm_of, toy, toy_data, toy_job
from harness import Training, assert_resumes, small_mixer, states_of
from learn2mix import Mixer
from learn2mix.bench.budget import Budget
from learn2mix.bench.methods.base import MixerFeed
from learn2mix.bench.methods.doremi import Doremi as DoremiMethod
from learn2mix.bench.methods.doremi import ProxyWeights
from learn2mix.bench.runner import make_ready
from learn2mix.bench.training import Arm, Batch
from learn2mix.policies import Doremi, Static
from learn2mix.policies.doremi import excess


def weights_of(*arguments):
    return np.array([state.proportions for state in states_of(*arguments)])


def ln(*numbers):
    return [math.log(number) for number in numbers]


def test_two_domains_by_hand():
    """c = 1/5. Factors 1 : 3 give 1/4, 3/4, so 0.3, 0.7. Then 7 : 3 makes 2.1 to 2.1. Then 1 : 4 gives 0.26, 0.74."""
    states = states_of(Doremi(smoothing=0.2), [0.9, 0.1], [ln(1, 3), ln(7, 3), ln(1, 4)])
    weights = [[0.5, 0.5], [0.3, 0.7], [0.5, 0.5], [0.26, 0.74]]
    np.testing.assert_allclose([state.proportions for state in states], weights, rtol=1e-14)
    averages = [[0.5, 0.5], [0.3, 0.7], [0.4, 0.6], [1.06 / 3, 1.94 / 3]]  # the start does not count
    np.testing.assert_allclose([state.average for state in states], averages, rtol=1e-14)
    assert [state.updates for state in states] == [0, 1, 2, 3]


def test_three_domains_by_hand_of_which_one_keeps_its_last_score():
    """c = 3/10, step size 2: factors 1, 4, 1; then domain 1 is not seen and keeps 4, the others get 1 and 16.

    1 : 4 : 1 -> 7/10 of 1/6, 4/6, 1/6 and 1/10 each: 13/60, 34/60, 13/60. Then 13 : 136 : 208 of 357. Before it is seen at
    all a domain's score is 0, factor 1.
    """
    policy = Doremi(step_size=2.0, smoothing=0.3)
    epochs, counts = [ln(1, 2, 1), ln(1, 100, 4)], [[1, 1, 1], [3, 0, 2]]
    path = weights_of(policy, [0.2, 0.3, 0.5], epochs, counts)
    np.testing.assert_allclose(path[1], np.array([13, 34, 13]) / 60, rtol=1e-14)
    np.testing.assert_allclose(path[2], 0.7 * np.array([13, 136, 208]) / 357 + 0.1, rtol=1e-14)
    first = weights_of(policy, [0.2, 0.3, 0.5], [ln(1, 2, 50)], [[1, 1, 0]])[1]
    np.testing.assert_allclose(first, np.array([13, 34, 13]) / 60, rtol=1e-14)


@given(
    st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), min_size=1, max_size=6),
    st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=6, max_size=6),
    st.sampled_from([(1.0, 1e-3), (3.0, 1e-4), (0.1, 0.5), (1.0, 1.0)]),
)
def test_updates_are_those_of_the_formula(epochs, counts, settings):
    """One number at a time; the output is the plain mean of all weights that were come by."""
    eta, c = settings
    weights, scores, path = [1 / 3] * 3, [0.0] * 3, []
    for losses, seen in zip(epochs, counts, strict=False):
        scores = [new if there else old for new, old, there in zip(losses, scores, seen, strict=True)]
        powers = [a * math.exp(eta * score) for a, score in zip(weights, scores, strict=True)]
        weights = [(1 - c) * power / sum(powers) + c / 3 for power in powers]
        path.append(weights)
    last = states_of(Doremi(step_size=eta, smoothing=c), [0.2, 0.3, 0.5], epochs, counts)[-1]
    np.testing.assert_allclose(last.proportions, weights, rtol=1e-9)
    np.testing.assert_allclose(last.average, np.mean(path, axis=0), rtol=1e-9)


def test_the_output_is_the_average_and_not_the_last():
    """Which domain is behind changes every update; the weights follow, and their mean stays in the middle."""
    epochs = [[6, 0], [0, 6]] * 50
    state = states_of(Doremi(smoothing=0.01), [0.5, 0.5], epochs)[-1]
    assert abs(state.proportions[0] - 0.5) > 0.2
    np.testing.assert_allclose(state.average, weights_of(Doremi(smoothing=0.01), [0.5, 0.5], epochs)[1:].mean(axis=0))
    assert not np.allclose(state.average, state.proportions, atol=0.1)


@given(st.permutations(range(4)))
def test_the_order_of_domains_does_not_matter_to_missing_ones(order):
    prior, losses, counts = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 3.0, 0.5, 2.0]), np.array([3, 0, 1, 2])
    plain = states_of(Doremi(), prior, [losses, losses[::-1]], [counts, counts[::-1]])[-1]
    moved = states_of(
        Doremi(), prior[order], [losses[order], losses[::-1][order]], [counts[order], counts[::-1][order]]
    )[-1]
    np.testing.assert_allclose(moved.proportions, plain.proportions[order], rtol=1e-12)
    np.testing.assert_allclose(moved.average, plain.average[order], rtol=1e-12)


@pytest.mark.parametrize("step_size", [1.0, 1e300])
@pytest.mark.parametrize("losses", [[1.7e308, 1.7e308, 0.0], [1e4, 0.0, 0.0], [5e-324, 0.0, 0.0]])
def test_huge_losses_and_steps_leave_weights_of_at_least_their_floor(step_size, losses):
    path = weights_of(Doremi(step_size=step_size), [0.2, 0.3, 0.5], [losses] * 3 + [[0, 0, 1e4]] * 3)
    assert path.min() >= 1e-3 / 3 * (1 - 1e-12)
    np.testing.assert_allclose(path.sum(axis=1), 1, rtol=1e-12)
    assert path[-1, 2] > 0.99  # and the next domain in need gets its weight at once


@pytest.mark.parametrize("options", [{"update_every": 1}, {}])
def test_it_goes_on_from_a_saved_state(options):
    """The average and the scores among it: a domain missing from a batch must be remembered."""
    policy = Doremi(step_size=0.1, smoothing=0.1)
    assert_resumes(lambda: small_mixer(policy=policy, **options), Training(epochs=3), cuts=[0, 1, 6, 9])
    mixer, again = (small_mixer(policy=policy, update_every=1) for _ in range(2))
    Training(epochs=2).run(mixer)
    again.load_state_dict(mixer.state_dict())
    np.testing.assert_array_equal(again.state_dict()["policy"]["average"], mixer.state_dict()["policy"]["average"])


def test_a_mixer_tells_the_average():
    """Excess ln 3 of group 1 alone: 1/4, 3/4 after one update, less 1/1000; the second 1 : 3 again."""
    labels = torch.tensor([0] * 8 + [1] * 8)
    mixer = Mixer(labels, 8, policy=Doremi(), update_every=1)
    path = []
    for batch in mixer.batch_sampler:
        mixer.observe(labels[batch].double() * math.log(3), labels[batch])
        path.append(mixer.proportions)
    np.testing.assert_allclose(path[0], [0.999 / 4 + 0.0005, 0.999 * 3 / 4 + 0.0005], rtol=1e-12)
    average = mixer.state_dict()["policy"]["average"]
    np.testing.assert_allclose(average, np.mean(path, axis=0), rtol=1e-12)


# --- The excess -------------------------------------------------------------------------------------------------------


def test_the_excess_is_clipped_entry_by_entry():
    """Of a sequence of two tokens, one 2 above and one 3 below the reference, the mean excess is 1, not 0."""
    losses, reference = (
        torch.tensor([[4.0, 1.0], [2.0, 2.0]], requires_grad=True),
        torch.tensor([[2.0, 4.0], [2.0, 1.5]]),
    )
    over = excess(losses, reference)
    assert over.tolist() == [[2.0, 0.0], [0.0, 0.5]]
    assert over.mean(1).tolist() == [1.0, 0.25]
    assert not over.requires_grad


def test_excess_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"losses had shape \(2,\) and reference \(1,\); they must agree"):
        excess(torch.zeros(2), torch.zeros(1))


# --- What it is for ---------------------------------------------------------------------------------------------------


def proxy_run(*, judged):
    """Three domains of a line each, t = w x with w to be learnt for each: the paper's way, balanced batches and weights.

    Domain 0 is known from the start (w = 0). Domain 1 is noise of variance 9 around it: a high loss, and the reference
    has the same. Domain 2 has w = 2, which the reference has learnt and the proxy has not.

    Args:
        judged: Whether the losses are judged by the reference network's, or by nothing.

    Returns:
        The average weights, and the mean loss of each domain at the start.
    """
    generator = torch.Generator().manual_seed(0)
    domains = torch.arange(3).repeat_interleave(200)
    x = torch.randn(600, generator=generator)
    noise = 3 * torch.randn(600, generator=generator)
    t = torch.where(domains == 2, 2 * x, torch.where(domains == 1, noise, 0.0))
    best = torch.stack([(x * t)[domains == i].sum() / x.square()[domains == i].sum() for i in range(3)])
    reference = (best[domains] * x - t).square() if judged else torch.zeros(600)

    policy = Doremi(step_size=0.1)
    state = policy.init(np.full(3, 1 / 3))
    w = torch.zeros(3)
    first = torch.bincount(domains, weights=(w[domains] * x - t).square()) / 200
    for _ in range(40):
        losses = (w[domains] * x - t).square()
        over = torch.bincount(domains, weights=excess(losses, reference)) / 200
        state = policy.update(state, over.double().numpy(), counts=np.full(3, 200))
        gradient = torch.bincount(domains, weights=2 * (w[domains] * x - t) * x) / 200
        w -= 0.05 * torch.as_tensor(state.proportions).float() * gradient
    return state.average, first


def test_a_domain_with_more_to_learn_is_raised_and_one_that_is_merely_hard_is_not():
    average, losses = proxy_run(judged=True)
    assert losses.argmax() == 1  # the noise costs most
    assert average[2] > 0.6
    assert average[:2].max() < 0.2
    by_the_loss_alone, _ = proxy_run(judged=False)
    assert by_the_loss_alone[1] > 0.6


# --- What it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([1.0, -0.5], r"losses was \[1.0, -0.5\]; Doremi hears losses in excess of .* policies.doremi.excess"),
        ([1.0, math.nan], "losses was"),
        ([1.0, math.inf], "losses was"),
        ([1.0], "losses had shape"),
    ],
)
def test_losses_that_are_refused(losses, message):
    policy = Doremi()
    with pytest.raises(ValueError, match=message):
        policy.update(policy.init(np.array([0.5, 0.5])), np.array(losses), counts=np.ones(2))


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (
            ValueError,
            {"smoothing": 0},
            "smoothing was 0; it must be a number, above 0 and at most 1; 1e-3 is the paper's",
        ),
        (ValueError, {"step_size": 0}, "step_size was 0"),
        (ValueError, {"step_size": math.inf}, "step_size was inf"),
        (TypeError, {"step_size": None}, "step_size was None"),
    ],
)
def test_refusals(error, given, message):
    with pytest.raises(error, match=message):
        Doremi(**given)


# --- In the bench -----------------------------------------------------------------------------------------------------


def a_batch(groups, rows):
    nothing = torch.zeros(len(groups))
    return Batch(nothing, nothing, torch.tensor(groups), torch.tensor(rows))


def test_the_proxys_loss_by_hand():
    """Rows 2, 0, 1 with references 1, 0, 9: excess ln 2 and ln 4 (group 0), 0 (group 1), so ln 8 / 2 and 0 on average.

    Factors sqrt(8) and 1 give a; the loss is the mean of the losses times 2 a, with a not differentiated.
    """
    weigh = ProxyWeights(Doremi(smoothing=1e-12), torch.tensor([0.0, 9.0, 1.0], dtype=torch.float64), 2)
    losses = torch.tensor([1 + math.log(2), math.log(4), 5.0], dtype=torch.float64, requires_grad=True)
    combined = weigh.combine(losses, a_batch([0, 0, 1], [2, 0, 1]))
    a = np.array([math.sqrt(8), 1]) / (math.sqrt(8) + 1)
    np.testing.assert_allclose(weigh.state.average, a, rtol=1e-10)
    expected = 2 * (a[0] * (1 + math.log(2) + math.log(4)) + a[1] * 5) / 3
    assert combined.item() == pytest.approx(expected, rel=1e-10)
    combined.backward()
    np.testing.assert_allclose(losses.grad, 2 * a[[0, 0, 1]] / 3, rtol=1e-10)


def test_the_proxys_weights_outlast_a_loss_that_is_not_finite():
    """It ends the run at the end of the epoch, by its own message."""
    weigh = ProxyWeights(Doremi(), torch.zeros(3, dtype=torch.float64), 2)
    assert weigh.combine(torch.tensor([math.nan, 1.0, 0.0]), a_batch([0, 0, 1], [0, 1, 2])).isnan()
    assert np.isfinite(weigh.state.proportions).all()


def test_the_bench_method_trains_at_the_average_weights_of_a_proxy_trained_against_a_reference():
    """Both runs again, step by step: other initial weights each, balanced batches, and the policy by hand."""
    job = toy_job()
    arm = arm_of(DoremiMethod(step_size=0.5, smoothing=0.01), job)
    classical, twin = toy_job(), toy_job()
    teacher = classical.trainer(Arm(), purpose="reference")
    for _ in range(3):
        teacher.train_epoch()
    with torch.no_grad():
        reference = F.cross_entropy(teacher.network(job.train.x).double(), job.train.y, reduction="none")

    network = twin.network("proxy")
    assert not any(torch.equal(a, b) for a, b in zip(network.parameters(), twin.network().parameters(), strict=True))
    optimizer, feed = twin.optimizer(network), MixerFeed(twin, Static("balanced"))
    a, path = np.full(3, 1 / 3), []
    for _ in range(3):
        for rows in feed.epoch():
            x, y = job.train.x[rows], job.train.y[rows]
            losses = F.cross_entropy(network(x), y, reduction="none")
            over = (losses.detach().double() - reference[rows]).clamp(min=0)
            a = a * np.exp(0.5 * np.array([over[y == i].mean().item() for i in range(3)]))
            a = 0.99 * a / a.sum() + 0.01 / 3
            path.append(a)
            loss = (torch.tensor(3 * a).float()[y] * losses).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            feed.observe(losses, None)
        feed.step()
    np.testing.assert_allclose(arm.feed.mixer.proportions, np.mean(path, axis=0), rtol=1e-4)
    assert np.abs(np.mean(path, axis=0) - a).max() > 0.01  # the average, not the last
    before = arm.feed.mixer.proportions
    for _ in arm.feed.epoch():
        arm.feed.observe(torch.tensor([9.0] + [0.0] * 7), None)
    arm.feed.step()
    assert arm.feed.mixer.proportions.tolist() == before.tolist()  # and they stay


@pytest.mark.parametrize("epochs", [1, 4])
def test_both_runs_before_it_are_counted_told_of_and_as_long_as_the_budget(epochs):
    told = []
    budget = Budget(epochs=epochs)
    ready = make_ready(toy(), DoremiMethod(), 0, toy_data(), budget=budget, progress=lambda *event: told.append(event))
    work = ready.job.preparation
    assert (work.steps, work.backpropagated) == (20 * epochs, 160 * epochs)
    assert work.forwarded == 160 * epochs + 84  # every example scored once
    assert told == [("preparing", i, 2 * epochs) for i in range(1, 2 * epochs + 1)]


def test_it_rehearses_without_them():
    job = toy_job()
    arm = arm_of(DoremiMethod(step_size=0.5).rehearsal(), job)
    assert (job.preparation.steps, job.preparation.forwarded) == (0, 0)
    assert arm.feed.mixer.proportions.tolist() == [1 / 3] * 3
    assert DoremiMethod(step_size=0.5).rehearsal().settings(toy()) == {"step_size": 0.5, "smoothing": 1e-3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step_size": 0}, "step_size was 0; it must be a number, above 0"),
        ({"smoothing": 0}, "smoothing was 0; it must be a number, above 0 and at most 1"),
    ],
)
def test_the_bench_method_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        DoremiMethod(**given)

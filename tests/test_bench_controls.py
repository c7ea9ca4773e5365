"""The controls and the other answers to imbalance, each against its definition worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench_toys import SIZES, arm_of, blobs, of_groups, toy, toy_data, toy_job
from learn2mix import registry
from learn2mix.bench import seeds
from learn2mix.bench.budget import Budget
from learn2mix.bench.data import Data, Examples, profiles
from learn2mix.bench.methods import (
    Classical,
    GroupDRO,
    Job,
    Learn2Mix,
    Learn2MixWeighted,
    Natural,
    OneShot,
    Oversample,
    Smote,
    Yoked,
)
from learn2mix.bench.methods.group_dro import WorstGroups
from learn2mix.bench.methods.oversample import repeated
from learn2mix.bench.methods.smote import oversample
from learn2mix.bench.models import mlp
from learn2mix.bench.runner import make_ready, run, settings_of
from learn2mix.bench.tasks.base import MSE, cross_entropy, squared_error
from learn2mix.bench.training import difficulty

LogitAdjusted = registry.get("method", "logit-adjusted").part

METHODS = [entry.name for entry in registry.entries("method")]
PRIOR = np.array(SIZES) / 84


def go_through(arm, losses):
    """One epoch in which every example of group i costs ``losses[i]``; return its batches' groups, (P, M)."""
    made_of = []
    for indices in arm.feed.epoch():
        groups = arm.train.groups[indices]
        made_of.append(groups)
        arm.feed.observe(torch.tensor(losses)[groups], of_groups(groups))
    arm.feed.step()
    return torch.stack(made_of)


def rows_of(result):
    return {name: column for name, column in result.curves.items() if "seconds" not in name}


# --- One-shot ---------------------------------------------------------------------------------------------------------


def test_one_shot_jumps_to_the_first_epochs_normalised_losses_and_stays():
    arm = arm_of(OneShot(), toy_job())
    np.testing.assert_allclose(arm.feed.mixer.proportions, PRIOR, rtol=1e-12)
    go_through(arm, [1.0, 2.0, 5.0])
    measured = arm.feed.mixer.proportions
    np.testing.assert_allclose(measured, [1 / 8, 2 / 8, 5 / 8], rtol=1e-12)
    for losses in ([5.0, 1.0, 1.0], [0.0, 0.0, 3.0], [1.0, 2.0, 5.0]):
        made_of = go_through(arm, losses)
        assert arm.feed.mixer.proportions.tolist() == measured.tolist()
        counts = np.stack([np.bincount(batch, minlength=3) for batch in made_of])
        np.testing.assert_array_equal(counts, np.tile([1, 2, 5], (10, 1)))  # 8 times 1/8, 2/8 and 5/8


def test_one_shot_measures_the_losses_of_its_first_epoch_as_they_were_trained_on():
    ready = make_ready(toy(), OneShot(), 0, toy_data())
    feed, seen = ready.trainer.arm.feed, []
    observe = feed.observe
    feed.observe = lambda losses, batch: (seen.append((losses, batch.groups)), observe(losses, batch))
    ready.trainer.train_epoch()
    losses, groups = (torch.cat(part).double().numpy() for part in zip(*seen, strict=True))
    means = np.array([losses[groups == group].mean() for group in range(3)])
    expected = means / means.sum()
    assert np.abs(expected - PRIOR).max() > 0.05
    np.testing.assert_allclose(feed.mixer.proportions, expected, rtol=1e-9)
    for _ in range(3):
        ready.trainer.train_epoch()
    np.testing.assert_allclose(feed.mixer.proportions, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["one-shot", "learn2mix", "learn2mix-weighted", "yoked"])
def test_the_controls_spend_the_first_epoch_as_natural_does(name):
    natural, other = (rows_of(run(toy(), method, 0, 3, data=toy_data())) for method in ("natural", name))
    for curve, column in natural.items():
        np.testing.assert_array_equal(other[curve][:2], column[:2], err_msg=curve)
    assert not np.array_equal(other["test_loss"][2], natural["test_loss"][2])


# --- Yoked ------------------------------------------------------------------------------------------------------------


def learn2mix_path(task, seed, epochs, data):
    ready = make_ready(task, Learn2Mix(), seed, data)
    path = []
    for _ in range(epochs):
        path.append(ready.trainer.arm.feed.mixer.proportions)
        ready.trainer.train_epoch()
    return np.array(path)


@pytest.mark.parametrize("losses", [[1.0, 1.0, 1.0], [0.0, 0.0, 9.0], [9.0, 1.0, 0.0]])
def test_yoked_replays_the_path_of_learn2mix_with_another_seed_whatever_its_own_losses(losses):
    task, data = toy(mixing_rate=0.5), toy_data()
    donor = seeds.derive("toy", 3, "yoked")
    expected = learn2mix_path(task, donor, 5, data)
    assert np.abs(expected[4] - expected[0]).max() > 0.02
    arm = make_ready(task, Yoked(), 3, data, budget=Budget(epochs=5)).trainer.arm
    path = []
    for _ in range(7):
        path.append(arm.feed.mixer.proportions)
        go_through(arm, losses)
    np.testing.assert_array_equal(path[:5], expected)
    np.testing.assert_array_equal(path[5:], [expected[4]] * 2)  # and stays at its end
    own = learn2mix_path(task, 3, 5, data)
    assert np.abs(own - expected).max() > 1e-4


def test_yoked_takes_its_own_training_set_and_order():
    """The other run may not bring another cut of the set, nor the order of its batches."""
    task = toy(profile=profiles.Step(minority=(2,), fraction=0.5))
    yoked, natural = (make_ready(task, method, 0, toy_data()) for method in (Yoked(), Natural()))
    assert yoked.trainer.arm.train is yoked.job.train
    assert yoked.job.train.x.equal(natural.job.train.x)
    np.testing.assert_allclose(yoked.trainer.arm.feed.mixer.proportions, np.array([44, 24, 8]) / 76, rtol=1e-12)
    batches = [torch.stack(list(one.trainer.arm.feed.epoch())) for one in (yoked, natural)]
    assert batches[0].equal(batches[1])


@pytest.mark.parametrize(("budget", "epochs"), [(Budget(epochs=1), 0), (Budget(epochs=4), 3), (Budget(steps=21), 2)])
def test_the_run_before_it_is_counted_as_preparation(budget, epochs):
    """Its last epoch would give proportions that nothing is trained at: it is left out."""
    told = []
    ready = make_ready(toy(), Yoked(), 0, toy_data(), budget=budget, progress=lambda *event: told.append(event))
    work = ready.job.preparation
    assert (work.steps, work.forwarded, work.backpropagated) == (10 * epochs, 80 * epochs, 80 * epochs)
    assert ready.trainer.work.steps == 0
    assert told == [("preparing", i, epochs) for i in range(1, epochs + 1)]


def test_yoked_rehearses_without_the_run_before_it():
    job = dataclasses.replace(toy_job(), epochs=50)
    arm = arm_of(Yoked(mixing_rate=0.3).rehearsal(), job)
    assert job.preparation.steps == 0
    go_through(arm, [1.0, 2.0, 5.0])
    np.testing.assert_allclose(arm.feed.mixer.proportions, PRIOR, rtol=1e-12)


@pytest.mark.parametrize("method", [Yoked, Learn2MixWeighted])
def test_the_mixing_rate_is_the_tasks_unless_it_is_given(method):
    task = toy(mixing_rate=0.25)
    assert method().settings(task) == {"mixing_rate": 0.25}
    assert method(mixing_rate=0.5).settings(task) == {"mixing_rate": 0.5}
    assert method(mixing_rate=0.5).rehearsal().settings(task) == {"mixing_rate": 0.5}


# --- Learn2Mix by weights ---------------------------------------------------------------------------------------------


def test_the_weights_are_the_proportions_of_learn2mix_over_the_natural_ones():
    job = toy_job(mixing_rate=0.25)
    arm = arm_of(Learn2MixWeighted(), job)
    assert arm.feed.weights.tolist() == [1.0, 1.0, 1.0]
    alpha = PRIOR
    for losses in ([1.0, 2.0, 5.0], [3.0, 3.0, 1.0], [0.5, 0.0, 0.0]):
        made_of = go_through(arm, losses)
        alpha = alpha + 0.25 * (np.array(losses) / sum(losses) - alpha)
        np.testing.assert_allclose(arm.feed.weights.double(), alpha / PRIOR, rtol=1e-6)
        counts = torch.stack([torch.bincount(batch, minlength=3) for batch in made_of])
        assert ((counts - torch.tensor(PRIOR * 8)).abs() < 1).all()  # the batches stay natural
    groups = torch.tensor([0, 1, 1, 2])
    losses = torch.tensor([4.0, 3.0, 2.0, 1.0])
    expected = np.mean((alpha / PRIOR)[[0, 1, 1, 2]] * [4.0, 3.0, 2.0, 1.0])
    assert arm.combine(losses, of_groups(groups)).item() == pytest.approx(expected, rel=1e-6)


def test_a_group_that_an_epoch_does_not_see_keeps_its_last_loss_and_before_any_the_mean_of_the_others():
    """56 examples in batches of 8: a group of one example is in every seventh batch or so, and a batch is an epoch."""
    x, y = blobs((40, 15, 1))
    train = Data.from_arrays(x, y).train
    feed = arm_of(Learn2MixWeighted(mixing_rate=0.4), Job(toy(), train, 3, seed=1, epochs=9, steps_per_epoch=1)).feed
    prior = np.array([40, 15, 1]) / 56
    alpha, known, unseen = prior, {}, []
    generator = np.random.default_rng(0)
    for epoch in range(30):
        for indices in feed.epoch():
            groups, costs = train.groups[indices], torch.tensor(generator.uniform(1, 5, 8), dtype=torch.float32)
            feed.observe(costs, of_groups(groups))
            seen = {g: costs[groups == g].double().mean().item() for g in sorted(set(groups.tolist()))}
        feed.step()
        known.update(seen)
        unseen += [(epoch, group) for group in range(3) if group not in seen]
        losses = np.array([known.get(group, np.mean(list(known.values()))) for group in range(3)])
        alpha = alpha + 0.4 * (losses / losses.sum() - alpha)
        np.testing.assert_allclose(feed.weights.double(), alpha / prior, rtol=1e-5)
    assert {(0, 2), (1, 2)} <= set(unseen)  # the mean of the others is that of the others now, not of the first epoch
    assert len(unseen) < 28


def line_gradient(weights, train, shares):
    """``sum_i shares_i * mean over group i of the gradient of (x . w - t)^2``, by hand in float64; t is the group."""
    x, groups = train.x.double().numpy(), train.groups.numpy()
    each = 2 * (x @ weights - groups)[:, None] * x
    return sum(share * each[groups == group].mean(axis=0) for group, share in enumerate(shares))


def autograd_gradient(weights, arm, batches):
    """The mean over batches of the gradient that a step on each would take."""
    w = torch.tensor(weights, dtype=torch.float32, requires_grad=True)
    for indices in batches:
        batch = arm.train.take(indices)
        losses = (batch.x @ w - batch.groups).square()
        (arm.combine(losses, of_groups(batch.groups)) / len(batches)).backward()
    return w.grad.double().numpy()


def test_the_expected_gradient_is_that_of_learn2mix_at_equal_proportions():
    first = [1.0, 2.0, 5.0]
    alpha = PRIOR + 0.5 * (np.array(first) / 8 - PRIOR)
    weights = np.array([0.3, -1.0, 0.5, 2.0])

    # one batch that is the whole set: the very gradient
    job = toy_job(batch_size=84, mixing_rate=0.5)
    arm = arm_of(Learn2MixWeighted(), job)
    go_through(arm, first)
    expected = line_gradient(weights, job.train, alpha)
    np.testing.assert_allclose(autograd_gradient(weights, arm, [torch.arange(84)]), expected, atol=1e-5)
    assert np.abs(line_gradient(weights, job.train, PRIOR) - expected).max() > 0.5  # natural's is another

    # Small batches of both, over many epochs. Losses in proportion to alpha keep it where it is.
    for method in (Learn2Mix(), Learn2MixWeighted()):
        arm = arm_of(method, toy_job(mixing_rate=0.5))
        go_through(arm, first)
        batches = []
        for _ in range(100):
            for indices in arm.feed.epoch():
                batches.append(indices)
                groups = arm.train.groups[indices]
                arm.feed.observe(torch.tensor(alpha)[groups], of_groups(groups))
            arm.feed.step()
        np.testing.assert_allclose(autograd_gradient(weights, arm, batches), expected, atol=0.02 * abs(expected).max())


# --- Group DRO --------------------------------------------------------------------------------------------------------


def test_group_dro_by_hand_over_three_steps():
    """q <- q * exp(eta * L), normalised; the loss is the sum of q * L with the new q. A missing group counts as loss 0."""
    eta = 0.5
    steps = [
        ([1.0, 3.0, 2.0, 4.0], [0, 0, 1, 2], [2.0, 2.0, 4.0]),
        ([6.0, 1.0, 2.0], [0, 2, 2], [6.0, 0.0, 1.5]),  # group 1 is absent
        ([0.5, 0.5, 8.0, 0.0], [2, 1, 1, 0], [0.0, 4.25, 0.5]),
    ]
    weigh = WorstGroups(3, eta, torch.device("cpu"))
    assert weigh.weights.tolist() == pytest.approx([1 / 3] * 3)
    q = [1.0, 1.0, 1.0]
    for losses, groups, means in steps:
        q = [weight * math.exp(eta * mean) for weight, mean in zip(q, means, strict=True)]
        q = [weight / sum(q) for weight in q]
        loss = weigh(torch.tensor(losses), torch.tensor(groups))
        assert weigh.weights.tolist() == pytest.approx(q, rel=1e-6)
        assert loss.item() == pytest.approx(sum(w * mean for w, mean in zip(q, means, strict=True)), rel=1e-6)
    # in closed form: q_g is proportional to exp(eta * the sum of its losses), 8, 6.25 and 6
    total = np.exp(0.5 * np.array([8.0, 6.25, 6.0]))
    assert weigh.weights.tolist() == pytest.approx((total / total.sum()).tolist(), rel=1e-6)


def test_group_dro_does_not_differentiate_its_weights():
    """d loss / d l_j is q_g / n_g, without the term that the growth of q would add."""
    weigh = WorstGroups(2, 1.0, torch.device("cpu"))
    losses = torch.tensor([1.0, 3.0, 1.0], requires_grad=True)
    weigh(losses, torch.tensor([0, 0, 1])).backward()
    q = np.exp([2.0, 1.0]) / np.exp([2.0, 1.0]).sum()
    np.testing.assert_allclose(losses.grad, [q[0] / 2, q[0] / 2, q[1]], rtol=1e-6)
    assert not weigh.weights.requires_grad


@pytest.mark.parametrize("huge", [1e4, 1e10, 1e30])
def test_huge_losses_do_not_overflow(huge):
    weigh = WorstGroups(3, 0.01, torch.device("cpu"))
    for _ in range(50):
        loss = weigh(torch.tensor([huge, 0.9 * huge, 1.0]), torch.tensor([0, 1, 2]))
        assert torch.isfinite(loss)
        assert torch.isfinite(weigh.weights).all()
        assert weigh.weights.sum().item() == pytest.approx(1)
    assert weigh.weights.argmax() == 0
    assert loss.item() == pytest.approx(huge, rel=1e-4)
    # and a group so far behind comes back when it is the one that errs
    for _ in range(3):
        weigh(torch.tensor([0.0, 0.0, 100 * huge]), torch.tensor([0, 1, 2]))
    assert weigh.weights.argmax() == 2


def test_group_dro_trains_on_balanced_batches_and_takes_its_step_size():
    job = toy_job()
    arm = arm_of(GroupDRO(step_size=2.0), job)
    counts = torch.bincount(go_through(arm, [1.0, 1.0, 1.0]).flatten(), minlength=3)
    assert ((counts - 80 / 3).abs() <= 2).all()
    arm.combine(torch.tensor([1.0, 0.0, 0.0]), of_groups([0, 1, 2]))
    assert arm.combine.__self__.weights[0].item() == pytest.approx(math.exp(2) / (math.exp(2) + 2), rel=1e-6)
    fresh = arm_of(GroupDRO(), job)  # no weights are left from another run
    assert fresh.combine.__self__.weights.tolist() == pytest.approx([1 / 3] * 3)
    fresh.combine(torch.tensor([1.0, 0.0, 0.0]), of_groups([0, 1, 2]))
    assert fresh.combine.__self__.weights[0].item() == pytest.approx(math.exp(0.01) / (math.exp(0.01) + 2), rel=1e-6)


def test_group_dro_minimises_its_weighted_sum():
    """One step of gradient descent by hand, on the first batch."""
    task = toy(network=lambda: nn.Linear(4, 3), optimizer=torch.optim.SGD, learning_rate=0.1)
    ready = make_ready(task, GroupDRO(step_size=0.7), 0, toy_data())
    twin = ready.job.network()
    batch = ready.job.train.take(next(iter(arm_of(GroupDRO(), ready.job).feed.epoch())))
    next(ready.trainer.steps())
    losses = F.cross_entropy(twin(batch.x), batch.y, reduction="none")
    means = torch.stack([losses[batch.groups == group].mean() for group in range(3)])
    q = (0.7 * means.detach()).softmax(0)
    (q @ means).backward()
    for parameter, trained in zip(twin.parameters(), ready.trainer.network.parameters(), strict=True):
        torch.testing.assert_close(trained.detach(), parameter.detach() - 0.1 * parameter.grad)


# --- Logit adjustment -------------------------------------------------------------------------------------------------


def test_logit_adjustment_takes_the_training_sets_counts_and_is_evaluated_on_plain_logits():
    task = toy(profile=profiles.Step(minority=(0,), fraction=0.25))
    ready = make_ready(task, LogitAdjusted(), 0, toy_data())
    outputs, y = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    shifted = outputs + torch.tensor([11.0, 24.0, 16.0]).log()  # as cut
    expected = F.cross_entropy(shifted, y, reduction="none")
    torch.testing.assert_close(ready.trainer.arm.loss(outputs, y), expected)
    half = arm_of(LogitAdjusted(strength=0.5), ready.job).loss(outputs, y)
    shifted = outputs + 0.5 * torch.tensor([11.0, 24.0, 16.0]).log()
    torch.testing.assert_close(half, F.cross_entropy(shifted, y, reduction="none"))
    plain = F.cross_entropy(ready.trainer.network(ready.test.x), ready.test.y).item()
    assert ready.evaluate().loss == pytest.approx(plain, rel=1e-6)
    classical = arm_of(Classical(), ready.job).feed
    assert torch.stack(list(ready.trainer.arm.feed.epoch())).equal(torch.stack(list(classical.epoch())))
    assert LogitAdjusted().settings(task) == {"strength": 1.0}


# --- Oversampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(44, 24, 16), (1, 7), (5, 5), (2, 9, 1, 4)])
def test_oversampling_evens_the_groups_out(sizes):
    groups = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)))
    ranking = repeated(groups, len(sizes), seed=0)
    assert torch.bincount(groups[ranking]).tolist() == [max(sizes)] * len(sizes)
    uses = torch.bincount(ranking, minlength=len(groups))
    assert uses.min() >= 1  # nothing is left out
    assert (uses[groups == int(np.argmax(sizes))] == 1).all()  # and the largest group is as it was
    assert repeated(groups, len(sizes), seed=0).equal(ranking)


def test_oversampling_draws_with_replacement_and_evenly():
    """28 more of 16: over 400 seeds each is drawn 700 times, give or take 5 standard deviations of 25.6."""
    groups = torch.tensor([0] * 44 + [1] * 16)
    extra = torch.cat([repeated(groups, 2, seed)[60:] for seed in range(400)])
    uses = torch.bincount(extra, minlength=60)[44:]
    assert uses.sum() == 400 * 28
    assert ((uses - 700).abs() < 128).all()
    once = torch.bincount(repeated(groups, 2, 0)[60:], minlength=60)[44:]
    assert once.max() > 2  # 28 in turn would be at most 2 of each


def test_oversampling_trains_on_even_groups_in_as_many_steps():
    arm = arm_of(Oversample(), toy_job())
    epochs = [torch.stack(list(arm.feed.epoch())) for _ in range(60)]
    assert {tuple(epoch.shape) for epoch in epochs} == {(10, 8)}  # 84 // 8, not 132 // 8
    drawn = torch.stack(epochs).flatten()
    counts = torch.bincount(arm.train.groups[drawn], minlength=3) / len(drawn)
    # 4800 draws: a third, give or take 5 standard deviations, fewer than those of independent draws
    torch.testing.assert_close(counts, torch.full((3,), 1 / 3), atol=5 * math.sqrt(2 / 9 / 4800), rtol=0)
    assert len(drawn.unique()) == 84


# --- SMOTE on bytes ---------------------------------------------------------------------------------------------------


def test_smote_rounds_to_bytes_between_neighbours():
    generator = np.random.default_rng(0)
    y = torch.tensor([0] * 30 + [1] * 8)
    x = torch.from_numpy(generator.integers(0, 256, (38, 1, 3, 2), dtype=np.uint8))
    grown = oversample(Examples(x, y, y), seed=0)
    assert grown.x.dtype == torch.uint8
    assert grown.x.shape == (60, 1, 3, 2)
    assert grown.x[:38].equal(x)
    assert grown.y.tolist() == [0] * 30 + [1] * 8 + [1] * 22
    rare = x[30:].flatten(1).double()
    for row in grown.x[38:].flatten(1).double():
        # on the way from one of the class to another, each pixel rounded: off the line by at most a half
        best = min(
            (start + t * (end - start) - row).abs().max()
            for start in rare
            for end in rare
            if not start.equal(end)
            for t in [((row - start) @ (end - start) / (end - start).square().sum()).clamp(0, 1)]
        )
        assert best <= 1.0
    assert any(not any(row.equal(old) for old in rare) for row in grown.x[38:].flatten(1).double())


def test_smote_rounds_rather_than_truncates():
    """Between 10 and 11 in all places there are as many of the one as of the other; truncation gives 10 nearly always."""
    y = torch.tensor([0] * 2000 + [1] * 12)
    x = torch.randint(0, 255, (2012, 1), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    x[2000:] = torch.tensor([10, 11] * 6, dtype=torch.uint8)[:, None]
    made = oversample(Examples(x, y, y), seed=0).x[2012:]
    assert set(made.unique().tolist()) == {10, 11}
    assert 0.4 < (made == 11).double().mean() < 0.6


# --- Curriculum's order -----------------------------------------------------------------------------------------------


def test_difficulty_is_the_loss_and_for_classes_orders_as_1_minus_p():
    data, network = toy_data(), mlp(4, 8, 3)
    scores = difficulty(network, data.train, cross_entropy, chunk=25)
    p = network(data.train.x).double().softmax(1)[torch.arange(84), data.train.y]
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores, -p.log())
    assert scores.argsort(stable=True).equal((1 - p).argsort(stable=True))


def test_difficulty_of_numbers_is_their_squared_error():
    x = torch.tensor([[1.0], [2.0], [5.0]])
    examples = Examples(x, torch.tensor([1.5, 0.0, 5.0]), torch.zeros(3, dtype=torch.int64))
    assert difficulty(nn.Identity(), examples, squared_error, chunk=2).tolist() == [0.25, 4.0, 0.0]


# --- Which methods fit which tasks ------------------------------------------------------------------------------------


def line_data(reconstruction=False):
    x, groups = (torch.as_tensor(part) for part in blobs())
    groups = groups.to(torch.int64)
    y = x if reconstruction else x @ torch.tensor([1.0, -1.0, 0.5, 2.0])
    test = torch.arange(0, 84, 2)
    examples = Examples(x, y, groups)
    return Data(examples, examples.take(test), ("a", "b", "c"))


def line(**changes):
    settings = {"name": "line", "network": lambda: nn.Linear(4, 1), "loss": squared_error, "metric": MSE}
    return toy(**{**settings, "kind": "regression", **changes})


def test_smote_refuses_words_and_names_what_does_without():
    words = toy(name="words", tokens=True)
    with pytest.raises(
        ValueError, match="smote would interpolate between numbers of words in words; oversample repeats"
    ):
        settings_of(words, Smote(), 0, 1, fingerprint="f")
    assert all(
        registry.get("method", name).part().refusal(words) == "" for name in ("oversample", "learn2mix", "focal")
    )


def test_the_papers_text_task_has_words():
    assert registry.get("task", "imdb").part.tokens
    assert not registry.get("task", "mnist").part.tokens

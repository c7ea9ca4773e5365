"""Group losses that a policy hears under a selector: those of whole groups on average, however few seats an update has."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import Script
from learn2mix import Mixer, policies, selectors

RULES = [
    selectors.LastLoss(uniform=0.1),
    selectors.InfoBatch(prune=0.5),
    selectors.InfoBatch(prune=0.9),
    selectors.InfoBatch(prune=0.5, keep_scale=True),
]
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


def train(mixer, losses, weights=None):
    """Train for an epoch on losses by index; examples whose weight is 0 have none. Give the batches."""
    seen = []
    for batch in mixer.batch_sampler:
        given_weights = None if weights is None else torch.as_tensor(weights[batch])
        given_losses = torch.as_tensor(np.float32(losses)[batch])
        mixer.observe(given_losses, mixer.groups_of(batch), indices=batch, weights=given_weights)
        seen.append(batch)
    mixer.step()
    return seen


def updates_of(mixer, epoch):
    return [update for update in mixer.history if update.epoch == epoch]


@pytest.mark.parametrize(
    ("rule", "heard"),
    [
        # chances 0.75 and 1.25 times 1/2, factors 4/3 and 4/5: 3/8 * 4/3 + 5/8 * 12/5 = 2
        (selectors.LastLoss(uniform=0.5), {2: 4 / 3 * 1, 3: 4 / 5 * 3}),
        # 1 seat in 3 and 2 in 3, factors 2 and 1, of which 4/3 is expected: 1/3 * 3/2 + 2/3 * 9/4 = 2
        (selectors.InfoBatch(prune=0.5), {2: 2 * 1 / (4 / 3), 3: 1 * 3 / (4 / 3)}),
        (selectors.InfoBatch(prune=0.5, keep_scale=True), {2: 2 * 1 / (4 / 3), 3: 1 * 3 / (4 / 3)}),
    ],
    ids=repr,
)
def test_one_seat_an_update_by_hand(rule, heard):
    """Group 1 has the losses 1 and 3. What is heard of one seat is neither, and 2 on average."""
    losses, found = np.array([5.0, 5, 1, 3]), set()
    mixer = Mixer([0, 0, 1, 1], 2, policy=Script([0.5, 0.5]), selector=rule, update_every=1)
    train(mixer, losses)
    assert [update.losses[1] for update in mixer.history] in ([1, 3], [3, 1])  # before scores exist: as they are
    for epoch in range(1, 9):
        batches = train(mixer, losses)
        for batch, update in zip(batches, updates_of(mixer, epoch), strict=True):
            example = max(batch)
            found.add(example)
            np.testing.assert_allclose(update.losses, [5, heard[example]], rtol=1e-6)
            assert update.counts.tolist() == [1, 1]
    assert found == {2, 3}


def test_a_single_large_loss_counts_by_its_factor_however_small_that_is():
    """Losses of the rare group: 0 nine times, and 100, mean 10. Chance 0.9 * 10 + 0.1 over 10, factor 10/91."""
    losses = np.concatenate([np.ones(90), np.zeros(9), [100.0]])
    mixer = Mixer(
        np.repeat([0, 1], [90, 10]), 10, policy=Script([0.9, 0.1]), selector=selectors.LastLoss(), update_every=1
    )
    train(mixer, losses)
    heard = {}
    for epoch in range(1, 30):
        for batch, update in zip(train(mixer, losses), updates_of(mixer, epoch), strict=True):
            heard.setdefault(max(batch) == 99, []).append(update.losses[1])
    assert heard[False] == [0.0] * len(heard[False])
    np.testing.assert_allclose(heard[True], 100 / 9.1, rtol=1e-6)
    share = len(heard[True]) / 290  # 0.91, so that the mean of what is heard is 10
    assert abs(share - 0.91) < 4 * math.sqrt(0.91 * 0.09 / 290)


@each_rule
def test_one_seat_an_update_is_right_on_average(rule):
    """The claim in miniature: 40 groups of 60 very uneven losses, one seat in each batch, passes in a steady state."""
    groups, size = 40, 60
    losses = np.exp(np.linspace(-2.5, 2.5, size))
    labels, tiled = np.repeat(np.arange(groups), size), np.tile(losses, groups)
    mixer = Mixer(labels, groups, policy=Script(np.full(groups, 1 / groups)), selector=rule, update_every=1)
    for _ in range(12):
        train(mixer, tiled)
    heard = np.array([update.losses for update in mixer.history if update.epoch > 0])
    assert all(update.counts.tolist() == [1] * groups for update in mixer.history)
    assert len(heard) == 11 * size
    by_group = heard.mean(axis=0)
    assert abs(by_group.mean() - losses.mean()) < 4 * by_group.std() / math.sqrt(groups)
    assert by_group.std() / math.sqrt(groups) < 0.02 * losses.mean()  # so that a bias would be seen


@each_rule
def test_examples_not_seen_before_are_part_of_the_mean(rule):
    """A third of each group is without a score; its losses, and by then all others, are other than the scores."""
    groups, size, found = 20, 60, []
    rng = np.random.default_rng(1)
    scores, losses = np.exp(rng.normal(size=size)), np.exp(rng.normal(size=size))
    losses[::3] *= 4
    seen = np.tile(np.arange(size) % 3 > 0, groups).astype(np.float32)
    labels = np.repeat(np.arange(groups), size)
    for seed in range(12):
        mixer = Mixer(
            labels, groups, policy=Script(np.full(groups, 1 / groups)), selector=rule, update_every=1, seed=seed
        )
        train(mixer, np.tile(scores, groups), seen)
        train(mixer, np.tile(losses, groups))
        found.append(np.mean([update.losses for update in updates_of(mixer, 1)], axis=0))
    means = np.concatenate(found)
    assert abs(means.mean() - losses.mean()) < 4 * means.std() / math.sqrt(len(means))


@given(
    st.lists(st.one_of(st.just(math.nan), st.floats(0, 100, width=32)), min_size=2, max_size=12).map(np.array),
    st.sampled_from(RULES),
)
def test_what_is_heard_of_each_example_averages_to_the_group(scores, rule):
    """By the chances: sum of p_i * factor_i * loss_i / expected factor is the mean loss, whatever is known of the group."""
    chances, factors = rule.weigh(scores, epoch=1)
    p = chances / chances.sum()
    values = 1.0 + np.arange(len(scores)) ** 2
    np.testing.assert_allclose((p * factors * values).sum() / (p * factors).sum(), values.mean(), rtol=1e-9)


@each_rule
def test_an_update_of_many_batches_is_the_mean_over_the_seats(rule):
    """A second implementation, from ``weigh`` and the batches alone; padding and non-finite losses are no seats."""
    rng = np.random.default_rng(0)
    labels, losses = np.repeat([0, 1], [30, 12]), np.exp(rng.normal(size=42))
    mixer = Mixer(labels, 6, policy=policies.Static(), selector=rule)
    train(mixer, losses)
    bad, masked = np.arange(42) % 7 == 3, np.arange(42) % 5 == 2
    with pytest.warns(RuntimeWarning, match="NaN or infinite"):
        drawn = np.concatenate(train(mixer, np.where(bad, np.nan, losses), np.float32(~masked)))
    for group in (0, 1):
        chances, factors = rule.weigh(np.float32(losses[labels == group]).astype(float), epoch=1)
        relative = factors * chances.sum() / (chances * factors).sum()
        mine = drawn[(labels[drawn] == group) & ~bad[drawn] & ~masked[drawn]]
        expected = np.mean(relative[mine - 30 * group] * losses[mine])
        np.testing.assert_allclose(mixer.history[-1].losses[group], expected, rtol=1e-5)
        assert mixer.history[-1].counts[group] == len(mine)


@dataclass(frozen=True)
class Fixed:
    """Chances 1 and 3, and the same factor for both."""

    factor: float
    replace = True

    def weigh(self, scores, epoch):
        return np.array([1.0, 3.0]), np.full(2, self.factor)


@pytest.mark.parametrize("factor", [0.0, 1e-6, 0.25, 1.0, 300.0])
def test_the_scale_of_factors_is_none_of_the_losses(factor):
    """Where all are alike, 0 too, the losses are heard as they are."""
    mixer = Mixer([0, 0, 1, 1], 2, policy=Script([0.5, 0.5]), selector=Fixed(factor))
    train(mixer, np.array([2.0, 2, 7, 7]))
    np.testing.assert_allclose(mixer.history[-1].losses, [2, 7], rtol=1e-6)
    assert mixer.history[-1].counts.tolist() == [2, 2]

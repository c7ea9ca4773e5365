"""What each method does, against its definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench_toys import SIZES, arm_of, of_groups, toy, toy_data, toy_job
from learn2mix import registry
from learn2mix.bench import seeds
from learn2mix.bench.data import Examples
from learn2mix.bench.methods import (
    Balanced,
    Classical,
    Curriculum,
    Focal,
    Importance,
    Learn2Mix,
    Natural,
    ShuffledFeed,
    Smote,
)
from learn2mix.bench.methods.base import MixerFeed, add
from learn2mix.bench.methods.curriculum import share_of_the_set
from learn2mix.bench.methods.importance import DrawByLoss
from learn2mix.bench.methods.smote import oversample
from learn2mix.bench.runner import make_ready
from learn2mix.bench.tasks.base import cross_entropy
from learn2mix.bench.training import difficulty

ENTRIES = list(registry.entries("method"))


def epoch_of(arm):
    """One epoch's batches as rows of indices, and the feed's end of the epoch."""
    batches = []
    for indices in arm.feed.epoch():
        batches.append(indices)
        arm.feed.observe(torch.ones(len(indices)), of_groups(arm.train.groups[indices]))
    arm.feed.step()
    return torch.stack(batches)


def test_the_papers_methods_and_two_controls_are_there():
    assert {entry.name for entry in ENTRIES} >= {
        "learn2mix", "classical", "natural", "balanced", "focal", "smote", "importance", "curriculum",
    }  # fmt: skip


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="method 'classical' is registered twice"):
        add(Classical)


def test_settings_reach_the_methods_that_have_them():
    assert Learn2Mix().with_settings(mixing_rate=0.3) == Learn2Mix(mixing_rate=0.3)
    assert Learn2Mix(0.2).with_settings(mixing_rate=None) == Learn2Mix(0.2)
    assert Classical().with_settings(mixing_rate=0.3) == Classical()


def test_classical_shuffles_without_replacement_and_drops_the_rest():
    arm = arm_of(Classical(), toy_job())
    epochs = [epoch_of(arm) for _ in range(40)]
    for batches in epochs:
        assert batches.shape == (10, 8)
        assert len(batches.unique()) == 80
    assert not epochs[0].equal(epochs[1])
    assert len(torch.stack(epochs).unique()) == 84  # what is left out differs from epoch to epoch
    assert epoch_of(arm_of(Classical(), toy_job())).equal(epochs[0])


@pytest.mark.parametrize(
    ("method", "alpha"),
    [(Natural(), np.array(SIZES) / 84), (Balanced(), np.full(3, 1 / 3))],
    ids=["natural", "balanced"],
)
def test_static_methods_stratify_every_batch(method, alpha):
    arm = arm_of(method, toy_job())
    counts = [np.bincount(arm.train.groups[b], minlength=3) for _ in range(30) for b in epoch_of(arm)]
    assert set(map(int, np.sum(counts, axis=1))) == {8}
    assert (np.abs(counts - alpha * 8) < 1).all()  # floor or ceiling
    assert np.abs(np.cumsum(counts, axis=0) - alpha * 8 * np.arange(1, 301)[:, None]).max() <= 2


def test_learn2mix_follows_the_losses_at_the_tasks_rate():
    job = toy_job(mixing_rate=0.25)
    arm = arm_of(Learn2Mix(), job)
    prior = arm.feed.mixer.proportions
    for indices in arm.feed.epoch():
        groups = arm.train.groups[indices]
        arm.feed.observe(torch.tensor([1.0, 2.0, 5.0])[groups], of_groups(groups))
    arm.feed.step()
    expected = prior + 0.25 * (np.array([1, 2, 5]) / 8 - prior)
    np.testing.assert_allclose(arm.feed.mixer.proportions, expected, rtol=1e-12)
    assert Learn2Mix().settings(job.task) == {"mixing_rate": 0.25}
    assert Learn2Mix(mixing_rate=0.5).settings(job.task) == {"mixing_rate": 0.5}


def test_a_static_policy_is_not_made_to_listen():
    job = toy_job()
    feed = arm_of(Natural(), job).feed
    assert isinstance(feed, MixerFeed)
    for _ in feed.epoch():
        feed.observe(None, None)  # would fail if it were looked at
    feed.step()
    assert feed.mixer.epoch == 1


def test_focal_by_hand():
    job = toy_job()
    arm = arm_of(Focal(), job)
    outputs, y = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5]]), torch.tensor([0, 1, 2])
    inverse = torch.tensor([1 / 44, 1 / 24, 1 / 16])
    weight = 3 * inverse / inverse.sum()
    p = outputs.softmax(dim=1)[torch.arange(3), y]
    expected = (1 - p) ** 2 * weight[y] * -p.log()
    torch.testing.assert_close(arm.loss(outputs, y), expected)
    torch.testing.assert_close(
        arm_of(Focal(focusing=0.0), job).loss(outputs, y), weight[y] * F.cross_entropy(outputs, y, reduction="none")
    )
    assert epoch_of(arm).equal(epoch_of(arm_of(Classical(), job)))  # on classical batches


def test_focal_is_refused_what_its_loss_refuses():
    with pytest.raises(ValueError, match=r"focusing was -1; it must be a number, at least 0"):
        Focal(focusing=-1)


def on_a_segment(point, start, end):
    """Whether a point lies between two others, up to rounding."""
    direction = end - start
    t = ((point - start) @ direction) / (direction @ direction)
    return bool(-1e-5 <= t <= 1 + 1e-5) and np.allclose(start + t * direction, point, atol=1e-4)


def test_smote_places_points_between_neighbours():
    train = toy_data().train
    grown = oversample(train, seed=3)
    assert grown.group_sizes(3) == [44, 44, 44]
    assert grown.x[:84].equal(train.x)
    assert grown.y[:84].equal(train.y)
    assert grown.groups.equal(grown.y)
    for row, label in zip(grown.x[84:].double().numpy(), grown.y[84:].tolist(), strict=True):
        members = train.x[train.y == label].double().numpy()
        distances = np.linalg.norm(members[:, None] - members[None], axis=2)
        neighbours = distances.argsort(axis=1)[:, 1:6]
        assert any(on_a_segment(row, members[i], members[j]) for i in range(len(members)) for j in neighbours[i])
    assert oversample(train, seed=3).x.equal(grown.x)
    assert not oversample(train, seed=4).x.equal(grown.x)


def test_smote_keeps_the_shape_of_images_and_the_number_of_steps():
    job = toy_job()
    images = Examples(job.train.x.view(-1, 1, 2, 2), job.train.y, job.train.groups)
    assert oversample(images, seed=0).x.shape == (132, 1, 2, 2)
    arm = arm_of(Smote(), job)
    batches = epoch_of(arm)
    assert batches.shape == (10, 8)  # 84 // 8, not 132 // 8
    assert len(batches.unique()) == 80
    assert len(torch.stack([epoch_of(arm) for _ in range(30)]).unique()) == 132  # all of the larger set


@pytest.mark.parametrize(
    ("sizes", "groups", "message"),
    [
        ((10, 5), None, "class 1 has 5 training examples; .* at least 6"),
        ((10, 8), torch.zeros(18, dtype=torch.int64), "needs the classes as groups"),
    ],
)
def test_smote_refuses(sizes, groups, message):
    y = torch.repeat_interleave(torch.arange(2), torch.tensor(sizes))
    with pytest.raises(ValueError, match=message):
        oversample(Examples(torch.rand(len(y), 2), y, y if groups is None else groups), seed=0)


def test_smote_leaves_a_small_class_that_need_not_grow():
    y = torch.tensor([0] * 4 + [1] * 4)
    assert len(oversample(Examples(torch.rand(8, 2), y, y), seed=0)) == 8


def given_losses(losses):
    """A network and a loss that give each row the loss written in it."""
    x = torch.tensor(losses)[:, None]
    return (
        (lambda rows: rows),
        (lambda outputs, y: outputs[:, 0]),
        Examples(x, torch.zeros(len(x)), torch.zeros(len(x))),
    )


def test_importance_draws_in_proportion_to_the_losses():
    model, loss, batch = given_losses([1.0, 2.0, 3.0, 4.0])
    draw = DrawByLoss(loss, 1, seeds.generator(0))
    drawn = torch.bincount(torch.cat([draw(model, batch) for _ in range(20_000)]), minlength=4) / 20_000
    torch.testing.assert_close(drawn, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.015, rtol=0)

    pairs = DrawByLoss(loss, 2, seeds.generator(0))
    drawn = [frozenset(pairs(model, batch).tolist()) for _ in range(20_000)]
    assert {len(pair) for pair in drawn} == {2}  # without replacement
    # rows 2 and 3 in either order: 0.3 * 4/7 + 0.4 * 3/6
    assert drawn.count(frozenset({2, 3})) / 20_000 == pytest.approx(0.3 * 4 / 7 + 0.4 * 3 / 6, abs=0.015)


def test_importance_draws_its_number_even_if_most_losses_are_zero():
    model, loss, batch = given_losses([0.0, 0.0, 0.0, 7.0])
    draw = DrawByLoss(loss, 2, seeds.generator(0))
    draws = [draw(model, batch).tolist() for _ in range(200)]
    assert all(3 in drawn for drawn in draws)
    assert {row for drawn in draws for row in drawn} == {0, 1, 2, 3}  # the rest is left to chance
    model, loss, batch = given_losses([0.0] * 4)
    assert len(set(DrawByLoss(loss, 2, seeds.generator(0))(model, batch).tolist())) == 2


def test_importance_trains_on_the_mean_loss_of_half_of_a_classical_batch():
    ready = make_ready(toy(), Importance(), 0, toy_data())
    arm, job = ready.trainer.arm, ready.job
    batch = arm.train.take(next(iter(arm_of(Classical(), job).feed.epoch())))
    before = {name: value.clone() for name, value in ready.trainer.network.state_dict().items()}
    next(ready.trainer.steps())

    twin = job.network()
    assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())
    optimizer = torch.optim.Adam(twin.parameters(), lr=job.task.learning_rate)
    losses = F.cross_entropy(twin(batch.x), batch.y, reduction="none")
    kept = torch.multinomial(losses.detach(), 4, generator=seeds.generator(job.seed_for("selection")))
    F.cross_entropy(twin(batch.x[kept]), batch.y[kept]).backward()
    optimizer.step()
    torch.testing.assert_close(dict(ready.trainer.network.state_dict()), dict(twin.state_dict()))


def test_curriculum_ranks_the_set_in_its_own_order():
    job = toy_job()
    feed = arm_of(Curriculum(warmup_epochs=0), job).feed
    teacher = job.network("teacher")
    p = [teacher(x[None]).softmax(dim=1)[0, y].item() for x, y in zip(job.train.x, job.train.y, strict=True)]
    easiest_half = set(np.argsort(-np.array(p), kind="stable")[:42].tolist())
    drawn = torch.cat(list(feed.epoch()))
    assert set(drawn.tolist()) == easiest_half
    uses = torch.bincount(drawn, minlength=84)[sorted(easiest_half)]
    assert set(uses.tolist()) == {1, 2}  # 80 draws from 42: each once before any twice
    assert len(drawn) == 80


def test_curriculum_rehearses_without_its_first_network():
    assert Curriculum().rehearsal() == Curriculum(warmup_epochs=0)
    job = toy_job()
    Curriculum().rehearsal().prepare(job)
    assert job.preparation.steps == 0


def test_curriculum_learns_what_is_easy():
    job = toy_job(learning_rate=0.05)
    teacher = Curriculum(warmup_epochs=30).teacher(job)
    scores = difficulty(teacher, job.train, cross_entropy, job.chunk)
    wrong = teacher(job.train.x).argmax(dim=1) != job.train.y
    assert 0 < wrong.float().mean() < 0.3
    assert scores[wrong].min() > 1 / 2 > scores[~wrong].median()
    assert (job.preparation.steps, job.preparation.backpropagated) == (300, 2400)


def test_the_easiest_are_told_apart():
    class Sure(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x, -x], dim=1)

    x = torch.tensor([[9.0], [12.0], [10.0]])  # p within 1e-7 of 1 for all three
    y = torch.zeros(3, dtype=torch.int64)
    assert difficulty(Sure(), Examples(x, y, y), cross_entropy, chunk=2).argsort().tolist() == [1, 2, 0]


def test_the_pool_grows_with_the_epochs():
    feed = ShuffledFeed(torch.arange(80), 8, 10, seed=0, share=share_of_the_set)
    pools = []
    for _ in range(50):
        pools.append(len(torch.cat(list(feed.epoch())).unique()))
        feed.step()
    # 80 times 0.5, 0.6, 0.72, 0.864 and 1, for ten epochs each
    assert pools == [40] * 10 + [48] * 10 + [57] * 10 + [69] * 10 + [80] * 10

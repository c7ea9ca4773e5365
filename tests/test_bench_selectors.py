"""The selectors as methods of the bench: what they train on, how they weigh it, and what they go together with."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench_toys import assert_same_curves, data_of, toy, toy_data, toy_job, toy_of
from learn2mix import Mixer, policies, selectors
from learn2mix.bench.methods import Curriculum, Learn2Mix, MixerFeed, Natural
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.methods.infobatch import InfoBatch
from learn2mix.bench.methods.last_loss import LastLoss
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.training import Arm

BOTH = [InfoBatch(first_part=1.0), LastLoss()]
each_method = pytest.mark.parametrize("method", BOTH, ids=lambda method: method.name)
LINEAR = {"network": lambda: nn.Linear(4, 3), "optimizer": torch.optim.SGD, "learning_rate": 0.1}


@each_method
@pytest.mark.parametrize("kind", ["classification", "regression", "reconstruction"])
def test_each_kind_trains_and_repeats(method, kind):
    one, other = (run(toy_of(kind), method, 0, 3, data=data_of(kind)) for _ in range(2))
    assert_same_curves(one, other)
    assert one.curves["test_loss"][-1] < one.curves["test_loss"][0]
    assert one.curves["backpropagated"].tolist() == one.curves["forwarded"].tolist() == [0, 80, 160, 240]
    assert run(toy_of(kind), method, 1, 3, data=data_of(kind)).curves["test_loss"][-1] != one.curves["test_loss"][-1]


@each_method
@pytest.mark.parametrize("under", [None, Learn2Mix(mixing_rate=0.5)], ids=["natural", "learn2mix"])
def test_training_is_what_a_loop_over_a_mixer_does(method, under):
    """Three epochs by hand: a mixer with the selector, told the losses; steps on losses times factors."""
    task = toy(**LINEAR)
    composed = method if under is None else Composed((method, under))
    ready = make_ready(task, composed, 0, toy_data())
    for _ in range(3):
        ready.trainer.train_epoch()

    job = ready.job
    network, train = job.network(), job.train
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    policy = policies.Static() if under is None else policies.Learn2Mix(mixing_rate=0.5)
    selector = method.prepare(job).selector
    mixer = Mixer(train.groups, 8, policy=policy, selector=selector, seed=job.seed_for("order"))
    factors_seen = set()
    for _ in range(3):
        for rows in mixer.batch_sampler:
            losses = F.cross_entropy(network(train.x[rows]), train.y[rows], reduction="none")
            mixer.observe(losses, train.groups[rows], indices=rows)
            factors = mixer.weights_of(rows)
            factors_seen.update(factors.tolist())
            optimizer.zero_grad()
            (losses * factors).mean().backward()
            optimizer.step()
        mixer.step()
    for one, two in zip(ready.trainer.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert len(factors_seen) > 1
    np.testing.assert_allclose(ready.trainer.arm.feed.mixer.proportions, mixer.proportions, rtol=1e-5)


def test_pruning_stops_after_its_part_of_the_budget():
    def selector(epochs, **settings):
        job = make_ready(toy(), Natural(), 0, toy_data(), budget=epochs).job
        return InfoBatch(**settings).prepare(job).selector

    assert selector(16) == selectors.InfoBatch(0.5, until=14)
    assert selector(20, prune=0.3, first_part=0.5, keep_scale=True) == selectors.InfoBatch(0.3, 10, True)
    assert selector(3, first_part=0) == selectors.InfoBatch(until=0)


@each_method
def test_what_is_chosen_of_a_batch_leaves_the_selector_its_indices(method):
    """With a method that trains on half of each batch: the scores are those of what was trained on."""
    from learn2mix.bench.methods import Importance

    ready = make_ready(toy(), Composed((method, Importance())), 0, toy_data())
    list(islice(ready.trainer.steps(), 10))
    feed = ready.trainer.arm.feed
    assert isinstance(feed, MixerFeed)
    state = feed.mixer.state_dict()
    assert len(state["selection"]["places"]) == 40  # 10 batches, 4 of 8 each
    ready.trainer.end_epoch()
    scores = feed.mixer.state_dict()["selection"]["scores"]
    assert scores.isfinite().sum() == 40


def test_other_feeds_and_settings_are_as_they_were():
    feed = toy_job().complete(Natural().prepare(toy_job())).feed
    assert not feed.selects
    assert feed.mixer.weights_of([0, 1]).tolist() == [1, 1]
    assert InfoBatch(prune=0.3).settings(toy()) == {"prune": 0.3, "first_part": 0.875, "keep_scale": False}
    assert LastLoss().settings(toy()) == {"uniform": 0.1}


@each_method
def test_what_fills_batches_without_a_mixer_is_refused(method):
    with pytest.raises(
        ValueError, match=rf"{method.name} chooses within a mixer's groups, and curriculum fills its batch"
    ):
        Composed((method, Curriculum()))
    job = toy_job()
    feed = Curriculum(warmup_epochs=0).prepare(job).feed
    with pytest.raises(ValueError, match="chooses examples within groups, and ShuffledFeed fills the batches without"):
        job.complete(Arm(feed=feed, selector=method.prepare(job).selector))


def test_bad_settings_are_refused():
    for make in (lambda: InfoBatch(prune=1.0), lambda: InfoBatch(first_part=2), lambda: LastLoss(uniform=0.0)):
        with pytest.raises(ValueError, match="it must be a number"):
            make()

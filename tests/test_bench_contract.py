"""What holds for every registered method, on every kind of task that it says it fits."""

import dataclasses
import pickle
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bench_toys import OUTPUTS, assert_same_curves, data_of, global_random_state, toy_of
from learn2mix import registry
from learn2mix.bench.budget import Budget
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Classical, Curriculum
from learn2mix.bench.models import mlp
from learn2mix.bench.runner import make_ready, run, settings_of
from learn2mix.bench.training import DivergedError

KINDS = tuple(OUTPUTS)
ENTRIES = list(registry.entries("method"))
STEPS, BATCH, TEST = 10, 8, 60


def short(name):
    """The method with a preparation that does not take long."""
    return Curriculum(warmup_epochs=2) if name == "curriculum" else find_method(name)


FITTING = [(entry.name, kind) for entry in ENTRIES for kind in KINDS if not entry.part().refusal(toy_of(kind))]
every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_fit = pytest.mark.parametrize(("name", "kind"), FITTING, ids=["-".join(fit) for fit in FITTING])


def train(name, kind, seed=0, budget=3, **changes):
    return run(toy_of(kind, **changes), short(name), seed, budget, data=data_of(kind))


def job_of(method):
    kind = min(method.kinds)
    return make_ready(toy_of(kind), Classical(), 0, data_of(kind)).job


@every
def test_what_is_registered(entry):
    method = entry.part()
    assert method.name == entry.name
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert 0 < len(entry.summary) <= 72
    settings = method.settings(toy_of(min(method.kinds)))
    assert all(isinstance(value, int | float | str | bool) for value in settings.values())
    assert method.rehearsal().name == entry.name
    assert method == entry.part() == pickle.loads(pickle.dumps(method))  # as worker processes are given it
    assert {kind for name, kind in FITTING if name == entry.name} == method.kinds


@every
def test_it_changes_what_it_says_and_leaves_the_job_as_it_was(entry):
    method = entry.part()
    job = job_of(method)
    parts = (job.train.x, job.train.y, job.train.groups)
    before = [part.clone() for part in parts]
    assert method.rehearsal().prepare(job).changes == method.changes
    assert all(one.equal(other) for one, other in zip(parts, before, strict=True))


@every
def test_a_kind_that_it_does_not_fit_is_refused_before_anything_is_loaded(entry):
    method = entry.part()
    for kind in set(KINDS) - method.kinds:
        with pytest.raises(ValueError, match=f"{entry.name}.*; leave it out there"):
            settings_of(toy_of(kind), method, 0, 1, fingerprint="f")


def first_step(change, method, **settings):
    kind = min(method.kinds)
    wrong = change(method, **settings).rehearsal()
    make_ready(toy_of(kind), wrong, 0, data_of(kind)).trainer.train_epoch(1)


@every
def test_settings_that_are_no_numbers_are_refused(entry):
    """NaN is in no range; that shows at the latest in the first step."""
    method = entry.part()
    for field in dataclasses.fields(method):
        if isinstance(getattr(method, field.name), float):
            with pytest.raises(ValueError, match=f"{field.name}.* nan"):
                first_step(dataclasses.replace, method, **{field.name: float("nan")})


@every_fit
def test_it_learns(name, kind):
    result = train(name, kind, budget=12)
    assert all(np.isfinite(column[1:]).all() for column in result.curves.values())
    metric = result.curves["test_metric"]
    assert metric[-1] < 0.8 * metric[0]


@every_fit
def test_it_repeats_and_leaves_no_trace(name, kind):
    """The network has batch normalisation and dropout, which draws from the global generator."""

    def network():
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, OUTPUTS[kind])
        )

    before = global_random_state()
    first = train(name, kind, network=network)
    assert global_random_state() == before
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    assert_same_curves(train(name, kind, network=network), first)
    other = train(name, kind, seed=1, network=network)
    assert not np.array_equal(other.curves["test_loss"], first.curves["test_loss"])


@every_fit
def test_it_starts_where_classical_training_does(name, kind):
    """The same weights, data and first row; what it puts around the network may change what that gives."""
    classical = make_ready(toy_of(kind), Classical(), 0, data_of(kind))
    ready = make_ready(toy_of(kind), short(name), 0, data_of(kind))
    assert ready.job.train.x.equal(classical.job.train.x)
    assert ready.test.x.equal(classical.test.x)
    own, others = (list(one.trainer.network.parameters()) for one in (ready, classical))
    assert own[0].equal(others[0])
    if "wrap" in short(name).changes:
        return
    assert all(one.equal(other) for one, other in zip(own, others, strict=True))
    one, other = ready.evaluate(), classical.evaluate()
    assert (one.loss, one.metric) == (other.loss, other.metric)


class Counted(nn.Module):
    """Counts every example that any network of its kind is sent."""

    seen = 0

    def __init__(self, outputs):
        super().__init__()
        self.body = mlp(4, 8, outputs)

    def forward(self, x):
        Counted.seen += len(x)
        return self.body(x)


@every_fit
def test_it_takes_as_many_steps_as_any_and_nothing_goes_forward_uncounted(name, kind):
    Counted.seen = 0
    result = train(name, kind, network=partial(Counted, OUTPUTS[kind]))
    epochs = np.arange(4)
    assert result.curves["epoch"].tolist() == epochs.tolist()
    assert result.curves["steps"].tolist() == (epochs * STEPS).tolist()
    assert result.facts["steps_per_epoch"] == STEPS
    prepared = result.facts["preparation"]
    assert Counted.seen == result.curves["forwarded"][-1] + prepared["forwarded"] + 4 * TEST  # evaluated four times
    assert (np.diff(result.curves["backpropagated"]) <= STEPS * BATCH).all()
    assert (result.curves["forwarded"] >= result.curves["backpropagated"]).all()
    assert prepared["forwarded"] >= prepared["backpropagated"]
    assert prepared["seconds"] > 0


@every_fit
def test_a_budget_in_steps_is_the_start_of_one_in_epochs(name, kind):
    whole = train(name, kind)
    assert_same_curves(train(name, kind, budget=Budget(steps=30)), whole)
    part = train(name, kind, budget=Budget(steps=25))
    assert part.curves["steps"].tolist() == [0, 10, 20, 25]
    for curve, values in part.curves.items():
        if "seconds" not in curve:
            np.testing.assert_array_equal(values[:3], whole.curves[curve][:3], err_msg=curve)


class Recorder:
    """An augmentation that notes what it draws."""

    def __init__(self):
        self.draws = []

    def __call__(self, x, generator):
        self.draws.append(torch.randn(x.shape, generator=generator))
        return x + 0.1 * self.draws[-1]


@every_fit
def test_augmentation_draws_the_same_for_every_method(name, kind):
    """Once a training batch: an extra or missing draw in preparation, selection or evaluation would shift it."""
    own, classical = Recorder(), Recorder()
    if short(name).refusal(toy_of(kind, augment=own)):
        return
    result = train(name, kind, augment=own)
    train("classical", kind, augment=classical)
    prepared = result.facts["preparation"]["steps"]  # with draws of their own
    assert len(own.draws) == prepared + 3 * STEPS
    assert torch.stack(own.draws[prepared:]).equal(torch.stack(classical.draws))


class Unstable(nn.Module):
    """Gives NaN in training, after some batches."""

    def __init__(self, outputs):
        super().__init__()
        self.body = mlp(4, 8, outputs)
        self.left = 15

    def forward(self, x):
        if self.training:
            self.left -= 1
        return self.body(x) * (float("nan") if self.left < 0 else 1)


@every_fit
def test_a_loss_that_is_not_a_number_ends_the_run(name, kind):
    says = rf"toy-{kind}, {name}, seed 0: the training loss became nan .* learning rate may help"
    with pytest.raises(DivergedError, match=says):
        train(name, kind, network=partial(Unstable, OUTPUTS[kind]))

"""The loop's own properties: what is minimised, augmented, normalised and standardised, and that nothing leaks."""

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bench_toys import (
    TEST_SIZES,
    arm_of,
    assert_same_curves,
    blobs,
    columns,
    global_random_state,
    of_groups,
    toy,
    toy_data,
    toy_job,
)
from learn2mix import registry
from learn2mix.bench import clock, seeds
from learn2mix.bench.arithmetic import exact_arithmetic
from learn2mix.bench.data import Data, Examples, profiles
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Balanced, Classical, Curriculum, Learn2Mix, Method, Natural, Smote
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks.base import MSE, cross_entropy, squared_error
from learn2mix.bench.training import Arm, DivergedError, evaluate, evaluating, reestimate

METHODS = [entry.name for entry in registry.entries("method")]


def short(name):
    return Curriculum(warmup_epochs=1) if name == "curriculum" else find_method(name)


def parameters(network):
    return {name: value.detach().clone() for name, value in network.named_parameters()}


# --- What is minimised, and what is told of it ------------------------------------------------------------------------


@dataclass(frozen=True)
class Summed(Method):
    """Minimises three times the sum, with the losses of group 2 left out."""

    name: ClassVar[str] = "summed"

    def prepare(self, job):
        return Arm(combine=lambda losses, batch: 3 * losses[batch.groups < 2].sum())


def sgd_task(**changes):
    settings = {"network": lambda: nn.Linear(4, 3), "optimizer": torch.optim.SGD, "learning_rate": 0.01}
    return toy(**{**settings, **changes})


def test_what_the_arm_combines_is_minimised_and_told():
    """Two steps of gradient descent by hand."""
    ready = make_ready(sgd_task(), Summed(), 0, toy_data())
    twin = ready.job.network()
    batches = [ready.job.train.take(rows) for rows in arm_of(Summed(), ready.job).feed.epoch()][:2]
    told, wrong = [], []
    for batch in batches:
        outputs = twin(batch.x)
        loss = 3 * F.cross_entropy(outputs[batch.groups < 2], batch.y[batch.groups < 2], reduction="sum")
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter -= 0.01 * parameter.grad
        told.append(loss.item())
        wrong.append((outputs.argmax(1) != batch.y).double().mean().item())  # of all groups, before the step
    summary = ready.trainer.train_epoch(2)
    torch.testing.assert_close(parameters(ready.trainer.network), parameters(twin))
    assert summary.train_loss == pytest.approx(np.mean(told), rel=1e-5)
    assert summary.train_metric == pytest.approx(np.mean(wrong))
    counts = torch.bincount(torch.cat([batch.groups for batch in batches]), minlength=3)
    assert summary.proportions.tolist() == (counts / 16).tolist()


def test_the_mean_loss_is_what_is_combined_unless_said_otherwise():
    arm = arm_of(Classical(), toy_job())
    losses = torch.tensor([1.0, 2.0, 6.0])
    assert arm.combine(losses, of_groups([0, 1, 1])).item() == 3


def test_the_training_metric_is_the_metric_also_where_the_loss_is_another():
    """The method's own loss may be anything; the metric stays the task's. Where they are one, so are the columns."""
    result = run(toy(), "focal", 0, 2, data=toy_data())
    metric = result.curves["train_metric"][1:]
    np.testing.assert_allclose(metric * 80, (metric * 80).round(), atol=1e-4)  # errors are counted
    assert (metric < 1).all()
    x, groups = (torch.as_tensor(part) for part in blobs())
    numbers = Examples(x, x.sum(1), groups.to(torch.int64))
    task = toy(network=lambda: nn.Linear(4, 1), loss=squared_error, metric=MSE, kind="regression")
    result = run(task, "classical", 0, 2, data=Data(numbers, numbers, ("a", "b", "c")))
    np.testing.assert_allclose(result.curves["train_metric"], result.curves["train_loss"], rtol=1e-6)


def test_an_epochs_first_steps_are_the_steps_asked_for():
    ready = make_ready(toy(), Classical(), 0, toy_data())
    ready.trainer.train_epoch(3)
    assert (ready.trainer.work.steps, ready.trainer.work.forwarded) == (3, 24)
    ready.trainer.train_epoch()  # a new epoch, whole
    assert (ready.trainer.work.steps, ready.trainer.work.forwarded) == (13, 104)
    with torch.no_grad():
        ready.trainer.network(ready.test.x)  # outside training nothing is counted
    assert ready.trainer.work.forwarded == 104


# --- Augmentation -----------------------------------------------------------------------------------------------------


class Recorder:
    """An augmentation that notes what it draws and is given, and moves the inputs by its draws."""

    def __init__(self, strength=1.0):
        self.strength, self.draws, self.inputs, self.outputs = strength, [], [], []

    def __call__(self, x, generator):
        draws = torch.randn(x.shape, generator=generator)
        self.draws.append(draws)
        self.inputs.append(x.clone())
        self.outputs.append(x + self.strength * draws)
        return self.outputs[-1]


def recorded(method, seed=0, epochs=3, **changes):
    recorder = Recorder()
    run(
        toy(augment=recorder, **changes),
        short(method) if isinstance(method, str) else method,
        seed,
        epochs,
        data=toy_data(),
    )
    return recorder


def test_augmentation_is_drawn_afresh_each_time_and_by_seed():
    draws = torch.stack(recorded("classical").draws)
    own = seeds.generator(seeds.derive("toy", 0, "augmentation"))  # of this purpose alone
    assert draws.equal(torch.stack([torch.randn(8, 4, generator=own) for _ in range(30)]))
    assert len(draws.flatten().unique()) > 0.999 * draws.numel()  # 30 batches, none like another
    assert torch.stack(recorded("classical").draws).equal(draws)
    assert not torch.stack(recorded("classical", seed=1).draws).equal(draws)
    assert not torch.stack(recorded("classical", name="toy2").draws).equal(draws)


def test_augmentation_is_given_the_batch_as_stored_and_evaluation_is_left_alone():
    recorder, data = Recorder(), toy_data()
    ready = make_ready(toy(augment=recorder), Classical(), 0, data)
    plain = make_ready(toy(), Classical(), 0, data)
    batches = [ready.job.train.take(rows).x for rows in arm_of(Classical(), ready.job).feed.epoch()]
    ready.trainer.train_epoch()
    assert torch.stack(recorder.inputs).equal(torch.stack(batches))
    assert ready.job.train.x.equal(plain.job.train.x)  # what is stored does not change
    for _ in range(3):
        ready.evaluate()
    assert len(recorder.draws) == 10
    outputs = ready.trainer.network(data.test.x)
    assert ready.evaluate().loss == pytest.approx(F.cross_entropy(outputs, data.test.y).item(), rel=1e-6)


def seen_in_training(recorder, method):
    """Every batch that the network was given in training."""
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append(x.detach().clone())
            return super().forward(x)

    run(toy(augment=recorder, network=lambda: Watching(4, 3)), method, 0, 1, data=toy_data())
    return seen


def test_the_network_sees_what_augmentation_returns():
    recorder = Recorder()
    assert torch.stack(seen_in_training(recorder, "classical")).equal(torch.stack(recorder.outputs))


def test_selection_judges_what_is_trained_on():
    """Importance sampling forwards the augmented batch and trains on rows of it."""
    recorder = Recorder()
    seen = seen_in_training(recorder, "importance")
    for given_all, kept, outputs in zip(seen[::2], seen[1::2], recorder.outputs, strict=True):
        assert given_all.equal(outputs)
        assert len(kept) == 4
        assert {tuple(row) for row in kept.tolist()} <= {tuple(row) for row in outputs.tolist()}


def test_augmentation_leaves_the_global_generators_and_dropout_alone():
    task = {"network": lambda: nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3))}
    before = global_random_state()
    plain = run(toy(**task), "classical", 0, 3, data=toy_data())
    idle = run(toy(augment=Recorder(strength=0.0), **task), "classical", 0, 3, data=toy_data())
    assert global_random_state() == before
    assert_same_curves(idle, plain)
    moved = run(toy(augment=Recorder(), **task), "classical", 0, 3, data=toy_data())
    assert not np.array_equal(moved.curves["test_loss"], plain.curves["test_loss"])


def test_targets_and_groups_are_not_augmented():
    """A rebuilt input is held against the input as it was."""
    x, groups = (torch.as_tensor(part) for part in blobs())
    rows = Examples(x, x, groups.to(torch.int64))
    recorder, targets = Recorder(), []

    def loss(outputs, y):
        targets.append(y.clone())
        return squared_error(outputs, y)

    task = toy(network=lambda: nn.Linear(4, 4), loss=loss, metric=MSE, kind="reconstruction", augment=recorder)
    make_ready(task, Classical(), 0, Data(rows, rows, ("a", "b", "c"))).trainer.train_epoch()
    assert torch.stack(targets).equal(torch.stack(recorder.inputs))


# --- Batch normalisation ----------------------------------------------------------------------------------------------


def normalising(dropout=0.0):
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


class Plain(nn.Module):
    """Batch normalisation of the inputs themselves, so that its statistics are known by hand; then a fixed layer."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(self.norm(x))


def test_statistics_are_those_of_the_training_set_whatever_was_trained_on():
    """Seven pieces of 12 make up the 84 rows: the mean of their means, and of their unbiased variances."""
    data = toy_data()
    for method in (Classical(), Balanced(), Smote(), Learn2Mix(mixing_rate=1.0)):
        ready = make_ready(toy(network=Plain, batch_size=12), method, 0, data)
        ready.trainer.train_epoch()
        network = ready.trainer.network
        trained = network.norm.running_mean.clone()
        scores = ready.evaluate()
        pieces = data.train.x.double().view(7, 12, 4)
        mean, variance = pieces.mean((0, 1)), pieces.var(1).mean(0)
        np.testing.assert_allclose(network.norm.running_mean, mean, atol=1e-5)
        np.testing.assert_allclose(network.norm.running_var, variance, rtol=1e-4)
        assert (trained - network.norm.running_mean).abs().max() > 0.01
        weight, bias = network.norm.weight.double(), network.norm.bias.double()
        normed = (data.test.x.double() - mean) / (variance + 1e-5).sqrt() * weight + bias
        outputs = normed @ network.linear.weight.double().T + network.linear.bias.double()
        assert scores.loss == pytest.approx(F.cross_entropy(outputs, data.test.y).item(), rel=1e-5)


def test_a_network_scores_alike_whatever_a_method_put_into_its_batches():
    """The same weights, the running statistics of two feeds: before, they would tell one from the other."""
    ready = [make_ready(toy(network=normalising), method, 0, toy_data()) for method in (Natural(), Balanced())]
    for one in ready:
        one.trainer.train_epoch()
        with torch.no_grad():
            for parameter in one.trainer.network.parameters():
                parameter.fill_(0.3)
            one.trainer.network[0].weight += torch.arange(32.0).view(8, 4).sin()
            one.trainer.network[4].weight += torch.arange(24.0).view(3, 8).cos()
    norms = [one.trainer.network[1] for one in ready]
    assert not norms[0].running_mean.equal(norms[1].running_mean)
    scores = [one.evaluate() for one in ready]
    assert (scores[0].loss, scores[0].metric) == (scores[1].loss, scores[1].metric)
    assert scores[0].group_metric.equal(scores[1].group_metric)
    assert norms[0].running_mean.equal(norms[1].running_mean)


def test_the_statistics_are_of_the_natural_mix_as_cut():
    """The sample is of the training set, not of the balanced batches, nor of the test set."""
    task = toy(network=Plain, batch_size=17, profile=profiles.Step(minority=(0,), fraction=0.25))
    ready = make_ready(task, Balanced(), 0, toy_data())
    assert ready.job.train.group_sizes(3) == [11, 24, 16]
    ready.evaluate()
    np.testing.assert_allclose(ready.trainer.network.norm.running_mean, ready.job.train.x.double().mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("number", "batch_size"), [(501, 500), (750, 500), (1000, 500), (1001, 500), (1499, 500), (85, 12), (12, 12)]
)
def test_a_sample_of_any_size_makes_up_the_statistics(number, batch_size):
    """In pieces of at most a batch that differ by one at most, so that none has a say beyond its size."""
    x = torch.randn(number, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    x[-1] = 1000.0  # which a piece of its own would make the mean of all
    groups = torch.zeros(number, dtype=torch.int64)
    network, sizes = Plain(), []
    network.norm.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    reestimate(network, Examples(x, groups, groups), torch.arange(number), batch_size)
    assert sum(sizes) == number
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_allclose(network.norm.running_mean, x.double().mean(0), rtol=0.1)
    assert network.training
    assert network.norm.momentum == 0.1


def test_at_most_ten_batches_are_looked_at():
    x, y = blobs((440, 240, 160))
    data = Data.from_arrays(x, y, *blobs(TEST_SIZES, seed=1))
    sizes = []
    ready = make_ready(toy(network=Plain), Classical(), 0, data)
    ready.trainer.network.norm.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0])) if module.training else None
    )
    ready.evaluate()
    assert sum(sizes) == 80
    assert max(sizes) <= 8
    first = ready.trainer.network.norm.running_mean.clone()
    ready.trainer.train_epoch()
    ready.evaluate()
    assert ready.trainer.network.norm.running_mean.equal(first)  # the same sample every time


@pytest.mark.parametrize("method", ["classical", "learn2mix"])
def test_evaluation_leaves_training_as_it_was(method):
    """Weights, dropout and work are the same with an evaluation after every epoch, after none, and within an epoch."""

    def trained(evaluations):
        ready = make_ready(toy(network=lambda: normalising(0.5)), find_method(method), 0, toy_data())
        with seeds.isolated(ready.job.seed_for("dropout")):
            for _ in range(3):
                for step, _ in enumerate(ready.trainer.steps()):
                    if evaluations == "within" and step % 4 == 1:
                        ready.evaluate()
                ready.trainer.end_epoch()
                if evaluations == "after":
                    state = global_random_state()
                    assert ready.evaluate().loss == ready.evaluate().loss
                    assert global_random_state() == state
            assert ready.trainer.model.training
            return parameters(ready.trainer.network), ready.trainer.work, ready.evaluate()

    weights, work, scores = trained("none")
    # a count within an epoch would come with the hook of the step under way
    for evaluations in ("after", "within"):
        other, same_work, same_scores = trained(evaluations)
        assert all(weights[name].equal(other[name]) for name in weights)
        assert same_work.steps == work.steps == 30
        assert same_scores.loss == scores.loss
        if evaluations == "after":
            assert same_work == work
    assert work.forwarded == 240


def test_evaluation_of_a_network_with_dropout_repeats():
    """Dropout before a batch normalisation moves its statistics; they are drawn alike every time, and for every method."""

    def network():
        return nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 3))

    losses = set()
    for method in (Classical(), Balanced()):
        ready = make_ready(toy(network=network), method, 0, toy_data())
        for _ in range(3):
            torch.rand(5)
            losses.add(ready.evaluate().loss)
    assert len(losses) == 1


def test_without_batch_normalisation_nothing_is_looked_at():
    ready = make_ready(toy(), Classical(), 0, toy_data())
    calls = []
    ready.trainer.network.register_forward_pre_hook(lambda module, args: calls.append((len(args[0]), module.training)))
    ready.evaluate()
    assert calls == [(60, False)]


# --- Standardised inputs ----------------------------------------------------------------------------------------------


def numbered(number, seed=0, constant=None):
    """Rows with targets that say which they are; three groups; column 1 as given, the others of differing scales."""
    generator = np.random.default_rng(seed)
    x = (generator.normal(size=(number, 4)) * [1, 1, 1000, 1e-3] + [0, 5, -3000, 1]).astype(np.float32)
    if constant is not None:
        x[:, 1] = constant
    groups = torch.arange(number) % 3
    return Examples(torch.from_numpy(x), torch.arange(float(number)), groups)


def line(**changes):
    settings = {"network": lambda: nn.Linear(4, 1), "loss": squared_error, "metric": MSE, "kind": "regression"}
    return toy(**{**settings, "standardise": True, **changes})


@pytest.mark.parametrize("evaluate_on", ["test", "validation"])
@pytest.mark.parametrize("own_test", [True, False])
def test_inputs_are_standardised_by_the_training_rows_that_are_left(own_test, evaluate_on):
    train, test = numbered(120), numbered(60, seed=1)
    data = Data(train, test if own_test else None, ("a", "b", "c"))
    task = line(profile=profiles.Step(minority=(0, 2), fraction=0.3), test_fraction=0.4)
    kept, held = task.split(data, 0, evaluate_on)
    plain = line(profile=task.profile, test_fraction=0.4, standardise=False)
    plain_kept, plain_held = plain.split(data, 0, evaluate_on)
    rows = train.x.double().numpy()[kept.y.long().numpy()]
    assert len(rows) < 120
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    np.testing.assert_allclose(kept.x, (rows - mean) / deviation, atol=2e-3)
    others = (test if own_test and evaluate_on == "test" else train).x.double().numpy()[held.y.long().numpy()]
    np.testing.assert_allclose(held.x, (others - mean) / deviation, atol=2e-3)
    # the split, the targets and the groups are what they were
    for part, plain in ((kept, plain_kept), (held, plain_held)):
        assert part.y.equal(plain.y)
        assert part.groups.equal(plain.groups)
    # all 120 rows would give other figures
    assert abs(rows[:, 2].mean() - train.x[:, 2].mean().item()) > 1
    # and the data themselves stay as they are
    assert train.x.equal(numbered(120).x)


def test_what_is_tested_on_has_no_say():
    train, test = numbered(90), numbered(30, seed=1)
    wild = Examples(test.x * 1e6 + 77, test.y, test.groups)
    one, other = (line().split(Data(train, part, ("a", "b", "c")), 0) for part in (test, wild))
    assert one[0].x.equal(other[0].x)
    assert not one[1].x.equal(other[1].x)


@given(st.floats(-1e7, 1e7, width=32), st.integers(10, 1500), st.booleans())
@example(np.float32(0.3).item(), 1043, True)
@example(np.float32(123.456).item(), 300, True)
def test_a_column_that_does_not_vary_does_not_blow_up(value, number, alone):
    """The mean of many equal numbers may be off in the last place: dividing by that would make noise, or worse, of it."""

    def with_column(number, seed):
        examples = numbered(number, seed, constant=value)
        return Examples(examples.x[:, 1:2], examples.y, examples.groups) if alone else examples

    train, test = with_column(number, 0), with_column(30, 1)
    column = 0 if alone else 1
    test.x[0, column] = value + 5
    kept, held = line().split(Data(train, test, ("a", "b", "c")), 0)
    rounding = 2e-6 * abs(value) + 1e-30
    assert kept.x[:, column].abs().max() <= rounding
    assert held.x[1:, column].abs().max() <= rounding
    assert abs(held.x[0, column] - (test.x[0, column] - value)) <= rounding  # told in its own unit
    assert torch.isfinite(kept.x).all()


def test_a_task_that_does_not_ask_for_it_keeps_its_inputs():
    data = Data(numbered(60), numbered(30, seed=1), ("a", "b", "c"))
    kept, held = line(standardise=False).split(data, 0)
    assert kept.x is data.train.x
    assert held.x is data.test.x


def test_a_run_does_not_hang_on_the_units_of_its_inputs():
    """Powers of two are exact, so that not even rounding differs."""
    train, test = numbered(60), numbered(30, seed=1)
    scale = torch.tensor([2.0, 0.25, 1024.0, 1.0])
    scaled = [Examples(part.x * scale, part.y, part.groups) for part in (train, test)]
    names = ("a", "b", "c")
    one, other = (run(line(), "learn2mix", 0, 2, data=Data(*parts, names)) for parts in ((train, test), scaled))
    for name, column in columns(one).items():
        np.testing.assert_allclose(other.curves[name], column, rtol=1e-6, err_msg=name)


# --- Exact arithmetic -------------------------------------------------------------------------------------------------


def flags():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.fixture
def loose():
    """Somebody allows TF32 everywhere."""
    before = flags()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    yield (True, "high")
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


def test_tf32_is_off_inside_and_as_it_was_outside(loose):
    assert flags() == loose
    with exact_arithmetic():
        assert flags() == (False, "highest")
        with exact_arithmetic():
            assert flags() == (False, "highest")
        assert flags() == (False, "highest")
    assert flags() == loose


def test_tf32_is_as_it_was_after_an_error(loose):
    with pytest.raises(KeyError), exact_arithmetic():
        raise KeyError
    assert flags() == loose


class Noting(nn.Linear):
    """Notes the flags at every forward pass."""

    seen: ClassVar[list] = []

    def forward(self, x):
        self.seen.append(flags())
        return super().forward(x)


def test_preparation_training_evaluation_and_timing_are_exact(loose):
    task = toy(network=lambda: Noting(4, 3))
    Noting.seen.clear()
    run(task, Curriculum(warmup_epochs=1), 0, 2, data=toy_data())
    clock.measure(task, ["classical"], rounds=1, seconds=0.0, steps=2, data=toy_data())
    assert len(Noting.seen) > 30
    assert set(Noting.seen) == {(False, "highest")}
    assert flags() == loose


def test_a_run_that_fails_leaves_the_flags_as_they_were(loose):
    class Broken(nn.Linear):
        def forward(self, x):
            return super().forward(x) * float("nan")

    with pytest.raises(DivergedError):
        run(toy(network=lambda: Broken(4, 3)), "classical", 0, 1, data=toy_data())
    assert flags() == loose


BY_OPERATOR = """
import os, sys, torch
from learn2mix.bench.arithmetic import exact_arithmetic
if not hasattr(torch.backends.cudnn, "conv"):
    sys.exit()  # an older release has no such settings
places = [torch.backends, torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]
def now():
    return [place.fp32_precision for place in places]
for setting in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0, setting
        continue
    exec(setting)
    before = now()
    try:
        with exact_arithmetic():
            assert set(now()[1:]) == {"ieee"}, now()
            raise KeyError
    except KeyError:
        pass
    assert now() == before, (before, now())
    break
"""


def test_newer_settings_by_operator_are_heeded():
    """Torch refuses to tell the older settings once these were used: a process for each, as that cannot be undone."""
    settings = [
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        "torch.backends.cudnn.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    ]
    done = subprocess.run([sys.executable, "-c", BY_OPERATOR, *settings], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_evaluation_leaves_every_module_in_the_mode_it_was_in():
    """A frozen body stays in evaluation mode when somebody measures in the middle of an epoch."""
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    model[0].eval()
    mean = model[0].running_mean.clone()
    examples = toy_data().test
    evaluate(model, examples, cross_entropy, cross_entropy, 3, chunk=25)
    assert [module.training for module in model] == [False, True, True]
    assert model[0].running_mean.equal(mean)
    reestimate(model, examples, torch.arange(40), 8)
    assert [module.training for module in model] == [False, True, True]
    with evaluating(model):
        assert not model[1].training
    assert model[1].training

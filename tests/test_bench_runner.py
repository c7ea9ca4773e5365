"""One run: equal footing, repeatability, what is counted and what is written down."""

import random
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from bench_toys import SIZES, TEST_SIZES, assert_same_curves, blobs, global_random_state, toy, toy_data
from learn2mix import registry
from learn2mix.bench import seeds
from learn2mix.bench.data import Data, Examples, profiles
from learn2mix.bench.methods import Classical, Curriculum, Learn2Mix, Method
from learn2mix.bench.runner import make_ready, run, settings_of
from learn2mix.bench.training import Arm, DivergedError

METHODS = [entry.name for entry in registry.entries("method")]
STEPS = 10  # an epoch of the toy: 84 examples in batches of 8


def short(name):
    """A method with a preparation that does not take long."""
    return Curriculum(warmup_epochs=2) if name == "curriculum" else name


def toy_run(method="classical", seed=0, budget=3, data=None, **options):
    changes = options.pop("task", {})
    return run(toy(**changes), method, seed, budget, data=data or toy_data(), **options)


def test_importing_the_runner_imports_no_data_library():
    code = (
        "import sys, learn2mix.bench.runner; print({'datasets', 'sklearn', 'imblearn', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# an epoch is 10 steps on 8 examples; importance looks at 8 and trains on 4
FORWARDED = {"importance": (8 + 4) * STEPS}
BACKPROPAGATED = {"importance": 4 * STEPS}


def test_the_rows_of_a_run():
    result = toy_run("learn2mix")
    assert all(column.dtype == np.float32 and len(column) == 4 for column in result.curves.values())
    assert result.curves["group_metric"].shape == result.curves["proportions"].shape == (4, 3)
    np.testing.assert_allclose(result.curves["proportions"][0], np.array(SIZES) / 84, rtol=1e-6)
    np.testing.assert_allclose(result.curves["proportions"].sum(axis=1), 1, rtol=1e-6)
    weighted = result.curves["group_metric"] @ np.array(TEST_SIZES) / 60
    np.testing.assert_allclose(weighted, result.curves["test_metric"], atol=1e-6)
    for clock in ("wall_seconds", "cpu_seconds"):
        assert result.curves[clock][0] == 0
        assert (np.diff(result.curves[clock]) >= 0).all()
    assert np.isnan(result.curves["train_loss"][0])
    assert np.isfinite(result.curves["train_loss"][1:]).all()


def test_the_metric_is_the_networks_error_on_the_test_set():
    data = toy_data()
    ready = make_ready(toy(), Classical(), 0, data)
    for _ in range(3):
        ready.trainer.train_epoch()
    outputs = ready.trainer.model(data.test.x)
    wrong = (outputs.argmax(dim=1) != data.test.y).double()
    result = toy_run()
    assert result.curves["test_metric"][-1] == pytest.approx(float(wrong.mean()), abs=1e-7)
    expected = [float(wrong[data.test.y == group].mean()) for group in range(3)]
    assert result.curves["group_metric"][-1].tolist() == pytest.approx(expected, abs=1e-7)
    loss = nn.functional.cross_entropy(outputs, data.test.y).item()
    assert result.curves["test_loss"][-1] == pytest.approx(loss, rel=1e-5)


def test_what_is_trained_on_is_what_learn2mix_asked_for():
    ready = make_ready(toy(mixing_rate=0.5), Learn2Mix(), 0, toy_data())
    alphas, seen = [], []
    for _ in range(12):
        alphas.append(ready.trainer.arm.feed.mixer.proportions)
        seen.append(ready.trainer.train_epoch().proportions.numpy())
    drawn, due = np.cumsum(seen, axis=0) * 80, np.cumsum(alphas, axis=0) * 80
    assert np.abs(drawn - due).max() <= 2  # the mixer's promise, over all epochs
    assert np.abs(alphas[-1] - alphas[0]).max() > 0.05  # and there was something to follow


def test_networks_are_evaluated_in_evaluation_mode_and_trained_in_training_mode():
    ready = make_ready(toy(network=lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))), Classical(), 0, toy_data())
    expected = nn.functional.cross_entropy(ready.trainer.network[0](ready.test.x), ready.test.y).item()
    assert ready.evaluate().loss == pytest.approx(expected, rel=1e-6)
    assert ready.trainer.model.training


def test_facts():
    facts = toy_run(task={"profile": profiles.Step(minority=(0,), fraction=0.25)}).facts
    assert facts["train_group_sizes"] == [11, 24, 16]
    assert facts["test_group_sizes"] == list(TEST_SIZES)
    # always saying b, the most frequent class of the training set as cut, is wrong for 40 of 60
    assert facts["reference_metric"] == pytest.approx(40 / 60)
    assert (facts["metric"], facts["batch_size"], facts["group_names"]) == ("error", 8, ["a", "b", "c"])
    assert facts["steps_per_epoch"] == 51 // 8


def test_settings_tell_runs_apart():
    def key(task=None, method=None, seed=0, epochs=3, fingerprint="f", evaluate_on="test"):
        found = settings_of(
            toy(**(task or {})), method or Learn2Mix(), seed, epochs, fingerprint=fingerprint, evaluate_on=evaluate_on
        )
        return str(sorted(found.items()))

    different = [
        key(),
        key(task={"learning_rate": 0.1}),
        key(task={"batch_size": 9}),
        key(task={"version": 2}),
        key(task={"name": "toy2"}),
        key(task={"optimizer": torch.optim.SGD}),
        key(task={"profile": profiles.Exponential(factor=2)}),
        key(task={"mixing_rate": 0.3}),
        key(method=Classical()),
        key(seed=1),
        key(epochs=4),
        key(fingerprint="g"),
        key(evaluate_on="validation"),
    ]
    assert len(set(different)) == len(different)
    assert key(method=Learn2Mix(mixing_rate=0.2)) == key()  # the task's own rate, said aloud
    # a rate that a method does not use is no setting of its runs
    assert key(method=Classical(), task={"mixing_rate": 0.3}) == key(method=Classical())


def test_a_run_carries_the_settings_it_is_looked_up_by():
    data = toy_data()
    result = toy_run("learn2mix", seed=2)
    assert result.settings == settings_of(toy(), Learn2Mix(), 2, 3, fingerprint=data.fingerprint)
    assert result.provenance["versions"]["torch"] == str(torch.__version__)
    assert result.provenance["machine"]["threads"] == torch.get_num_threads()
    assert {"commit", "command", "finished"} <= result.provenance.keys()


def test_seeds_hang_on_task_seed_and_purpose():
    known = {seeds.derive(t, s, p) for t in ("a", "b") for s in (0, 1) for p in ("order", "weights")}
    assert len(known) == 8
    assert all(0 <= value < 2**63 for value in known)
    # a golden value: stored runs are known by what their seeds meant
    assert seeds.derive("digits", 0, "weights") == 600338975194436705


def rows(examples):
    return {tuple(row) for row in examples.x.tolist()}


def test_validation_is_held_out_before_the_cut_and_the_test_set_is_not_looked_at():
    data = toy_data()
    task = toy(profile=profiles.Step(minority=(2,), fraction=0.5))
    train, held_out = task.split(data, seed=0, evaluate_on="validation")
    assert held_out.group_sizes(3) == [4, 2, 1]  # a tenth of 44, 24 and 16, floored
    assert train.group_sizes(3) == [40, 22, 7]  # the cut falls on what is left: half of 15
    assert not rows(train) & rows(held_out)
    assert rows(train) | rows(held_out) <= rows(data.train)

    blind = Data(data.train, Examples(data.test.x * float("nan"), data.test.y, data.test.groups), data.group_names)
    assert_same_curves(toy_run(data=blind, evaluate_on="validation"), toy_run(data=data, evaluate_on="validation"))


def test_a_test_set_is_drawn_by_seed_where_there_is_none():
    data = Data.from_arrays(*blobs())
    task = toy(test_fraction=0.25)
    train, test = task.split(data, seed=0)
    assert test.group_sizes(3) == [11, 6, 4]
    assert not rows(train) & rows(test)
    assert rows(train) | rows(test) == rows(data.train)
    assert rows(task.split(data, seed=1)[1]) != rows(test)
    again, tested = task.split(data, seed=0)
    assert again.x.equal(train.x)
    assert tested.x.equal(test.x)
    # for tuning it stays out of reach: neither trained nor evaluated on
    left, held_out = task.split(data, seed=0, evaluate_on="validation")
    assert not (rows(left) | rows(held_out)) & rows(test)


@dataclass(frozen=True)
class Restless(Classical):
    """Classical, but its preparation draws from the global generator."""

    name: ClassVar[str] = "restless"

    def prepare(self, job):
        torch.rand(1000), np.random.rand(1000), random.random()  # noqa: NPY002
        return super().prepare(job)


def test_preparation_does_not_shift_dropout():
    before = global_random_state()
    task = {"network": lambda: nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3))}
    still = toy_run("classical", task=task)
    assert_same_curves(toy_run(Restless(), task=task), still)
    assert global_random_state() == before


class Doubled(nn.Module):
    """Sends everything through the network twice."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * (self.network(x) + self.network(x))


@dataclass(frozen=True)
class Wrapping(Method):
    name: ClassVar[str] = "wrapping"

    def prepare(self, job):
        return Arm(wrap=Doubled)


def test_what_a_method_wraps_is_trained_evaluated_and_counted():
    result = toy_run(Wrapping())
    assert result.curves["forwarded"].tolist() == [0, 160, 320, 480]
    ready = make_ready(toy(), Wrapping(), 0, toy_data())
    ready.trainer.train_epoch()
    assert ready.trainer.model.scale.item() != 1
    assert ready.evaluate().loss == pytest.approx(float(result.curves["test_loss"][1]))


class Unstable(nn.Module):
    """Gives NaN from a given forward pass in training on; evaluation stays fine."""

    def __init__(self, sane):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.left = sane

    def forward(self, x):
        if self.training:
            self.left -= 1
        return self.linear(x) * (float("nan") if self.left < 0 else 1)


def test_a_network_ruined_by_its_last_step_ends_the_run():
    task = {"optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=float("inf")), "batch_size": 84}
    with pytest.raises(DivergedError, match="the loss on the test set became nan in epoch 1"):
        toy_run(task=task, budget=1)


def test_a_task_that_names_its_threads_gets_them():
    threads = torch.get_num_threads()
    result = toy_run(task={"threads": 1})
    assert result.provenance["machine"]["threads"] == 1
    assert torch.get_num_threads() == threads


def test_progress_is_told():
    told = []
    toy_run(Curriculum(warmup_epochs=2), budget=2, progress=lambda *event: told.append(event))
    assert told == [("preparing", 1, 2), ("preparing", 2, 2), ("training", 1, 2), ("training", 2, 2)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run("digit", "classical", 0, 1), "no task is called 'digit'; there are: california-housing"),
        (lambda: run("digits", "clasical", 0, 1), "no method is called 'clasical'"),
        (lambda: toy_run(seed=-1), "seed was -1"),
        (lambda: toy_run(budget=0), "the budget is 0 epochs"),
        (lambda: toy_run(evaluate_on="train"), "evaluate_on is 'train'; it must be 'test', or 'validation'"),
        (lambda: toy_run(task={"batch_size": 85}), "84 training examples and a batch size of 85"),
        (
            lambda: toy_run(data=Data.from_arrays([[0.0] * 4] * 3, [0, 0, 1])),
            "group 1 has 1 examples, too few to hold one",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_digits_by_its_name():
    result = run("digits", "learn2mix", 0, 15)
    assert result.settings["data"] == run("digits", "natural", 1, 1).settings["data"]
    assert sum(result.facts["train_group_sizes"]) == 512
    assert min(result.facts["train_group_sizes"]) >= 6  # or smote could not be
    assert result.curves["test_metric"][-1] < result.facts["reference_metric"] / 2

"""Methods with a learning rate of their own, and what of them may be searched."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

from bench_toys import assert_same_curves, toy, toy_data
from learn2mix import registry
from learn2mix.bench.analysis.summary import summarise
from learn2mix.bench.compare import compare
from learn2mix.bench.methods import Classical, Curriculum, Focal, Learn2Mix, Yoked
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("entry", [*registry.entries("method")], ids=lambda entry: entry.name)
def test_what_methods_let_be_searched(entry):
    method = entry.part()
    assert len(method.search) <= 1
    for name, values in method.search.items():
        assert list(values) == sorted(set(values))
        assert len(values) >= 4
        assert name in method.settings(toy())
        assert {dataclasses.replace(method, **{name: value}).settings(toy())[name] for value in values} == {*values}


@pytest.mark.parametrize("method", [Classical(), Learn2Mix(0.3), Yoked(), Curriculum(warmup_epochs=2)])
def test_a_tuned_method_trains_as_on_a_task_with_that_rate(method):
    tuned = run(toy(), Tuned(method, 0.05), 0, 2, data=toy_data())
    other = run(toy(learning_rate=0.05), method, 0, 2, data=toy_data())
    assert_same_curves(tuned, other)  # curriculum and yoked train beforehand, at the same rate
    plain = run(toy(), method, 0, 2, data=toy_data())
    assert not np.array_equal(tuned.curves["train_loss"][1:], plain.curves["train_loss"][1:])
    assert tuned.settings["learning_rate"] == 0.02  # the task's: what all methods have in common
    assert tuned.settings["method"] == method.name
    assert tuned.settings["method_version"] == method.version
    assert tuned.settings["method_settings"] == {"learning_rate": 0.05, **method.settings(toy())}


def test_a_tuned_method_is_what_the_method_is():
    task, tuned = toy(kind="regression"), Tuned(Focal(), 0.1)
    assert tuned.refusal(task) == Focal().refusal(task) != ""
    assert (tuned.summary, tuned.reference, tuned.kinds) == (Focal.summary, Focal.reference, Focal.kinds)
    assert pickle.loads(pickle.dumps(tuned)) == tuned
    assert pickle.loads(pickle.dumps(tuned)).name == "focal"
    ready = make_ready(toy(), Tuned(Curriculum(), 0.1).rehearsal(), 0, toy_data())
    assert ready.job.preparation.steps == 0
    assert ready.job.task.learning_rate == 0.1


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_rates_that_are_refused(rate):
    with pytest.raises(ValueError, match="learning_rate is"):
        Tuned(Classical(), rate)


def test_a_method_is_tuned_once():
    with pytest.raises(ValueError, match="is tuned already"):
        Tuned(Tuned(Classical(), 0.1), 0.1)


def test_tuned_methods_stand_side_by_side(store):
    arms = [Tuned(Classical(), 0.05), Tuned(Learn2Mix(), 0.01)]
    done = compare([toy()], arms, range(3), store=store, budget=2, data={"toy": toy_data()})
    assert done.made == 6
    [task] = summarise(store.runs()).tasks
    assert [(row.name, row.n) for row in task.rows] == [("classical", 3), ("learn2mix", 3)]
    assert task.rows[1].difference.n == 3

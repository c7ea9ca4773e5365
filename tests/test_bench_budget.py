"""Budgets: epochs, steps and seconds, the arithmetic between them, and what a run of each does."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import toy, toy_data
from learn2mix import registry
from learn2mix.bench.budget import Budget
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Classical, Curriculum, Learn2Mix
from learn2mix.bench.record import settings_key
from learn2mix.bench.runner import make_ready, run, settings_of

METHODS = [entry.name for entry in registry.entries("method")]


def toy_run(method="classical", budget=3, **options):
    method = Curriculum(warmup_epochs=1) if method == "curriculum" else method
    return run(toy(), method, 0, budget, data=toy_data(), **options)


@pytest.mark.parametrize(
    ("budget", "per_epoch", "steps"),
    [
        (Budget(epochs=3), 10, 30),
        (Budget(epochs=1), 1, 1),
        (Budget(steps=7), 10, 7),
        (Budget(steps=7), 3, 7),
        (Budget(seconds=2.0, seconds_per_step=0.25), 10, 8),
        (Budget(seconds=2.2, seconds_per_step=0.25), 10, 8),  # 8.8: a step that does not end in time is not begun
        (Budget(seconds=0.1, seconds_per_step=0.25), 10, 1),  # but there is one
    ],
)
def test_in_steps(budget, per_epoch, steps):
    assert budget.in_steps(per_epoch) == steps


@given(st.floats(1e-3, 1e6), st.floats(1e-6, 1e3))
def test_seconds_give_the_most_steps_that_fit(seconds, each):
    steps = Budget(seconds=seconds, seconds_per_step=each).in_steps(10)
    assert steps == 1 or steps * each <= seconds * (1 + 1e-12)
    assert (steps + 1) * each >= seconds * (1 - 1e-12)


def test_a_whole_number_means_epochs_and_nothing_the_default():
    assert Budget.of(4, default=9) == Budget(epochs=4)
    assert Budget.of(None, default=9) == Budget(epochs=9)
    given_one = Budget(steps=2)
    assert Budget.of(given_one, default=9) is given_one


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(epochs=1), "1 epoch"),
        (Budget(epochs=2), "2 epochs"),
        (Budget(steps=1), "1 step"),
        (Budget(steps=250), "250 steps"),
        (Budget(seconds=50.0, seconds_per_step=0.01), "50 seconds"),
        (Budget(seconds=0.5, seconds_per_step=0.01), "0.5 seconds"),
    ],
)
def test_budgets_read_well(budget, text):
    assert str(budget) == text


@pytest.mark.parametrize(
    ("error", "units", "message"),
    [
        (ValueError, {}, r"given in 0 units \({}\); give epochs, steps or seconds"),
        (ValueError, {"epochs": 1, "steps": 1}, "given in 2 units .*'epochs': 1, 'steps': 1"),
        (ValueError, {"epochs": 0}, "the budget is 0 epochs; it must be at least 1"),
        (ValueError, {"steps": -3}, "the budget is -3 steps; it must be at least 1"),
        (TypeError, {"epochs": 2.5}, r"the budget is 2.5 epochs; it must be a whole number"),
        (TypeError, {"steps": True}, "the budget is True steps; it must be a whole number"),
        (
            ValueError,
            {"seconds": 0.0, "seconds_per_step": 1.0},
            "the budget is 0.0 seconds; it must be finite and above",
        ),
        (ValueError, {"seconds": math.inf, "seconds_per_step": 1.0}, "the budget is inf seconds"),
        (ValueError, {"seconds": math.nan, "seconds_per_step": 1.0}, "the budget is nan seconds"),
        (ValueError, {"seconds": 1.0}, "seconds_per_step None; a budget in seconds needs the measured time of a step"),
        (ValueError, {"seconds": 1.0, "seconds_per_step": 0.0}, "seconds is 1.0 and seconds_per_step 0.0"),
        (ValueError, {"seconds": 1.0, "seconds_per_step": math.nan}, "seconds_per_step nan"),
        (ValueError, {"epochs": 1, "seconds_per_step": 0.1}, "and no other takes it"),
    ],
)
def test_refusals(error, units, message):
    with pytest.raises(error, match=message):
        Budget(**units)


def settings_for(budget):
    return settings_of(toy(), Classical(), 0, budget, fingerprint="f")


def test_settings_tell_budgets_apart():
    budgets = [
        3,
        4,
        Budget(steps=3),
        Budget(steps=30),
        Budget(seconds=3.0, seconds_per_step=0.1),
        Budget(seconds=3.0, seconds_per_step=0.2),  # other steps
        Budget(seconds=3.04, seconds_per_step=0.1),
    ]
    assert len({settings_key(settings_for(budget)) for budget in budgets}) == len(budgets)
    assert settings_for(Budget(epochs=3)) == settings_for(3)
    # a step time that allows the same steps makes the same run
    assert settings_for(Budget(seconds=3.0, seconds_per_step=0.75)) == settings_for(
        Budget(seconds=3.0, seconds_per_step=0.7)
    )
    assert settings_for(Budget(seconds=3.0, seconds_per_step=0.75))["method_steps"] == 4


@pytest.mark.parametrize(
    ("budget", "epochs", "steps"),
    [
        (Budget(steps=25), [0, 1, 2, 2.5], [0, 10, 20, 25]),
        (Budget(steps=20), [0, 1, 2], [0, 10, 20]),
        (Budget(steps=4), [0, 0.4], [0, 4]),
        (Budget(steps=1), [0, 0.1], [0, 1]),
        (Budget(seconds=3.0, seconds_per_step=0.25), [0, 1, 1.2], [0, 10, 12]),
    ],
    ids=str,
)
def test_the_last_row_may_be_a_part_of_an_epoch(budget, epochs, steps):
    told = []
    result = toy_run("learn2mix", budget, progress=lambda *event: told.append(event))
    np.testing.assert_allclose(result.curves["epoch"], epochs, rtol=1e-7)
    assert result.curves["steps"].tolist() == steps
    assert result.curves["forwarded"].tolist() == result.curves["backpropagated"].tolist() == [8 * n for n in steps]
    for name in ("train_loss", "train_metric", "test_loss", "test_metric", "group_metric", "proportions"):
        assert np.isfinite(result.curves[name][1:]).all()
        assert len(result.curves[name]) == len(steps)
    # the make-up of the last row is that of its batches alone: whole numbers of examples
    last = result.curves["proportions"][-1].astype(float) * 8 * (steps[-1] - steps[-2])
    np.testing.assert_allclose(last, last.round(), atol=1e-4)
    assert told == [("training", i, len(epochs) - 1) for i in range(1, len(epochs))]


def test_the_part_of_an_epoch_ends_where_its_steps_do():
    result = toy_run("learn2mix", Budget(steps=25))
    ready = make_ready(toy(), Learn2Mix(), 0, toy_data())
    trainer = ready.trainer
    for _ in range(2):
        for _ in trainer.steps():
            pass
        trainer.end_epoch()
    steps = trainer.steps()
    for _ in range(5):
        next(steps)
    scores = ready.evaluate()
    assert np.float32(scores.loss) == result.curves["test_loss"][-1]
    assert np.float32(scores.metric) == result.curves["test_metric"][-1]


def test_a_schedule_is_told_the_epochs_begun():
    def epochs(budget):
        return make_ready(toy(), Classical(), 0, toy_data(), budget=budget).job.epochs

    assert [epochs(Budget(steps=n)) for n in (1, 10, 11, 20, 25)] == [1, 1, 2, 2, 3]
    assert epochs(Budget(epochs=7)) == 7
    assert epochs(None) == toy().epochs


def test_seconds_buy_the_faster_method_more_steps():
    slow, fast = (toy_run("classical", Budget(seconds=2.0, seconds_per_step=each)) for each in (0.5, 0.125))
    assert slow.curves["steps"][-1] == 4
    assert fast.curves["steps"][-1] == 16
    assert slow.settings["seconds"] == fast.settings["seconds"] == 2.0


def test_a_refused_budget_trains_nothing():
    before = torch.get_rng_state()
    with pytest.raises(TypeError, match=r"the budget is 2\.5 epochs"):
        run(toy(), find_method("classical"), 0, 2.5, data=toy_data())
    assert torch.get_rng_state().equal(before)

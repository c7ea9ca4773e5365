"""Step times: what they are made of, and that slow things show where they are slow."""

import json
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from bench_support import make_run
from bench_toys import global_random_state, toy, toy_data
from learn2mix.bench import clock
from learn2mix.bench.clock import OneStepError, measure
from learn2mix.bench.methods import Classical, Curriculum
from learn2mix.bench.methods.base import ShuffledFeed
from learn2mix.bench.step_times import StepTimes
from learn2mix.bench.store import Store
from learn2mix.bench.training import Arm, DivergedError

STEP, EPOCH = 0.004, 0.02


def test_a_step_bears_its_share_of_the_epoch():
    times = StepTimes(step_seconds=(1.0, 2.0, 9.0), epoch_seconds=(30.0, 10.0, 20.0), steps_per_epoch=10)
    assert times.seconds_per_step == 2.0 + 20.0 / 10
    assert times.by_round == (4.0, 3.0, 11.0)


@dataclass(frozen=True)
class SlowSteps(Classical):
    """Takes its time over every batch."""

    name: ClassVar[str] = "slow-steps"

    def prepare(self, job):
        arm = job.complete(super().prepare(job))

        def loss(outputs, y):
            time.sleep(STEP)
            return arm.loss(outputs, y)

        return Arm(loss=loss)


class SlowFeed(ShuffledFeed):
    """Takes its time at the start and at the end of every epoch."""

    def epoch(self):
        time.sleep(EPOCH / 2)
        yield from super().epoch()

    def step(self):
        time.sleep(EPOCH / 2)
        super().step()


@dataclass(frozen=True)
class SlowEpochs(Classical):
    name: ClassVar[str] = "slow-epochs"

    def prepare(self, job):
        feed = SlowFeed(torch.arange(len(job.train)), job.batch_size, job.steps_per_epoch, seed=0)
        return Arm(feed=feed)


def test_slow_steps_and_slow_epochs_show_where_they_are():
    before = global_random_state()
    timing = measure(toy(), ["classical", SlowSteps(), SlowEpochs()], rounds=5, seconds=0, data=toy_data())
    assert global_random_state() == before
    plain, steps, epochs = (timing.methods[name] for name in ("classical", "slow-steps", "slow-epochs"))
    fastest = {name: min(times.step_seconds) for name, times in timing.methods.items()}
    assert fastest["slow-steps"] - fastest["classical"] > 0.7 * STEP
    assert fastest["slow-epochs"] < STEP
    assert min(epochs.epoch_seconds) > 0.7 * EPOCH
    assert steps.seconds_per_step > plain.seconds_per_step
    assert epochs.seconds_per_step > 0.7 * EPOCH / 10  # 10 steps an epoch share it
    assert all(len(times.step_seconds) == len(times.epoch_seconds) == 5 for times in timing.methods.values())


def test_short_steps_get_more_rounds():
    told = []
    timing = measure(
        toy(), ["classical"], rounds=1, seconds=0.3, data=toy_data(), progress=lambda *event: told.append(event)
    )
    assert len(timing.methods["classical"].step_seconds) > 5
    shares = [done for _, done, _ in told]
    assert shares == sorted(shares)
    assert told[-1] == ("timing steps", 1000, 1000)


def test_all_take_turns_and_none_always_follows_the_same(monkeypatch):
    order = []
    monkeypatch.setattr(clock, "_turn", lambda trainer, steps, device: order.append((trainer, steps)) or (1.0, 0.0))
    measure(toy(), ["classical", "natural", "balanced"], rounds=3, seconds=0, steps=50, data=toy_data())
    names = {id(trainer): name for (trainer, _), name in zip(order[:3], "cnb", strict=True)}
    assert "".join(names[id(trainer)] for trainer, _ in order) == "cnbnbcbcncnb"
    assert {steps for _, steps in order} == {10}  # an epoch has no more


@dataclass(frozen=True)
class Costly(Classical):
    """Fails where its long preparation is not spared."""

    name: ClassVar[str] = "costly"

    spared: bool = False

    def prepare(self, job):
        assert self.spared
        return super().prepare(job)

    def rehearsal(self):
        return Costly(spared=True)


def test_all_methods_are_timed_without_their_preparation():
    methods = ["learn2mix", "smote", Curriculum(), Costly()]
    timing = measure(toy(), methods, rounds=2, seconds=0, data=toy_data())
    found = json.loads(json.dumps(timing.to_json(), allow_nan=False))
    assert found["task"] == "toy"
    assert list(found["seconds_per_step"]) == ["learn2mix", "smote", "curriculum", "costly"]
    assert all(0 < seconds < 1 for seconds in found["seconds_per_step"].values())
    assert found["rounds"]["smote"]["steps_per_epoch"] == 10
    assert found["machine"]["threads"] == torch.get_num_threads()


def test_threads_are_fixed_while_measuring():
    threads = torch.get_num_threads()
    timing = measure(toy(), ["classical"], rounds=1, seconds=0, threads=threads + 1, data=toy_data())
    assert timing.machine["threads"] == threads + 1
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"rounds": 0}, "rounds is 0 and steps 5"),
        ({}, {"steps": 1}, "rounds is 15 and steps 1"),
        ({}, {"methods": ["classical", "classical"]}, "given twice"),
        ({"batch_size": 80}, {}, "toy has one step an epoch"),
    ],
)
def test_refusals(changes, options, message):
    with pytest.raises(ValueError, match=message):
        measure(toy(**changes), **{"methods": ["classical"], "data": toy_data(), **options})


def test_only_what_cannot_be_timed_is_told_by_none(tmp_path, monkeypatch):
    def stored(error, **options):
        def failing(*args, **kwargs):
            raise error

        monkeypatch.setattr(clock, "measure", failing)
        return clock.stored(Store(tmp_path), toy(), ["classical"], **options)

    assert stored(OneStepError("one")) is None
    assert stored(DivergedError("nan")) is None
    with pytest.raises(ValueError, match="misused"):
        stored(ValueError("misused"))
    assert (
        stored(ValueError("not called"), ended=[make_run("natural")]) is None
    )  # classical has no run: nothing to time

"""Tuning: that all methods get the same, what it may look at, kills, what is kept of it, and what is run with it."""

import dataclasses
import inspect
import json
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from torch import nn

from bench_toys import toy, toy_data
from learn2mix.bench import tuning
from learn2mix.bench.analysis.summary import summarise
from learn2mix.bench.budget import Budget
from learn2mix.bench.compare import Comparison, compare
from learn2mix.bench.methods import Classical, Focal, Learn2Mix
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.plan import Shelf, plan
from learn2mix.bench.record import Run
from learn2mix.bench.runner import run
from learn2mix.bench.store import Store
from learn2mix.bench.tuning import Choice, Trial, Tuning, tune


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


class Stub:
    """In place of compare: runs whose metric a function of method, rate, settings and seed gives."""

    def __init__(self, score):
        self.score, self.batches, self.options = score, [], []

    def __call__(self, tasks, methods, seeds, *, budget, data, **options):
        [task] = tasks
        self.batches.append([(m.name, m.learning_rate, *m.method.settings(task).values()) for m in methods])
        self.options.append({**options, "seeds": list(seeds), "budget": budget})
        runs, failures = [], {}
        shelf = Shelf(data)
        for cell in plan(tasks, methods, seeds, budget, shelf=shelf, evaluate_on=options["evaluate_on"]):
            score = self.score(cell.method, cell.seed)
            if isinstance(score, str):
                failures[cell.key] = score
            else:
                # the end is what counts, not the best epoch
                runs.append(Run(cell.settings, {"test_metric": np.array([9.0, 0.0, score], dtype=np.float32)}))
        return Comparison(runs[::-1], failures)


@pytest.fixture
def stub(monkeypatch):
    def install(score):
        stub = Stub(score)
        monkeypatch.setattr(tuning, "compare", stub)
        return stub

    return install


def toy_tune(store, methods=("classical", "learn2mix"), **options):
    return tune(options.pop("task", toy()), list(methods), store=store, **{"data": toy_data(), **options})


def decades(method):
    return math.log10(method.learning_rate / 0.02)


def test_the_trials_of_all_methods_by_hand(stub, store):
    def score(method, seed):
        if method.name == "learn2mix":
            return 10 + abs(decades(method)) + abs(math.log10(method.method.mixing_rate / 0.35)) + (seed - 1001) / 4
        return 10 + abs(decades(method) - 0.5) + (seed - 1001) / 4

    stubbed = stub(score)
    tuned = toy_tune(store)
    rates = [0.002, 0.006325, 0.02, 0.06325, 0.2]  # 0.02 / 10, / 10^(1/2), itself, * 10^(1/2), * 10, in four digits
    assert stubbed.batches == [
        [("classical", rate) for rate in rates] + [("learn2mix", rate, 0.2) for rate in rates],
        # classical: 10^(1/4) to both sides; learn2mix: beside the task's 0.2 are 0.1 and 0.3
        [("classical", 0.03557), ("classical", 0.1125), ("learn2mix", 0.02, 0.1), ("learn2mix", 0.02, 0.3)],
        # classical: 10^(1/8) to the side of the better, of equal ones the nearer; learn2mix: beyond 0.3
        [("classical", 0.04743), ("learn2mix", 0.02, 1.0)],
    ]
    for options in stubbed.options:
        assert options["evaluate_on"] == "validation"
        assert options["seeds"] == [1000, 1001, 1002]
        assert options["budget"] == Budget(epochs=1)  # a quarter of 3
        assert options["store"] is store
    classical, learn2mix = tuned.choices
    assert classical.method == Tuned(Classical(), 0.06325)
    assert learn2mix.method == Tuned(Learn2Mix(mixing_rate=0.3), 0.02)
    assert [len(choice.trials) for choice in tuned.choices] == [8, 8]
    assert [choice.extensions for choice in tuned.choices] == [0, 0]
    assert [choice.edges for choice in tuned.choices] == [(), ()]
    assert learn2mix.score == pytest.approx(10 + math.log10(0.35 / 0.3), rel=5e-6)
    last = 10 + math.log10(1 / 0.35)
    assert learn2mix.trials[-1].scores == pytest.approx((last - 0.25, last, last + 0.25))
    assert learn2mix.trials[-1].settings == {"mixing_rate": 1.0}
    assert [trial.stage for trial in learn2mix.trials] == ["grid"] * 5 + ["setting"] * 3


def test_extensions_are_counted_by_method(stub, store):
    stub(lambda method, seed: abs(decades(method) - (1.5 if method.name == "classical" else -9)))
    classical, natural = toy_tune(store, ["classical", "natural"]).choices
    assert (classical.extensions, len(classical.trials), classical.edges) == (2, 10, ())
    assert classical.method.learning_rate == 0.6325
    assert (natural.extensions, len(natural.trials), natural.edges) == (4, 12, ("learning_rate",))


def test_an_edge_of_the_setting_is_told_by_its_name(stub, store):
    stub(lambda method, seed: abs(decades(method)) - method.method.mixing_rate)
    [choice] = toy_tune(store, ["learn2mix"]).choices
    assert choice.method.method.mixing_rate == 1.0
    assert choice.edges == ("mixing_rate",)


@pytest.mark.parametrize(("epochs", "expected"), [(1, 1), (3, 1), (7, 2), (60, 15)])
def test_the_budget_is_a_quarter(stub, store, epochs, expected):
    stubbed = stub(lambda method, seed: 1.0)
    tuned = toy_tune(store, task=toy(epochs=epochs))
    assert {options["budget"].epochs for options in stubbed.options} == {expected}
    assert tuned.budget == {"epochs": expected}


def test_a_failed_trial_counts_as_worst_and_is_kept(stub, store):
    def score(method, seed):
        if method.learning_rate == 0.2:
            return "it diverged" if seed == 1001 else 0.0
        if method.learning_rate == 0.002:
            return math.inf
        return 1 + abs(decades(method) - 0.5)

    stub(score)
    [choice] = toy_tune(store, ["classical"]).choices
    failed = [trial for trial in choice.trials if trial.failures]
    assert failed == [
        Trial(0.002, {}, "grid", (None,) * 3, ("the metric became inf",) * 3),
        Trial(0.2, {}, "grid", (0.0, None, 0.0), ("it diverged",)),
    ]
    assert [trial.score for trial in failed] == [None, None]
    assert choice.method.learning_rate == 0.06325


def test_scores_that_differ_by_rounding_alone_are_ties(stub, store):
    errors = {
        0.002: (5, 0, 4),
        0.02: (3, 3, 3),
        0.2: (0, 8, 1),
    }  # of 120 each, 9 in all, but for what float32 makes of it

    def score(method, seed):
        return errors.get(method.learning_rate, (9, 9, 9))[seed - 1000] / 120

    assert len({float(np.mean([np.float32(n / 120) for n in counts], dtype=float)) for counts in errors.values()}) > 1
    stub(score)
    [choice] = toy_tune(store, ["classical"]).choices
    assert choice.method.learning_rate == 0.02
    assert {trial.score for trial in choice.trials if trial.learning_rate in errors} == {0.025}


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x) / (0 if self.training else 1)


def test_tuning_where_every_run_fails(store, tmp_path):
    tuned = toy_tune(store, ["classical"], task=toy(network=Broken), seeds=[1000], trials=5, extensions=1)
    [choice] = tuned.choices
    assert choice.score is None
    assert choice.edges == ("learning_rate",)
    assert len(choice.trials) == 6
    assert all("training loss became nan" in trial.failures[0] for trial in choice.trials)
    tuned.save(tmp_path / "tuned.json")
    assert Tuning.load(tmp_path / "tuned.json") == tuned


class Forbidden:
    """A test set that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the test set's {name} was looked at")

    __len__ = __iter__ = __getitem__ = lambda self, *args: self.touched


def test_the_test_set_is_never_looked_at(store):
    data = dataclasses.replace(toy_data(), digest="known")
    object.__setattr__(data, "test", Forbidden())
    tuned = toy_tune(store, data=data, seeds=[1000], trials=6, extensions=0)
    runs = store.runs()
    assert len(runs) == 12
    assert {one.settings["evaluate_on"] for one in runs} == {"validation"}
    assert {tuple(one.facts["test_group_sizes"]) for one in runs} == {(4, 2, 1)}  # a tenth of 44, 24 and 16
    assert tuned.data == "known"
    with pytest.raises(AssertionError, match="the test set's"):
        run(toy(), "classical", 0, 1, data=data)


def test_scores_are_those_of_the_runs(store):
    tuned = toy_tune(store, ["classical"], seeds=[1000, 1001], trials=5, extensions=0)
    [choice] = tuned.choices
    for trial in choice.trials:
        ends = [
            float(run(toy(), Tuned(Classical(), trial.learning_rate), seed, 1, data=toy_data(), evaluate_on="validation")
            .curves["test_metric"][-1])
            for seed in (1000, 1001)
        ]  # fmt: skip
        assert trial.scores == tuple(ends)
        assert trial.score == pytest.approx(sum(ends) / 2, rel=5e-6)
    assert choice.score == min(trial.score for trial in choice.trials)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reported": range(1001)}, r"seeds \[1000\] are both tuned on and reported"),
        ({"seeds": [3, 4], "reported": [4, 5]}, r"seeds \[4\] are both"),
        ({"seeds": []}, "0 seeds"),
        ({"seeds": [1000, 1000]}, "planned twice"),
        ({"methods": []}, r"the methods are \[\]"),
        ({"methods": ["learn2mix", Learn2Mix(0.3)]}, "give at least one, and each once"),
        ({"methods": ["clasical"]}, "no method is called 'clasical'"),
        ({"methods": [Tuned(Classical(), 0.1)]}, "is tuned already"),
        ({"methods": ["focal"], "task": toy(kind="regression")}, "focal is for classification"),
        ({"trials": 4}, "trials is 4"),
        ({"budget": 0}, "the budget is 0 epochs"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_tunings_that_are_refused(store, options, message):
    with pytest.raises(ValueError, match=message):
        toy_tune(store, **options)
    assert store.runs() == []


def test_seeds_apart_are_not_refused(stub, store):
    stub(lambda method, seed: 1.0)
    assert toy_tune(store, reported=range(1000)).seeds == (1000, 1001, 1002)


def test_two_main_settings_are_refused(store, monkeypatch):
    monkeypatch.setattr(Focal, "search", {"focusing": (1.0,), "other": (1.0,)})
    with pytest.raises(ValueError, match="focal has 2 settings to search"):
        toy_tune(store, ["focal"])


def test_progress_is_told(store):
    events = []
    tuned = toy_tune(store, seeds=[1000], trials=6, extensions=1, watch=events.append)
    made = sum(len(choice.trials) for choice in tuned.choices)
    assert (events[-1].done, events[-1].total) == (made, made)
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[0].total == 12


def counted_runs(monkeypatch, after=None):
    """Count the runs that are made; stop as a kill would before the run numbered ``after``."""
    made = []

    def counting(task, method, seed, *args, **options):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append((method.name, json.dumps(method.settings(task)), seed))
        return run(task, method, seed, *args, **options)

    monkeypatch.setattr(inspect.getmodule(compare), "run", counting)
    return made


@pytest.mark.parametrize("after", [0, 7, 21, 25])
def test_tuning_that_was_stopped_goes_on_and_chooses_the_same(store, tmp_path, monkeypatch, after):
    options = {"seeds": [1000, 1001], "trials": 7, "extensions": 1}
    whole = toy_tune(Store(tmp_path / "others"), **options)
    before = counted_runs(monkeypatch, after)
    with pytest.raises(KeyboardInterrupt):
        toy_tune(store, **options)
    assert len(before) == after
    rest = counted_runs(monkeypatch)
    assert toy_tune(store, **options) == whole
    assert len({*before, *rest}) == len(before) + len(rest) == len(store.runs())  # none twice
    third = counted_runs(monkeypatch)
    assert toy_tune(store, **options) == whole
    assert third == []


_SCRIPT = """
import sys
from learn2mix.bench.store import Store
from learn2mix.bench.tuning import tune
tune("digits", ["classical", "learn2mix"], store=Store(sys.argv[1]), seeds=[1000], trials=6, budget=4).save(sys.argv[2])
"""


def test_tuning_that_was_killed_goes_on(tmp_path):
    folder, told = tmp_path / "runs", tmp_path / "tuned.json"
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), str(folder), str(told)])
    end = time.monotonic() + 60
    while len(list(folder.glob("*.parquet"))) < 3:
        assert time.monotonic() < end, "waited in vain for the first runs"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not told.exists(), "it was not killed in time"
    there = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    subprocess.run([sys.executable, str(script), str(folder), str(told)], check=True)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    tuned = Tuning.load(told)
    assert len(list(folder.glob("*.parquet"))) == sum(len(choice.trials) for choice in tuned.choices)


@pytest.fixture
def tuned(stub, store):
    stub(lambda method, seed: "no" if method.learning_rate == 0.2 else abs(decades(method) + 0.5) + seed / 7000)
    return toy_tune(store, ["classical", "learn2mix", "focal"])


def test_what_came_of_it_is_read_back(tuned, tmp_path):
    path = tmp_path / "folder" / "tuned.json"
    tuned.save(path)
    assert Tuning.load(path) == tuned
    assert [file.name for file in path.parent.iterdir()] == ["tuned.json"]
    values = json.loads(path.read_text())
    assert values["evaluate_on"] == "validation"
    assert values["seeds"] == [1000, 1001, 1002]
    learn2mix = values["choices"][1]
    assert learn2mix["method"] == "learn2mix"
    assert learn2mix["n"] == 8
    assert learn2mix["learning_rate"] == 0.006325
    assert learn2mix["settings"] == {"mixing_rate": 0.2}
    assert learn2mix["trials"][4] == {
        "learning_rate": 0.2, "settings": {"mixing_rate": 0.2}, "stage": "grid",
        "scores": [None] * 3, "failures": ["no"] * 3, "score": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "cannot be used"),
        (lambda text: text.replace('"seeds"', '"sedes"'), "cannot be used \\('seeds'\\)"),
        (lambda text: text.replace('"method": "focal"', '"method": "vocal"'), "no method is called 'vocal'"),
        (lambda text: text.replace('"mixing_rate": 0.2', '"mixed": 0.2'), "no setting 'mixed'"),
        (lambda text: text.replace('"version": 1', '"version": 9', 1), "classical was tuned at version 9 and is at 1"),
    ],
)
def test_files_that_are_refused(tuned, tmp_path, damage, message):
    path = tmp_path / "tuned.json"
    tuned.save(path)
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(ValueError, match=message):
        Tuning.load(path)


def test_the_tuned_comparison(tuned, store):
    data = toy_data()
    methods = tuned.methods_for(toy(), range(2), data.fingerprint)
    runs = compare([toy()], methods, range(2), store=store, data={"toy": data}).runs
    assert [(run.settings["seed"], run.settings["method"]) for run in runs] == [
        (seed, method) for seed in (0, 1) for method in ("classical", "learn2mix", "focal")
    ]
    assert {run.settings["epochs"] for run in runs} == {3}  # the task's whole budget
    assert {run.settings["evaluate_on"] for run in runs} == {"test"}
    assert {run.settings["method_settings"]["learning_rate"] for run in runs} == {0.006325}
    [task] = summarise(runs).tasks
    assert [row.name for row in task.rows] == ["classical", "learn2mix", "focal"]


def test_tuned_comparisons_that_are_refused(tuned):
    own = toy_data().fingerprint
    with pytest.raises(ValueError, match=r"seeds \[1002\] are both tuned on and reported"):
        tuned.methods_for(toy(), range(1002, 1005), own)
    with pytest.raises(ValueError, match=r"tuned on a task with {'batch_size': 8}, and it has {'batch_size': 16}"):
        tuned.methods_for(toy(batch_size=16), range(2), own)
    with pytest.raises(ValueError, match=f"tuned on data {own}, and these are others"):
        tuned.methods_for(toy(), range(2), "others")


def test_a_choice_is_read_back_alone(tuned):
    choice = tuned.choices[2]
    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
    assert choice.method.method == Focal(focusing=2.0)

"""Comparisons: the plan, what is made and what is read back, kills, rivals, failures, workers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from bench_toys import assert_same_curves, toy, toy_data
from learn2mix.bench.budget import Budget
from learn2mix.bench.compare import compare, fitting_workers, shortened
from learn2mix.bench.methods import Classical, Curriculum, Learn2Mix
from learn2mix.bench.plan import Shelf, plan
from learn2mix.bench.runner import run
from learn2mix.bench.store import Store

METHODS = ["classical", "learn2mix", "natural"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def toy_compare(store, methods=("classical", "learn2mix"), seeds=range(2), **options):
    options = {"data": {"toy": toy_data()}, "budget": 2, **options}
    return compare([options.pop("task", toy())], list(methods), seeds, store=store, **options)


def test_the_plan_goes_by_seed():
    shelf = Shelf({"toy": toy_data(), "other": toy_data()})
    cells = plan([toy(), toy(name="other", epochs=7)], ["classical", Learn2Mix()], [4, 2], shelf=shelf)
    assert [str(cell) for cell in cells] == [
        f"{task}, {method}, seed {seed}"
        for seed in (4, 2)
        for task in ("toy", "other")
        for method in ("classical", "learn2mix")
    ]
    assert [cell.budget.epochs for cell in cells[:4]] == [3, 3, 7, 7]  # each task's own
    assert len({cell.key for cell in cells}) == 8
    assert {cell.budget.epochs for cell in plan([toy()], ["classical"], [0], 5, shelf=shelf)} == {5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], ["classical"], [0]), "0 tasks, 1 methods and 1 seeds make no run"),
        ((["toy"], [], [0]), "1 tasks, 0 methods"),
        ((["toy"], ["classical"], []), "0 seeds"),
        ((["toy"], ["classical", Classical()], [0]), "planned twice"),
        ((["toy"], ["classical"], [1, 1]), "planned twice"),
        ((["toy"], ["clasical"], [1]), "no method is called 'clasical'"),
        ((["toy"], ["classical"], [-1]), "seed was -1"),
    ],
)
def test_plans_that_are_refused(arguments, message):
    tasks, methods, seeds = arguments
    with pytest.raises(ValueError, match=message):
        plan([toy() for _ in tasks], methods, seeds, shelf=Shelf({"toy": toy_data()}))


def test_a_shelf_keeps_the_last_tasks_data_alone():
    loaded = []

    def loading(name):
        def load(data_dir=None, progress=None):
            loaded.append((name, data_dir))
            return toy_data()

        return toy(name=name, load=load)

    a, b = loading("a"), loading("b")
    shelf = Shelf(data_dir="somewhere")
    assert shelf.get(a) is shelf.get(a)
    shelf.get(b)
    shelf.get(a)
    assert loaded == [("a", "somewhere"), ("b", "somewhere"), ("a", "somewhere")]


def test_what_is_there_is_read_back(store):
    first = toy_compare(store, seeds=range(1))
    assert first.made == 2
    second = toy_compare(store, seeds=range(3))
    assert second.made == 4
    third = toy_compare(store, seeds=range(3))
    assert third.made == 0
    assert [(r.settings["seed"], r.settings["method"]) for r in third.runs] == [
        (seed, method) for seed in range(3) for method in ("classical", "learn2mix")
    ]
    for stored, made in zip(third.runs[:2], first.runs, strict=True):
        assert_same_curves(stored, made)
    assert_same_curves(third.runs[-1], run(toy(), "learn2mix", 2, 2, data=toy_data()))
    assert toy_compare(store, budget=1).made == 4  # another budget is another run


def test_progress_is_told(store):
    toy_compare(store, seeds=range(1))
    events = []
    toy_compare(store, methods=["classical", "natural", "learn2mix"], seeds=range(1), watch=events.append)
    assert [(e.done, e.total) for e in events if e.phase == "ended"] == [(2, 3), (3, 3)]
    inner = [(e.done, e.run, e.phase_done, e.phase_total) for e in events if e.phase == "training"]
    assert inner == [(2, "toy, natural, seed 0", 1, 2), (2, "toy, natural, seed 0", 2, 2)]


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x) / (0 if self.training else 1)


def test_a_run_that_fails_is_told_and_not_stored(store):
    done = toy_compare(store, task=toy(network=Broken))
    assert done.runs == []
    assert done.made == 0
    assert len(done.failures) == 4
    assert all("training loss became nan" in message for message in done.failures.values())
    assert store.runs() == []


def test_a_run_that_another_invocation_has_is_left_to_it_until_last(store):
    cells = plan([toy()], ["classical", "learn2mix"], [0], 2, shelf=Shelf({"toy": toy_data()}))
    rival = store.lock(cells[0].settings)
    rival.acquire()
    events = []

    def watch(event):
        events.append(event)
        if event.phase == "ended" and event.run == str(cells[1]):
            store.put(run(toy(), "classical", 0, 2, data=toy_data()))  # the rival ends its run
            rival.release()

    done = toy_compare(store, seeds=range(1), watch=watch)
    assert [e.run for e in events if e.phase == "ended"] == ["", str(cells[1]), str(cells[0])]
    assert done.made == 1
    assert len(done.runs) == 2


def test_workers_make_the_same_runs(store, tmp_path):
    options = {"seeds": range(2), "budget": 2}
    alone = compare(["digits"], METHODS, store=store, **options)
    together = compare(["digits"], METHODS, store=Store(tmp_path / "others"), workers=2, **options)
    assert (alone.made, together.made) == (6, 6)
    for one, other in zip(alone.runs, together.runs, strict=True):
        assert one.settings == other.settings
        assert_same_curves(one, other)
        assert other.provenance["machine"]["threads"] == 1


def test_workers_that_fail_are_told(store):
    done = toy_compare(store, task=toy(network=Broken), workers=2)
    assert len(done.failures) == 4


def test_workers_share_the_threads(store):
    threads = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        done = toy_compare(store, workers=2)
    finally:
        torch.set_num_threads(threads)
    assert {one.provenance["machine"]["threads"] for one in done.runs} == {3}


def test_how_many_workers_fit(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert fitting_workers([toy(threads=1)]) == 6
    assert fitting_workers([toy(threads=2), toy(threads=1)]) == 3
    assert fitting_workers([toy(threads=1), toy()]) == 1
    assert fitting_workers([toy(threads=8)]) == 1


def test_no_workers_are_refused(store):
    with pytest.raises(ValueError, match="workers is 0"):
        toy_compare(store, workers=0)


_SWEEP = """
import json, sys
from learn2mix.bench.compare import compare
from learn2mix.bench.store import Store
if __name__ == "__main__":
    folder, workers = sys.argv[1], int(sys.argv[2])
    done = compare(["digits"], METHODS, range(4), budget=10, store=Store(folder), workers=workers)
    print(json.dumps({"made": done.made, "runs": len(done.runs)}))
"""


def sweep(folder, script, workers=1):
    script.write_text(_SWEEP.replace("METHODS", repr(METHODS)))
    command = [sys.executable, str(script), str(folder), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(condition, what):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_sweep_goes_on_where_it_was(tmp_path, workers):
    folder, script = tmp_path / "killed", tmp_path / "sweep.py"
    process = sweep(folder, script, workers)
    wait_for(lambda: len(list(folder.glob("*.parquet"))) >= 2, "the first runs")
    children = children_of(process) if Path("/proc/self/task").exists() else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the workers to leave")
    there = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert len(there) < 12, "it was not killed in time"

    again = sweep(folder, script, workers)
    told = json.loads(again.communicate()[0])
    assert told == {"made": 12 - len(there), "runs": 12}
    assert {path: path.stat().st_mtime_ns for path in there} == there  # not made again
    for stored in Store(folder).runs():
        settings = stored.settings
        assert_same_curves(stored, run("digits", settings["method"], settings["seed"], 10))


def test_two_at_once_share_the_runs(tmp_path):
    rivals = [sweep(tmp_path / "shared", tmp_path / f"sweep{i}.py") for i in range(2)]
    told = [json.loads(process.communicate()[0]) for process in rivals]
    assert [one["runs"] for one in told] == [12, 12]
    assert sum(one["made"] for one in told) == 12  # none twice
    assert len(Store(tmp_path / "shared").runs()) == 12


def test_new_are_those_that_were_made_now(store):
    first = toy_compare(store, seeds=range(1))
    assert first.new == {run.key for run in first.runs}
    second = toy_compare(store)
    assert second.new == {run.key for run in second.runs} - first.new


@pytest.mark.parametrize(
    ("budget", "warmup"),
    [
        (Budget(epochs=1), 2),  # a third of the task's 3 epochs, and of the 7 before them
        (Budget(epochs=3), 7),
        (Budget(epochs=9), 7),
        (Budget(steps=10), 2),  # 10 steps are an epoch
        (Budget(steps=15), 4),  # 3.5
        (Budget(seconds=2.0, seconds_per_step=0.1), 5),  # 20 steps: 4.67
        ({"curriculum": Budget(steps=10), "classical": Budget(steps=30)}, 2),
    ],
)
def test_what_is_done_beforehand_is_shortened_with_the_budget(budget, warmup):
    classical, curriculum = shortened([Classical(), Curriculum(warmup_epochs=7)], toy(), budget)
    assert classical == Classical()
    assert curriculum == Curriculum(warmup_epochs=warmup)


def test_torch_threads_are_as_they_were(store):
    threads = torch.get_num_threads()
    compare(["digits"], ["classical"], [0], budget=1, store=store)
    assert torch.get_num_threads() == threads

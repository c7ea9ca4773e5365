import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import Timeout

from bench_support import make_run
from learn2mix.bench.record import Run
from learn2mix.bench.store import Store


def assert_same(one, other):
    assert (one.settings, one.facts, one.provenance) == (other.settings, other.facts, other.provenance)
    assert list(one.curves) == list(other.curves)
    for name, curve in one.curves.items():
        np.testing.assert_array_equal(curve, other.curves[name])
        assert other.curves[name].dtype == np.float32


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def test_a_run_comes_back_whole(store):
    run = make_run("learn2mix", 3, groups=["one"], sizes=[5])  # a NaN in train_loss, and k = 1
    assert store.get(run.settings) is None
    assert run.settings not in store
    store.put(run)
    assert run.settings in store
    assert_same(run, store.get(run.settings))
    assert [path.name for path in store.folder.iterdir()] == [f"{run.key}.parquet"]


def test_files_are_plain_parquet(store):
    run = make_run(epochs=4)
    store.put(run)
    table = pq.read_table(store.folder / f"{run.key}.parquet")
    assert table.column("test_metric").type == "float"
    assert table.column("group_metric").type.list_size == 3
    assert table.column("epoch").to_pylist() == [0, 1, 2, 3, 4]
    assert json.loads(table.schema.metadata[b"settings"]) == run.settings


def test_curves_are_kept_as_float32_whatever_they_were(store):
    run = Run({"seed": 1}, {"epoch": np.arange(3), "x": np.array([[1, 2], [3, 4], [5, 6]])[:, ::-1]})
    store.put(run)
    assert store.get(run.settings).curves["x"].tolist() == [[2, 1], [4, 3], [6, 5]]


def test_runs_are_sorted_with_seeds_as_numbers(store):
    runs = [make_run(m, s, epochs=1) for m in ("natural", "classical") for s in (10, 2, 1)]
    for run in runs:
        store.put(run)
    order = [(run.settings["method"], run.settings["seed"]) for run in store.runs()]
    assert order == [(m, s) for m in ("classical", "natural") for s in (1, 2, 10)]
    assert Store(store.folder / "nowhere").runs() == []


def test_put_again_replaces(store):
    run = make_run()
    store.put(run)
    store.put(replace(run, provenance={"commit": "later"}))
    assert store.get(run.settings).provenance == {"commit": "later"}


def test_put_refuses_a_place_that_holds_other_settings(store):
    run, other = make_run(seed=1), make_run(seed=2)
    store.put(other)
    (store.folder / f"{other.key}.parquet").rename(store.folder / f"{run.key}.parquet")
    with pytest.raises(ValueError, match=f"{run.key}.parquet is damaged .*it holds the run {other.key}"):
        store.put(run)
    with pytest.raises(ValueError, match="it holds the run"):
        store.get(run.settings)


def test_equal_keys_of_other_settings_are_refused(store, monkeypatch):
    monkeypatch.setattr("learn2mix.bench.record.settings_key", lambda settings: "0" * 16)
    monkeypatch.setattr("learn2mix.bench.store.settings_key", lambda settings: "0" * 16)
    store.put(make_run(seed=1))
    with pytest.raises(ValueError, match="holds a run with other settings"):
        store.put(make_run(seed=2))
    with pytest.raises(ValueError, match="holds a run with other settings"):
        store.get(make_run(seed=2).settings)


def test_a_file_cut_short_is_never_a_run(store):
    run = make_run()
    store.put(run)
    path = store.folder / f"{run.key}.parquet"
    whole = path.read_bytes()
    for length in [0, 1, 4, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"{path} is damaged and cannot be read .*; delete it"):
            store.get(run.settings)
        with pytest.raises(ValueError, match="delete it"):
            store.runs()


def test_a_flipped_bit_is_never_a_wrong_run(store):
    run = make_run("learn2mix")
    store.put(run)
    path = store.folder / f"{run.key}.parquet"
    whole = path.read_bytes()
    generator = random.Random(0)
    for place in generator.sample(range(len(whole)), 300):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << generator.randrange(8))]) + whole[place + 1 :])
        try:
            read = store.get(run.settings)
        except ValueError as error:
            assert "delete it" in str(error)  # noqa: PT017  (either outcome is right, so no pytest.raises)
        else:
            assert_same(run, read)  # the bit meant nothing, as in a column's statistics


def test_parquet_of_another_make_is_refused(store):
    run = make_run()
    store.put(run)
    path = store.folder / f"{run.key}.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(ValueError, match="is damaged"):
        store.get(run.settings)


def test_files_left_by_a_killed_writer_are_not_runs(store):
    run = make_run()
    store.put(run)
    (store.folder / f".{run.key}.parquet.1-ab.tmp").write_bytes(b"PAR1half")
    assert len(store.runs()) == 1
    assert_same(run, store.get(run.settings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curves": {}}, "at least one curve"),
        ({"curves": {"epoch": np.zeros(3), "x": np.zeros(2)}}, "same number of rows"),
        ({"curves": {"epoch": np.zeros((2, 2, 2))}}, r"curve 'epoch' has shape \(2, 2, 2\)"),
        ({"curves": {"epoch": np.zeros((2, 0))}}, r"curve 'epoch' has shape \(2, 0\)"),
        ({"facts": {"x": np.float32(1)}}, "facts must hold JSON values only"),
        ({"facts": {"x": float("nan")}}, "facts must hold JSON values only"),
        ({"provenance": {"x": {1, 2}}}, "provenance must hold JSON values only"),
    ],
)
def test_put_refuses(store, change, message):
    with pytest.raises(ValueError, match=message):
        store.put(replace(make_run(), **change))
    assert not store.folder.exists()


def test_timing_lies_beside_the_runs(store):
    assert store.timing() is None
    store.put_timing({"task": "toy", "seconds_per_step": {"classical": 0.001}})
    assert store.timing() == {"task": "toy", "seconds_per_step": {"classical": 0.001}}
    assert store.runs() == []
    with pytest.raises(ValueError, match="timing must hold JSON values only"):
        store.put_timing({"x": float("inf")})
    for damage in ('{"task":', "[]", "\xff"):
        (store.folder / "timing.json").write_bytes(damage.encode("latin-1"))
        with pytest.raises(ValueError, match=r"timing.json is damaged .*; delete it"):
            store.timing()


def test_a_store_can_be_sent_to_another_process(store):
    assert pickle.loads(pickle.dumps(store)).folder == store.folder


def test_lock_is_held_by_one_and_is_per_run(store):
    settings = make_run().settings
    with store.lock(settings), pytest.raises(Timeout):
        Store(store.folder).lock(settings).acquire(timeout=0)
    with store.lock(settings), Store(store.folder).lock(make_run(seed=9).settings):
        pass
    assert store.runs() == []


DIE = """
import os, pathlib, signal, sys
from bench_support import make_run
from learn2mix.bench.store import Store
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "written":
    os.fsync = die
else:
    pathlib.Path.replace = lambda self, target: (pathlib.Path.rename(self, target), die())
Store(sys.argv[1]).put(make_run(seed=int(sys.argv[3]), provenance={"by": "the killed one"}))
"""


def run_script(script, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=environment, **options)


@pytest.mark.parametrize("moment", ["written", "moved"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_before_the_move_nothing_is_there_and_after_it_all(store, moment, seed):
    store.put(make_run(seed=1))
    assert run_script(DIE, store.folder, moment, seed).wait() == -signal.SIGKILL
    killed = store.get(make_run(seed=seed).settings)
    if moment == "moved":
        assert killed.provenance == {"by": "the killed one"}
    elif seed == 1:
        assert_same(make_run(seed=1), killed)
    else:
        assert killed is None
        store.put(make_run(seed=seed))
    assert len(store.runs()) == seed


LOOP = """
import sys
from bench_support import make_run
from learn2mix.bench.store import Store
store, seed = Store(sys.argv[1]), int(sys.argv[2])
settings = make_run(seed=10**6).settings
with store.lock(settings):
    store.put(make_run("learn2mix", 10**6 + 1, epochs=300))
    print("started", flush=True)
    while True:
        store.put(make_run("learn2mix", seed, epochs=300))
        store.put(make_run("learn2mix", 10**6 + 1, epochs=300))
        store.put_timing({"seed": seed, "padding": "x" * 100_000})
        seed += 1
"""


def test_killed_at_any_moment_the_store_holds_whole_runs_and_no_lock(store):
    generator = random.Random(1)
    stored = 0
    for attempt in range(5):
        process = run_script(LOOP, store.folder, 1000 * attempt, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"started\n"
        with pytest.raises(Timeout):
            store.lock(make_run(seed=10**6).settings).acquire(timeout=0)
        time.sleep(generator.uniform(0.02, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with store.lock(make_run(seed=10**6).settings).acquire(timeout=5):
            pass
        runs = store.runs()
        assert len(runs) >= stored
        stored = len(runs)
    assert stored > 5
    for run in runs:
        assert_same(make_run("learn2mix", run.settings["seed"], epochs=300), run)
    assert store.timing() is not None

"""Many runs in one file: whole, thinned where they are told to be, and never lost on the way."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st

from bench_support import make_run
from learn2mix.bench import store as store_module
from learn2mix.bench.bundle import bundled, unbundled
from learn2mix.bench.record import Run
from learn2mix.bench.store import Store

HERE = Path("runs.parquet")


def bits(curve):
    return np.asarray(curve, dtype="<f4").view("<u4")


def assert_same(one, other):
    """Equal bit for bit, curves in the same order."""
    assert (one.settings, one.facts, one.provenance) == (other.settings, other.facts, other.provenance)
    assert list(one.curves) == list(other.curves)
    for name, curve in one.curves.items():
        assert other.curves[name].shape == np.shape(curve), name
        assert other.curves[name].dtype == np.float32
        np.testing.assert_array_equal(bits(curve), bits(other.curves[name]), err_msg=name)


def round_trip(*runs):
    return unbundled(bundled(runs), HERE)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


# --- The file ---------------------------------------------------------------------------------------------------------


def test_a_run_comes_back_bit_for_bit():
    run = make_run("learn2mix", 3, epochs=64)  # NaN in its first train_loss, (rows, 3) beside (rows,)
    assert np.isnan(run.curves["train_loss"][0])
    (found,) = round_trip(run)
    assert_same(run, found)
    assert found.key == run.key


@pytest.mark.parametrize("groups", [["one"], ["one", "two"]])
@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_per_group_curves_keep_their_shape(groups, epochs):
    """(rows, 1) is not (rows,), whatever the number of rows."""
    run = make_run(groups=groups, sizes=[5] * len(groups), epochs=epochs)
    (found,) = round_trip(run)
    assert found.curves["group_metric"].shape == (epochs + 1, len(groups))
    assert found.curves["test_metric"].shape == (epochs + 1,)
    assert_same(run, found)


curves = st.tuples(st.integers(1, 6), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 10**6))


@given(st.lists(curves, min_size=1, max_size=4))
def test_any_runs_come_back(shapes):
    """Runs of differing length, names, order and shapes of curves, with whatever floats."""
    runs = []
    for seed, (rows, widths, noise) in enumerate(shapes):
        generator = np.random.default_rng(noise)
        found = {}
        for name, width in zip(generator.permutation(list("dcab")), widths, strict=False):
            values = generator.standard_normal((rows, width) if width else rows).astype(np.float32)
            values.flat[generator.integers(values.size)] = generator.choice([np.nan, np.inf, -np.inf, -0.0, 1e-45])
            found[str(name)] = values
        runs.append(Run({"seed": seed}, found, {"names": ["ä", "\x00"]}, {"noise": noise}))
    back = {run.settings["seed"]: run for run in round_trip(*runs)}
    assert len(back) == len(runs)
    for run in runs:
        assert_same(run, back[run.settings["seed"]])


def test_runs_of_differing_curves_share_a_file():
    """A curve that older runs have not, and one that newer runs have no longer."""
    old, new = make_run(seed=1), make_run(seed=2, epochs=7)
    new = replace(new, curves={"train_metric": new.curves["test_metric"] / 2, **new.curves})
    old = replace(old, curves={**old.curves, "cpu_hours": old.curves["epoch"]})
    back = {run.settings["seed"]: run for run in round_trip(old, new)}
    assert_same(old, back[1])
    assert_same(new, back[2])
    assert "train_metric" not in back[1].curves
    assert "cpu_hours" not in back[2].curves


def test_of_two_runs_with_equal_settings_the_later_stays():
    first, second = make_run(provenance={"by": "the first"}), make_run(provenance={"by": "the second"})
    assert [run.provenance for run in round_trip(first, second)] == [{"by": "the second"}]


def test_the_same_runs_make_the_same_file():
    runs = [make_run(seed=seed) for seed in range(5)]
    assert bundled(runs) == bundled(runs[::-1])


def test_no_runs_make_an_empty_file():
    assert round_trip() == []


# --- Thinning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [60, 128, 300, 500, 1200])
def test_the_budgets_quarters_are_kept(epochs):
    curve = np.arange(epochs + 1, dtype=np.float32)
    run = make_run(test_metric=curve / 10_000)
    thin = run.thinned(128).curves
    assert {0, epochs // 4, epochs // 2, epochs} <= set(thin["epoch"].astype(int).tolist())
    assert len(thin["epoch"]) == min(epochs, 128) + 1
    kept = thin["epoch"].astype(int)
    for name, values in run.curves.items():
        np.testing.assert_array_equal(bits(values[kept]), bits(thin[name]), err_msg=name)


@given(st.integers(1, 700), st.sampled_from([4, 16, 128]))
def test_thinning_keeps_both_ends_and_spreads_evenly(rows, points):
    epoch = np.arange(rows, dtype=np.float32)
    if rows > 1:
        epoch[-1] -= 0.5  # a last epoch that is a part of one
    kept = Run({}, {"epoch": epoch}).thinned(points).curves["epoch"]
    assert (kept[0], kept[-1]) == (epoch[0], epoch[-1])
    assert len(kept) == min(rows, points + 1)
    assert set(kept.tolist()) <= set(epoch.tolist())
    gaps = np.diff(kept)
    if len(gaps) > 1:
        assert gaps.min() > 0
        assert gaps[:-1].max() - gaps[:-1].min() <= 1


def test_what_is_packed_is_thinned(store):
    run = make_run("learn2mix", epochs=300)
    store.put(run)
    store.pack()
    found = store.get(run.settings)
    assert len(found.curves["epoch"]) == 65
    assert {0, 75, 150, 300} <= set(found.curves["epoch"].tolist())
    rows = found.curves["epoch"].astype(int)
    for name in ("test_metric", "proportions"):
        np.testing.assert_array_equal(found.curves[name], run.curves[name][rows])
    assert found.settings == run.settings
    store.put(make_run(seed=1))
    store.pack()  # thinned once, not again
    assert_same(found, store.get(run.settings))


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_a_file_cut_short_is_never_runs():
    whole = bundled([make_run(seed=seed) for seed in range(3)])
    for length in [0, 1, 4, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1]:
        with pytest.raises(ValueError, match=r"somewhere/runs\.parquet is damaged and cannot be read .*; take it anew"):
            unbundled(whole[:length], Path("somewhere/runs.parquet"))


def test_a_flipped_bit_is_never_a_wrong_run():
    runs = sorted([make_run(seed=seed) for seed in range(3)], key=lambda run: run.key)
    whole = bundled(runs)
    generator = random.Random(0)
    refused = 0
    for place in generator.sample(range(len(whole)), 300):
        damaged = whole[:place] + bytes([whole[place] ^ (1 << generator.randrange(8))]) + whole[place + 1 :]
        try:
            read = unbundled(damaged, HERE)
        except ValueError as error:
            assert "take it anew" in str(error)  # noqa: PT017  (either outcome is right, so no pytest.raises)
            refused += 1
        else:
            for run, found in zip(runs, read, strict=True):  # the bit meant nothing, as in a column's statistics
                assert_same(run, found)
    assert refused > 100


def test_a_single_runs_file_is_no_bundle(store):
    run = make_run()
    store.put(run)
    (store.folder / f"{run.key}.parquet").rename(store.folder / "runs.parquet")
    with pytest.raises(ValueError, match=r"runs\.parquet is damaged"):
        store.get(run.settings)


# --- Packing a store --------------------------------------------------------------------------------------------------


def names(store):
    return sorted(path.name for path in store.folder.iterdir() if not path.name.startswith("."))


def test_what_is_packed_is_still_found(store):
    runs = [make_run(m, s, groups=["one"], sizes=[9]) for m in ("classical", "learn2mix") for s in (1, 2, 10)]
    for run in runs:
        store.put(run)
    before = store.runs()
    assert store.pack() == 6
    assert names(store) == ["runs.parquet"]
    for one in (store, Store(store.folder)):
        for found, run in zip(one.runs(), before, strict=True):  # in the same order
            assert_same(run, found)
        for run in runs:
            assert run.settings in one
            assert_same(run, one.get(run.settings))
    assert make_run(seed=3).settings not in store
    assert store.get(make_run(seed=3).settings) is None


def test_packing_again_adds(store):
    store.put(make_run(seed=1))
    store.pack()
    store.put(make_run(seed=2))
    assert [run.settings["seed"] for run in store.runs()] == [1, 2]
    assert store.pack() == 2
    assert names(store) == ["runs.parquet"]
    unchanged = (store.folder / "runs.parquet").stat().st_mtime_ns
    assert store.pack() == 2  # nothing to do
    assert (store.folder / "runs.parquet").stat().st_mtime_ns == unchanged
    assert [run.settings["seed"] for run in store.runs()] == [1, 2]


def test_an_empty_store_is_packed_to_nothing(store):
    assert store.pack() == 0
    assert not store.folder.exists() or names(store) == []
    assert store.runs() == []


def test_a_run_stored_singly_wins(store):
    run = make_run()
    store.put(run)
    store.pack()
    newer = replace(run, provenance={"commit": "later"})
    store.put(newer)
    assert_same(newer, store.get(run.settings))
    assert [found.provenance for found in store.runs()] == [{"commit": "later"}]
    assert store.pack() == 1
    assert_same(newer, store.get(run.settings))


def test_timing_and_locks_stay(store):
    store.put(make_run())
    store.put_timing({"task": "toy"})
    with store.lock(make_run().settings):
        store.pack()
    assert names(store) == ["runs.parquet", "timing.json"]
    assert store.timing() == {"task": "toy"}


def test_with_a_damaged_file_nothing_is_packed(store):
    for seed in (1, 2):
        store.put(make_run(seed=seed))
    path = store.folder / f"{make_run(seed=2).key}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        store.pack()
    path.write_bytes(whole)
    assert len(names(store)) == 2
    assert len(store.runs()) == 2


def test_a_bundle_that_does_not_read_back_takes_nothing_away(store, monkeypatch):
    store.put(make_run(seed=1))
    monkeypatch.setattr(store_module, "bundled", lambda runs: bundled(runs)[:-3])
    with pytest.raises(ValueError, match=r"runs\.parquet is damaged"):
        store.pack()
    assert names(store) == [f"{make_run(seed=1).key}.parquet"]


def test_a_damaged_bundle_is_named_and_put_right_by_another(store):
    store.put(make_run(seed=1))
    store.pack()
    path = store.folder / "runs.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for ask in (store.runs, store.pack, lambda: store.get(make_run(seed=1).settings)):
        with pytest.raises(ValueError, match=f"{path} is damaged and cannot be read .*; take it anew"):
            ask()
    path.write_bytes(whole)
    assert len(store.runs()) == 1


# --- More than one invocation -----------------------------------------------------------------------------------------


def test_two_stores_on_one_folder_see_what_the_other_packs(store):
    other = Store(store.folder)
    for seed in (1, 2, 3):
        store.put(make_run(seed=seed))
        store.pack()
        assert make_run(seed=seed).settings in other
        assert_same(make_run(seed=seed), other.get(make_run(seed=seed).settings))
        assert len(other.runs()) == seed


def test_a_run_written_while_others_are_packed_stays(store, monkeypatch):
    """Between the reading of the files and their going."""
    store.put(make_run(seed=1))

    def meanwhile(runs):
        Store(store.folder).put(make_run(seed=2))
        return bundled(runs)

    monkeypatch.setattr(store_module, "bundled", meanwhile)
    store.pack()
    assert [run.settings["seed"] for run in Store(store.folder).runs()] == [1, 2]


def test_a_run_written_while_the_others_are_read_stays(store, monkeypatch):
    store.put(make_run(seed=1))
    read = store_module._read

    def meanwhile(path):
        monkeypatch.undo()
        Store(store.folder).put(make_run(seed=2))
        return read(path)

    monkeypatch.setattr(store_module, "_read", meanwhile)
    store.pack()
    assert [run.settings["seed"] for run in Store(store.folder).runs()] == [1, 2]


@pytest.mark.parametrize("ask", ["runs", "get", "put"])
def test_a_run_that_is_packed_while_it_is_read_is_found(ask, store, monkeypatch):
    """Its file was there when it was looked for, and has gone when it is opened."""
    run = make_run(seed=1)
    store.put(run)
    read_bytes = Path.read_bytes

    def meanwhile(path):
        monkeypatch.undo()
        assert Store(store.folder).pack() == 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", meanwhile)
    if ask == "runs":
        assert [found.key for found in store.runs()] == [run.key]
    elif ask == "get":
        assert_same(run, store.get(run.settings))
    else:
        store.put(run)
    assert_same(run, Store(store.folder).get(run.settings))


def test_only_one_packs_at_a_time(store):
    """Or the second would write the bundle without what the first has packed meanwhile."""
    store.put(make_run(seed=1))

    def try_the_lock(runs):
        with pytest.raises(Timeout):
            FileLock(store.folder / ".locks" / "pack.lock").acquire(timeout=0)
        return bundled(runs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "bundled", try_the_lock)
        store.pack()
    assert store.pack() == 1  # and it was let go


DIE = """
import os, pathlib, signal, sys
from learn2mix.bench.store import Store
unlink = pathlib.Path.unlink
left = int(sys.argv[2])
def die(self, *options, **more):
    global left
    if self.suffix != ".parquet":
        return unlink(self, *options, **more)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    unlink(self, *options, **more)
pathlib.Path.unlink = die
Store(sys.argv[1]).pack()
"""


def run_script(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=environment)


@pytest.mark.parametrize("removed", [0, 1])
def test_killed_between_writing_and_removing_nothing_is_lost(removed, store):
    runs = [make_run(seed=seed) for seed in range(3)]
    for run in runs:
        store.put(run)
    assert run_script(DIE, store.folder, removed).wait() == -signal.SIGKILL
    assert len(names(store)) == 1 + 3 - removed
    for found, run in zip(store.runs(), runs, strict=True):
        assert_same(run, found)
    assert store.pack() == 3
    assert names(store) == ["runs.parquet"]
    assert len(store.runs()) == 3


LOOP = """
import sys
from bench_support import make_run
from learn2mix.bench.store import Store
store, first = Store(sys.argv[1]), int(sys.argv[2])
for seed in range(first, first + 12):
    store.put(make_run(seed=seed))
    if seed % 3 == 2:
        store.pack()
"""


def test_two_that_put_and_pack_at_once_lose_nothing(store):
    both = [run_script(LOOP, store.folder, first) for first in (0, 12)]
    while any(process.poll() is None for process in both):
        store.runs()  # a reader never finds anything amiss
        time.sleep(0.01)
    assert [process.returncode for process in both] == [0, 0]
    assert [run.settings["seed"] for run in Store(store.folder).runs()] == list(range(24))
    store.pack()
    assert names(store) == ["runs.parquet"]

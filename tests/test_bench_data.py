"""Examples, data from arrays, and images from a folder in the hub's layout through the cache."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from bench_toys import LOCAL_DATA, needs_local_data
from learn2mix.bench.data import Data, Examples
from learn2mix.bench.images import load_images


def test_examples_are_taken_by_index():
    examples = Examples(torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1]))
    taken = examples.take(torch.tensor([2, 0]))
    assert taken.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert taken.y.tolist() == taken.groups.tolist() == [1, 0]
    assert [len(chunk) for chunk in examples.chunks(2)] == [2, 1]
    assert examples.to("cpu").x.data_ptr() == examples.x.data_ptr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Examples(torch.zeros(2, 1), torch.zeros(3), torch.zeros(2)), "2, 3 and 2 rows"),
        (lambda: Data.from_arrays([[0.0]], [0], [[0.0]]), "only one of test_x and test_y"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 2]), "no training example is of group 1;"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 1], [[0.0]], [0]), "no test example is of group 1;"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 1], group_names="a"), "from 0 to 1, but there are 1 names"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [-1, 0]), "from -1 to 0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_fingerprint_stands_for_content():
    def make(x=((0.0,), (1.0,)), y=(0, 1), **more):
        return Data.from_arrays(x, y, **more).fingerprint

    assert make() == make()
    others = {
        make(x=((0.0,), (2.0,))),
        make(y=(1, 0)),
        make(group_names=("a", "b")),
        make(test_x=[[0], [1]], test_y=[0, 1]),
    }
    assert len(others | {make()}) == 5


@pytest.fixture
def pixels():
    generator = np.random.default_rng(0)
    return {split: generator.integers(0, 256, (n, 5, 4), dtype=np.uint8) for split, n in (("train", 6), ("test", 4))}


@pytest.fixture
def hub_folder(tmp_path, monkeypatch, pixels):
    """A folder of local copies that holds one data set of ten grey images, labels 0, 1, 0, 1, ..."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["odd", "even"])})
    for split, images in pixels.items():
        folder = tmp_path / "data" / "tiny" / "tiny"
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"image": list(images), "label": [i % 2 for i in range(len(images))]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LEARN2MIX_DATA", raising=False)
    return tmp_path / "data"


def load(data_dir, **more):
    return load_images("someone/tiny", "tiny", data_dir=data_dir, **more)


def check(data, pixels):
    for split, examples in (("train", data.train), ("test", data.test)):
        expected = (pixels[split][:, None] / 255 - 0.5) / 0.5
        np.testing.assert_allclose(examples.x.numpy(), expected, atol=1e-6)
        assert examples.x.dtype == torch.float32
        assert examples.y.tolist() == examples.groups.tolist() == [i % 2 for i in range(len(pixels[split]))]
    assert data.group_names == ("odd", "even")


def test_images_are_decoded_once(hub_folder, pixels, monkeypatch):
    told = []
    first = load(hub_folder, progress=lambda *event: told.append(event))
    check(first, pixels)
    assert told == [("decoding", 10, 10)]

    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it now fails
    again = load(hub_folder)
    check(again, pixels)
    assert again.fingerprint == first.fingerprint
    monkeypatch.setenv("LEARN2MIX_DATA", str(hub_folder))
    check(load(None), pixels)


def damage(kind, cache):
    (folder,) = cache.iterdir()
    if kind == "array missing":
        (folder / "train_x.npy").unlink()
    elif kind == "array cut short":
        path = folder / "test_x.npy"
        path.write_bytes(path.read_bytes()[:-7])
    elif kind == "array changed":
        path = folder / "train_x.npy"
        path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    elif kind == "no array at all":
        (folder / "train_y.npy").write_bytes(b"")
    elif kind == "meta garbled":
        (folder / "meta.json").write_text("{")
    elif kind == "meta of another kind":
        (folder / "meta.json").write_text("[]")


@pytest.mark.parametrize(
    "kind",
    ["array missing", "array cut short", "array changed", "no array at all", "meta garbled", "meta of another kind"],
)
def test_a_damaged_cache_is_made_anew(kind, hub_folder, pixels, tmp_path):
    first = load(hub_folder)
    damage(kind, tmp_path / "cache")
    told = []
    check(load(hub_folder, progress=lambda *event: told.append(event)), pixels)
    assert told, "the damage went unnoticed"
    told.clear()
    assert load(hub_folder, progress=lambda *event: told.append(event)).fingerprint == first.fingerprint
    assert not told
    (folder,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "meta.json", "test_x.npy", "test_y.npy", "train_x.npy", "train_y.npy",
    ]  # fmt: skip


def test_a_killed_writer_leaves_nothing_that_counts(hub_folder, pixels, tmp_path):
    load(hub_folder)
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "meta.json").unlink()  # it is written last
    check(load(hub_folder), pixels)


def test_changed_files_are_other_data(hub_folder):
    first = load(hub_folder)
    folder = hub_folder / "tiny" / "tiny"
    train, test = (folder / f"{split}-00000-of-00001.parquet" for split in ("train", "test"))
    train.write_bytes(test.read_bytes())
    changed = load(hub_folder)
    assert len(changed.train) == 4
    assert changed.fingerprint != first.fingerprint


def test_a_folder_without_the_data_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny is not a folder; --data-dir \(or LEARN2MIX_DATA\)"):
        load(tmp_path)


def no_network(*arguments, **options):
    raise OSError("no route to host")


def test_without_folder_and_network_one_error_says_both_ways(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path))
    monkeypatch.delenv("LEARN2MIX_DATA", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(
        ConnectionError, match=r"someone/tiny .* connect to the network once, .* --data-dir DIR or LEARN2MIX_DATA"
    ):
        load(None)


def test_the_hub_is_asked_by_name_and_only_once(hub_folder, pixels, tmp_path, monkeypatch):
    import datasets

    asked = []
    real = datasets.load_dataset

    def from_hub(source, cache_dir=None):
        asked.append(source)
        return real(str(hub_folder / "tiny"), cache_dir=str(tmp_path / "scratch"))

    monkeypatch.setattr(datasets, "load_dataset", from_hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # do not ask whether there is a network
    check(load(None), pixels)
    check(load(None), pixels)
    assert asked == ["someone/tiny"]


def test_a_cache_that_cannot_be_written_is_named(hub_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be kept in .* name another folder in LEARN2MIX_CACHE"):
        load(hub_folder)


_FIRST_STEP = """
import json, resource, sys
from learn2mix.bench.runner import find_method, find_task, make_ready
task = find_task("mnist")
data = task.load(sys.argv[1])
ready = make_ready(task, find_method("learn2mix"), 0, data)
ready.evaluate()
next(ready.trainer.steps())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak": peak, "sizes": data.train.group_sizes(10), "shape": list(data.test.x.shape),
                  "range": [float(data.train.x.min()), float(data.train.x.max())],
                  "loaded": sorted({"datasets", "sklearn", "imblearn"} & set(sys.modules))}))
"""


@needs_local_data
def test_local_mnist_is_lean_once_decoded(tmp_path):
    env = {**os.environ, "LEARN2MIX_CACHE": str(tmp_path), "OMP_WAIT_POLICY": "PASSIVE"}
    for _ in range(2):  # the first decodes
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_STEP, str(LOCAL_DATA)], env=env, capture_output=True, text=True, check=True
        )
    told = json.loads(done.stdout)
    assert told["sizes"] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert told["shape"] == [10000, 1, 28, 28]
    assert told["range"] == [-1.0, 1.0]
    assert told["loaded"] == []
    assert told["peak"] < 900  # MB
    assert len(list(Path(tmp_path).iterdir())) == 1

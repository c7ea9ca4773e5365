"""Images from a folder in the hub's layout, through the cache, and the tasks that use them."""

import json
import os
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import torch

from bench_toys import LOCAL_DATA, needs_local_data
from hub_support import write_splits
from learn2mix.bench.data import Data, Examples, cache
from learn2mix.bench.data.images import flattened, load_images, normalised
from learn2mix.bench.tasks import CIFAR10, CIFAR100, FASHION_MNIST, IMAGENETTE, MNIST


@pytest.fixture
def pixels():
    generator = np.random.default_rng(0)
    return {split: generator.integers(0, 256, (n, 5, 4), dtype=np.uint8) for split, n in (("train", 6), ("test", 4))}


def columns(images, image="image", label="label"):
    """Images with the labels 0, 1, 0, 1, ..."""
    return {image: list(images), label: [i % 2 for i in range(len(images))]}


def features(image="image", label="label"):
    datasets = pytest.importorskip("datasets")
    return {image: datasets.Image(), label: datasets.ClassLabel(names=["odd", "even"])}


@pytest.fixture
def hub_folder(tmp_path, own_cache, pixels):
    """A folder of local copies that holds one data set of ten grey images, "tiny"."""
    splits = {split: columns(images) for split, images in pixels.items()}
    write_splits(tmp_path / "data" / "tiny" / "tiny", splits, features())
    return tmp_path / "data"


def load(data_dir, **more):
    return load_images("someone/tiny", "tiny", data_dir=data_dir, **more)


def check(data, pixels):
    for split, examples in (("train", data.train), ("test", data.test)):
        assert examples.x.dtype == torch.uint8
        np.testing.assert_array_equal(examples.x.numpy(), pixels[split][:, None])
        assert examples.y.tolist() == examples.groups.tolist() == [i % 2 for i in range(len(pixels[split]))]
    assert data.group_names == ("odd", "even")


def test_images_are_decoded_once(hub_folder, pixels, monkeypatch):
    told = []
    first = load(hub_folder, progress=lambda *event: told.append(event))
    check(first, pixels)
    assert told == [("decoding", 6, 10), ("decoding", 10, 10)]

    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it now fails
    again = load(hub_folder)
    check(again, pixels)
    assert again.fingerprint == first.fingerprint
    monkeypatch.setenv("LEARN2MIX_DATA", str(hub_folder))
    check(load(None), pixels)


def test_writing_to_what_was_loaded_leaves_the_cache_alone(hub_folder, pixels):
    load(hub_folder).train.x.zero_()
    check(load(hub_folder), pixels)


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
    elif kind == "meta of an earlier layout":
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({"sha256": meta["sha256"], **meta["facts"]}))


@pytest.mark.parametrize(
    "kind",
    [
        "array missing",
        "array cut short",
        "array changed",
        "no array at all",
        "meta garbled",
        "meta of another kind",
        "meta of an earlier layout",
    ],
)
def test_a_damaged_cache_is_made_anew(kind, hub_folder, pixels, own_cache):
    first = load(hub_folder)
    damage(kind, own_cache)
    told = []
    check(load(hub_folder, progress=lambda *event: told.append(event)), pixels)
    assert told, "the damage went unnoticed"
    told.clear()
    assert load(hub_folder, progress=lambda *event: told.append(event)).fingerprint == first.fingerprint
    assert not told
    (folder,) = own_cache.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "meta.json", "test_x.npy", "test_y.npy", "train_x.npy", "train_y.npy",
    ]  # fmt: skip


def test_a_killed_writer_leaves_nothing_that_counts(hub_folder, pixels, own_cache):
    load(hub_folder)
    (folder,) = own_cache.iterdir()
    (folder / "meta.json").unlink()  # it is moved there last
    check(load(hub_folder), pixels)


def test_a_decoding_that_fails_leaves_nothing(hub_folder, own_cache):
    def fail(*event):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        load(hub_folder, progress=fail)
    (folder,) = own_cache.iterdir()
    assert not list(folder.iterdir())


def test_changed_files_are_other_data(hub_folder):
    first = load(hub_folder)
    folder = hub_folder / "tiny" / "tiny"
    train, test = (folder / f"{split}-00000-of-00001.parquet" for split in ("train", "test"))
    train.write_bytes(test.read_bytes())
    changed = load(hub_folder)
    assert len(changed.train) == 4
    assert changed.fingerprint != first.fingerprint


def test_another_size_is_cached_apart(hub_folder, pixels):
    check(load(hub_folder), pixels)
    assert load(hub_folder, size=2).train.x.shape == (6, 1, 2, 2)
    assert load(hub_folder, rgb=True).train.x.shape == (6, 3, 5, 4)
    check(load(hub_folder), pixels)


def test_a_folder_without_the_data_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny is not a folder; --data-dir \(or LEARN2MIX_DATA\)"):
        load(tmp_path)


def no_network(*arguments, **options):
    raise OSError("no route to host")


def test_without_folder_and_network_one_error_says_both_ways(own_cache, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(
        ConnectionError, match=r"someone/tiny .* connect to the network once, .* --data-dir DIR or LEARN2MIX_DATA"
    ):
        load(None)


@pytest.mark.parametrize("config", [None, "320px"])
def test_the_hub_is_asked_by_name_and_only_once(config, hub_folder, pixels, tmp_path, monkeypatch):
    import datasets

    asked = []
    real = datasets.load_dataset

    def from_hub(source, name=None, cache_dir=None):
        asked.append((source, name))
        return real(str(hub_folder / "tiny"), cache_dir=str(tmp_path / "scratch"))

    monkeypatch.setattr(datasets, "load_dataset", from_hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # do not ask whether there is a network
    check(load(None, config=config), pixels)
    check(load(None, config=config), pixels)
    assert asked == [("someone/tiny", config)]


def test_a_cache_that_cannot_be_written_is_named(hub_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be kept in .* name another folder in LEARN2MIX_CACHE"):
        load(hub_folder)


def test_an_array_written_in_part_is_not_kept(own_cache):
    def make(write):
        write("x", (2,), np.int64, [np.zeros(1, dtype=np.int64)])  # a row fewer than announced
        return {}

    with pytest.raises(ValueError, match="mmap length"):
        cache.kept("short", make)
    assert not list((own_cache / "short").iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "size is 0; .* at least 1"),
        ({"image": "img"}, "has the columns image, label, but not 'img'"),
        ({"label": "image"}, "the column 'image' has no class names"),
        ({"test_split": "validation"}, "has the splits train, test, but not 'validation'"),
    ],
)
def test_refusals(changes, message, hub_folder):
    load(hub_folder)
    with pytest.raises(ValueError, match=message):
        load(hub_folder, **changes)


def test_images_that_differ_are_refused_by_number(tmp_path, own_cache):
    grey, small, colour = (np.zeros(shape, dtype=np.uint8) for shape in ((5, 4), (3, 4), (5, 4, 3)))
    for name, images in (("sizes", [grey, small]), ("modes", [grey, colour])):
        splits = {split: columns(images) for split in ("train", "test")}
        write_splits(tmp_path / name / "tiny", splits, features())
    with pytest.raises(ValueError, match=r"image 1 of the split train is 3 x 4 pixels, the first 5 x 4; give a size"):
        load(tmp_path / "sizes")
    with pytest.raises(ValueError, match=r"image 1 of the split train is of mode RGB, the first of mode L; rgb=True"):
        load(tmp_path / "modes")
    assert load(tmp_path / "sizes", size=2).train.x.shape == (2, 1, 2, 2)
    assert load(tmp_path / "modes", rgb=True).train.x.shape == (2, 3, 5, 4)


def test_images_of_no_known_mode_are_refused(tmp_path, own_cache):
    from PIL import Image

    images = [Image.new("RGBA", (4, 4)), Image.new("RGBA", (4, 4))]
    write_splits(tmp_path / "tiny", {split: columns(images) for split in ("train", "test")}, features())
    with pytest.raises(ValueError, match="of mode RGBA, neither grey"):
        load(tmp_path)


def data_of(pixels, **more):
    y = torch.arange(len(pixels)) % 2
    return Data(Examples(pixels, y, y), None, ("odd", "even"), **more)


def test_floats_are_as_the_formulas_have_them():
    everything = torch.arange(256, dtype=torch.uint8).view(2, 2, 8, 8)
    data = data_of(everything, digest="d")
    signed = normalised(data)
    as_before = torch.from_numpy(everything.numpy().astype(np.float32)).div_(255).sub_(0.5).div_(0.5)
    assert torch.equal(signed.train.x, as_before)  # bit for bit: stored runs were made with it
    assert signed.fingerprint == "d"
    rows = flattened(data)
    assert rows.train.y is rows.train.x
    assert torch.equal(rows.train.x, torch.arange(256).view(2, 128).float() / 255)
    assert rows.train.groups.tolist() == [0, 1]
    assert rows.fingerprint not in ("d", flattened(data_of(everything, digest="e")).fingerprint)
    assert everything.dtype == torch.uint8
    assert everything.max() == 255  # left as they were
    for change in (normalised, flattened):
        with pytest.raises(TypeError, match=r"float32, not torch.uint8; give what load_images returns"):
            change(signed)


def test_cifar100_by_its_fine_labels(tmp_path, own_cache):
    datasets = pytest.importorskip("datasets")
    images = np.random.default_rng(0).integers(0, 256, (2, 100, 32, 32, 3), dtype=np.uint8)
    splits = {
        split: {"img": list(part), "fine_label": [*range(100)], "coarse_label": [i % 20 for i in range(100)]}
        for split, part in zip(("train", "test"), images, strict=True)
    }
    fine, coarse = (datasets.ClassLabel(names=[f"{kind} {i}" for i in range(k)]) for kind, k in (("f", 100), ("c", 20)))
    layout = {"img": datasets.Image(), "fine_label": fine, "coarse_label": coarse}
    write_splits(tmp_path / "cifar100" / "cifar100", splits, layout)
    data = CIFAR100.load(tmp_path)
    np.testing.assert_array_equal(data.train.x.numpy(), images[0].transpose(0, 3, 1, 2))
    assert data.train.y.tolist() == [*range(100)]
    assert data.group_names[99] == "f 99"


def test_cifar100_keeps_as_many_as_the_authors_code():
    keep = CIFAR100.profile([500] * 100)
    assert sum(keep) == 13290
    assert (keep[0], keep[1], keep[99]) == (500, 481, 12)  # 500, 500 / 40^(1/99) = 481.7, 500 / 40


def test_imagenette_cut_to_the_middle_square(tmp_path, own_cache):
    from PIL import Image

    # 448 x 224 pixels, red on the outer quarters and blue in the middle; and 224 x 448, grey
    wide = np.zeros((224, 448, 3), dtype=np.uint8)
    wide[..., 0] = 255
    wide[:, 112:336] = (0, 0, 255)
    images = [Image.fromarray(wide), Image.new("L", (300, 600), 77)] * 5
    datasets = pytest.importorskip("datasets")
    layout = {"image": datasets.Image(), "label": datasets.ClassLabel(names=[f"n{i}" for i in range(10)])}
    splits = {split: {"image": images, "label": [*range(10)]} for split in ("train", "validation")}
    write_splits(tmp_path / "imagenette" / "320px", splits, layout)
    other = {split: {"image": images[1:2] * 10, "label": [*range(10)]} for split in ("train", "validation")}
    write_splits(tmp_path / "imagenette" / "160px", other, layout)
    data = IMAGENETTE.load(tmp_path)
    assert data.train.x.shape == data.test.x.shape == (10, 3, 224, 224)
    assert data.train.x.dtype == torch.uint8
    assert data.train.x[0].flatten(1).float().mean(1).tolist() == [0, 0, 255]
    assert (data.test.x[1] == 77).all()
    assert len(data.group_names) == 10


def test_large_images_are_decoded_in_little_memory(tmp_path, own_cache):
    """Twice as many images as the block: what is in memory at once does not grow with their number."""
    told = []

    def note(kind, done, total):
        told.append(done)

    images = np.zeros((1100, 2, 2), dtype=np.uint8)
    images[:, 0, 0] = np.arange(1100) % 251
    write_splits(tmp_path / "tiny", {"train": columns(images), "test": columns(images[:2])}, features())
    data = load(tmp_path, progress=note)
    np.testing.assert_array_equal(data.train.x[:, 0].numpy(), images)
    assert told == [500, 1000, 1100, 1102]


_FIRST_STEP = """
import json, resource, sys
from learn2mix.bench.lookup import find_method, find_task
from learn2mix.bench.runner import make_ready
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
    assert len(list(tmp_path.iterdir())) == 1


@needs_local_data
@pytest.mark.parametrize(
    ("task", "fingerprint", "shape"),
    [
        (MNIST, "3f7359d6eb82fe1d", (60000, 1, 28, 28)),
        (FASHION_MNIST, "444b8e7f37d2e410", (60000, 1, 28, 28)),
        (CIFAR10, "c2159127a3249489", (50000, 3, 32, 32)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_local_data_are_those_of_stored_runs(task, fingerprint, shape, own_cache):
    data = task.load(LOCAL_DATA)
    assert data.fingerprint == fingerprint
    assert tuple(data.train.x.shape) == shape
    assert len(data.test) == 10000
    assert set(data.test.group_sizes(10)) == {1000} or task is MNIST
    assert len(data.group_names) == 10

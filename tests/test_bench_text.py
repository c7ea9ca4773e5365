"""Texts as word ids, from a folder in the hub's layout, through the cache, and the tasks that use them."""

import sys

import pytest
import torch

from bench_toys import LOCAL_DATA, needs_local_data
from hub_support import write_splits
from learn2mix.bench.data.text import load_texts, words_of
from learn2mix.bench.tasks import IMDB, IMDB_200
from learn2mix.bench.tasks.imdb import WORDS

TRAIN = ["A good, GOOD film.<br /><br />Good!", "bad film; a rare word", "", "the film the the"]
TEST = ["good good bad", "a word of another kind"]


@pytest.fixture
def hub_folder(tmp_path, own_cache):
    datasets = pytest.importorskip("datasets")
    layout = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    splits = {"train": {"text": TRAIN, "label": [1, 0, 0, 1]}, "test": {"text": TEST, "label": [1, 0]}}
    write_splits(tmp_path / "data" / "tiny" / "plain_text", splits, layout)
    return tmp_path / "data"


def load(data_dir, **more):
    return load_texts("someone/tiny", "tiny", **{"length": 5, "data_dir": data_dir, **more})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Don't STOP--it's  10/10", ["don't", "stop", "it's", "10", "10"]),
        ("'quoted' dogs' ' rock'n'roll", ["quoted", "dogs", "rock'n'roll"]),
        ("one<br />two<br/>three < four", ["one", "two", "three", "four"]),
        ("Amélie naïve", ["amélie", "naïve"]),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


def test_ids_by_frequency_cut_and_padded(hub_folder):
    data = load(hub_folder)
    # good 5; a, film, the 3 in the order of letters; bad, word 2; rare, of, another, kind 1 and so unknown
    good, a, film, the, bad, word = range(2, 8)
    assert data.train.x.tolist() == [
        [a, good, good, film, good],
        [bad, film, a, 1, word],
        [0, 0, 0, 0, 0],
        [the, film, the, the, 0],
        [good, good, bad, 0, 0],
        [a, word, 1, 1, 1],
    ]
    assert data.train.x.dtype == torch.int32
    assert data.train.y.tolist() == data.train.groups.tolist() == [1, 0, 0, 1, 1, 0]
    assert data.group_names == ("neg", "pos")
    assert data.test is None


def test_other_settings(hub_folder):
    everything = load(hub_folder, min_frequency=1, length=2)
    assert everything.train.x.tolist()[1] == [6, 4]
    assert everything.train.x.min() == 0
    few = load(hub_folder, max_words=4)
    assert few.train.x.tolist()[0] == [3, 2, 2, 1, 2]
    assert few.train.x.max() == 3
    only_test = load(hub_folder, splits=("test",))
    assert only_test.train.x.tolist() == [[2, 2, 1, 0, 0], [1, 1, 1, 1, 1]]
    prints = {data.fingerprint for data in (everything, few, only_test, load(hub_folder))}
    assert len(prints) == 4


def test_texts_are_read_once(hub_folder, monkeypatch):
    told = []
    first = load(hub_folder, progress=lambda *event: told.append(event))
    assert told == [("decoding", 6, 6)]
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it now fails
    again = load(hub_folder)
    assert torch.equal(again.train.x, first.train.x)
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 0}, "length is 0; it must be at least 1"),
        ({"min_frequency": 0}, "min_frequency is 0; it must be at least 1"),
        ({"max_words": 2}, "max_words is 2; it must be at least 3"),
        ({"text": "review"}, "has the columns text, label, but not 'review'"),
        ({"splits": ("train", "unsupervised")}, "has the splits train, test, but not 'unsupervised'"),
        ({"label": "text"}, "the column 'text' has no class names"),
    ],
)
def test_refusals(changes, message, hub_folder):
    load(hub_folder)
    with pytest.raises(ValueError, match=message):
        load(hub_folder, **changes)


def test_a_folder_without_the_data_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny is not a folder; --data-dir \(or LEARN2MIX_DATA\)"):
        load(tmp_path)


@needs_local_data
def test_local_imdb(own_cache):
    data = IMDB_200.load(LOCAL_DATA)
    assert data.fingerprint == "e85f84d78c617a83"
    assert tuple(data.train.x.shape) == (50000, 200)
    # the network knows just as many words as there are
    assert int(data.train.x.max()) == WORDS - 1
    train, test = IMDB_200.split(data, seed=0)
    assert train.group_sizes(2) == [20000, 6000]
    assert test.group_sizes(2) == [5000, 5000]


def test_the_tasks_differ_in_length_and_attention_dropout_alone():
    for task, length, dropout in ((IMDB, 500, 0.1), (IMDB_200, 200, 0.0)):
        network = task.network()
        assert network.positions.shape == (length, 64)
        assert network.embedding.num_embeddings == WORDS
        assert network.encoder.self_attn.dropout == dropout
        assert task.tokens
        assert task.profile([20000, 20000]) == [20000, 6000]

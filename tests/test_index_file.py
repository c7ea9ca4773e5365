"""A division into groups: what making it takes, saved and mapped back."""

import tracemalloc

import numpy as np
import pytest

from learn2mix import Mixer, policies
from learn2mix.groups import ListedGroups

LABELS = np.random.default_rng(0).integers(0, 5, 1000) * 3


@pytest.fixture
def path(tmp_path):
    ListedGroups(LABELS).save(tmp_path / "groups")
    return tmp_path / "groups"


def mixer(groups):
    return Mixer(groups, 50, policy=policies.Static("balanced"), seed=3)


def test_a_loaded_division_gives_the_same_batches_and_takes_the_same_states(path):
    built, loaded = mixer(LABELS), mixer(ListedGroups.load(path))
    assert list(loaded.batch_sampler) == list(built.batch_sampler)
    assert loaded.group_names == [0, 3, 6, 9, 12]
    loaded.load_state_dict(built.state_dict())
    assert list(loaded.batch_sampler) == list(built.batch_sampler)


def test_strings_keep_their_names(tmp_path):
    ListedGroups(["b", "a", "b", "é\n"]).save(tmp_path / "groups")
    groups = ListedGroups.load(tmp_path / "groups")
    assert groups.names == ["a", "b", "é\n"]
    assert groups.of(np.arange(4)).tolist() == [1, 0, 1, 2]


def test_it_is_mapped_not_read(path):
    groups = ListedGroups.load(path)
    assert isinstance(groups._members, np.memmap)
    assert path.stat().st_size < 1000 * 8 + 2000  # at most 8 bytes an example, and a header
    with pytest.raises(ValueError, match="read-only"):
        groups._members[0] = 1


def test_every_changed_byte_is_noticed(path):
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 150).astype(int):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        found = outcome(path)
        # Padding between the arrays is read by nobody; any other byte is missed by somebody.
        expected = "no index of groups of this version" if place < 19 else "build the index from the labels again"
        assert expected in found or found == ListedGroups(LABELS).fingerprint, place


def outcome(path):
    try:
        return ListedGroups.load(path).fingerprint
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("length", [0, 10, 30, 200, 900, 4000, -1])
def test_a_file_cut_short_is_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    for verify in (True, False):
        with pytest.raises(ValueError, match=r"no index of groups|is damaged"):
            ListedGroups.load(path, verify=verify)


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        ListedGroups(LABELS[:500]).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["groups"]


def test_making_the_index_takes_little_more_than_the_index():
    labels = np.arange(6_000_000, dtype=np.int16) % 1000
    tracemalloc.start()
    found = ListedGroups(labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    index = found._codes.nbytes + found._members.nbytes
    assert index == 6 * 6_000_000
    assert peak < 3 * index

"""Which examples belong to which group, against numpy's own sorting; nothing hangs on how labels come."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learn2mix import Mixer, groups, policies
from learn2mix.groups import ContiguousGroups, ListedGroups

LABELS = st.one_of(
    st.lists(st.integers(-3, 9), min_size=1, max_size=60),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60),
    st.lists(st.text(max_size=3).filter(lambda text: "\0" not in text), min_size=1, max_size=60),
)


@pytest.fixture(params=[1, 7, 1 << 20], scope="module")
def chunk(request):
    """Whatever number of examples is handled at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_CHUNK", request.param)
        yield request.param


@given(labels=LABELS)
def test_groups_are_those_of_numpy(chunk, labels):
    found = ListedGroups(labels)
    array = np.array(labels, dtype=object)
    names = sorted(set(labels))
    assert found.names == names
    assert found.sizes.tolist() == [int((array == name).sum()) for name in names]
    for i, name in enumerate(names):
        members = np.flatnonzero(array == name)
        assert found.indices(np.full(len(members), i), np.arange(len(members))).tolist() == members.tolist()
        assert set(found.of(members).tolist()) == {i}


@pytest.mark.parametrize("distinct", [2, 256, 257, 65_536, 65_537])
def test_any_number_of_groups(distinct):
    labels = np.random.default_rng(0).permutation(np.concatenate([np.arange(distinct), np.arange(min(distinct, 9))]))
    found = ListedGroups(labels)
    assert found.names == list(range(distinct))
    assert found.of(np.arange(len(labels))).tolist() == labels.tolist()
    members = found.indices(np.array([distinct - 1, 0]), np.array([0, 1]))
    assert labels[members].tolist() == [distinct - 1, 0]


@pytest.mark.parametrize(
    "form",
    [
        np.array([3, 7, 3], dtype=np.uint64),
        np.array([3, 7, 3], dtype=object),
        torch.tensor([3, 7, 3], dtype=torch.int8),
        torch.tensor([3, 7, 3]).requires_grad_(False),
        np.array([-100, 100, -100], dtype=np.int8),
        (3, 7, 3),
        range(3, 6),
        [np.int32(3), np.int64(7), 3],
    ],
    ids=lambda form: type(form).__name__,
)
def test_labels_in_any_form(form):
    expected = [int(label) for label in form]
    mixer = Mixer(form, 2, policy=policies.Static())
    assert mixer.group_names == sorted(set(expected))
    assert mixer.groups_of(torch.tensor([[0, 1], [2, 2]])).tolist() == [expected[:2], [expected[2]] * 2]
    assert mixer.groups_of([]).tolist() == []


def test_contiguous_groups_are_listed_ones_in_their_order():
    contiguous, listed = ContiguousGroups({"b": 3, "a": 1, "c": 4}), ListedGroups(list("bbbacccc"))
    assert contiguous.names == ["b", "a", "c"]
    for i, name in enumerate(contiguous.names):
        number = int(contiguous.sizes[i])
        whole = np.full(number, i), np.arange(number)
        there = np.full(number, listed.names.index(name)), np.arange(number)
        assert contiguous.indices(*whole).tolist() == listed.indices(*there).tolist()
    assert contiguous.of(np.arange(8)).tolist() == [0, 0, 0, 1, 2, 2, 2, 2]


def test_a_fingerprint_tells_divisions_apart():
    divisions = [
        ListedGroups([0, 0, 1]),
        ListedGroups([0, 1, 0]),
        ListedGroups([0, 0, 2]),
        ListedGroups(["0", "0", "1"]),
        ListedGroups([0, 0, 1, 1]),
        ContiguousGroups({0: 2, 1: 1}),
        ContiguousGroups({0: 1, 1: 2}),
        ContiguousGroups({1: 2, 0: 1}),
        ContiguousGroups({"ab": 2, "c": 1}),
        ContiguousGroups({"a": 2, "bc": 1}),
    ]
    assert len({division.fingerprint for division in divisions}) == len(divisions)
    assert ListedGroups([0, 0, 1]).fingerprint == ListedGroups(torch.tensor([0, 0, 1])).fingerprint


def test_what_is_kept_is_small():
    """At most 8 bytes an example for listed groups, nothing for contiguous ones."""
    found = ListedGroups(np.arange(100_000) % 300)
    assert found._codes.nbytes + found._members.nbytes <= 8 * 100_000
    huge = ContiguousGroups({"wiki": 10**12, "code": 10**12})
    assert huge.of(np.array([10**12 - 1, 10**12])).tolist() == [0, 1]

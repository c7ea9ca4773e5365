"""Cutting a training set, holding examples out, and standardising."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import global_random_state, toy_data
from learn2mix.bench.data import Data, profiles
from learn2mix.bench.data.splits import cut, hold_out, standardise


@given(sizes=st.lists(st.integers(50, 500), min_size=2, max_size=12), factor=st.floats(1, 40), seed=st.integers(0, 99))
def test_a_cut_keeps_what_the_profile_says(sizes, factor, seed):
    keep = profiles.Exponential(factor)(sizes)
    assert all(1 <= kept <= n for kept, n in zip(keep, sizes, strict=True))
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).flip(0)
    chosen = cut(groups, keep, seed)
    assert torch.bincount(groups[chosen], minlength=len(sizes)).tolist() == keep
    assert (chosen.diff() > 0).all()  # ascending, none twice


def test_a_cut_is_decided_by_its_seed_alone():
    groups = torch.arange(100) % 2
    before = global_random_state()
    first = cut(groups, [20, 10], seed=3)
    assert global_random_state() == before
    torch.manual_seed(9)
    assert cut(groups, [20, 10], seed=3).equal(first)
    assert not cut(groups, [20, 10], seed=4).equal(first)


def test_any_member_may_be_kept():
    kept = {int(i) for seed in range(60) for i in cut(torch.zeros(6, dtype=torch.int64), [2], seed)}
    assert kept == set(range(6))


def test_a_cut_cannot_keep_more_than_there_are():
    with pytest.raises(ValueError, match="group 1 has 1 examples and should keep 2"):
        cut(torch.tensor([0, 0, 1]), [1, 2], seed=0)


def test_a_tenth_of_each_group_is_held_out_and_at_least_one_example():
    train = toy_data((44, 24, 3)).train
    rest, held = hold_out(train, 0.1, 3, seed=5)
    assert held.group_sizes(3) == [4, 2, 1]
    assert rest.group_sizes(3) == [40, 22, 2]
    rows = torch.cat([rest.x, held.x])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, train.x.tolist()))
    assert hold_out(train, 0.1, 3, seed=5)[1].x.equal(held.x)
    assert not hold_out(train, 0.1, 3, seed=6)[1].x.equal(held.x)
    with pytest.raises(ValueError, match=r"group 2 has 1 examples, .* every group needs at least 2"):
        hold_out(toy_data((44, 24, 1)).train, 0.1, 3, seed=5)


def test_columns_may_be_standardised_over_all_rows():
    """(1, 2, 3, 6) has mean 3 and variance 3.5; targets and groups stay."""
    x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [6.0, 60.0]])
    train = Data.regression(x, [1, 2, 3, 4], [0, 1, 0, 1], ["a", "b"]).train
    data = standardise(train, train)
    expected = np.array([-2, -1, 0, 3]) / 3.5**0.5
    np.testing.assert_allclose(data.x, np.stack([expected, expected], axis=1), rtol=1e-6)
    assert data.y.tolist() == [1, 2, 3, 4]
    assert data.groups.tolist() == [0, 1, 0, 1]

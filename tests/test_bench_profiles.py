"""Imbalance profiles against published set sizes, and the cut."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import global_random_state
from learn2mix.bench.data import profiles

MNIST = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
IMAGENETTE = [963, 955, 993, 858, 941, 956, 961, 931, 951, 960]


@pytest.mark.parametrize(
    ("profile", "sizes", "total"),
    [
        (profiles.Step(minority=(5, 6, 7, 8, 9), fraction=0.2), MNIST, 36475),
        (profiles.Linear(last=0.1), IMAGENETTE, 5207),
        (profiles.Exponential(factor=40), [500] * 100, 13290),
    ],
)
def test_the_papers_training_sets(profile, sizes, total):
    assert sum(profile(sizes)) == total


def test_numbers_worked_by_hand():
    assert profiles.Exponential(factor=10)([125, 127, 130]) == [125, 40, 13]  # 127 / sqrt(10) = 40.2
    assert profiles.Given((1, 2, 1))([30, 30, 30]) == [15, 30, 15]
    assert profiles.Linear(last=0.5)([10, 10, 10]) == [10, 7, 5]  # 7.5 is floored
    assert profiles.Step(minority=(1,), fraction=0.7)([10, 10]) == [10, 7]  # 0.7 * 10 is 7, whatever floats make of it


def test_a_profile_names_itself_alike_every_time():
    assert repr(profiles.Exponential(factor=10)) == "Exponential(factor=10)"


@pytest.mark.parametrize(
    ("profile", "sizes", "message"),
    [
        (profiles.Step(minority=(3,), fraction=0.5), [10, 10, 10], r"positions \[3\], but there are 3 groups"),
        (profiles.Step(minority=(0,), fraction=0.01), [10, 10], "keeps 0 of the 10 examples of group 0"),
        (profiles.Step(minority=(0,), fraction=1.5), [10, 10], "keeps 15 of the 10 examples"),
        (profiles.Exponential(factor=100), [50, 50], "keeps 0 of the 50 examples of group 1"),
        (profiles.Given((1,)), [10, 10], "1 proportions were given for 2 groups"),
        (profiles.Given((1, 0)), [10, 10], "positive and finite"),
    ],
)
def test_refusals(profile, sizes, message):
    with pytest.raises(ValueError, match=message):
        profile(sizes)


@given(sizes=st.lists(st.integers(50, 500), min_size=2, max_size=12), factor=st.floats(1, 40), seed=st.integers(0, 99))
def test_a_cut_keeps_what_the_profile_says(sizes, factor, seed):
    keep = profiles.Exponential(factor)(sizes)
    assert all(1 <= kept <= n for kept, n in zip(keep, sizes, strict=True))
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).flip(0)
    chosen = profiles.cut(groups, keep, seed)
    assert torch.bincount(groups[chosen], minlength=len(sizes)).tolist() == keep
    assert (chosen.diff() > 0).all()  # ascending, none twice


def test_a_cut_is_decided_by_its_seed_alone():
    groups = torch.arange(100) % 2
    before = global_random_state()
    first = profiles.cut(groups, [20, 10], seed=3)
    assert global_random_state() == before
    torch.manual_seed(9)
    assert profiles.cut(groups, [20, 10], seed=3).equal(first)
    assert not profiles.cut(groups, [20, 10], seed=4).equal(first)


def test_any_member_may_be_kept():
    kept = {int(i) for seed in range(60) for i in profiles.cut(torch.zeros(6, dtype=torch.int64), [2], seed)}
    assert kept == set(range(6))


def test_a_cut_cannot_keep_more_than_there_are():
    with pytest.raises(ValueError, match="group 1 has 1 examples and should keep 2"):
        profiles.cut(torch.tensor([0, 0, 1]), [1, 2], seed=0)

"""Imbalance profiles against published set sizes."""

import pytest

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
        (profiles.Given((1,)), [10, 10], "1 proportions were given for 2 groups; give one a group, in the order of"),
        (profiles.Given((1, 0)), [10, 10], "positive and finite"),
    ],
)
def test_refusals(profile, sizes, message):
    with pytest.raises(ValueError, match=message):
        profile(sizes)

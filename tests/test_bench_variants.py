"""Tasks under other settings, and the folders their runs go to."""

import pytest
import torch

from learn2mix.bench.data.profiles import Exponential, Given, Linear, Logarithmic, Step
from learn2mix.bench.tasks import DIGITS
from learn2mix.bench.variants import folder_name, vary


def test_what_is_not_given_stays():
    assert vary("digits") == DIGITS
    changed = vary("digits", learning_rate=0.5)
    assert (changed.learning_rate, changed.batch_size, changed.profile) == (0.5, DIGITS.batch_size, DIGITS.profile)


@pytest.mark.parametrize(
    ("name", "factor", "profile", "sizes"),
    [
        ("step", 5, Step(None, 0.2), [100, 100, 20, 20]),
        ("linear", 4, Linear(0.25), [100, 75, 50, 25]),
        # 1 - 0.8 ln 2 / ln 4 = 0.6, 1 - 0.8 ln 3 / ln 4 = 0.366
        ("logarithmic", 5, Logarithmic(0.2), [100, 60, 36, 20]),
        ("exponential", 8, Exponential(8), [100, 50, 25, 12]),
        ("exponential", 1, Exponential(1), [100, 100, 100, 100]),
    ],
)
def test_profiles_by_name(name, factor, profile, sizes):
    found = vary("digits", profile=name, imbalance_factor=factor).profile
    assert found == profile
    assert found([100] * 4) == sizes
    # a factor typed as 5.0 is the same setting, so that stored runs are found again
    assert repr(vary("digits", profile=name, imbalance_factor=float(factor)).profile) == repr(found)


def test_given_proportions():
    found = vary("digits", profile="given", proportions=(5, 5, 4, 1)).profile
    assert found == Given((5, 5, 4, 1))
    assert found([100] * 4) == [100, 100, 80, 20]
    # typed as 5.0 it is the same setting
    assert repr(vary("digits", profile="given", proportions=[5.0, 5, 4, 1.0]).profile) == repr(found)


def test_no_imbalance():
    assert vary("digits", profile="none").profile is None


def test_optimisers_by_name():
    assert vary("digits", optimizer="rmsprop").optimizer is torch.optim.RMSprop


def test_folders_are_told_apart_by_what_differs_and_only_by_that():
    folders = {
        folder_name(vary("digits")): {},
        folder_name(vary("digits", batch_size=32, learning_rate=1e-3)): {},  # the task's own
        folder_name(vary("digits", batch_size=16)): {},
        folder_name(vary("digits", learning_rate=1e-5)): {},
        folder_name(vary("digits", profile="none")): {},
        folder_name(vary("digits", profile="step", imbalance_factor=2)): {},
        folder_name(vary("digits", profile="given", proportions=(5, 5, 2.5))): {},
    }
    assert list(folders) == [
        "digits",
        "digits+batch_size=16",
        "digits+learning_rate=1e-05",
        "digits+profile=none",
        "digits+profile=step-fraction-0.5",
        "digits+profile=given-proportions-5-5-2.5",
    ]


def test_a_folder_of_very_many_proportions_has_a_name_that_a_file_system_takes():
    names = {folder_name(vary("digits", profile="given", proportions=[0.125] * 99 + [last])) for last in (1, 2)}
    assert len(names) == 2
    assert max(map(len, names)) < 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"profile": "exponential"}, "'exponential' was given nothing; it takes imbalance_factor alone, for instance"),
        ({"profile": "given", "imbalance_factor": 10}, "given imbalance_factor=10; it takes proportions alone"),
        (
            {"profile": "step", "imbalance_factor": 10, "proportions": (1, 2)},
            r"10 and proportions=\(1, 2\); it takes imb",
        ),
        ({"imbalance_factor": 10}, "imbalance_factor=10 was given without a profile; name one of: step"),
        ({"imbalance_factor": 0.5}, "imbalance_factor was 0.5"),
        ({"profile": "none", "imbalance_factor": 10}, "'none' was given imbalance_factor=10; it takes nothing"),
        ({"profile": "steep"}, "no profile is called 'steep'; there are: step, linear, .*, given, none"),
        ({"profile": "given", "proportions": (1, 0)}, "proportions was 0; it must be a number, above 0"),
        ({"profile": "given", "proportions": (1, float("nan"))}, "proportions was nan"),
        ({"profile": "step", "imbalance_factor": 0.5}, "imbalance_factor was 0.5; it must be a number, at least 1"),
        ({"profile": "step", "imbalance_factor": float("inf")}, "imbalance_factor was inf"),
        ({"optimizer": "lion"}, "no optimiser is called 'lion'; there are: adam, adamw"),
        ({"learning_rate": 0.0}, "learning_rate was 0.0; it must be a number, above 0"),
        ({"learning_rate": float("nan")}, "learning_rate was nan"),
        ({"batch_size": 0}, "batch_size was 0; it must be 1 or more"),
    ],
)
def test_refusals(changes, says):
    with pytest.raises(ValueError, match=says):
        vary("digits", **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 2.5},
        {"batch_size": "8"},
        {"learning_rate": True},
        {"learning_rate": "fast"},
        {"proportions": "5,5"},
    ],
)
def test_what_is_no_number_is_refused(changes):
    with pytest.raises(TypeError, match=f"{next(iter(changes))} was"):
        vary("digits", **changes)

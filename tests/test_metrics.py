import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learn2mix.metrics import balanced, time_to_target, weighted, worst_group

BY_GROUP = [[0.1, 0.5, 0.3], [0.4, 0.2, 0.0]]
errors = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(0, 1))


def test_worst_group_keeps_the_axes_before_the_groups():
    assert worst_group(BY_GROUP).tolist() == [0.5, 0.4]
    assert worst_group(BY_GROUP, lower_is_better=False).tolist() == [0.1, 0.0]
    assert worst_group(np.zeros((2, 3, 4))).shape == (2, 3)


def test_balanced_counts_groups_alike():
    assert balanced(BY_GROUP) == pytest.approx([0.3, 0.2])


def test_weighted_by_sizes():
    # (0.1 * 6 + 0.5 * 3 + 0.3 * 1) / 10 = 0.24 and (0.4 * 6 + 0.2 * 3) / 10 = 0.3
    assert weighted(BY_GROUP, [6, 3, 1]) == pytest.approx([0.24, 0.3])


@given(errors)
def test_worst_is_never_below_a_mean_and_equal_weights_are_balanced(values):
    equal = np.ones(values.shape[1])
    assert (worst_group(values) >= balanced(values) - 1e-12).all()
    assert weighted(values, equal) == pytest.approx(balanced(values))


@given(errors, st.randoms())
def test_the_order_of_groups_does_not_matter(values, random):
    order = list(range(values.shape[1]))
    random.shuffle(order)
    sizes = np.arange(1, len(order) + 1)
    assert worst_group(values[:, order]) == pytest.approx(worst_group(values))
    assert weighted(values[:, order], sizes[order]) == pytest.approx(weighted(values, sizes))


def test_a_diverged_group_shows():
    diverged = [0.1, float("nan")]
    assert np.isnan(worst_group(diverged))
    assert np.isnan(balanced(diverged))
    assert np.isnan(weighted(diverged, [1, 1]))


def test_time_to_target_is_the_first_hit_on_a_curve_that_comes_and_goes():
    curve, at = [0.9, 0.4, 0.6, 0.3], [0, 100, 200, 300]
    assert time_to_target(curve, at, target=0.4) == 100
    assert time_to_target(curve, at, target=0.39) == 300
    assert time_to_target(curve, at, target=0.29) is None
    assert time_to_target(curve, at, target=0.95) == 0
    assert time_to_target([0.1, 0.8], [0, 5], target=0.8, lower_is_better=False) == 5


def test_nan_reaches_nothing():
    assert time_to_target([float("nan"), 0.2], [0, 1], target=0.5) == 1


@given(arrays(np.float64, 8, elements=st.floats(0, 1)), st.floats(0, 1), st.floats(0, 1))
def test_a_harder_target_is_never_reached_sooner(curve, one, other):
    times = [time_to_target(curve, range(8), target=target) for target in sorted([one, other])]
    harder, easier = (float("inf") if time is None else time for time in times)
    assert easier <= harder


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: worst_group(0.3), r"shape \(\), but its last axis must hold the groups"),
        (lambda: balanced(np.zeros((3, 0))), r"shape \(3, 0\)"),
        (lambda: weighted([0.1, 0.2], [1, 2, 3]), r"shape \(3,\), but values has 2 groups"),
        (lambda: weighted([0.1, 0.2], [1, -1]), "at least 0 and not all 0"),
        (lambda: weighted([0.1, 0.2], [0, 0]), "not all 0"),
        (lambda: weighted([0.1, 0.2], [1, float("inf")]), "must be finite"),
        (lambda: time_to_target([0.1, 0.2], [0], target=0.1), r"shape \(2,\) and at \(1,\)"),
        (lambda: time_to_target([0.1, 0.2], [0, 1], target=float("nan")), "target must be a finite number, got nan"),
        (lambda: time_to_target([0.1, 0.2], [1, 0], target=0.1), "at falls along the curve"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()

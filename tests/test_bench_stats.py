import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from learn2mix.bench.analysis.stats import (
    Estimate,
    Reached,
    bootstrap_interval,
    envelope,
    half_widths,
    holm,
    interquartile_mean,
    mean_interval,
    median_interval,
    paired_difference,
    probability_of_improvement,
    reached,
    welch_difference,
)

numbers = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=12)


def test_mean_interval_by_hand():
    # mean 4, s = 2 (n - 1 = 4 under the root of 16 / 4), t(0.975, 4) = 2.776445, half = 2.776445 * 2 / sqrt(5)
    estimate = mean_interval([2.0, 2.0, 4.0, 6.0, 6.0])
    assert (estimate.mean, estimate.n) == (4.0, 5)
    assert estimate.half_width == pytest.approx(2.4833, abs=1e-4)
    assert estimate.high == pytest.approx(6.4833, abs=1e-4)


@given(numbers)
def test_mean_interval_against_scipy(values):
    estimate = mean_interval(values)
    assert estimate.n == len(values)
    if len(set(values)) == 1:
        assert estimate.half_width is None
        return
    expected = reference.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3, 0.3]])
def test_no_interval_where_nothing_tells_the_spread(values):
    assert mean_interval(values) == Estimate(0.3, None, None, len(values))


def test_a_value_that_is_not_finite_shows():
    estimate = mean_interval([0.1, float("inf")])
    assert np.isnan(estimate.mean)
    assert (estimate.low, estimate.high, estimate.n) == (None, None, 2)


def test_half_widths_are_those_of_each_row():
    curves = np.random.default_rng(0).normal(size=(5, 3))
    assert half_widths(curves) == pytest.approx([mean_interval(curves[:, i]).half_width for i in range(3)])


def test_paired_difference_pairs_by_seed_not_by_place():
    ours, theirs = {3: 0.30, 1: 0.10, 2: 0.25}, {1: 0.15, 2: 0.26, 3: 0.40, 9: 5.0}
    estimate = paired_difference(ours, theirs)
    expected = reference.ttest_rel([0.10, 0.25, 0.30], [0.15, 0.26, 0.40])
    assert estimate.n == 3
    assert estimate.mean == pytest.approx((-0.05 - 0.01 - 0.10) / 3)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert estimate.low == pytest.approx(expected.confidence_interval().low)


def test_one_pair_has_neither_interval_nor_p():
    assert paired_difference({1: 2.0}, {1: 0.5}) == Estimate(1.5, None, None, 1)


@pytest.mark.parametrize(("n", "place"), [(6, 1), (8, 1), (9, 2), (15, 4), (30, 10)])
def test_a_median_lies_between_the_innermost_pair_that_holds_it_in_95_percent(n, place):
    """Places from the outside, from tables of the sign test; one further in would hold it less often."""
    values = np.random.default_rng(n).permutation(n) + 1.0
    assert median_interval(values) == (place, n + 1 - place)
    assert 2 * reference.binom.cdf(place - 1, n, 0.5) <= 0.05 < 2 * reference.binom.cdf(place, n, 0.5)


def test_five_values_bound_no_median():
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None


def test_an_envelope_holds_every_reading():
    middle, lower, across = (
        Estimate(2.0, 1.0, 3.0, 5, 0.001),
        Estimate(1.0, 0.5, 1.5, 5, 0.01),
        Estimate(-1.0, -1.5, -0.5, 5, 0.02),
    )
    assert envelope(middle, []) == middle
    assert envelope(middle, [lower]) == Estimate(2.0, 0.5, 3.0, 5, 0.01)
    assert envelope(middle, [lower, across]) == Estimate(2.0, -1.5, 3.0, 5, 1.0)
    assert envelope(middle, [Estimate(1.0, None, None, 5)]) == Estimate(2.0, None, None, 5)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04; the last may not fall below .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None, 0.03, None, 0.02]) == [None, 0.04, None, 0.04]  # what was not tested is not counted


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_adjustment_and_bonferroni_and_keeps_the_order(p):
    adjusted = np.array(holm(p))
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3.0, 9.0, 4.0], Reached(3, 3, 4.0)),
        ([3.0, 5.0], Reached(2, 2, 4.0)),
        ([3.0, None, 5.0, 4.0], Reached(3, 4, 4.5)),
        ([3.0, None, None, 4.0], Reached(2, 4, None)),
        ([None], Reached(0, 1, None)),
    ],
)
def test_reached_counts_the_censored_as_latest(times, expected):
    assert reached(times) == expected


def test_interquartile_mean_against_scipy_and_by_hand():
    # eight scores: two go at either end, and (3 + 4 + 5 + 6) / 4 is left
    assert interquartile_mean([[80.0, 1.0, 3.0], [2.0, 4.0, 5.0, 70.0, 6.0]]) == 4.5
    scores = np.random.default_rng(1).normal(size=(3, 5))
    assert interquartile_mean(list(scores)) == pytest.approx(reference.trim_mean(scores, 0.25, axis=None))


def test_probability_of_improvement_against_mann_whitney():
    generator = np.random.default_rng(2)
    ours, theirs = generator.integers(0, 5, (3, 6)).astype(float), generator.integers(0, 5, (3, 4)).astype(float)
    u = [reference.mannwhitneyu(b, a).statistic / 24 for a, b in zip(ours, theirs, strict=True)]
    assert probability_of_improvement(list(ours), list(theirs)) == pytest.approx(np.mean(u))
    assert probability_of_improvement([[1.0]], [[2.0]]) == 1.0


def test_scores_may_have_axes_before_the_seeds():
    generator = np.random.default_rng(5)
    ours, theirs = generator.integers(0, 5, (2, 3, 6)), generator.integers(0, 5, (2, 3, 4))
    chances = probability_of_improvement(list(ours), list(theirs))
    means = interquartile_mean(list(ours))
    assert chances.shape == means.shape == (3,)
    for row in range(3):
        assert chances[row] == probability_of_improvement(list(ours[:, row]), list(theirs[:, row]))
        assert means[row] == interquartile_mean(list(ours[:, row]))


def mean_of_all(tasks):
    return np.concatenate(tasks, axis=-1).mean(axis=-1)


def test_bootstrap_is_stratified_and_repeats_by_seed_alone():
    # Two tasks far apart: drawing across them would let the mean wander between 0 and 100.
    tasks = [[0.0, 1.1, 2.3, 3.0], [100.0, 101.7, 102.0, 103.0]]
    before = np.random.get_state()[1].copy()  # noqa: NPY002  (the global state is what must not move)
    interval = bootstrap_interval(mean_of_all, tasks, seed=7)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert interval == bootstrap_interval(mean_of_all, tasks, seed=7)
    assert interval != bootstrap_interval(mean_of_all, tasks, seed=8)
    assert 50.0 <= interval[0] < mean_of_all(tasks) < interval[1] <= 53.0


def test_bootstrap_against_scipy():
    values = np.random.default_rng(3).normal(size=30)
    ours = bootstrap_interval(mean_of_all, [values], seed=0, repetitions=4000)
    theirs = reference.bootstrap([values], np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_bootstrap_takes_two_samples():
    low, high = bootstrap_interval(probability_of_improvement, [[1.0, 2.0]], [[3.0, 4.0]], seed=0, repetitions=100)
    assert (low, high) == (1.0, 1.0)


def test_welch_from_intervals_against_scipy_on_the_values():
    generator = np.random.default_rng(4)
    ours, theirs = generator.normal(1, 1, 5), generator.normal(0, 3, 8)
    difference = welch_difference(mean_interval(ours), mean_interval(theirs))
    expected = reference.ttest_ind(ours, theirs, equal_var=False)
    interval = expected.confidence_interval()
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
    assert difference.p == pytest.approx(expected.pvalue)
    assert difference.n == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([]), r"shape \(0,\)"),
        (lambda: mean_interval([[1.0, 2.0]]), r"shape \(1, 2\)"),
        (lambda: half_widths([[1.0, 2.0]]), "one seed has no spread"),
        (lambda: median_interval([]), r"shape \(0,\)"),
        (lambda: paired_difference({1: 0.0}, {2: 0.0}), r"treated has seeds \[1\], reference \[2\]: none in common"),
        (lambda: holm([0.5, 1.5]), r"must be in \[0, 1\]"),
        (lambda: holm([float("nan")]), r"must be in \[0, 1\]"),
        (lambda: reached([]), "times is empty"),
        (lambda: interquartile_mean([]), "at least one task"),
        (lambda: interquartile_mean([[1.0], []]), "at least one task"),
        (lambda: probability_of_improvement([[1.0]], [[1.0], [2.0]]), "treated has 1 tasks, reference 2"),
        (lambda: bootstrap_interval(interquartile_mean, [[1.0, 2.0]], seed=0, repetitions=10), "at least 100"),
        (lambda: bootstrap_interval(interquartile_mean, [[1.0]], seed=0), "one run only"),
        (lambda: bootstrap_interval(interquartile_mean, [[[1.0, 2.0]]], seed=0), "several axes"),
        (lambda: bootstrap_interval(interquartile_mean, seed=0), "no sample was given"),
        (lambda: welch_difference(Estimate(1.0, None, None, 1), mean_interval([1.0, 2.0])), "no interval"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()

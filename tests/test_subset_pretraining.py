"""Subset pretraining: sizes and shares by hand, the draw, the paper's claim in its own terms, the bench's method."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench_toys import arm_of, assert_same_curves, global_random_state, toy, toy_data, toy_job
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.subset_pretraining import SubsetPretraining as Method
from learn2mix.bench.runner import run
from learn2mix.schedules import SubsetPretraining, overdetermination_ratio, subset_size

# --- How large ---------------------------------------------------------------------------------------------------------


def test_numbers_worked_by_hand():
    """20 examples of 3 numbers each for 30 parameters: 60 / 30. A ratio of 4 takes 120 numbers, 40 examples."""
    assert overdetermination_ratio(20, 3, 30) == 2
    assert subset_size(4, 3, 30, 1000) == 40
    assert subset_size(4.01, 3, 30, 1000) == 41  # 120.3 numbers are 40.1 examples
    assert subset_size(4, 3, 30, 35) == 35  # all of them, and short of it
    assert subset_size(1e-9, 3, 30, 1000) == 1
    assert subset_size(1.1, 1, 10, 1000) == 11  # though 1.1 * 10 is above 11 in floats


@given(
    st.floats(1e-3, 1e3), st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 10**7), st.sampled_from([0, 1, -1])
)
def test_the_subset_is_the_smallest_that_reaches_the_ratio(ratio, outputs, parameters, examples, ulps):
    ratio = float(np.nextafter(ratio, ratio + ulps)) if ulps else ratio
    size = subset_size(ratio, outputs, parameters, examples)
    assert 1 <= size <= examples
    assert size == examples or overdetermination_ratio(size, outputs, parameters) >= ratio
    assert size == 1 or overdetermination_ratio(size - 1, outputs, parameters) < ratio


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: overdetermination_ratio(0, 1, 1), "num_examples was 0; it must be 1 or more"),
        (ValueError, lambda: overdetermination_ratio(1, 0, 1), "num_outputs was 0"),
        (ValueError, lambda: overdetermination_ratio(1, 1, 0), "num_parameters was 0"),
        (TypeError, lambda: overdetermination_ratio(1.5, 1, 1), "num_examples was 1.5"),
        (ValueError, lambda: subset_size(0, 1, 1, 1), "ratio was 0; it must be a number, above 0"),
        (ValueError, lambda: subset_size(float("inf"), 1, 1, 1), "ratio was inf"),
        (TypeError, lambda: subset_size("2", 1, 1, 1), "ratio was '2'"),
        (ValueError, lambda: subset_size(2, 1, 1, 0), "num_examples was 0"),
        (
            ValueError,
            lambda: SubsetPretraining([0, 1], 1, switch=1),
            "size was 1; it must be 2 or more; every group needs",
        ),
        (ValueError, lambda: SubsetPretraining([0, 1], 3, switch=1), "size was 3 for 2 examples"),
        (TypeError, lambda: SubsetPretraining([0, 1], 2.0, switch=1), "size was 2.0"),
        (ValueError, lambda: SubsetPretraining([0, 1], 2, switch=-1), "switch was -1"),
        (ValueError, lambda: SubsetPretraining([0, 1], 2, switch=1, seed=-1), "seed was -1"),
        (ValueError, lambda: SubsetPretraining([], 2, switch=1), "groups was empty"),
        (TypeError, lambda: SubsetPretraining([0.5, 1], 2, switch=1), "groups had dtype"),
        (ValueError, lambda: SubsetPretraining([0, 1], 2, switch=1).pool(-1), "epoch was -1"),
        (TypeError, lambda: SubsetPretraining([0, 1], 2, switch=1).example_gradients(1.5), "epochs was 1.5"),
        (ValueError, lambda: Method(share=0), "share was 0; it must be a number, above 0 and at most 1"),
        (ValueError, lambda: Method(first_part=1.5), "first_part was 1.5"),
    ],
)
def test_refusals(error, call, message):
    with pytest.raises(error, match=message):
        call()


# --- Which examples ----------------------------------------------------------------------------------------------------


def counts_of(labels, size, seed=0):
    names, counts = np.unique(
        np.asarray(labels)[SubsetPretraining(labels, size, switch=1, seed=seed).pool(0)], return_counts=True
    )
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_the_part_is_stratified():
    """Of 50, 30 and 20, 11 are due 5.5, 3.3 and 2.2; of 90, 9 and 1, 10 are due 9, 0.9 and 0.1, and nobody is left out."""
    assert counts_of(["a"] * 50 + ["b"] * 30 + ["c"] * 20, 11) == {"a": 6, "b": 3, "c": 2}
    assert counts_of([7] * 90 + [3] * 9 + [5], 10) == {7: 8, 3: 1, 5: 1}
    assert counts_of([2, 1, 0], 3) == {0: 1, 1: 1, 2: 1}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.floats(0, 1), st.integers(0, 2**63 - 1))
def test_every_group_is_there_and_has_its_share(sizes, place, seed):
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    number = len(labels)
    size = len(sizes) + round(place * (number - len(sizes)))
    schedule = SubsetPretraining(labels, size, switch=1, seed=seed)
    part = schedule.pool(0)
    assert len(part.unique()) == len(part) == size
    assert part.equal(part.sort().values)
    drawn = torch.bincount(labels[part], minlength=len(sizes)).numpy()
    assert (drawn >= 1).all()
    due = size * np.array(sizes) / number
    if (due >= 1).all():
        assert (np.abs(drawn - due) < 1).all()
    if size == number:
        assert part.equal(schedule.pool(1))


def test_the_draw_hangs_on_the_seed_alone():
    labels = torch.arange(200) % 4
    before = global_random_state()
    one, same, other = (SubsetPretraining(labels, 40, switch=1, seed=seed).pool(0) for seed in (5, 5, 6))
    assert global_random_state() == before
    assert one.equal(same)
    assert not one.equal(other)
    assert not one.equal(SubsetPretraining(labels, 40, switch=1, seed=5 + 2**32).pool(0))  # all of a seed counts
    drawn = torch.bincount(
        torch.cat([SubsetPretraining(labels, 40, switch=1, seed=seed).pool(0) for seed in range(500)]), minlength=200
    )
    assert abs(drawn.double().mean() - 100) < 1e-9
    assert drawn.min() > 60  # each of 200 is due 100 of 500, with a standard deviation of 9
    assert drawn.max() < 140


def test_epochs_and_their_cost():
    schedule = SubsetPretraining([0] * 90 + [1] * 10, 20, switch=3)
    assert [len(schedule.pool(epoch)) for epoch in range(5)] == [20, 20, 20, 100, 100]
    assert schedule.pool(3).equal(torch.arange(100))
    assert [schedule.example_gradients(epochs) for epochs in (0, 1, 3, 4, 10)] == [0, 20, 60, 160, 760]
    schedule.pool(0)[:] = 0  # a copy: what a loop does to it changes nothing
    assert len(schedule.pool(0).unique()) == 20
    assert len(SubsetPretraining([0, 1], 2, switch=0).pool(0)) == 2


# --- The claim: least squares, exactly ---------------------------------------------------------------------------------

INPUTS, OUTPUTS = 10, 3  # a linear map of 30 parameters; an example is 3 numbers, so that 10 examples have a ratio of 1


def linear(noise, number=2000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(number, INPUTS, generator=generator, dtype=torch.float64)
    weights = torch.randn(INPUTS, OUTPUTS, generator=generator, dtype=torch.float64)
    return x, x @ weights + noise * torch.randn(number, OUTPUTS, generator=generator, dtype=torch.float64)


def minimum(x, y):
    """The weights of least norm among those with the least squared error."""
    return torch.linalg.pinv(x) @ y


def mean_square(x, y, weights):
    return float((x @ weights - y).square().mean())


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1, 2])
def test_without_noise_a_part_has_the_minimum_of_all_from_ratio_1_on(ratio):
    """Nothing is left to fine-tune. Below 1 the part is fitted without error too, yet 1 - ratio of the rest is unexplained.

    The least-norm solution is the true one projected onto n of d directions, on average a part n / d of it.
    """
    x, y = linear(noise=0)
    size = subset_size(ratio, OUTPUTS, INPUTS * OUTPUTS, len(x))
    assert size == ratio * INPUTS
    unexplained = []
    for seed in range(200):
        part = SubsetPretraining(torch.zeros(len(x), dtype=torch.int64), size, switch=1, seed=seed).pool(0)
        weights = minimum(x[part], y[part])
        assert mean_square(x[part], y[part], weights) < 1e-16
        unexplained.append(mean_square(x, y, weights) / float(y.square().mean()))
    if ratio < 1:
        assert np.mean(unexplained) == pytest.approx(1 - ratio, abs=0.03)
    else:
        assert max(unexplained) < 1e-16


@pytest.mark.parametrize(("size", "excess"), [(12, 10.0), (31, 0.5), (111, 0.1), (1011, 0.01)])
def test_with_noise_the_minimum_of_a_part_costs_one_over_the_ratio(size, excess):
    """Normal inputs: the error over all exceeds the noise by d / (n - d - 1) of it; at a ratio of 1.2 by tenfold."""
    x, y = linear(noise=1, number=20_000)
    zeros, best = torch.zeros(len(x), dtype=torch.int64), mean_square(x, y, minimum(x, y))
    found = []
    for seed in range(400 if size < 20 else 60):
        part = SubsetPretraining(zeros, size, switch=1, seed=seed).pool(0)
        found.append(mean_square(x, y, minimum(x[part], y[part])) / best - 1)
    # near a ratio of 1 the excess has no variance: its median is below its mean, and is what can be told
    told, low, high = (np.median(found), 0.2, 1.0) if size < 20 else (np.mean(found), 0.85, 1.15)
    assert low * excess < told < high * excess


def study():
    """The module of the study, anew."""
    place = Path(__file__).parents[1] / "benchmarks" / "subset.py"
    spec = importlib.util.spec_from_file_location("subset_study", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_study_finds_what_it_is_to_find():
    """Gradients of single examples to the same objective, of those that training on all takes; one seed, two ratios."""
    subset = study()
    subset.RATIOS = (0.5, 64.0)
    rows = subset.measure(subset.PROBLEMS["linear least squares"](0), 0)
    assert rows[64.0]["share of the set"] == 0.064
    assert rows[64.0]["gradients"] < 0.3
    assert rows[0.5]["gradients"] > 0.8
    assert rows[0.5]["excess at the part's optimum"] > 1 > 0.05 > rows[64.0]["excess at the part's optimum"]
    for row in rows.values():
        assert abs(row["test less that of all"]) < 0.02 * 0.5  # two outputs with noise of variance 1/4


def test_counting_of_passes_in_the_study():
    """A parabola by hand: from the start to a slope of a thousandth, each closure call is a pass over the part."""
    subset = study()
    calls = []

    def objective(flat):
        calls.append(1)
        return (flat - 3).square().sum()

    where, passes = subset.minimise(objective, torch.zeros(2, dtype=torch.float64), precision=1e-3)
    assert passes == len(calls)
    torch.testing.assert_close(where, torch.full((2,), 3.0, dtype=torch.float64), atol=0.003, rtol=0)
    assert subset.minimise(objective, where, target=1.0)[1] == 1  # there already: one look


# --- The bench ---------------------------------------------------------------------------------------------------------


def test_the_first_part_of_the_budget_draws_from_the_part():
    """84 examples, a quarter is 21 for 80 draws an epoch; of 4 epochs the first two."""
    job = toy_job()
    feed = arm_of(Method(share=0.25, first_part=0.5), job).feed  # 3 epochs: 1.5, rounded to 2
    drawn = []
    for _ in range(3):
        batches = torch.stack(list(feed.epoch()))
        assert batches.shape == (10, 8)
        drawn.append(batches.flatten())
        feed.step()
    part = drawn[0].unique()
    assert part.equal(drawn[1].unique())
    assert set(torch.bincount(drawn[0], minlength=84)[part].tolist()) == {3, 4}  # 80 draws from 21
    assert len(drawn[2].unique()) == 80
    assert torch.bincount(job.train.groups[part], minlength=3).tolist() == [11, 6, 4]  # a quarter of 44, 24, 16
    other = arm_of(Method(first_part=0.5), toy_job(name="other")).feed
    assert not torch.stack(list(other.epoch())).flatten().unique().equal(part)


@pytest.mark.parametrize("share", [0.29, 0.57, 0.58])
def test_no_example_of_the_part_is_rounded_away(share):
    data = toy_data((44, 40, 16))  # 100 examples; 0.29 * 100 is below 29 in floats
    job = toy_job()
    job = type(job)(toy(), data.train, 3, seed=0, epochs=4, steps_per_epoch=12)
    feed = arm_of(Method(share=share), job).feed
    assert len(torch.stack(list(feed.epoch())).unique()) == round(100 * share)


@pytest.mark.parametrize("settings", [{"share": 1}, {"first_part": 0}])
def test_without_a_part_it_is_classical(settings):
    one = run(toy(), Method(**settings), 0, 2, data=toy_data())
    assert_same_curves(one, run(toy(), Classical(), 0, 2, data=toy_data()))


def test_it_repeats_and_makes_as_many_steps_as_every_method():
    one, same = (run(toy(), Method(), 0, 4, data=toy_data()) for _ in range(2))
    assert_same_curves(one, same)
    assert one.curves["backpropagated"].tolist() == [0, 80, 160, 240, 320]
    assert one.facts["preparation"]["forwarded"] == 0


def test_a_tiny_share_keeps_every_group():
    feed = arm_of(Method(share=1e-6, first_part=1), toy_job()).feed
    part = torch.stack(list(feed.epoch())).unique()
    assert toy_job().train.groups[part].sort().values.tolist() == [0, 1, 2]

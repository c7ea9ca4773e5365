"""Deferred reweighting: plain until the start, class-balanced from there on."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from bench_toys import SIZES, arm_of, of_groups, toy, toy_data, toy_job
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Focal
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.methods.drw import DRW
from learn2mix.bench.runner import run
from learn2mix.bench.training import Batch
from learn2mix.losses import effective_number_weights
from learn2mix.schedules import DeferredReweighting

COUNTS = [100, 10, 1]


def test_weights_worked_by_hand():
    """beta 1/2: E = 7/4 and 1 for 3 examples and 1; inverses as 4 : 7, scaled to sum to 2."""
    schedule = DeferredReweighting([3, 1], 2, beta=0.5)
    assert [schedule.weight(epoch).tolist() for epoch in (0, 1)] == [[1.0, 1.0]] * 2
    for epoch in (2, 3, 1000):
        torch.testing.assert_close(schedule.weight(epoch), torch.tensor([8 / 11, 14 / 11]))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=5), st.integers(0, 20), st.integers(0, 40))
def test_every_epoch_has_its_weights(counts, start, epoch):
    weight = DeferredReweighting(counts, start).weight(epoch)
    expected = effective_number_weights(counts, 0.9999) if epoch >= start else torch.ones(len(counts))
    assert weight.equal(expected)
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight.sum(), torch.tensor(float(len(counts))))


def test_the_same_epoch_gives_the_same_weights_whatever_came_before_and_was_done_to_them():
    schedule = DeferredReweighting(COUNTS, 5)
    last = schedule.weight(9)
    kept = last.clone()
    last.zero_()
    schedule.weight(2).zero_()
    assert schedule.weight(2).equal(torch.ones(3))
    assert schedule.weight(9).equal(kept)
    assert DeferredReweighting(COUNTS, 5).weight(9).equal(kept)  # a training that is resumed


def test_it_moves_the_decision_to_the_rare_class_late():
    """One bias a class and no inputs: trained to the end, the probabilities are the weighted shares."""
    counts = [90, 10]
    schedule = DeferredReweighting(counts, 30, beta=1 - 1e-9)  # inverse frequency, to a hair
    targets = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    bias = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([bias], lr=2.0)
    shares = []
    for epoch in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(bias.expand(100, 2), targets, schedule.weight(epoch)).backward()
        optimizer.step()
        shares.append(bias.detach().softmax(0))
    torch.testing.assert_close(shares[29], torch.tensor([0.9, 0.1]), rtol=0, atol=1e-4)
    torch.testing.assert_close(shares[59], torch.tensor([0.5, 0.5]), rtol=0, atol=1e-4)


# --- In the bench -----------------------------------------------------------------------------------------------------


def a_batch(y):
    return Batch(torch.zeros(len(y)), y, y, torch.arange(len(y)))


@pytest.mark.parametrize(
    ("start", "epochs", "first"), [(0.8, 200, 160), (0.8, 3, 2), (0.5, 4, 2), (0.0, 5, 0), (1.0, 5, 5)]
)
def test_in_the_bench_the_weights_start_at_a_part_of_the_budget(start, epochs, first):
    arm = arm_of(DRW(start=start, beta=0.9), dataclasses.replace(toy_job(), epochs=epochs))
    losses, y = torch.tensor([1.0, 2.0, 6.0, 3.0]), torch.tensor([0, 2, 2, 1])
    inverse = [1 / (1 - 0.9**size) for size in SIZES]
    weighted = (inverse[0] + 8 * inverse[2] + 3 * inverse[1]) / (inverse[0] + 2 * inverse[2] + inverse[1])
    for epoch in range(epochs):
        arm.start_epoch(epoch, None)
        expected = 3.0 if epoch < first else weighted
        assert float(arm.combine(losses, a_batch(y))) == pytest.approx(expected, rel=1e-6)


def test_in_the_bench_it_is_classical_training_until_the_start():
    plain, late = (run(toy(), method, 0, 3, data=toy_data()) for method in ("classical", DRW(start=0.67)))
    assert late.curves["test_loss"][:-1].tolist() == pytest.approx(plain.curves["test_loss"][:-1].tolist(), rel=1e-5)
    assert late.curves["test_loss"][-1] != pytest.approx(plain.curves["test_loss"][-1], rel=1e-3)
    never = run(toy(), DRW(start=1.0), 0, 3, data=toy_data())
    assert never.curves["test_loss"].tolist() == pytest.approx(plain.curves["test_loss"].tolist(), rel=1e-5)


@pytest.mark.parametrize("other", [Focal(), find_method("class-balanced")], ids=lambda method: method.name)
def test_in_the_bench_classes_are_not_weighted_twice(other):
    with pytest.raises(ValueError, match=r"makes no sense: class sizes are corrected by .* would count twice"):
        Composed((DRW(), other))


def test_in_the_bench_start_is_a_part():
    with pytest.raises(ValueError, match="start was 160; it must be a number, at least 0 and at most 1"):
        DRW(start=160)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"start": -1}, "start was -1; it must be 0 or more; 160 of 200 epochs is usual"),
        (TypeError, {"start": 0.8}, r"start was 0.8 \(float\); it must be an integer"),
        (ValueError, {"beta": 1}, "beta was 1; it must be a number, at least 0 and below 1"),
        (ValueError, {"counts": [3, 0]}, r"counts was \[3.0, 0.0\]; .* merge or drop"),
    ],
)
def test_refusals(error, arguments, message):
    with pytest.raises(error, match=message):
        DeferredReweighting(**{"counts": [3, 1], "start": 2, **arguments})


@pytest.mark.parametrize(("epoch", "error"), [(-1, ValueError), (0.5, TypeError)])
def test_what_is_no_epoch(epoch, error):
    with pytest.raises(error, match="epoch was"):
        DeferredReweighting([3, 1], 2).weight(epoch)


@pytest.mark.parametrize(
    ("epochs", "start", "first"),
    [(60, 0.8, 48), (30, 0.8, 24), (2, 0.8, 1), (1, 0.8, 0), (10, 1.0, 10), (10, 0.0, 0)],
)
def test_in_the_bench_a_part_that_is_asked_for_has_an_epoch_at_least(epochs, start, first):
    job = dataclasses.replace(toy_job(), epochs=epochs)
    arm = DRW(start=start).prepare(job)
    losses, batch = torch.tensor([1.0, 2.0]), of_groups(torch.tensor([0, 2]))
    batch = dataclasses.replace(batch, y=batch.groups)
    weighted = []
    for epoch in range(epochs):
        arm.start_epoch(epoch, None)
        weighted.append(arm.combine(losses, batch).item() != 1.5)
    assert weighted == [epoch >= first for epoch in range(epochs)]

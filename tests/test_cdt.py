"""CDT: numbers worked by hand, an independent reference, and what the temperatures do to a trained classifier."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from bench_toys import SIZES, arm_of, toy, toy_data, toy_job
from learn2mix import registry
from learn2mix.bench.runner import run
from learn2mix.losses import CDTLoss, cdt_loss

CDT = registry.get("method", "cdt").part

COUNTS = st.lists(st.integers(1, 10**6), min_size=2, max_size=5)
GAMMAS = st.sampled_from([0.0, 0.1, 0.3, 1.0])


def tempered_softmax(row, counts, gamma):
    """``exp(z_j / a_j)`` over its sum, one class at a time."""
    powers = [z / (max(counts) / n) ** gamma for z, n in zip(row, counts, strict=True)]
    terms = [math.exp(power - max(powers)) for power in powers]
    return [term / sum(terms) for term in terms]


def random_logits(number, num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(number, num_classes, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    return logits, torch.randint(num_classes, (number,), generator=generator)


# --- The formula ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gamma", "temperature"), [(0.1, 1.58), (0.2, 2.51), (0.3, 3.98)])
def test_temperatures_at_a_hundred_to_one(gamma, temperature):
    """The largest class keeps 1, the rare one is divided by the larger number."""
    found = CDTLoss([5000, 50], gamma=gamma).temperatures
    torch.testing.assert_close(found, torch.tensor([1.0, temperature]), rtol=0, atol=0.005)


def test_numbers_worked_by_hand():
    """Counts 4 : 1 at gamma 1/2: the rare logit is halved, so that 9 there is worth 3; -ln 1/4, -ln 3/4."""
    logits = torch.log(torch.tensor([[1.0, 9.0]] * 2, dtype=torch.float64))
    losses = cdt_loss(logits, torch.tensor([0, 1]), [4, 1], gamma=0.5, reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(4 / 3)], dtype=torch.float64))


@given(st.integers(1, 5), COUNTS, GAMMAS, st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_the_formula(number, counts, gamma, seed):
    """The gradient by a logit is the tempered probability, less 1 at the target, over the temperature."""
    logits, targets = random_logits(number, len(counts), seed)
    losses = cdt_loss(logits, targets, counts, gamma=gamma, reduction="none")
    losses.sum().backward()
    p = torch.tensor([tempered_softmax(row, counts, gamma) for row in logits.tolist()], dtype=torch.float64)
    temperatures = torch.tensor([(max(counts) / n) ** gamma for n in counts], dtype=torch.float64)
    torch.testing.assert_close(losses, -p[torch.arange(number), targets].log(), rtol=1e-9, atol=1e-9)
    expected = (p - functional.one_hot(targets, len(counts))) / temperatures
    torch.testing.assert_close(logits.grad, expected, rtol=1e-9, atol=1e-9)


@given(st.integers(1, 10**6), st.integers(2, 5), GAMMAS, st.integers(0, 10**6))
def test_equal_counts_and_no_gamma_are_cross_entropy(count, num_classes, gamma, seed):
    logits, targets = random_logits(4, num_classes, seed)
    expected = functional.cross_entropy(logits, targets)
    assert cdt_loss(logits, targets, [count] * num_classes, gamma=gamma).equal(expected)
    assert cdt_loss(logits, targets, range(1, num_classes + 1), gamma=0).equal(expected)


@given(COUNTS, GAMMAS, st.floats(-10, 10), st.integers(0, 10**6))
def test_a_shift_in_proportion_to_the_temperatures_changes_nothing(counts, gamma, shift, seed):
    logits, targets = random_logits(4, len(counts), seed)
    temperatures = torch.tensor([(max(counts) / n) ** gamma for n in counts], dtype=torch.float64)
    expected = cdt_loss(logits, targets, counts, gamma=gamma)
    torch.testing.assert_close(cdt_loss(logits + shift * temperatures, targets, counts, gamma=gamma), expected)
    earned = cdt_loss(logits * temperatures, targets, counts, gamma=gamma)  # a rare logit must be larger by a
    torch.testing.assert_close(earned, functional.cross_entropy(logits, targets))


def test_only_the_ratios_of_the_counts_matter():
    logits, targets = random_logits(5, 3, 0)
    expected = cdt_loss(logits, targets, [600, 30, 10])
    torch.testing.assert_close(cdt_loss(logits, targets, [60, 3, 1]), expected)
    torch.testing.assert_close(cdt_loss(logits, targets, torch.tensor([60.0, 3.0, 1.0]) / 64), expected)


def test_logits_are_left_as_they_are():
    logits = torch.randn(4, 2)
    kept = logits.clone()
    cdt_loss(logits, torch.tensor([0, 1, 1, 0]), [100, 1])
    CDTLoss([100, 1])(logits, torch.tensor([0, 1, 1, 0]))
    assert logits.equal(kept)


# --- What it does to a classifier -------------------------------------------------------------------------------------


def clouds(counts):
    """Overlapping clouds around the corners of a regular polygon, with a constant input for the bias."""
    generator = torch.Generator().manual_seed(0)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    angles = 2 * math.pi * torch.arange(len(counts), dtype=torch.float64)[y] / len(counts)
    x = 1.5 * torch.stack([angles.cos(), angles.sin()], dim=1)
    x = x + torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return functional.pad(x, (0, 1), value=1.0), y


def classify(counts, gamma):
    """Train a linear classifier from zero to convergence; give what it takes its training examples for."""
    x, y = clouds(counts)
    weights = torch.zeros(len(counts), 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-7, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def step():
        optimizer.zero_grad()
        loss = cdt_loss(x @ weights.T, y, counts, gamma=gamma)
        loss.backward()
        return loss

    optimizer.step(step)
    step()
    assert weights.grad.norm() < 1e-6
    return (x @ weights.T.detach()).argmax(1), y


def test_rare_classes_gain_ground():
    """With three classes whatever cross-entropy gives to the rarest one it keeps, and it gets more as gamma grows.

    At convergence the tempered logits are cross-entropy's, v, but for a shift, and training from zero keeps sum(a z) = 0:
    z = a (v - mean of v weighted by a^2). Where two classes tie at the top, the rarer one wins by its larger a.
    """
    counts = [400, 60, 20]
    taken, recalls = [], []
    for gamma in (0.0, 0.15, 0.3):
        predicted, y = classify(counts, gamma)
        taken.append(predicted == 2)
        recalls.append([float((predicted[y == group] == group).double().mean()) for group in range(3)])
    for less, more in pairwise(taken):
        assert (less <= more).all()
        assert less.sum() < more.sum()
    assert recalls[-1][2] > recalls[0][2] + 0.1
    assert sum(recalls[-1]) > sum(recalls[0]) + 0.1


def test_between_two_classes_of_a_linear_classifier_nothing_moves():
    """By the same reasoning: where v_0 = v_1, both are their mean, and z = 0 for either."""
    plain, _ = classify([400, 40], 0.0)
    tempered, _ = classify([400, 40], 0.3)
    assert plain.equal(tempered)


# --- In the bench -----------------------------------------------------------------------------------------------------


def test_in_the_bench_the_training_sets_counts_set_the_temperatures():
    loss = arm_of(CDT(gamma=0.3), toy_job()).loss
    outputs, y = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5]]), torch.tensor([0, 1, 2])
    temperatures = torch.tensor([(44 / size) ** 0.3 for size in SIZES])
    expected = functional.cross_entropy(outputs / temperatures, y, reduction="none")
    torch.testing.assert_close(loss(outputs, y), expected)


def test_in_the_bench_no_gamma_is_classical_training():
    plain, tempered = (run(toy(), method, 0, 2, data=toy_data()) for method in ("classical", CDT(gamma=0.0)))
    assert plain.curves["test_loss"].tolist() == tempered.curves["test_loss"].tolist()
    assert plain.curves["test_loss"].tolist() != run(toy(), CDT(), 0, 2, data=toy_data()).curves["test_loss"].tolist()


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"gamma": -0.1}, "gamma was -0.1; it must be a number, at least 0; 0.1 to 0.4 is usual"),
        (ValueError, {"gamma": math.nan}, "gamma was nan"),
        (TypeError, {"gamma": "0.2"}, r"gamma was '0.2' \(str\)"),
    ],
)
def test_refusals(error, arguments, message):
    with pytest.raises(error, match=message):
        cdt_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), [3, 1], **arguments)
    with pytest.raises(error, match=message):
        CDTLoss([3, 1], **arguments)

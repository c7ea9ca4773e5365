"""Class-balanced loss: weights and numbers worked by hand, its two limits, an independent reference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from bench_toys import SIZES, arm_of, toy, toy_data, toy_job
from learn2mix import registry
from learn2mix.bench.runner import run
from learn2mix.losses import (
    ClassBalancedLoss,
    class_balanced_loss,
    effective_number_weights,
    focal_loss,
    inverse_frequency_weights,
)

ClassBalanced = registry.get("method", "class-balanced").part

COUNTS = st.lists(st.integers(1, 300), min_size=1, max_size=6)


def exact_weights(counts, beta):
    """In proportion to 1 / E_c, E_c summed term by term, 1 + beta + beta^2 + ..., rather than by its closed form."""
    inverse = [1 / math.fsum(beta**power for power in range(n)) for n in counts]
    return torch.tensor([len(counts) * weight / sum(inverse) for weight in inverse], dtype=torch.float64)


def random_logits(number, num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(number, num_classes, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    return logits, torch.randint(num_classes, (number,), generator=generator)


# --- The weights ------------------------------------------------------------------------------------------------------


def test_weights_worked_by_hand():
    """beta 1/2: E = 1, 3/2, 7/4 for 1, 2, 3 examples; inverses 1, 2/3, 4/7, which sum to 47/21."""
    expected = torch.tensor([63 / 47, 42 / 47, 36 / 47])
    torch.testing.assert_close(effective_number_weights([1, 2, 3], 0.5), expected)


@given(COUNTS, st.sampled_from([0.1, 0.5, 0.9, 0.99, 0.9999]))
def test_weights_are_those_of_the_sum(counts, beta):
    found = effective_number_weights(counts, beta)
    torch.testing.assert_close(found, exact_weights(counts, beta).float(), rtol=1e-6, atol=0)


@given(COUNTS, st.floats(0, 1, exclude_max=True))
def test_weights_sum_to_k_and_rarer_classes_weigh_no_less(counts, beta):
    weights = effective_number_weights(counts, beta)
    assert weights.dtype == torch.float32
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(), torch.tensor(float(len(counts))))
    order = sorted(range(len(counts)), key=lambda c: counts[c])
    assert (weights[order].diff() <= 0).all()


@given(COUNTS)
def test_weights_go_from_none_to_inverse_frequency(counts):
    assert effective_number_weights(counts, 0.0).equal(torch.ones(len(counts)))
    for beta in (1 - 1e-9, 1 - 1e-12, math.nextafter(1, 0)):
        nearly = effective_number_weights(counts, beta)
        torch.testing.assert_close(nearly, inverse_frequency_weights(counts), rtol=2e-6, atol=0)


def test_classes_beyond_the_effective_number_weigh_alike():
    """At beta 0.9 no class counts for more than 10 examples."""
    weights = effective_number_weights([10**9, 10**6, 1000, 1], 0.9)
    torch.testing.assert_close(weights, torch.tensor([4 / 13] * 3 + [40 / 13]))


# --- The loss ---------------------------------------------------------------------------------------------------------


def test_numbers_worked_by_hand():
    """Weights 4/5 and 6/5; p = 1/4 and 3/4; with focusing 1 times 3/4 and 1/4."""
    logits = torch.log(torch.tensor([[1.0, 3.0]] * 2, dtype=torch.float64))
    targets = torch.tensor([0, 1])
    expected = torch.tensor([0.8 * math.log(4), 1.2 * math.log(4 / 3)], dtype=torch.float64)
    losses = class_balanced_loss(logits, targets, [2, 1], beta=0.5, reduction="none")
    torch.testing.assert_close(losses, expected)
    focused = class_balanced_loss(logits, targets, [2, 1], beta=0.5, focusing=1.0, reduction="none")
    torch.testing.assert_close(focused, expected * torch.tensor([0.75, 0.25]))


@given(st.lists(st.integers(1, 300), min_size=2, max_size=5), st.sampled_from([0.0, 0.5, 0.99]), st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_the_formula(counts, beta, seed):
    """The gradient by a logit is the weight times the probability, less 1 at the target."""
    logits, targets = random_logits(4, len(counts), seed)
    losses = class_balanced_loss(logits, targets, counts, beta=beta, reduction="none")
    losses.sum().backward()
    w = exact_weights(counts, beta)[targets]
    p = (logits.detach() - logits.detach().logsumexp(1, keepdim=True)).exp()
    torch.testing.assert_close(losses, -w * p[torch.arange(4), targets].log(), rtol=1e-9, atol=1e-9)
    expected = w[:, None] * (p - functional.one_hot(targets, len(counts)))
    torch.testing.assert_close(logits.grad, expected, rtol=1e-9, atol=1e-9)


@given(st.integers(1, 10**6), st.integers(2, 5), st.floats(0, 1, exclude_max=True), st.floats(-10, 10))
def test_equal_counts_are_cross_entropy_and_a_shift_of_all_logits_changes_nothing(count, num_classes, beta, shift):
    logits, targets = random_logits(4, num_classes, count)
    expected = functional.cross_entropy(logits, targets)
    torch.testing.assert_close(class_balanced_loss(logits, targets, [count] * num_classes, beta=beta), expected)
    counts = range(1, num_classes + 1)
    weighted = class_balanced_loss(logits, targets, counts, beta=beta)
    torch.testing.assert_close(class_balanced_loss(logits + shift, targets, counts, beta=beta), weighted)


def test_the_mean_is_over_targets():
    """Unlike torch's, which divides by the weights seen: a batch of common examples is to weigh less."""
    logits, targets = torch.zeros(3, 2), torch.tensor([0, 0, 0])
    loss = class_balanced_loss(logits, targets, [2, 1], beta=0.5)
    torch.testing.assert_close(loss, torch.tensor(0.8 * math.log(2)))


def test_with_focusing_it_is_focal_loss_with_these_weights():
    logits, targets = random_logits(6, 3, 0)
    expected = focal_loss(logits, targets, effective_number_weights([90, 30, 5], 0.99), focusing=0.5)
    found = class_balanced_loss(logits, targets, [90, 30, 5], beta=0.99, focusing=0.5)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


# --- In the bench -----------------------------------------------------------------------------------------------------


def test_in_the_bench_the_training_sets_counts_set_the_weights():
    loss = arm_of(ClassBalanced(beta=0.9), toy_job()).loss
    outputs, y = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5]]), torch.tensor([0, 1, 2])
    inverse = torch.tensor([1 / (1 - 0.9**size) for size in SIZES])
    expected = 3 * inverse / inverse.sum() * functional.cross_entropy(outputs, y, reduction="none")
    torch.testing.assert_close(loss(outputs, y), expected)


def test_in_the_bench_no_beta_is_classical_training():
    plain, weighted = (run(toy(), method, 0, 2, data=toy_data()) for method in ("classical", ClassBalanced(beta=0.0)))
    assert plain.curves["test_loss"].tolist() == pytest.approx(weighted.curves["test_loss"].tolist(), rel=1e-5)
    other = run(toy(), ClassBalanced(), 0, 2, data=toy_data()).curves["test_loss"].tolist()
    assert plain.curves["test_loss"].tolist() != pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"beta": 1.0}, "beta was 1.0; it must be a number, at least 0 and below 1; 0.9, 0.99"),
        (ValueError, {"beta": -0.1}, "beta was -0.1"),
        (TypeError, {"beta": "0.9"}, r"beta was '0.9' \(str\)"),
        (ValueError, {"focusing": -1}, "focusing was -1; it must be a number, at least 0"),
        (ValueError, {"counts": [0.75, 0.25]}, r"counts was \[0.75, 0.25\]; it must hold .* each class, at least 1; "),
    ],
)
def test_refusals(error, arguments, message):
    given = {"counts": [3, 1], **arguments}
    with pytest.raises(error, match=message):
        class_balanced_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), **given)
    with pytest.raises(error, match=message):
        ClassBalancedLoss(**given)
    if "focusing" not in arguments:
        with pytest.raises(error, match=message):
            effective_number_weights(**given)

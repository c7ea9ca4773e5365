"""Logit-adjusted loss: numbers worked by hand, an independent reference, torch's conventions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from learn2mix.losses import LogitAdjustedLoss, logit_adjusted_loss


def adjusted_softmax(row, counts, strength):
    """``n_j**tau * exp(z_j)`` over its sum, one class at a time: the shift written as a factor."""
    largest = max(row)
    terms = [(n / sum(counts)) ** strength * math.exp(z - largest) for z, n in zip(row, counts, strict=True)]
    return [term / sum(terms) for term in terms]


def test_numbers_worked_by_hand():
    """Equal logits leave the shares: -ln 3/4, -ln 1/4. Shares 9 : 1 at strength 1/2 are 3 : 1. Logits ln 3 undo 3 : 1."""
    even = torch.zeros(2, 2, dtype=torch.float64)
    targets = torch.tensor([0, 1])
    shares = torch.tensor([math.log(4 / 3), math.log(4)], dtype=torch.float64)
    torch.testing.assert_close(logit_adjusted_loss(even, targets, [3, 1], reduction="none"), shares)
    torch.testing.assert_close(logit_adjusted_loss(even, targets, [9, 1], strength=0.5, reduction="none"), shares)
    undone = torch.tensor([[0.0, math.log(3)]] * 2, dtype=torch.float64)
    halves = torch.full((2,), math.log(2), dtype=torch.float64)
    torch.testing.assert_close(logit_adjusted_loss(undone, targets, [3, 1], reduction="none"), halves)


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 10**6), min_size=2, max_size=5),
    st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    st.integers(0, 10**6),
)
def test_values_and_gradients_are_those_of_the_formula(number, counts, strength, seed):
    """The gradient by a logit is the adjusted probability, less 1 at the target."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(number, len(counts), generator=generator, dtype=torch.float64) * 3).requires_grad_()
    targets = torch.randint(len(counts), (number,), generator=generator)
    losses = logit_adjusted_loss(logits, targets, counts, strength=strength, reduction="none")
    losses.sum().backward()
    p = torch.tensor([adjusted_softmax(row, counts, strength) for row in logits.tolist()], dtype=torch.float64)
    at_target = p[torch.arange(number), targets]
    torch.testing.assert_close(losses, -at_target.log(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits.grad, p - functional.one_hot(targets, len(counts)), rtol=1e-9, atol=1e-9)


def test_at_strength_1_it_is_balanced_softmax():
    """Cross-entropy of ``z + log n``: the counts need no scaling, a shift of all logits alike changes nothing."""
    logits, targets = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 4
    counts = torch.tensor([5000, 300, 20, 1])
    expected = functional.cross_entropy(logits + counts.log(), targets)
    torch.testing.assert_close(logit_adjusted_loss(logits, targets, counts), expected)
    torch.testing.assert_close(logit_adjusted_loss(logits, targets, counts * 7), expected)
    torch.testing.assert_close(logit_adjusted_loss(logits, targets, counts / counts.sum()), expected)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (5, 3, 2, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_strength_and_even_counts_are_cross_entropy_in_any_shape(shape, reduction):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    targets = torch.randint(3, (shape[0], *shape[2:]), generator=generator)
    targets.view(-1)[0] = -100
    expected = functional.cross_entropy(logits, targets, reduction=reduction)
    assert logit_adjusted_loss(logits, targets, [9, 3, 1], strength=0, reduction=reduction).equal(expected)
    torch.testing.assert_close(logit_adjusted_loss(logits, targets, [4, 4, 4], reduction=reduction), expected)


def test_every_place_is_shifted_along_the_class_dimension():
    """(n, k, h, w) costs what its places cost as (n * h * w, k); three classes and three columns must not be mixed up."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 3, 4, 3), generator=generator)
    targets = torch.randint(3, (2, 4, 3), generator=generator)
    each = logit_adjusted_loss(logits, targets, [100, 10, 1], reduction="none")
    flat = logit_adjusted_loss(logits.movedim(1, 3).reshape(-1, 3), targets.reshape(-1), [100, 10, 1], reduction="none")
    torch.testing.assert_close(each, flat.view(2, 4, 3))


def test_one_example_without_a_batch():
    logits, target = torch.tensor([0.3, -1.0, 2.0]), torch.tensor(1)
    alone = logit_adjusted_loss(logits, target, [7, 2, 1])
    torch.testing.assert_close(alone, logit_adjusted_loss(logits[None], target[None], [7, 2, 1]))
    assert alone.shape == ()


def test_ignored_targets_cost_nothing_and_do_not_count():
    logits, targets = torch.zeros(3, 2), torch.tensor([0, -100, 1])
    each = logit_adjusted_loss(logits, targets, [3, 1], reduction="none")
    torch.testing.assert_close(each, torch.tensor([math.log(4 / 3), 0.0, math.log(4)]))
    torch.testing.assert_close(logit_adjusted_loss(logits, targets, [3, 1]), each.sum() / 2)
    first = logit_adjusted_loss(logits, torch.tensor([0, 1, 1]), [3, 1], ignore_index=1)
    torch.testing.assert_close(first, torch.tensor(math.log(4 / 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 20.0, 3e3])
def test_losses_and_gradients_stay_finite(dtype, scale):
    logits = (torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]]) * scale).to(dtype).requires_grad_()
    losses = logit_adjusted_loss(logits, torch.tensor([0, 0, 0]), [1, 10**9], reduction="none")
    losses.sum().backward()
    assert losses.dtype == dtype
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
    assert (losses >= 0).all()


@pytest.mark.parametrize("counts", [[3, 1], (3, 1), torch.tensor([3, 1]), torch.tensor([0.75, 0.25])])
@pytest.mark.parametrize("options", [{}, {"strength": 0.5}, {"ignore_index": 1}, {"reduction": "none"}])
def test_the_module_is_the_function(counts, options):
    logits, targets = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 0])
    module = LogitAdjustedLoss(counts, **options)
    torch.testing.assert_close(module(logits, targets), logit_adjusted_loss(logits, targets, counts, **options))
    assert set(module.state_dict()) == {"shift"}  # it moves with the module
    other = LogitAdjustedLoss([1, 1], **options)
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(logits, targets), module(logits, targets))


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"strength": -1}, "strength was -1; it must be a number, at least 0; 1 is usual"),
        (ValueError, {"strength": math.nan}, "strength was nan"),
        (TypeError, {"strength": "1"}, r"strength was '1' \(str\)"),
        (ValueError, {"reduction": "average"}, "reduction was 'average'; it must be one of 'mean', 'sum', 'none'"),
        (ValueError, {"counts": [3, 0]}, r"counts was \[3.0, 0.0\]; .* merge or drop a class without examples"),
        (ValueError, {"counts": [3, -1]}, r"counts was \[3.0, -1.0\]"),
        (ValueError, {"counts": [3, math.nan]}, "counts was"),
        (ValueError, {"counts": [3, math.inf]}, "counts was"),
        (ValueError, {"counts": [3, 2, 1]}, r"for logits of shape \(4, 2\); it must hold 2 numbers above 0"),
        (ValueError, {"counts": 3}, "counts was 3.0"),
    ],
)
def test_refusals(error, arguments, message):
    given = {"counts": [3, 1], **arguments}
    with pytest.raises(error, match=message):
        logit_adjusted_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), **given)

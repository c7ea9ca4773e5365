"""What every loss makes of targets, half types and settings, and what class counts and weights may be."""

import inspect
import math
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learn2mix import registry
from learn2mix.losses import (
    CDTLoss,
    ClassBalancedLoss,
    CosineLinear,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    VSLoss,
    class_balanced_loss,
    effective_number_weights,
    focal_loss,
    ldam_loss,
    logit_adjusted_loss,
)
from learn2mix.posthoc import adjust_logits, retargeted_cross_entropy

COUNTS = (30, 10, 5)
LOSSES = [partial(entry.part, **entry.example) for entry in registry.entries("loss")] + [retargeted_cross_entropy]
MODULES = [CDTLoss, ClassBalancedLoss, LDAMLoss, LogitAdjustedLoss, VSLoss]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("error", "targets", "message"),
    [
        (TypeError, [0, 1, 2, 0], r"targets was \[0, 1, 2, 0\] \(list\); .* pass a tensor"),
        (TypeError, np.array([0, 1, 2, 0]), r"targets was .* \(ndarray\); .* pass a tensor"),
        (TypeError, torch.eye(4)[:, :3], "targets had dtype torch.float32; they must be class ids"),
        (ValueError, torch.eye(4, dtype=torch.int64)[:, :3], r"targets had shape \(4, 3\) .* not one-hot"),
        (ValueError, torch.tensor([0, 1, 2]), r"targets had shape \(3,\) for logits of shape \(4, 3\)"),
        (TypeError, torch.tensor([True] * 4), "targets had dtype torch.bool; .* integers"),
        (TypeError, torch.zeros(4, dtype=torch.complex64), "targets had dtype torch.complex64"),
    ],
)
def test_targets_that_are_no_class_ids(loss, error, targets, message):
    loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(error, match=message):
        loss(torch.zeros(4, 3), targets)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_class_ids_may_be_of_any_integer_type(loss, dtype):
    """Bytes least of all may index as a mask, which needs as many examples as classes to go unseen."""
    logits, targets = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 1, 2])
    assert loss(logits, targets.to(dtype), reduction="none").equal(loss(logits, targets, reduction="none"))


def test_a_class_whose_id_as_a_byte_is_that_of_what_is_ignored_counts():
    """-100 is 156 as a byte; two examples of 200 equal logits cost ln 200 * (1 - 1/200)^2 each."""
    loss = focal_loss(torch.zeros(2, 200), torch.tensor([156, 1], dtype=torch.uint8))
    assert loss.item() == pytest.approx(math.log(200) * (199 / 200) ** 2)


@pytest.mark.parametrize("loss", [*LOSSES, lambda logits, targets: adjust_logits(logits, COUNTS)])
@pytest.mark.parametrize(
    ("error", "logits", "message"),
    [
        (TypeError, [[0.0, 0.0, 0.0]], r"logits was \[\[0.0, 0.0, 0.0\]\] \(list\); .* pass a tensor"),
        (TypeError, np.zeros((1, 3)), r"logits was .* \(ndarray\)"),
        (TypeError, torch.zeros(1, 3, dtype=torch.int64), "logits had dtype torch.int64; .* pass logits.float"),
        (TypeError, torch.zeros(1, 3, dtype=torch.complex64), "logits had dtype torch.complex64"),
        (ValueError, torch.tensor(0.0), "logits was a single number"),
    ],
)
def test_logits_that_are_none(loss, error, logits, message):
    loss(torch.zeros(1, 3), torch.tensor([0]))
    with pytest.raises(error, match=message):
        loss(logits, torch.tensor([0]))


@pytest.mark.parametrize("value", [np.array(1.0), np.float32(1.0), Fraction(1), Decimal(1)])
def test_settings_may_be_numbers_of_any_kind(value):
    logits, targets = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    for entry in registry.entries("loss"):
        for name, parameter in inspect.signature(entry.part).parameters.items():
            if isinstance(parameter.default, float) and name != "beta":
                plain = entry.part(logits, targets, **entry.example | {name: 1.0})
                assert entry.part(logits, targets, **entry.example | {name: value}).equal(plain)


# --- Half types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("module", MODULES)
def test_half_logits_cost_what_the_same_numbers_in_float32_do_rounded_once(module, dtype):
    logits = (torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 3 + 7).to(dtype)
    targets = torch.arange(50) % 3
    loss = module([30, 10, 7], reduction="none")
    assert loss(logits, targets).equal(loss(logits.float(), targets).to(dtype))
    with torch.autocast("cpu", dtype=dtype):  # where cross-entropy gives float32
        assert loss(logits, targets).dtype == functional.cross_entropy(logits, targets).dtype == torch.float32


def test_what_float16_cannot_hold_is_not_summed_in_it():
    """8000 equal logits cost ln 8000 = 8.99; smoothing's sum over the classes is 8000 times that, above 65504."""
    logits, targets = torch.zeros(2, 8000, dtype=torch.float16), torch.arange(2)
    losses = retargeted_cross_entropy(logits, targets, reduction="none")
    assert losses.dtype == torch.float16
    torch.testing.assert_close(losses, torch.full((2,), math.log(8000)).half())
    many = torch.zeros(20_000, 10, dtype=torch.float16)
    assert focal_loss(many, torch.zeros(20_000, dtype=torch.int64), focusing=0.0).item() == pytest.approx(
        math.log(10), rel=1e-3
    )


def test_half_logits_are_adjusted_in_float32():
    logits = torch.full((1, 3), 7.0, dtype=torch.bfloat16)
    shift = (torch.tensor(COUNTS) / 45).log()
    assert adjust_logits(logits, COUNTS).equal((7.0 - shift)[None].bfloat16())


@pytest.mark.parametrize("device", ["meta"])
def test_half_types_wait_for_no_device(device):
    logits = torch.zeros(4, 3, device=device, dtype=torch.bfloat16)
    targets = torch.zeros(4, dtype=torch.int64, device=device)
    assert logit_adjusted_loss(logits, targets, COUNTS).dtype == torch.bfloat16


def test_long_features_in_float16_have_cosines():
    """Length 1e4 * sqrt(64) = 80000 is above 65504; all along the first class's weights, against the second's."""
    head = CosineLinear(64, 2, scale=10, dtype=torch.float16)
    head.weight.data = torch.stack([torch.ones(64), -torch.ones(64)]).half()
    features = torch.full((1, 64), 1e4, dtype=torch.float16, requires_grad=True)
    logits = head(features)
    assert logits.dtype == torch.float16
    torch.testing.assert_close(logits, torch.tensor([[10.0, -10.0]]).half(), rtol=2e-3, atol=0)
    logits.sum().backward()
    assert features.grad.isfinite().all()


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "make", "message"),
    [
        (ValueError, lambda: FocalLoss(reduction="avg"), "reduction was 'avg'"),
        (ValueError, lambda: FocalLoss(focusing=-1), "focusing was -1"),
        (TypeError, lambda: FocalLoss(focusing="a"), "focusing was 'a'"),
        (TypeError, lambda: FocalLoss("ab"), "weight was 'ab'; it must hold one weight a class"),
        (TypeError, lambda: FocalLoss([1, "b"]), r"weight was \[1, 'b'\]"),
        (ValueError, lambda: FocalLoss([1, -1]), r"weight was \[1.0, -1.0\]; .* finite and 0 or more"),
        (ValueError, lambda: FocalLoss([1, math.nan]), r"weight was \[1.0, nan\]"),
        (ValueError, lambda: FocalLoss(torch.tensor([1, math.inf])), r"weight was \[1.0, inf\]"),
        (ValueError, lambda: FocalLoss([[1.0]]), r"weight had shape \(1, 1\)"),
        (ValueError, lambda: FocalLoss(focusing=math.inf), "focusing was inf; it must be a finite number, at least 0"),
        (ValueError, lambda: ClassBalancedLoss(COUNTS, focusing=math.inf), "focusing was inf"),
        (ValueError, lambda: LogitAdjustedLoss(COUNTS, strength=math.inf), "strength was inf; it must be a finite"),
        (ValueError, lambda: VSLoss(COUNTS, strength=math.inf), "strength was inf"),
        (ValueError, lambda: VSLoss(COUNTS, gamma=math.inf), "gamma was inf"),
        (ValueError, lambda: CDTLoss(COUNTS, gamma=math.inf), "gamma was inf"),
        (ValueError, lambda: LDAMLoss(COUNTS, margin=math.inf), "margin was inf"),
        (ValueError, lambda: LDAMLoss(COUNTS, scale=math.inf), "scale was inf; it must be a finite number, above 0"),
        (ValueError, lambda: adjust_logits(torch.zeros(1, 3), COUNTS, strength=math.inf), "strength was inf"),
    ],
)
def test_settings_are_checked_when_given(error, make, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("weight", [[0.5, 1, 2], (0.5, 1, 2), np.array([0.5, 1, 2]), torch.tensor([0.5, 1, 2])])
def test_weights_may_be_a_list_or_an_array(weight):
    """ln 2 for every example, by class weights 1/2, 1, 2."""
    logits, targets = torch.log(torch.tensor([[0.5, 0.25, 0.25]] * 2)), torch.tensor([0, 0])
    for loss in (focal_loss(logits, targets, weight, focusing=0.0), FocalLoss(weight, focusing=0.0)(logits, targets)):
        torch.testing.assert_close(loss, torch.tensor(math.log(2) / 2))
    with pytest.raises(ValueError, match=r"weight was \[-1.0\]"):
        focal_loss(logits, targets, [-1.0])


# --- Counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_counts_are_constants_even_where_they_ask_for_a_gradient(module):
    counts = torch.tensor([30.0, 10.0, 5.0], requires_grad=True)
    loss = module(counts)
    assert not any(values.requires_grad for values in loss.buffers())
    logits = torch.zeros(2, 3, requires_grad=True)
    loss(logits, torch.tensor([0, 1])).backward()
    assert counts.grad is None


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: LogitAdjustedLoss([0, 1, 1, 0, 2]), r"are these labels\? Then give torch.bincount\(labels\)"),
        (lambda: LogitAdjustedLoss([0, 30]), "a class without examples$"),
        (
            lambda: LogitAdjustedLoss([1] * 5)(torch.zeros(1, 3), torch.tensor([0])),
            r"labels, give torch.bincount\(labels\)",
        ),
        (lambda: ClassBalancedLoss([0.7, 0.2, 0.1]), "these sum to 1, as shares do: give how many examples"),
        (lambda: effective_number_weights([0.5, 0.5]), "these sum to 1"),
        (lambda: effective_number_weights([0.5, 5]), "a class without examples$"),
    ],
)
def test_the_likely_mistake_with_counts_is_named(call, hint):
    with pytest.raises(ValueError, match=hint):
        call()


@pytest.mark.parametrize("counts", ["30", None, [[1], [1, 2]], {"a": 3}, [10**400]])
def test_counts_that_are_no_numbers(counts):
    for call in (
        lambda: ldam_loss(torch.zeros(1, 3), torch.tensor([0]), counts),
        lambda: class_balanced_loss(torch.zeros(1, 3), torch.tensor([0]), counts),
        lambda: registry.get("transform", "mfw").part(nn.Linear(2, 2), counts),
    ):
        with pytest.raises(TypeError, match=r"counts was .* give a list or tensor of numbers"):
            call()

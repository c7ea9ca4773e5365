"""Post-hoc logit adjustment: numbers by hand, the boundary of two Gaussians, the wrapper, the bench's method."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench_toys import SIZES, assert_same_curves, toy, toy_data
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.methods.lort import LORT
from learn2mix.bench.methods.post_hoc_logit_adjustment import PostHocLogitAdjustment
from learn2mix.bench.runner import make_ready, run
from learn2mix.losses import logit_adjusted_loss
from learn2mix.posthoc import LogitAdjusted, adjust_logits


def test_numbers_worked_by_hand():
    """Less ln 3/4 and ln 1/4. At strength 1/2 shares 9 : 1 count as 3 : 1, up to a constant of both logits."""
    even = torch.zeros(2, dtype=torch.float64)
    expected = torch.tensor([math.log(4 / 3), math.log(4)], dtype=torch.float64)
    torch.testing.assert_close(adjust_logits(even, [3, 1]), expected)
    half = adjust_logits(even, [9, 1], strength=0.5)
    torch.testing.assert_close(half - half[0], expected - expected[0])
    assert adjust_logits(even, [9, 1], strength=0).equal(even)
    torch.testing.assert_close(adjust_logits(even, [300, 100]), expected)


# --- The claim: two Gaussians of variance 1, at 0 with share 0.9 and at 2 with share 0.1 --------------------------------

SHARES = (0.9, 0.1)


def posterior(x):
    """The log of share times density, up to a constant: what a network that knew everything would give."""
    means = torch.tensor([0.0, 2.0], dtype=torch.float64)
    return torch.tensor(SHARES, dtype=torch.float64).log() - (x[:, None] - means).square() / 2


def boundary(strength):
    """Where the predicted class changes, to a ten-thousandth."""
    x = torch.arange(-1, 5, 1e-4, dtype=torch.float64)
    rare = adjust_logits(posterior(x), SHARES, strength=strength).argmax(dim=1)
    assert rare.diff().abs().sum() == 1
    return float(x[rare.argmax()])


def balanced_error(at):
    """The mean of P(x > at | 0) and P(x < at | 2)."""
    return (1 - NormalDist(0).cdf(at) + NormalDist(2).cdf(at)) / 2


@pytest.mark.parametrize(("strength", "expected"), [(0, 1 + math.log(9) / 2), (0.5, 1 + math.log(9) / 4), (1, 1.0)])
def test_at_strength_1_the_boundary_is_where_the_densities_cross(strength, expected):
    """The posteriors are even at 1 + ln 9 / 2 = 2.0986, past the rare mean; adjusted, at the midpoint, 1."""
    assert boundary(strength) == pytest.approx(expected, abs=1.1e-4)


def test_that_boundary_has_the_least_balanced_error():
    """Phi(-1) = 0.1587 there; without adjustment (0.0179 + 0.5393) / 2 = 0.2786."""
    assert balanced_error(boundary(1)) == pytest.approx(0.15866, abs=1e-4)
    assert balanced_error(boundary(0)) == pytest.approx(0.27861, abs=1e-4)
    others = [balanced_error(boundary(strength)) for strength in (0, 0.5, 0.9, 1.1, 1.5)]
    assert min(others) > balanced_error(boundary(1)) + 1e-4


def test_it_takes_out_what_the_loss_would_put_in():
    """The loss adds the shift that this takes away: cross-entropy of adjusted logits under it is that of the plain ones."""
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets, counts = torch.arange(50) % 4, [500, 60, 7, 1]
    for strength in (0.5, 1.0):
        adjusted = adjust_logits(logits, counts, strength=strength)
        assert not adjusted.argmax(1).equal(logits.argmax(1))
        undone = logit_adjusted_loss(adjusted, targets, counts, strength=strength)
        torch.testing.assert_close(undone, functional.cross_entropy(logits, targets))


# --- Conventions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (5, 3), (5, 3, 2), (5, 3, 3, 4)])
def test_classes_are_dimension_1(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    adjusted = adjust_logits(logits, [6, 3, 1])
    by_class = (adjusted - logits).movedim(min(1, len(shape) - 1), 0)
    for found, share in zip(by_class, (0.6, 0.3, 0.1), strict=True):
        torch.testing.assert_close(found, torch.full_like(found, -math.log(share)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_stays(dtype):
    assert adjust_logits(torch.zeros(2, 2, dtype=dtype), [10**9, 1]).dtype == dtype


def test_the_wrapper_adjusts_in_evaluation_mode_alone():
    network = nn.Linear(4, 3)
    model = LogitAdjusted(network, torch.tensor(SIZES), strength=0.7)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert model(x).equal(network(x))
    torch.testing.assert_close(model.eval()(x), adjust_logits(network(x), SIZES, strength=0.7))
    assert model.train()(x).equal(network(x))
    assert list(model.parameters()) == list(network.parameters())


def test_around_a_network_in_evaluation_mode_it_adjusts_at_once():
    network, x = nn.Linear(4, len(SIZES)).eval(), torch.ones(2, 4)
    model = LogitAdjusted(network, SIZES)
    assert model(x).equal(adjust_logits(network(x), SIZES))
    assert not network.training
    assert LogitAdjusted(network.train(), SIZES).training


def test_the_wrapper_is_saved_with_its_shift(tmp_path):
    model, other = LogitAdjusted(nn.Linear(4, 3), [7, 2, 1]), LogitAdjusted(nn.Linear(4, 3), [1, 1, 1])
    torch.save(model.state_dict(), tmp_path / "state")
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    x = torch.ones(1, 4)
    assert other.eval()(x).equal(model.eval()(x))


def test_the_wrapper_works_in_half_precision():
    """Counts above 65504 would be infinite there; their logs are not."""
    model = LogitAdjusted(nn.Linear(4, 2), [10**6, 10]).half().eval()
    with torch.no_grad():
        x = torch.zeros(1, 4).half()
        moved = (model(x) - model.model(x))[0]
    gap = moved[1] - moved[0]
    assert float(gap) == pytest.approx(math.log(10**5), abs=0.02)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"strength": -1}, "strength was -1; it must be a number, at least 0; 1 is usual"),
        (TypeError, {"strength": "1"}, r"strength was '1' \(str\)"),
        (
            ValueError,
            {"counts": [3, 0]},
            r"counts was \[3.0, 0.0\]; it must hold the number of training examples of each class",
        ),
        (ValueError, {"counts": [3, math.nan]}, "counts was"),
        (ValueError, {"counts": [3, math.inf]}, "counts was"),
        (ValueError, {"counts": 3}, "counts was 3.0"),
        (TypeError, {"counts": None}, "counts was None"),
    ],
)
def test_refusals(error, arguments, message):
    given = {"counts": [3, 1], **arguments}
    with pytest.raises(error, match=message):
        adjust_logits(torch.zeros(4, 2), **given)
    with pytest.raises(error, match=message):
        LogitAdjusted(nn.Identity(), **given)


def test_counts_of_other_classes_are_refused():
    message = r"counts was of 3 classes for logits of shape \(4, 2\); it must hold 2 numbers above 0"
    with pytest.raises(ValueError, match=message):
        adjust_logits(torch.zeros(4, 2), [3, 2, 1])
    with pytest.raises(ValueError, match=message):
        LogitAdjusted(nn.Identity(), [3, 2, 1]).eval()(torch.zeros(4, 2))


# --- The bench ----------------------------------------------------------------------------------------------------------


def test_it_trains_as_classical_and_is_judged_adjusted():
    task = toy()
    ready, plain = (
        make_ready(task, method, 0, toy_data()) for method in (PostHocLogitAdjustment(strength=0.8), Classical())
    )
    for one in (ready, plain):
        one.trainer.train_epoch()
    for ours, theirs in zip(ready.trainer.model.parameters(), plain.trainer.model.parameters(), strict=True):
        assert ours.equal(theirs)
    with torch.no_grad():
        logits = plain.trainer.network(plain.test.x)
    expected = adjust_logits(logits, SIZES, strength=0.8)
    scores = ready.evaluate()
    assert scores.metric == pytest.approx(float((expected.argmax(1) != plain.test.y).double().mean()))
    assert scores.loss == pytest.approx(float(functional.cross_entropy(expected, plain.test.y)), rel=1e-5)
    assert scores.loss != pytest.approx(plain.evaluate().loss, rel=1e-3)
    assert ready.trainer.model.training  # and training goes on as before


def test_without_strength_it_is_classical():
    one = run(toy(), PostHocLogitAdjustment(strength=0.0), 0, 2, data=toy_data())
    assert_same_curves(one, run(toy(), Classical(), 0, 2, data=toy_data()))


@pytest.mark.parametrize("other", ["logit-adjusted", "balanced"])
def test_never_twice(other):
    with pytest.raises(ValueError, match="makes no sense"):
        Composed((PostHocLogitAdjustment(), find_method(other)))
    with pytest.raises(ValueError, match="both correct a trained network"):
        Composed((LORT(), PostHocLogitAdjustment()))


def test_it_goes_with_a_loss_and_with_what_fills_the_batches():
    composed = Composed((PostHocLogitAdjustment(), find_method("mixup"), find_method("natural")))
    assert len(run(toy(), composed, 0, 1, data=toy_data()).curves["test_loss"]) == 2

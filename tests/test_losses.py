"""What all losses keep to; focal loss: numbers worked by hand, an independent reference, torch's conventions."""

import io
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from learn2mix import losses, registry
from learn2mix.losses import FocalLoss, focal_loss, inverse_frequency_weights

ENTRIES = list(registry.entries("loss"))


def reference(logits, targets, weight, focusing):
    """The formula word for word, in float64, one example and one class at a time."""
    rows = []
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        exps = [torch.exp(logit - row.max().detach()) for logit in row]
        p = exps[target] / sum(exps)
        rows.append((1 - p) ** focusing * (1.0 if weight is None else float(weight[target])) * -torch.log(p))
    return torch.stack(rows)


def logits_for(*probabilities):
    return torch.log(torch.tensor(probabilities, dtype=torch.float64))


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_numbers_worked_by_hand():
    """p = 1/2: 1/4 * ln 2. p = 3/4: 1/16 * ln 4/3. p = 1/4 (a wrong guess): 9/16 * ln 4."""
    logits = logits_for([0.5, 0.5], [0.75, 0.25], [0.75, 0.25])
    loss = focal_loss(logits, torch.tensor([0, 0, 1]), reduction="none")
    expected = [math.log(2) / 4, math.log(4 / 3) / 16, math.log(4) * 9 / 16]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_weights_scale_the_loss_and_leave_p_alone():
    """Weight 2 of class 0 doubles its loss; inside p it would make 1 - p another."""
    logits = logits_for([0.75, 0.25], [0.75, 0.25])
    loss = focal_loss(logits, torch.tensor([0, 1]), torch.tensor([2.0, 0.5]), reduction="none")
    expected = [2 * math.log(4 / 3) / 16, 0.5 * math.log(4) * 9 / 16]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_reductions_and_ignored_targets():
    logits = logits_for([0.5, 0.5], [0.5, 0.5], [0.75, 0.25])
    targets = torch.tensor([0, -100, 0])
    a, b = math.log(2) / 4, math.log(4 / 3) / 16
    for reduction, expected in {"none": [a, 0.0, b], "sum": a + b, "mean": (a + b) / 2}.items():
        loss = focal_loss(logits, targets, reduction=reduction)
        torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))
    ignoring = focal_loss(logits, torch.tensor([0, 1, 0]), ignore_index=1, weight=torch.ones(2))
    torch.testing.assert_close(ignoring, torch.tensor((a + b) / 2, dtype=torch.float64))


def test_inverse_frequency_weights():
    """Sizes 1, 2, 4: weights as 4 : 2 : 1, scaled to sum 3."""
    torch.testing.assert_close(inverse_frequency_weights([1, 2, 4]), torch.tensor([12 / 7, 6 / 7, 3 / 7]))
    torch.testing.assert_close(inverse_frequency_weights(torch.tensor([5, 5])), torch.ones(2))


# --- Against a reference ----------------------------------------------------------------------------------------------


@given(
    st.integers(1, 6),
    st.integers(2, 5),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_values_and_gradients_are_those_of_the_formula(number, num_classes, focusing, weighted, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(number, num_classes, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    other = logits.detach().clone().requires_grad_()
    targets = torch.randint(num_classes, (number,), generator=generator)
    weight = torch.rand(num_classes, generator=generator) if weighted else None
    ours = focal_loss(logits, targets, weight, focusing=focusing, reduction="none")
    theirs = reference(other, targets, weight, focusing)
    torch.testing.assert_close(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    torch.testing.assert_close(logits.grad, other.grad, rtol=1e-6, atol=1e-9)


def test_gradients_agree_with_finite_differences():
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, torch.tensor([0, 1, 2, 2]), weight), logits)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (5, 3, 2, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_focusing_is_cross_entropy_in_any_shape(shape, reduction):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    targets = torch.randint(3, (shape[0], *shape[2:]), generator=generator)
    targets.view(-1)[0] = -100
    loss = focal_loss(logits, targets, focusing=0.0, reduction=reduction)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets, reduction=reduction))


# --- Conventions and extremes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_loss_takes_logits_targets_reduction(entry):
    logits, targets = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    each = entry.part(logits, targets, reduction="none", **entry.example)
    assert each.shape == (4,)
    torch.testing.assert_close(entry.part(logits, targets, **entry.example), each.mean())
    torch.testing.assert_close(entry.part(logits, targets, reduction="sum", **entry.example), each.sum())
    with pytest.raises(ValueError, match="reduction was 'average'; it must be one of 'mean', 'sum', 'none'"):
        entry.part(logits, targets, reduction="average", **entry.example)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("focusing", [0.0, 0.25, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("scale", [0.0, 20.0, 1e3, 1e30])
def test_losses_and_gradients_stay_finite(dtype, focusing, scale):
    """Certain and right (p = 1), certain and wrong (p = 0), undecided."""
    scale = min(scale, 3e3) if dtype == torch.float16 else scale  # it ends at 65504
    logits = (torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]]) * scale).to(dtype).requires_grad_()
    loss = focal_loss(logits, torch.tensor([0, 0, 0]), focusing=focusing, reduction="none")
    loss.sum().backward()
    assert loss.dtype == dtype
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    assert (loss >= 0).all()


def test_small_losses_near_certainty_are_not_rounded_away():
    """There 1 - p = 1 - exp(-CE) = CE * (1 - CE / 2), so that the loss is CE**3 * (1 - CE)."""
    logits, target = torch.tensor([[10.0, 0.0]]), torch.tensor([0])
    cross_entropy = functional.cross_entropy(logits, target).double()  # 4.5e-5
    expected = (cross_entropy**3 * (1 - cross_entropy)).float()
    torch.testing.assert_close(focal_loss(logits, target), expected, rtol=1e-5, atol=0)


def test_one_example_without_a_batch():
    logits, target, weight = torch.randn(3), torch.tensor(2), torch.tensor([1.0, 2.0, 3.0])
    for weights in (None, weight):
        torch.testing.assert_close(focal_loss(logits, target, weights), focal_loss(logits[None], target[None], weights))


def test_all_targets_ignored_is_as_in_torch():
    logits, targets = torch.zeros(2, 3), torch.tensor([-100, -100])
    assert focal_loss(logits, targets).isnan() == functional.cross_entropy(logits, targets).isnan()
    assert focal_loss(logits, targets, reduction="sum") == 0


@pytest.mark.parametrize("options", [{}, {"focusing": 0.5}, {"ignore_index": 1}, {"reduction": "none"}])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 1.0, 1.5])])
def test_the_module_is_the_function(options, weight):
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    module = FocalLoss(weight, **options)
    torch.testing.assert_close(module(logits, targets), focal_loss(logits, targets, weight, **options))
    assert module.double().weight is None or module.weight.dtype == torch.float64
    assert set(module.state_dict()) == (set() if weight is None else {"weight"})


# --- What all losses of class counts keep to --------------------------------------------------------------------------


def module_of(entry):
    """The one module class beside a loss function that ends in ``Loss``."""
    home = vars(sys.modules[entry.part.__module__])
    (found,) = (home[name] for name in losses.__all__ if name.endswith("Loss") and name in home)
    return found


MODULES = {entry.name: module_of(entry) for entry in ENTRIES if "counts" in entry.example}
COUNTS = [30, 10, 5]
BY_COUNTS = pytest.mark.parametrize("name", MODULES)
EITHER = pytest.mark.parametrize("as_module", [False, True], ids=["function", "module"])


def apply(name, as_module, logits, targets, counts=COUNTS, **options):
    if as_module:
        return MODULES[name](counts, **options)(logits, targets)
    return registry.get("loss", name).part(logits, targets, counts, **options)


@BY_COUNTS
@EITHER
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 4, 3)])
def test_every_place_is_treated_along_the_class_dimension(name, as_module, shape):
    """(n, k, h, w) costs what its places cost as (n * h * w, k); three classes and three columns must not be mixed up."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    targets = torch.randint(3, (shape[0], *shape[2:]), generator=generator)
    targets.view(-1)[0] = -100
    each = apply(name, as_module, logits, targets, reduction="none")
    flat = logits.movedim(1, -1).reshape(-1, 3), targets.reshape(-1)
    torch.testing.assert_close(each.reshape(-1), apply(name, as_module, *flat, reduction="none"))
    assert each.view(-1)[0] == 0
    torch.testing.assert_close(apply(name, as_module, logits, targets), each.sum() / (each.numel() - 1))
    torch.testing.assert_close(apply(name, as_module, logits, targets, reduction="sum"), each.sum())
    alone = apply(name, as_module, flat[0][1], flat[1][1])  # one example without a batch
    assert alone.shape == ()
    torch.testing.assert_close(alone, each.view(-1)[1])


@BY_COUNTS
@pytest.mark.parametrize("counts", [COUNTS, tuple(COUNTS), np.array(COUNTS), torch.tensor(COUNTS)])
@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"reduction": "none"}])
def test_the_module_of_counts_is_the_function(name, counts, options):
    logits, targets = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(
        apply(name, True, logits, targets, counts, **options), apply(name, False, logits, targets, counts, **options)
    )


@BY_COUNTS
def test_a_saved_module_is_restored_whatever_counts_it_was_made_with(name):
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    module, other = MODULES[name]([10**6, 10, 1]), MODULES[name]([1, 1, 1])
    assert not module(logits, targets).equal(other(logits, targets))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other(logits, targets).equal(module(logits, targets))


@BY_COUNTS
@EITHER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 20.0, 3e3])
def test_losses_of_counts_and_their_gradients_stay_finite(name, as_module, dtype, scale):
    """A class as rare as one in a thousand million; a module may be made half precision with the model that holds it."""
    logits = (torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]]) * scale).to(dtype).requires_grad_()
    targets, counts = torch.tensor([0, 1, 0]), [1, 10**9]
    if as_module:
        losses = MODULES[name](counts, reduction="none").to(dtype)(logits, targets)
    else:
        losses = apply(name, False, logits, targets, counts, reduction="none")
    losses.sum().backward()
    assert losses.dtype == dtype
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
    assert (losses >= 0).all()


@BY_COUNTS
@pytest.mark.parametrize("counts_lie", ["here", "there", "in the module"])
def test_no_device_is_waited_for(name, counts_lie):
    """On the meta device a look at a value is an error, as on an accelerator it would be a halt."""
    logits = torch.zeros(4, 3, device="meta", requires_grad=True)
    targets = torch.zeros(4, dtype=torch.int64, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        bool((targets == 0).all())
    if counts_lie == "in the module":
        loss = MODULES[name](COUNTS).to("meta")(logits, targets)
    else:
        loss = apply(
            name, False, logits, targets, torch.tensor(COUNTS, device="cpu" if counts_lie == "here" else "meta")
        )
    loss.backward()
    assert logits.grad.shape == (4, 3)


@BY_COUNTS
def test_a_module_checks_its_counts_once(name, monkeypatch):
    module = MODULES[name](COUNTS)

    def refuse(*arguments, **options):
        raise AssertionError("checked again")

    monkeypatch.setattr(sys.modules[MODULES[name].__module__], "class_sizes", refuse)
    module(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(AssertionError, match="checked again"):
        MODULES[name](COUNTS)


@BY_COUNTS
@EITHER
@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"reduction": "average"}, "reduction was 'average'; it must be one of 'mean', 'sum', 'none'"),
        (ValueError, {"counts": [3, 0]}, r"counts was \[3.0, 0.0\]; it must hold .* merge or drop a class without"),
        (ValueError, {"counts": torch.tensor([3, -1])}, r"counts was \[3.0, -1.0\]"),
        (ValueError, {"counts": [3, math.nan]}, r"counts was \[3.0, nan\]"),
        (ValueError, {"counts": [3, math.inf]}, r"counts was \[3.0, inf\]"),
        (ValueError, {"counts": []}, r"counts was \[\]"),
        (ValueError, {"counts": [[3, 1]]}, r"counts was \[\[3.0, 1.0\]\]"),
        (ValueError, {"counts": 3}, "counts was 3.0"),
        (TypeError, {"counts": None}, "counts was None; it must hold .* give a list or tensor of numbers"),
        (TypeError, {"counts": ["a", "b"]}, r"counts was \['a', 'b'\]"),
        (
            ValueError,
            {"counts": [3, 2, 1]},
            r"of 3 classes for logits of shape \(4, 2\); it must hold 2 numbers above 0",
        ),
    ],
)
def test_what_losses_of_counts_refuse(name, as_module, error, arguments, message):
    given = {"counts": [3, 1], **arguments}
    with pytest.raises(error, match=message):
        apply(name, as_module, torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), **given)

"""LDAM and its cosine classifier: numbers worked by hand, an independent reference, and where the margins push."""

import copy
import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from bench_toys import SIZES, arm_of, assert_same_curves, toy, toy_data, toy_job
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.methods.drw import DRW
from learn2mix.bench.methods.ldam import LDAM
from learn2mix.bench.models import TransformerClassifier, lenet5, mlp
from learn2mix.bench.runner import make_ready, run
from learn2mix.losses import CosineLinear, LDAMLoss, ldam_loss, with_cosine_classifier

COUNTS = st.lists(st.integers(1, 10**6), min_size=2, max_size=5)


def expected_loss(row, target, counts, margin, scale):
    """``-log`` of the target's part after the margin is taken off, one class at a time, in units of the cosine."""
    margins = [margin * n**-0.25 / max(other**-0.25 for other in counts) for n in counts]
    powers = [scale * (z / scale - (margins[c] if c == target else 0)) for c, z in enumerate(row)]
    largest = max(powers)
    return largest + math.log(sum(math.exp(power - largest) for power in powers)) - powers[target]


def random_logits(number, num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(number, num_classes, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    return logits, torch.randint(num_classes, (number,), generator=generator)


# --- The loss ---------------------------------------------------------------------------------------------------------


def test_margins_worked_by_hand():
    """16 times as many examples halve the margin, 81 times as many leave a third."""
    margins = LDAMLoss([810, 160, 10], margin=0.6, scale=10).margins
    torch.testing.assert_close(margins, torch.tensor([2.0, 3.0, 6.0]))


def test_numbers_and_gradients_worked_by_hand():
    """Equal logits, scale * margins ln 3 and (ln 3)/2: p = 1/4 and 1/(1 + sqrt 3), and the rare class is pushed harder."""
    logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    margin, scale = math.log(3) / 4, 4
    losses = ldam_loss(logits, torch.tensor([1, 0]), [16, 1], margin=margin, scale=scale, reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(1 + 3**0.5)], dtype=torch.float64))
    losses.sum().backward()
    pushed = torch.tensor([[0.75, -0.75], [1 / (1 + 3**0.5) - 1, 1 - 1 / (1 + 3**0.5)]], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, pushed)
    assert -logits.grad[0, 1] > -logits.grad[1, 0] > 0.5  # cross-entropy's is 1/2 for either


@given(
    st.integers(1, 5),
    COUNTS,
    st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    st.sampled_from([1.0, 30.0]),
    st.integers(0, 10**6),
)
def test_values_and_gradients_are_those_of_the_formula(number, counts, margin, scale, seed):
    """The gradient is that of cross-entropy at the lowered logits."""
    logits, targets = random_logits(number, len(counts), seed)
    losses = ldam_loss(logits, targets, counts, margin=margin, scale=scale, reduction="none")
    losses.sum().backward()
    rows = zip(logits.tolist(), targets.tolist(), strict=True)
    expected = [expected_loss(row, target, counts, margin, scale) for row, target in rows]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    lowered = logits.detach().clone()
    for row, target in enumerate(targets.tolist()):
        lowered[row, target] -= scale * margin * (min(counts) / counts[target]) ** 0.25
    p = lowered.softmax(1)
    torch.testing.assert_close(logits.grad, p - functional.one_hot(targets, len(counts)), rtol=1e-9, atol=1e-9)


@given(COUNTS, st.floats(-10, 10), st.integers(0, 10**6))
def test_no_margin_is_cross_entropy_and_a_shift_of_all_logits_changes_nothing(counts, shift, seed):
    logits, targets = random_logits(4, len(counts), seed)
    assert ldam_loss(logits, targets, counts, margin=0).equal(functional.cross_entropy(logits, targets))
    torch.testing.assert_close(ldam_loss(logits + shift, targets, counts), ldam_loss(logits, targets, counts))


@given(COUNTS)
def test_rarer_classes_have_larger_margins(counts):
    margins = LDAMLoss(counts, margin=0.5, scale=1).margins
    order = sorted(range(len(counts)), key=lambda c: counts[c])
    assert (margins[order].diff() <= 0).all()
    assert float(margins.max()) == 0.5


# --- The classifier ---------------------------------------------------------------------------------------------------


def test_cosines_worked_by_hand():
    """(3, 4) against (1, 0), (0, 2), (-5, 0) and (4, 3): cosines 0.6, 0.8, -0.6 and 0.96."""
    head = CosineLinear(2, 4, scale=100)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-5.0, 0.0], [4.0, 3.0]])
    expected = torch.tensor([60.0, 80.0, -60.0, 96.0])
    torch.testing.assert_close(head(torch.tensor([3.0, 4.0])), expected)
    torch.testing.assert_close(head(torch.tensor([[[0.3, 0.4]], [[30.0, 40.0]]])), expected.expand(2, 1, 4))
    assert repr(head) == "CosineLinear(in_features=2, out_features=4, bias=False, scale=100.0)"


def test_it_starts_from_the_weights_of_a_linear_layer():
    linear = nn.Linear(5, 3, dtype=torch.float64)
    kept, state = copy.deepcopy(linear.state_dict()), torch.get_rng_state()
    head = CosineLinear.from_linear(linear, scale=7)
    assert torch.get_rng_state().equal(state)
    assert [name for name, _ in head.named_parameters()] == ["weight"]
    features = torch.randn(4, 5, dtype=torch.float64)
    plain = functional.linear(features, linear.weight)
    expected = 7 * plain / (features.norm(dim=1)[:, None] * linear.weight.norm(dim=1))
    torch.testing.assert_close(head(features), expected)
    head.weight.data.zero_()
    assert all(linear.state_dict()[name].equal(kept[name]) for name in kept)  # a copy: the layer is as it was


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [0.0, 1e-7, 1.0, 1e4])
def test_logits_and_gradients_stay_finite(dtype, size):
    head = CosineLinear(4, 3, dtype=dtype)
    features = torch.full((2, 4), size, dtype=dtype).requires_grad_()
    logits = head(features)
    ldam_loss(logits, torch.tensor([0, 1]), [100, 10, 1]).backward()
    assert logits.dtype == dtype
    for found in (logits, features.grad, head.weight.grad):
        assert torch.isfinite(found).all()
    assert logits.abs().max() <= 30.5


def test_a_networks_last_linear_layer_is_replaced():
    network = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), nn.ReLU())
    body, last = network[0], network[1][1]
    assert with_cosine_classifier(network, 2, scale=7) is network
    assert network[0] is body
    assert isinstance(network[1][1], CosineLinear)
    assert network[1][1].scale == 7
    assert network[1][1].weight.equal(last.weight)


@pytest.mark.parametrize("network", [nn.ReLU(), nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))])
def test_a_network_without_a_classifier_within_is_refused(network):
    with pytest.raises(ValueError, match=r"the network's last linear layer is .* give 3 numbers, one a class"):
        with_cosine_classifier(network, 3)


def test_a_scale_that_is_refused_changes_no_network():
    network = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="scale was 0"):
        with_cosine_classifier(network, 3, scale=0)
    assert type(network[0]) is nn.Linear


def test_its_state_is_its_weights():
    head, other = CosineLinear(4, 3), CosineLinear(4, 3)
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    features = torch.randn(2, 4)
    assert other(features).equal(head(features))


# --- What they do together --------------------------------------------------------------------------------------------


def boundary(counts, margin):
    """Train a cosine classifier of two overlapping clouds on a circle, around 0 and 1; give the angle where it turns."""
    generator = torch.Generator().manual_seed(0)
    y = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    angles = y + 0.5 * torch.randn(len(y), generator=generator, dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], dim=1)
    head = CosineLinear(2, 2, scale=10, dtype=torch.float64)
    head.weight.data = torch.eye(2, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        head.parameters(), max_iter=200, tolerance_grad=1e-5, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def step():
        optimizer.zero_grad()
        loss = ldam_loss(head(x), y, counts, margin=margin, scale=10)
        loss.backward()
        return loss

    optimizer.step(step)
    assert float(head.weight.grad.norm()) < 1e-4
    grid = torch.linspace(-1, 2, 3001, dtype=torch.float64)
    taken = head(torch.stack([grid.cos(), grid.sin()], dim=1)).argmax(1)
    return float(grid[taken.nonzero()[0]])


def test_the_boundary_moves_away_from_the_rare_class():
    """Which lies at 1. With classes of one size the same margin leaves the boundary nearly where it was."""
    moved = boundary([1600, 100], 0.0) - boundary([1600, 100], 0.5)
    assert moved > 0.02
    assert abs(boundary([400, 400], 0.0) - boundary([400, 400], 0.5)) < moved / 2


# --- In the bench -----------------------------------------------------------------------------------------------------


def test_in_the_bench_the_network_is_classical_trainings_but_for_its_last_layer():
    plain = make_ready(toy(), Classical(), 0, toy_data()).trainer
    ours = make_ready(toy(), LDAM(scale=20.0), 0, toy_data()).trainer
    x = toy_data().train.x
    hidden = plain.model[:2](x)
    assert ours.model[:2](x).equal(hidden)
    expected = 20 * functional.cosine_similarity(hidden[:, None], plain.model[2].weight, dim=2)
    torch.testing.assert_close(ours.model(x), expected)
    before = ours.model[2].weight.detach().clone()
    ours.train_epoch()
    assert not ours.model[2].weight.equal(before)  # the optimiser has it
    assert ours.work.forwarded == 80


def test_in_the_bench_the_training_sets_counts_set_the_margins():
    loss = arm_of(LDAM(margin=0.4, scale=20.0), toy_job()).loss
    outputs, y = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5]]), torch.tensor([0, 1, 2])
    margins = torch.tensor([8 * (16 / size) ** 0.25 for size in SIZES])
    expected = functional.cross_entropy(outputs - torch.diag(margins), y, reduction="none")
    torch.testing.assert_close(loss(outputs, y), expected)


@pytest.mark.parametrize(
    ("network", "x", "last"),
    [
        (lambda: mlp(4, 8, 10), torch.randn(3, 4), "2"),
        (lambda: lenet5(10), torch.randn(3, 1, 28, 28), "11"),
        (
            lambda: TransformerClassifier(words=20, length=6, num_classes=10),
            torch.ones(3, 5, dtype=torch.int32),
            "head.3",
        ),
    ],
    ids=["mlp", "lenet5", "transformer"],
)
def test_in_the_bench_the_classifier_is_found(network, x, last):
    made = network()
    linear = made.get_submodule(last)
    others = [module for module in made.modules() if isinstance(module, nn.Linear) and module is not linear]
    found = with_cosine_classifier(made, num_classes=10, scale=30.0)
    assert found is made
    head = made.get_submodule(last)
    assert isinstance(head, CosineLinear)
    assert head.weight.equal(linear.weight)
    assert [module for module in made.modules() if isinstance(module, nn.Linear) and module is not head] == others
    assert made(x).abs().max() <= 30.001


@pytest.mark.parametrize("network", [nn.ReLU(), nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))])
def test_in_the_bench_a_network_without_a_classifier_within_is_refused(network):
    with pytest.raises(ValueError, match=r"the network's last linear layer is .* give 3 numbers, one a class"):
        with_cosine_classifier(network, num_classes=3, scale=30.0)


def test_in_the_bench_ldam_drw():
    """Its first two epochs are LDAM's; in the third the classes are weighted."""
    task, composed = toy(learning_rate=0.01), Composed((LDAM(), DRW(start=0.67)))
    assert composed.name == "ldam+drw"
    plain, both, again = (run(task, method, 0, 3, data=toy_data()) for method in (LDAM(), composed, composed))
    assert_same_curves(both, again)
    losses, others = (result.curves["test_loss"].tolist() for result in (plain, both))
    assert others[:-1] == pytest.approx(losses[:-1], rel=1e-5)
    assert others[-1] != pytest.approx(losses[-1], rel=1e-3)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"margin": -1}, "margin was -1; it must be a number, at least 0; 0.5 is usual"),
        (TypeError, {"margin": None}, "margin was None"),
        (ValueError, {"scale": 0}, "scale was 0; it must be a number, above 0; 30 is usual"),
        (TypeError, {"scale": "30"}, r"scale was '30' \(str\)"),
    ],
)
def test_refusals(error, arguments, message):
    with pytest.raises(error, match=message):
        ldam_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), [3, 1], **arguments)
    with pytest.raises(error, match=message):
        LDAMLoss([3, 1], **arguments)
    if "scale" in arguments:
        with pytest.raises(error, match=message):
            CosineLinear(2, 2, **arguments)


def test_probabilities_are_no_targets():
    with pytest.raises(TypeError, match=r"targets had dtype torch.float32; they must be class ids; pass .*argmax"):
        ldam_loss(torch.zeros(4, 2), torch.full((4, 2), 0.5), [3, 1])

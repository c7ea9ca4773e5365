"""LORT: targets by hand, what a second stage leaves alone, what it does to a rare class, the bench's method."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import functional as autograd
from torch.nn import functional

from bench_toys import assert_same_curves, toy, toy_data, toy_job
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.lort import LORT
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks.base import cross_entropy
from learn2mix.posthoc import head_of, retargeted_cross_entropy, train_head_alone

# --- The targets --------------------------------------------------------------------------------------------------------


def test_targets_worked_by_hand():
    """100 classes at 0.98: 0.02 + 0.0098 = 0.0298 for the true one, 0.0098 for the others. They are what is learnt."""
    logits = torch.zeros(1, 100, dtype=torch.float64, requires_grad=True)
    retargeted_cross_entropy(logits, torch.tensor([7])).backward()
    targets = 1 / 100 - logits.grad[0]  # the gradient is what is predicted, here evenly, less the target
    assert float(targets[7]) == pytest.approx(0.0298)
    assert float(targets[8]) == pytest.approx(0.0098)
    assert float(targets.sum()) == pytest.approx(1)


@given(st.integers(2, 9), st.floats(0, 0.999), st.integers(0, 10**6))
def test_values_are_those_of_the_formula(classes, smoothing, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, classes, generator=generator, dtype=torch.float64) * 3
    targets = torch.randint(classes, (4,), generator=generator)
    even = smoothing / classes
    expected = []
    for row, true in zip(logits.tolist(), targets.tolist(), strict=True):
        total = math.log(sum(math.exp(z) for z in row))
        shares = [even + (1 - smoothing) * (c == true) for c in range(classes)]
        expected.append(sum(share * (total - z) for share, z in zip(shares, row, strict=True)))
    losses = retargeted_cross_entropy(logits, targets, smoothing=smoothing, reduction="none")
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(retargeted_cross_entropy(logits, targets, smoothing=smoothing), losses.mean())


def test_without_smoothing_it_is_cross_entropy_in_any_shape():
    generator = torch.Generator().manual_seed(0)
    for shape in [(5, 3), (5, 3, 2), (5, 3, 2, 4)]:
        logits, targets = (
            torch.randn(shape, generator=generator),
            torch.randint(3, (shape[0], *shape[2:]), generator=generator),
        )
        targets.view(-1)[0] = -100
        for reduction in ("mean", "sum", "none"):
            ours = retargeted_cross_entropy(logits, targets, smoothing=0, reduction=reduction)
            torch.testing.assert_close(ours, functional.cross_entropy(logits, targets, reduction=reduction))


def test_ignored_targets_cost_nothing_and_do_not_count():
    logits, targets = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, -100, 3])
    each = retargeted_cross_entropy(logits, targets, reduction="none")
    assert each[1] == 0
    torch.testing.assert_close(retargeted_cross_entropy(logits, targets), each.sum() / 2)


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (
            ValueError,
            {"smoothing": 1},
            "smoothing was 1; it must be a number, at least 0 and below 1; its authors have 0.98",
        ),
        (ValueError, {"smoothing": -0.1}, "smoothing was -0.1"),
        (TypeError, {"smoothing": "much"}, "smoothing was 'much'"),
        (ValueError, {"reduction": "average"}, "reduction was 'average'; it must be one of 'mean', 'sum', 'none'"),
    ],
)
def test_refusals(error, options, message):
    with pytest.raises(error, match=message):
        retargeted_cross_entropy(torch.zeros(2, 2), torch.tensor([0, 1]), **options)


# --- The head alone -----------------------------------------------------------------------------------------------------


class Network(nn.Module):
    """A body with batch normalisation and dropout, and a head of two layers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x):
        return self.head(self.body(x))


OPTIMIZERS = {
    "Adam with weight decay": lambda weights: torch.optim.Adam(weights, lr=0.01, weight_decay=0.1),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1),
    "SGD with momentum and weight decay": lambda weights: torch.optim.SGD(
        weights, lr=0.1, momentum=0.9, weight_decay=0.1
    ),
    "RMSprop": lambda weights: torch.optim.RMSprop(weights, lr=0.01, momentum=0.9, weight_decay=0.1),
}


def train(model, optimizer, steps=5, *, set_to_none=True, start=lambda: None):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        start()
        x, y = torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)
        optimizer.zero_grad(set_to_none=set_to_none)
        retargeted_cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_stage_2_changes_the_head_and_nothing_else(optimizer, set_to_none):
    """With the optimiser of stage 1, which knows the frozen weights, has moments of them and would let them decay."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Network()
        shared = OPTIMIZERS[optimizer](model.parameters())
        train(model, shared, set_to_none=set_to_none)
        before = copy.deepcopy(model.state_dict())
        train(
            model, shared, set_to_none=set_to_none, start=lambda: (model.train(), train_head_alone(model, model.head))
        )
        after = model.state_dict()
    for name, value in before.items():
        assert value.equal(after[name]) == name.startswith("body"), name  # its batch normalisation included
    assert all(weights.grad is None for weights in model.body.parameters())


def test_with_the_bodys_modules_in_training_its_statistics_would_drift():
    """What the authors' code lets happen: weights frozen, and yet another function of the input."""
    model = Network()
    train_head_alone(model, model.head)
    model.train()
    before = copy.deepcopy(model.body.state_dict())
    train(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model.body[0].weight.equal(before["0.weight"])
    assert not model.body[1].running_mean.equal(before["1.running_mean"])


def test_features_are_the_same_twice_and_the_head_trains():
    model = Network().eval()
    train_head_alone(model, model.head)
    x = torch.randn(6, 4)
    assert model.body(x).equal(model.body(x))  # no dropout
    assert [module.training for module in (model, model.body, model.body[3], model.head, model.head[1])] == [
        False,
        False,
        False,
        True,
        True,
    ]
    train_head_alone(model, model.body)  # another head: what was frozen trains again, what trained is frozen
    assert {name for name, weights in model.named_parameters() if weights.requires_grad} == {
        "body.0.weight",
        "body.0.bias",
        "body.1.weight",
        "body.1.bias",
    }
    train_head_alone(model, model)  # all of it
    assert all(weights.requires_grad for weights in model.parameters())


def test_what_can_be_no_head_is_refused():
    model = Network()
    with pytest.raises(ValueError, match="head was Linear; it must be a part of the model, for instance head_of"):
        train_head_alone(model, nn.Linear(8, 3))
    with pytest.raises(ValueError, match="head was Dropout, which has no weights"):
        train_head_alone(model, model.body[3])
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    with pytest.raises(ValueError, match="in use elsewhere in the model too"):
        train_head_alone(tied, tied[2])
    assert all(weights.requires_grad for weights in [*model.parameters(), *tied.parameters()])


def test_the_head_is_the_last_layer():
    model = Network()
    assert head_of(model) is model.head[2]
    assert head_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())).kernel_size == (3, 3)
    with pytest.raises(ValueError, match="model was ReLU, which has no weights"):
        head_of(nn.ReLU())


# --- The claim, and where it ends ---------------------------------------------------------------------------------------


def linear_head(x, y, weight, loss):
    """The scalar slope and intercept of ``logit 1 - logit 0`` that make a weighted loss least, by Newton's method."""
    flat = torch.zeros(2, dtype=torch.float64)

    def cost(parts):
        margin = parts[0] * x + parts[1]
        return (weight * loss(torch.stack([-margin / 2, margin / 2], dim=1), y)).sum()

    for _ in range(30):
        gradient, hessian = autograd.jacobian(cost, flat), autograd.hessian(cost, flat)
        flat = flat - torch.linalg.solve(hessian, gradient)
    return flat


def retargeted(logits, y):
    return retargeted_cross_entropy(logits, y, smoothing=0.98, reduction="none")


def test_where_the_features_of_a_class_are_all_alike_the_boundary_is_the_midpoint():
    """Class 0 at -1, class 1 at 1, nine to one: both meet their targets, so the margin is ln(0.51 / 0.49) either way.

    One step of plain cross-entropy from nothing has its boundary at (9 - 1) / 10 = 0.8, close to the rare class.
    """
    x, y = torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.tensor([0, 1])
    shares = torch.tensor([0.9, 0.1], dtype=torch.float64)
    slope, intercept = linear_head(x, y, shares, retargeted)
    assert float(slope) == pytest.approx(math.log(0.51 / 0.49))
    assert float(intercept) == pytest.approx(0, abs=1e-9)

    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    margin = weights[0] * x + weights[1]
    (shares * cross_entropy(torch.stack([-margin / 2, margin / 2], dim=1), y)).sum().backward()
    assert float(-weights.grad[1] / weights.grad[0]) == pytest.approx(0.8)


def test_where_the_features_overlap_the_end_of_stage_2_is_least_squares():
    """Gaussians of variance 1 at 0 and 2, nine to one: the boundary is at 1 + 0.8 / (2 * 0.09 * 2) = 3.222.

    Further from the middle than cross-entropy's 1 + ln(9) / 2 = 2.099: the margins are so small that only their squares
    count, and a straight line through unevenly many targets bends to the many. A short second stage is another thing.
    """
    z = torch.linspace(-7, 7, 2001, dtype=torch.float64)
    density = (-z.square() / 2).exp() / (-z.square() / 2).exp().sum()
    x, y = torch.cat([z, z + 2]), torch.repeat_interleave(torch.arange(2), 2001)
    shares = torch.cat([0.9 * density, 0.1 * density])
    slope, intercept = linear_head(x, y, shares, retargeted)
    assert float(-intercept / slope) == pytest.approx(3.222, abs=0.01)
    slope, intercept = linear_head(x, y, shares, cross_entropy)
    assert float(-intercept / slope) == pytest.approx(1 + math.log(9) / 2, abs=1e-3)


def rare_and_frequent_error(seed):
    """Two Gaussians in 20 dimensions, nine to one; a network that fits all of them; a hundred steps of its head more."""
    generator = torch.Generator().manual_seed(seed)

    def draw(frequent, rare):
        y = torch.repeat_interleave(torch.arange(2), torch.tensor([frequent, rare]))
        x = torch.randn(len(y), 20, generator=generator)
        x[:, 0] += 3 * y
        return x, y

    x, y = draw(450, 50)
    test_x, test_y = draw(4000, 4000)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    assert network(x).argmax(1).equal(y)
    errors = []
    for loss in (functional.cross_entropy, retargeted_cross_entropy):
        again = copy.deepcopy(network)
        train_head_alone(again, head_of(again))
        optimizer = torch.optim.Adam(again.parameters(), lr=5e-4)  # the authors' rate
        for _ in range(100):
            optimizer.zero_grad()
            loss(again(x), y).backward()
            optimizer.step()
        wrong = (again(test_x).argmax(1) != test_y).double()
        errors.append((float(wrong[4000:].mean()), float(wrong[:4000].mean())))
    return errors


@pytest.mark.parametrize("seed", range(3))
def test_a_short_second_stage_lowers_the_rare_classs_error(seed):
    (plain_rare, plain_frequent), (rare, frequent) = rare_and_frequent_error(seed)
    assert rare < plain_rare - 0.1
    assert (rare + frequent) / 2 < (plain_rare + plain_frequent) / 2 - 0.03
    assert frequent > plain_frequent  # it is a trade


# --- The bench ----------------------------------------------------------------------------------------------------------


def epochs_of_stage_2(method, epochs):
    """The epochs whose loss is not the task's."""
    job = toy_job()
    arm = method.prepare(type(job)(job.task, job.train, 3, seed=0, epochs=epochs, steps_per_epoch=10))
    model, found = nn.Linear(4, 3), []
    outputs, y = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    for epoch in range(epochs):
        arm.start_epoch(epoch, model.train())
        if not torch.equal(arm.loss(outputs, y), cross_entropy(outputs, y)):
            torch.testing.assert_close(arm.loss(outputs, y), retargeted_cross_entropy(outputs, y)[None])
            found.append(epoch)
    return found


def test_a_parametrised_last_layer_is_the_head_bias_included():
    last = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    model = nn.Sequential(nn.Linear(4, 3), last, nn.Flatten())
    assert head_of(model) is last
    train_head_alone(model, head_of(model))
    trained = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert trained == {"1.bias", "1.parametrizations.weight.original0", "1.parametrizations.weight.original1"}
    orthogonal = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3, bias=False))  # no weights of its own at all
    assert head_of(nn.Sequential(nn.Linear(4, 3), orthogonal)) is orthogonal


def test_the_second_stage_is_the_last_part_of_the_budget():
    assert epochs_of_stage_2(LORT(), 220) == list(range(200, 220))
    assert epochs_of_stage_2(LORT(), 60) == list(range(55, 60))  # 60 / 11 = 5.45
    assert epochs_of_stage_2(LORT(), 3) == [2]  # one at least
    assert epochs_of_stage_2(LORT(last_part=0.5), 4) == [2, 3]
    assert epochs_of_stage_2(LORT(last_part=1), 2) == [0, 1]
    assert epochs_of_stage_2(LORT(last_part=0), 50) == []
    assert LORT().rehearsal() == LORT(last_part=0.0)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_the_run_is_classical_until_then_and_changes_the_head_alone(optimizer):
    def decaying(parameters, lr):
        return optimizer(
            parameters, lr=lr, weight_decay=0.01, **({"momentum": 0.9} if optimizer is torch.optim.SGD else {})
        )

    task = toy(
        optimizer=decaying,
        network=lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    )
    ready, plain = (make_ready(task, method, 0, toy_data()) for method in (LORT(last_part=0.5), Classical()))
    assert ready.job.epochs == 3
    for one in (ready, plain):
        one.evaluate()
        one.trainer.train_epoch()
        one.evaluate()
    stage_1 = copy.deepcopy(ready.trainer.network.state_dict())
    for name, value in plain.trainer.network.state_dict().items():
        assert value.equal(stage_1[name]), name
    for _ in range(2):
        ready.trainer.train_epoch()
        left = ready.trainer.network.state_dict()
        assert {name for name, value in stage_1.items() if not value.equal(left[name])} == {"3.weight", "3.bias"}
        ready.evaluate()  # which takes batch normalisation's statistics anew, from the same sample: the same, up to rounding
        ready.trainer.network.load_state_dict({**stage_1, **{name: left[name] for name in ("3.weight", "3.bias")}})
    assert ready.trainer.work.steps == 30
    assert ready.trainer.work.forwarded == ready.trainer.work.backpropagated == 240


def test_without_a_second_stage_it_is_classical_and_it_repeats():
    plain = run(toy(), Classical(), 0, 2, data=toy_data())
    assert_same_curves(run(toy(), LORT(last_part=0), 0, 2, data=toy_data()), plain)
    assert_same_curves(*(run(toy(), LORT(), 0, 2, data=toy_data()) for _ in range(2)))


@pytest.mark.parametrize(
    ("options", "message"), [({"smoothing": 1.0}, "smoothing was 1.0"), ({"last_part": 2}, "last_part was 2")]
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LORT(**options)

"""Mixup, its midpoint, its early end: numbers by hand, the formula's gradients, what is drawn, what the bench makes of it."""

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional as F

from bench_toys import assert_same_curves, global_random_state, toy, toy_data
from learn2mix import registry
from learn2mix.bench.methods import Classical, Learn2Mix
from learn2mix.bench.methods import midpoint_mixup as bench_midpoint
from learn2mix.bench.methods import mixup as bench_mixup
from learn2mix.bench.methods import mixup_stopped as bench_stopped
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks.base import cross_entropy
from learn2mix.bench.training import Batch
from learn2mix.transforms import MidpointMixup, Mixed, Mixup, mix

LogitAdjusted = registry.get("method", "logit-adjusted").part

METHODS = [bench_mixup.Mixup(), bench_midpoint.MidpointMixup(), bench_stopped.MixupStopped()]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def saved_and_loaded(state):
    """What a state is after a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def pair(seed=0):
    """Inputs and class ids of a batch and of partners, as arguments of mix."""
    generator = torch.Generator().manual_seed(seed)
    x, partner_x = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    y, partner_y = torch.randint(4, (2, 3), generator=generator)
    return {"x": x, "y": y, "partner_x": partner_x, "partner_y": partner_y}


# --- The mixing itself ------------------------------------------------------------------------------------------------


def test_inputs_and_targets_worked_by_hand():
    """3/4 of 4 and 1/4 of 0 are 3. Costs 10 and 2 make 8. Targets 1 and 5 make 2, and (2 - 3)^2 is 1."""
    arguments = {"partner_x": torch.tensor([[0.0], [4.0]]), "lam": 0.75}
    x = torch.tensor([[4.0], [8.0]])
    ids = mix(x, torch.tensor([0, 1]), partner_y=torch.tensor([1, 0]), **arguments)
    assert ids.x.tolist() == [[3.0], [7.0]]
    costs = torch.tensor([10.0, 2.0])
    assert ids.loss(lambda outputs, y: costs[y], ids.x).tolist() == [8.0, 4.0]
    numbers = mix(x, torch.tensor([[1.0], [5.0]]), partner_y=torch.tensor([[5.0], [5.0]]), **arguments)
    assert numbers.target.tolist() == [[2.0], [5.0]]
    assert numbers.loss(lambda outputs, y: (outputs - y) ** 2, numbers.x).tolist() == [[1.0], [4.0]]


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_the_gradient_is_that_of_the_composed_formula(seed, lam):
    """By a linear network's weights: x~ times (p - lam * onehot(y) - (1 - lam) * onehot(y')), a row at a time."""
    given_, n, k = pair(seed=seed), 3, 4
    weight = torch.randn(k, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    mixed = mix(**given_, lam=lam)
    mixed.loss(F.cross_entropy, mixed.x @ weight.T).backward()
    expected = np.zeros((k, 5))
    for row in range(n):
        inputs = lam * given_["x"][row].numpy() + (1 - lam) * given_["partner_x"][row].numpy()
        powers = np.exp(weight.detach().numpy() @ inputs)
        by_logit = powers / powers.sum()
        by_logit[given_["y"][row]] -= lam
        by_logit[given_["partner_y"][row]] -= 1 - lam
        expected += np.outer(by_logit, inputs) / n
    np.testing.assert_allclose(weight.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_two_rules_agree_where_the_docstring_says_so_and_not_elsewhere():
    """Squared errors differ by lam (1 - lam) (y - y')^2, which has no gradient; absolute ones are another loss."""
    given_, lam = pair(), 0.3
    outputs = torch.tensor([4.0, 5.0, 6.0], dtype=torch.float64, requires_grad=True)  # between the two targets
    y, partner_y = given_["y"].double(), given_["partner_y"].double() + 7
    mixed = Mixed(given_["x"], y, partner_y, lam)

    def paired(criterion):
        return lam * criterion(outputs, y) + (1 - lam) * criterion(outputs, partner_y)

    gap = lam * (1 - lam) * ((y - partner_y) ** 2).mean()
    torch.testing.assert_close(paired(F.mse_loss), mixed.loss(F.mse_loss, outputs) + gap)
    one, other = (
        torch.autograd.grad(loss, outputs)[0] for loss in (paired(F.mse_loss), mixed.loss(F.mse_loss, outputs))
    )
    torch.testing.assert_close(one, other)
    assert abs(paired(F.l1_loss) - mixed.loss(F.l1_loss, outputs)) > 0.1

    ids = mix(**given_, lam=lam)
    both = {name: F.one_hot(given_[name], 4).double() for name in ("y", "partner_y")}
    soft = mix(**{**given_, **both}, lam=lam)
    logits = ids.x[:, :4]
    torch.testing.assert_close(soft.loss(F.cross_entropy, logits), ids.loss(F.cross_entropy, logits))


def test_numbers_kept_as_integers_train_like_floats():
    given_ = pair()
    gradients = []
    for convert in (torch.Tensor.long, torch.Tensor.double):
        outputs = torch.ones(3, dtype=torch.float64, requires_grad=True)
        targets = {name: convert(given_[name]) for name in ("y", "partner_y")}
        mixed = mix(**{**given_, **targets}, lam=0.2)
        mixed.loss(lambda outputs, y: F.mse_loss(outputs, y.double()), outputs).backward()
        gradients.append(outputs.grad)
    torch.testing.assert_close(*gradients)


def test_a_weight_of_1_is_plain_training_to_the_bit():
    given_ = pair()
    mixed = mix(**given_, lam=1.0)
    assert mixed.x.equal(given_["x"])
    logits = given_["x"][:, :4]
    assert mixed.loss(F.cross_entropy, logits).equal(F.cross_entropy(logits, given_["y"]))
    beyond = logits.clone()
    beyond[torch.arange(3), given_["partner_y"]] = -math.inf  # would cost 0 * infinity
    own = torch.where(given_["y"] == given_["partner_y"], (given_["y"] + 1) % 4, given_["y"])
    assert Mixed(mixed.x, own, given_["partner_y"], 1.0).loss(F.cross_entropy, beyond).isfinite()
    numbers = {name: given_[name].double() for name in ("y", "partner_y")}
    assert mix(**{**given_, **numbers}, lam=1.0).target.equal(numbers["y"])


def test_a_metric_is_weighted_like_the_loss():
    mixed = Mixed(torch.zeros(2, 1), torch.tensor([0, 1]), torch.tensor([1, 1]), 0.75)
    right = mixed.loss(lambda outputs, y: (outputs.argmax(1) == y).float(), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert right.tolist() == [0.75, 1.0]


@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (ValueError, {"lam": 1.5}, "lam was 1.5; it must be a number, at least 0 and at most 1"),
        (TypeError, {"lam": "half"}, "lam was 'half'"),
        (TypeError, {"x": torch.zeros(3, 5, dtype=torch.uint8)}, r"x had dtype torch.uint8; .* x.float\(\) / 255"),
        (ValueError, {"y": torch.zeros(2, dtype=torch.int64)}, "x had 3 rows and y had 2; give one target an example"),
        (ValueError, {"partner_x": torch.zeros(3, 4, dtype=torch.float64)}, r"partner_x had shape \(3, 4\)"),
        (ValueError, {"partner_x": torch.zeros(3, 5)}, "partner_x had .* dtype torch.float32; it must be like x"),
        (ValueError, {"partner_y": torch.zeros(3)}, "partner_y had .* one partner an example"),
    ],
)
def test_what_cannot_be_mixed(error, change, message):
    mix(**pair(), lam=0.5)
    with pytest.raises(error, match=message):
        mix(**{**pair(), "lam": 0.5, **change})


# --- What is drawn ----------------------------------------------------------------------------------------------------


def weights_and_order(mixed):
    """From a mixed unit matrix: each row's own weight, and its partner."""
    n = len(mixed.x)
    others = mixed.x - mixed.x.diagonal().diag()
    alone = others.amax(dim=1) == 0
    return mixed.x.diagonal()[~alone], torch.where(alone, torch.arange(n), others.argmax(dim=1))


@pytest.mark.parametrize("transform", [Mixup(seed=1), Mixup(0.3, seed=1), MidpointMixup(seed=1)])
def test_a_batch_has_one_weight_and_its_partners_are_an_order_of_itself(transform):
    alone = 0
    for _ in range(200):
        mixed = transform(torch.eye(6, dtype=torch.float64), torch.arange(6))
        own, order = weights_and_order(mixed)
        assert ((own - mixed.lam).abs() < 1e-12).all()
        assert order.sort().values.equal(torch.arange(6))
        assert mixed.partner_y.equal(order)
        kept = order == torch.arange(6)
        assert mixed.x[kept].equal(torch.eye(6, dtype=torch.float64)[kept])  # its own partner, left as it is
        alone += int(kept.sum())
    assert alone / 200 == pytest.approx(1, abs=0.3)  # a random order leaves one in its place, on average


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_are_beta_distributed_and_partners_are_any(alpha):
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2a + 1)); at a = 1 all tenths are as likely."""
    mixup, x, y = Mixup(alpha, seed=3), torch.eye(5), torch.arange(5)
    batches = [mixup(x, y) for _ in range(3000)]
    lams = np.array([mixed.lam for mixed in batches])
    variance = 1 / (4 * (2 * alpha + 1))
    assert lams.mean() == pytest.approx(0.5, abs=4 * math.sqrt(variance / 3000))
    assert lams.var() == pytest.approx(variance, rel=0.08)
    if alpha == 1:
        assert chisquare(np.histogram(lams, bins=10, range=(0, 1))[0]).pvalue > 1e-3
    assert chisquare(torch.bincount(torch.stack([b.partner_y for b in batches])[:, 2], minlength=5)).pvalue > 1e-3


def test_at_the_midpoint_both_count_alike():
    mixed = MidpointMixup(seed=0)(torch.eye(4), torch.arange(4))
    assert mixed.lam == 0.5
    outputs = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    both = [F.cross_entropy(outputs, y, reduction="none") for y in (mixed.y, mixed.partner_y)]
    each = mixed.loss(lambda o, y: F.cross_entropy(o, y, reduction="none"), outputs)
    torch.testing.assert_close(each, (both[0] + both[1]) / 2)


def draws_of(transform, number, n=7):
    return [(m.lam, m.partner_y.tolist()) for m in (transform(torch.eye(n), torch.arange(n)) for _ in range(number))]


@pytest.mark.parametrize("make", [Mixup, MidpointMixup])
def test_the_seed_decides_the_draws_and_nothing_else_is_touched(make):
    before = global_random_state()
    first = draws_of(make(seed=0), 5)
    assert draws_of(make(seed=0), 5) == first
    assert draws_of(make(seed=1), 5) != first
    assert first[0] != first[1]
    assert global_random_state() == before


@given(st.integers(0, 5), st.integers(0, 2**70), st.sampled_from([Mixup, MidpointMixup]))
def test_it_goes_on_exactly_where_it_was_saved(done, seed, make):
    one, other = make(seed=seed), make(seed=seed)
    draws_of(one, done)
    other.load_state_dict(saved_and_loaded(one.state_dict()))
    assert draws_of(other, 3) == draws_of(one, 3)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (TypeError, None, r"the state was None \(NoneType\)"),
        (ValueError, {"made": 3}, r"the state held \['made'\]; it must be what state_dict\(\) returned, whole"),
        (ValueError, {"seed": 1, "made": 3}, "saved with seed 1, and this one has 0; make it with the seed"),
        (ValueError, {"seed": 0, "made": -3}, "the state's made was -3"),
    ],
)
@pytest.mark.parametrize("make", [Mixup, MidpointMixup])
def test_states_that_are_refused(make, error, state, message):
    good = make(seed=0).state_dict()
    make(seed=0).load_state_dict({**good, "made": 3})
    if state is not None and len(state) > 1:
        state = {**good, **state}
    with pytest.raises(error, match=message):
        make(seed=0).load_state_dict(state)


@pytest.mark.parametrize(
    ("error", "settings", "message"),
    [
        (ValueError, {"alpha": 0}, "alpha was 0; it must be a number, above 0; 0 would be plain training"),
        (ValueError, {"alpha": math.inf}, "alpha was inf; .* infinity midpoint Mixup"),
        (ValueError, {"alpha": math.nan}, "alpha was nan"),
        (TypeError, {"alpha": "1"}, "alpha was '1'"),
        (ValueError, {"until": -1}, "until was -1; it must be 0 or more; None never stops"),
        (TypeError, {"until": 0.5}, "until was 0.5"),
        (ValueError, {"seed": -1}, "seed was -1"),
        (TypeError, {"seed": None}, "seed was None"),
    ],
)
def test_settings_that_are_refused(error, settings, message):
    with pytest.raises(error, match=message):
        Mixup(**settings)


# --- Stopping ---------------------------------------------------------------------------------------------------------


def test_it_stops_after_the_batches_it_was_given_and_stays_stopped_when_resumed():
    x, y = torch.eye(7), torch.arange(7)
    stopping = Mixup(until=3, seed=5)
    assert draws_of(stopping, 3) == draws_of(Mixup(seed=5), 3)
    resumed = Mixup(until=3, seed=5)
    resumed.load_state_dict(saved_and_loaded(stopping.state_dict()))
    for transform in (stopping, resumed, Mixup(until=0)):
        mixed = transform(x, y)
        assert mixed.x is x
        assert mixed.lam == 1
        assert mixed.loss(F.cross_entropy, x).equal(F.cross_entropy(x, y))


# --- In the bench -----------------------------------------------------------------------------------------------------


def linear(**changes):
    return toy(network=lambda: nn.Linear(4, 3), optimizer=torch.optim.SGD, learning_rate=0.1, **changes)


@each_method
def test_a_step_is_the_formulas_step(method):
    """The draws by the library's transform, the rest by hand; what the loss and the metric were is told."""
    ready = make_ready(linear(), method, 0, toy_data())
    arm, twin = ready.trainer.arm, ready.job.network()
    assert arm.changes - {"train", "feed", "loss"} == method.changes
    seed = ready.job.seed_for("mixing")
    mixed = (MidpointMixup(seed=seed) if "midpoint" in method.name else Mixup(seed=seed))(torch.eye(8), torch.arange(8))
    rows = next(iter(make_ready(linear(), Classical(), 0, toy_data()).trainer.arm.feed.epoch()))
    batch = ready.job.train.take(rows)
    outputs = twin(mixed.lam * batch.x + (1 - mixed.lam) * batch.x[mixed.partner_y])
    pairs = [(mixed.lam, batch.y), (1 - mixed.lam, batch.y[mixed.partner_y])]
    loss = sum(weight * F.cross_entropy(outputs, y) for weight, y in pairs)
    wrong = sum(weight * (outputs.argmax(1) != y).float().mean() for weight, y in pairs)
    gradient = torch.autograd.grad(loss, twin.weight)[0]
    told = ready.trainer.train_epoch(1)
    torch.testing.assert_close(ready.trainer.network.weight, twin.weight - 0.1 * gradient)
    assert told.train_loss == pytest.approx(loss.item(), rel=1e-5)
    assert told.train_metric == pytest.approx(wrong.item(), abs=1e-6)
    assert (ready.trainer.work.forwarded, ready.trainer.work.backpropagated) == (8, 8)


@each_method
def test_it_learns_and_repeats(method):
    results = [run(toy(), method, seed, 5, data=toy_data()) for seed in (0, 0, 1)]
    assert results[0].curves["test_loss"][-1] < results[0].curves["test_loss"][0] * 0.8
    assert_same_curves(*results[:2])
    assert results[0].curves["train_loss"].tolist() != results[2].curves["train_loss"].tolist()


def test_stopped_at_once_it_is_classical_and_never_stopped_it_is_mixup():
    for until, other in ((0.0, Classical()), (1.0, bench_mixup.Mixup())):
        stopped = run(toy(), bench_stopped.MixupStopped(until=until), 0, 4, data=toy_data())
        assert_same_curves(stopped, run(toy(), other, 0, 4, data=toy_data()))
    early = run(toy(), bench_stopped.MixupStopped(until=0.5), 0, 4, data=toy_data()).curves["train_loss"]
    mixed = run(toy(), bench_mixup.Mixup(), 0, 4, data=toy_data()).curves["train_loss"]
    assert early[1:3].tolist() == mixed[1:3].tolist()  # two epochs of four, with the same draws
    assert early[3] != mixed[3]


@pytest.mark.parametrize("kind", ["regression", "reconstruction"])
def test_numbers_and_images_are_mixed_like_the_inputs(kind):
    """With a loss that tells what it was given: for images the mixed input itself."""
    examples = toy_data().train
    y = examples.x if kind == "reconstruction" else examples.x @ torch.tensor([1.0, -1.0, 0.5, 2.0])
    batch = Batch(examples.x, y, examples.groups, torch.arange(84))
    seen = {}
    transform = Mixup(seed=0)
    judge = bench_mixup.mixed_by(transform)(lambda x: seen.setdefault("x", x), batch)
    targets = judge(lambda outputs, targets: targets)
    if kind == "reconstruction":
        assert targets.equal(seen["x"])
    else:  # what is linear stays so
        torch.testing.assert_close(targets, seen["x"] @ torch.tensor([1.0, -1.0, 0.5, 2.0]))
        assert not targets.equal(y)


def test_bytes_are_mixed_exactly_as_the_floats_they_stand_for():
    images, y, seen = torch.arange(256, dtype=torch.uint8).view(8, 1, 4, 8), torch.arange(8) % 3, []
    for x in (images, images.float() / 255):
        bench_mixup.mixed_by(Mixup(seed=0))(lambda x: seen.append(x), Batch(x, y, y, y))
    assert seen[0].equal(seen[1])
    assert seen[0].dtype == torch.float32
    assert (seen[0] * 255 - (seen[0] * 255).round()).abs().max() > 0.01  # not rounded to bytes


def test_it_goes_with_another_loss_and_with_other_batches():
    """Focal losses, class weights and so on act on either half: here the shift by class shares."""
    ready = make_ready(linear(), Composed((bench_mixup.Mixup(), LogitAdjusted(), Learn2Mix())), 0, toy_data())
    batch = Batch.of(ready.job.train, next(iter(ready.trainer.arm.feed.epoch())))
    judge = ready.trainer.arm.forward(lambda x: x[:, :3], batch)
    mixed = Mixup(seed=ready.job.seed_for("mixing"))(batch.x, batch.y)
    shift = torch.tensor([44.0, 24.0, 16.0]).log()
    expected = sum(
        weight * cross_entropy(mixed.x[:, :3] + shift, y)
        for weight, y in ((mixed.lam, batch.y), (1 - mixed.lam, mixed.partner_y))
    )
    torch.testing.assert_close(judge(ready.trainer.arm.loss), expected)
    ready.trainer.train_epoch()


@each_method
def test_words_are_refused(method):
    assert method.refusal(toy()) == ""
    refusal = method.refusal(toy(name="texts", tokens=True))
    assert (
        refusal == f"{method.name} would mix numbers of words in texts: what lies between two of them is another word"
    )


@pytest.mark.parametrize("kind", ["regression", "reconstruction"])
def test_which_kinds_of_task_it_fits(kind):
    mixup, midpoint, stopped = (method.refusal(toy(kind=kind)) for method in METHODS)
    assert mixup == stopped == ""
    assert midpoint == f"midpoint-mixup is for classification, and toy is a {kind}"


def test_settings_of_the_methods_that_are_refused():
    for method in (bench_mixup.Mixup, bench_stopped.MixupStopped):
        with pytest.raises(ValueError, match=r"alpha was 0.0"):
            method(alpha=0.0)
    with pytest.raises(ValueError, match=r"until was 1.5; .* it is a part of the budget"):
        bench_stopped.MixupStopped(until=1.5)


@each_method
def test_settings_in_use_are_told(method):
    fields = {field.name: field.default for field in dataclasses.fields(method)}
    assert method.settings(toy()) == fields
    assert set(method.search) <= set(fields)

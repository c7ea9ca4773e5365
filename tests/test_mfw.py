"""Major feature weakening: the formula by hand, who is weakened and by whom, and plain training where nobody is."""

import copy
import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bench_toys import SIZES, assert_same_curves, global_random_state, toy, toy_data
from learn2mix import registry
from learn2mix.bench.methods.mfw import MFW
from learn2mix.bench.runner import make_ready, run
from learn2mix.diagnostics import ClassRecorder
from learn2mix.transforms import FeatureWeakening, weaken_majors
from learn2mix.transforms.mfw import Weakened


def network(seed=0, inputs=3, classes=3, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, classes)).to(dtype)


def batch(n=12, classes=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator, dtype=dtype), torch.randint(classes, (n,), generator=generator)


# --- The schedule -----------------------------------------------------------------------------------------------------


def test_the_schedule_by_hand():
    """Strength 0.6 over sizes 5, 10, 30: 25 above the smallest loses all of it, 5 above a fifth."""
    kept = weaken_majors(torch.tensor([30.0, 10.0, 5.0], dtype=torch.float64), 0.6)
    torch.testing.assert_close(kept, torch.tensor([0.4, 0.88, 1.0], dtype=torch.float64))
    assert weaken_majors(torch.tensor([7.0, 7.0]), 0.9).tolist() == [1, 1]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=20), st.floats(0, 1))
def test_the_larger_the_class_the_weaker(counts, strength):
    kept = weaken_majors(torch.tensor(counts, dtype=torch.float64), strength).tolist()
    assert kept[counts.index(min(counts))] == 1
    if max(counts) > min(counts):
        assert kept[counts.index(max(counts))] == pytest.approx(1 - strength, abs=1e-12)
    by_size = [lam for _, lam in sorted(zip(counts, kept, strict=True))]
    assert by_size == sorted(by_size, reverse=True)


# --- Features, by hand and against the composed formula ---------------------------------------------------------------


def test_features_by_hand():
    """Rows 4, 8, 0 keep 1/2, 1 and 3/4, with partners 2, 0 and 1: (4 + 0) / 2, 8, and 0 * 3/4 + 8 / 4."""
    drawn = Weakened(torch.tensor([0, 2, 1]), torch.tensor([0.5, 1.0, 0.75]), torch.tensor([2, 0, 1]))
    assert drawn.features(torch.tensor([[4.0], [8.0], [0.0]])).tolist() == [[2], [8], [2]]
    wide = torch.tensor([4.0, 8.0, 0.0]).view(3, 1, 1).expand(3, 2, 2)  # as of an image
    assert drawn.features(wide)[:, 1, 1].tolist() == [2, 8, 2]


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("distribution", ["fixed", "uniform"])
@pytest.mark.parametrize("labels", ["keep", "mix"])
def test_logits_and_gradients_are_those_of_the_composed_formula(side, distribution, labels):
    """The reference writes the network out, mixes row by row, and lets autograd do the rest."""
    net, (x, y) = network(), batch()
    weaken = FeatureWeakening(
        net, [30, 10, 5], strength=0.5, layer="1", side=side, distribution=distribution, labels=labels, seed=3
    )
    cut = 1 if side == "input" else 2  # what goes into Tanh, or comes out of it
    with weaken(y) as drawn:
        outputs = net(x)
    losses = drawn.loss(lambda outputs, y: F.cross_entropy(outputs, y, reduction="none"), outputs)
    losses.mean().backward()

    other = copy.deepcopy(net)
    other.zero_grad()
    h = other[:cut](x)
    lam, partner = drawn.kept.tolist(), drawn.partners.tolist()
    rows = [lam[i] * h[i] + (1 - lam[i]) * h[partner[i]] for i in range(len(y))]
    log_p = other[cut:](torch.stack(rows)).log_softmax(dim=1)
    expected = [-log_p[i, y[i]] for i in range(len(y))]
    if labels == "mix":
        expected = [lam[i] * expected[i] - (1 - lam[i]) * log_p[i, y[partner[i]]] for i in range(len(y))]
    torch.testing.assert_close(losses, torch.stack(expected))
    torch.stack(expected).mean().backward()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_the_default_layer_is_the_input_of_the_last_linear():
    net, (x, y) = network(), batch()
    with FeatureWeakening(net, [30, 10, 5], seed=1)(y) as drawn:
        logits = net(x)
    torch.testing.assert_close(logits, net[2](drawn.features(net[:2](x))))
    with FeatureWeakening(net[2], [30, 10, 5], seed=1)(y):  # the layer itself will do
        assert net(x).equal(logits)


def test_before_and_after_a_linear_layer_it_is_the_same():
    net, (x, y) = network(), batch()
    logits = []
    for side in ("input", "output"):
        with FeatureWeakening(net, [30, 10, 5], side=side, seed=2)(y):
            logits.append(net(x))
    torch.testing.assert_close(*logits)


# --- Who is weakened, by whom -----------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 10**6))
def test_minors_are_untouched_and_majors_weakened_exactly_by_the_schedule(n, strength, seed):
    """The features are the rows' numbers, as unit vectors: what is kept and what comes from whom can be read off."""
    y = torch.randint(3, (n,), generator=torch.Generator().manual_seed(seed))
    layer = nn.Identity()
    kept = weaken_majors(torch.tensor([60.0, 20.0, 10.0], dtype=torch.float64), strength)
    with FeatureWeakening(layer, [60, 20, 10], strength=strength, layer=layer, seed=seed)(y) as drawn:
        mixed = layer(torch.eye(n, dtype=torch.float64))
    assert sorted(drawn.partners.tolist()) == list(range(n))
    for i, partner in enumerate(drawn.partners.tolist()):
        own = kept[y[i]].item()
        expected = torch.zeros(n, dtype=torch.float64)
        expected[i] += own
        expected[partner] += 1 - own
        torch.testing.assert_close(mixed[i], expected)
        if y[i] == 2:
            assert mixed[i].equal(torch.eye(n, dtype=torch.float64)[i])


def test_partners_come_from_the_whole_batch():
    """Of a batch of 8 majors and 2 minors, all ten are partners of a major; each as often, within 5 standard deviations."""
    y = torch.tensor([0] * 8 + [1] * 2)
    weaken = FeatureWeakening(network(classes=2), [80, 20], seed=0)
    times, counts = 2000, torch.zeros(10)
    for _ in range(times):
        counts += torch.bincount(weaken._draw(y).partners[:1], minlength=10)
    assert (counts - times / 10).abs().max() < 5 * math.sqrt(times * 0.1 * 0.9)


def test_uniform_lambdas_lie_between_the_schedules_and_1():
    """Their mean is half-way: of 20000 draws in [0.4, 1] 0.7, with standard deviation 0.6 / sqrt(12 * 20000) = 0.0012."""
    weaken = FeatureWeakening(network(), [30, 10, 5], strength=0.6, distribution="uniform", seed=0)
    y = torch.zeros(20000, dtype=torch.int64)
    y[0] = 2
    kept = weaken._draw(y).kept
    assert kept[0] == 1
    assert 0.4 <= kept.min() < 0.401
    assert 0.999 < kept[1:].max() < 1
    assert abs(kept[1:].mean().item() - 0.7) < 0.006


def test_an_infinite_partner_does_not_reach_what_is_not_weakened():
    drawn = Weakened(torch.tensor([0, 1]), torch.tensor([0.5, 1.0]), torch.tensor([1, 0]))
    features = torch.tensor([[math.inf], [2.0]], requires_grad=True)
    mixed = drawn.features(features)
    assert mixed[1].item() == 2
    mixed[1].sum().backward()
    assert features.grad.tolist() == [[0], [1]]


def test_a_schedule_of_ones_own():
    """Half of every class with more than 8 examples."""
    kept = FeatureWeakening(
        network(), [30, 10, 5], strength=0.5, schedule=lambda counts, strength: 1 - strength * (counts > 8).double()
    ).kept
    assert kept.tolist() == [0.5, 0.5, 1]


# --- What is left as it was -------------------------------------------------------------------------------------------


def trained(weaken_by, sizes=(30, 10, 5), dtype=torch.float32):
    net = network(dtype=dtype)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    weaken = None if weaken_by is None else FeatureWeakening(net, sizes, strength=weaken_by)
    for step in range(15):
        x, y = batch(seed=step, dtype=dtype)
        optimizer.zero_grad()
        if weaken is None:
            logits = net(x)
        else:
            with weaken(y):
                logits = net(x)
        F.cross_entropy(logits, y).backward()
        optimizer.step()
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_strength_0_and_equal_classes_are_plain_training_bit_for_bit(dtype):
    plain = trained(None, dtype=dtype).state_dict()
    for net in (trained(0.0, dtype=dtype), trained(0.9, sizes=(10, 10, 10), dtype=dtype)):
        for name, value in net.state_dict().items():
            assert value.equal(plain[name]), name
    assert not trained(0.5, dtype=dtype).state_dict()["0.weight"].equal(plain["0.weight"])


def hooks_of(net):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()]


def test_outside_the_block_the_network_is_as_it_was():
    net, (x, y) = network(), batch()
    plain, state, random_state = net(x), copy.deepcopy(net.state_dict()), global_random_state()
    weaken = FeatureWeakening(net, [30, 10, 5], seed=0)
    with weaken(y):
        assert not net(x).equal(plain)
    assert net(x).equal(plain)
    assert net.state_dict().keys() == state.keys()
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    assert sum(hooks_of(net)) == 0
    assert global_random_state() == random_state


def test_after_an_error_too():
    net, (x, y) = network(), batch()
    weaken = FeatureWeakening(net, [30, 10, 5])
    with pytest.raises(RuntimeError, match="mine"), weaken(y):
        raise RuntimeError("mine")
    with pytest.raises(ValueError, match=r"the features had shape \(6, 5\) for 12 labels"), weaken(y):
        net(x[:6])
    assert sum(hooks_of(net)) == 0


def test_activation_checkpointing_sees_the_same_draws_again():
    """The layer is run a second time within backward, which the block holds too."""
    net, (x, y) = network(), batch()
    gradients = []
    for checkpointed in (False, True):
        weaken = FeatureWeakening(net, [30, 10, 5], layer="1", seed=5)
        net.zero_grad()
        with weaken(y):
            logits = checkpoint(net, x, use_reentrant=False) if checkpointed else net(x)
            F.cross_entropy(logits, y).backward()
        gradients.append(net[0].weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_no_value_is_looked_at():
    """On the meta device there are none: a step that waited for one would raise."""
    net = network().to("meta")
    x, y = torch.empty(8, 3, dtype=torch.float64, device="meta"), torch.empty(8, dtype=torch.int64, device="meta")
    with FeatureWeakening(net, [30, 10, 5], distribution="uniform")(y):
        F.cross_entropy(net(x), y).backward()
    assert net[0].weight.grad.shape == (5, 3)


# --- Randomness -------------------------------------------------------------------------------------------------------


def draws(weaken, times=4):
    y = batch()[1]
    drawn = [weaken._draw(y) for _ in range(times)]
    return torch.stack([one.partners for one in drawn]), torch.stack([one.kept for one in drawn])


def same(one, other):
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


def test_the_seed_decides_the_draws():
    first, again, other = (
        draws(FeatureWeakening(network(), [30, 10, 5], distribution="uniform", seed=seed)) for seed in (0, 0, 1)
    )
    assert same(first, again)
    assert not first[0].equal(other[0])
    assert not first[1].equal(other[1])
    assert not first[0][0].equal(first[0][1])


def test_a_saved_state_goes_on_with_the_very_same_draws():
    weaken = FeatureWeakening(network(), [30, 10, 5], distribution="uniform", seed=0)
    draws(weaken)
    file = io.BytesIO()
    torch.save(weaken.state_dict(), file)
    expected = draws(weaken)
    file.seek(0)
    other = FeatureWeakening(network(), [30, 10, 5], distribution="uniform", seed=0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(draws(other), expected)
    with pytest.raises(ValueError, match="what state_dict\\(\\) returned"):
        other.load_state_dict({"seed": 0})


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"strength": 1.1}, "strength was 1.1; it must be a number, at least 0 and at most 1"),
        (TypeError, {"strength": "1"}, r"strength was '1' \(str\)"),
        (ValueError, {"counts": [3, 0, 1]}, "counts was .* merge or drop a class without examples"),
        (
            ValueError,
            {"counts": 3},
            "counts was 3.0; it must hold the number of training examples of each class, above 0",
        ),
        (ValueError, {"counts": [3, math.nan, 1]}, "counts was"),
        (ValueError, {"labels": "both"}, "labels was 'both'; it must be one of 'keep', 'mix'"),
        (ValueError, {"distribution": "beta"}, "distribution was 'beta'; it must be one of 'fixed', 'uniform'"),
        (ValueError, {"side": "above"}, "side was 'above'; it must be 'input' or 'output'"),
        (ValueError, {"layer": "7"}, r"layer was '7'; the network has: \['0', '1', '2'\]"),
        (ValueError, {"layer": nn.Linear(2, 2)}, "it must be a module of the network"),
        (TypeError, {"layer": 2}, r"layer was 2 \(int\)"),
        (TypeError, {"network": None}, r"network was None \(NoneType\); it must be an nn.Module"),
        (TypeError, {"schedule": 3}, "schedule was 3; it must be a function"),
        (ValueError, {"seed": -1}, "seed was -1; it must be 0 or more"),
        (ValueError, {"schedule": lambda counts, strength: counts}, r"schedule gave \[3.0, 2.0, 1.0\] .* in \[0, 1\]"),
        (ValueError, {"schedule": lambda counts, strength: counts[:1] / 9}, "schedule gave .* for 3 classes"),
    ],
)
def test_refusals(error, arguments, message):
    given = {"network": network(), "counts": [3, 2, 1], **arguments}
    with pytest.raises(error, match=message):
        FeatureWeakening(**given)


@pytest.mark.parametrize(
    ("error", "y", "message"),
    [
        (TypeError, [0, 1], r"y was \[0, 1\]; it must be a tensor"),
        (TypeError, torch.zeros(12), "y was .* integers"),
        (ValueError, torch.zeros(12, 2, dtype=torch.int64), r"y had shape \(12, 2\); it must be \(n,\)"),
        (ValueError, torch.full((12,), 3), "counts of 3 classes it must be from 0 to 2"),
        (ValueError, torch.full((12,), -1), "counts of 3 classes it must be from 0 to 2"),
    ],
)
def test_labels_that_are_none(error, y, message):
    net = network()
    with pytest.raises(error, match=message), FeatureWeakening(net, [3, 2, 1])(y):
        net(batch()[0])


def test_a_class_may_be_of_a_type_that_does_not_hold_their_number():
    """There are 256 classes, and no byte is 256."""
    net = nn.Linear(2, 256)
    with FeatureWeakening(net, [1] * 256)(torch.tensor([0, 255], dtype=torch.uint8)) as drawn:
        net(torch.zeros(2, 2))
    assert drawn.kept.tolist() == [1.0, 1.0]


def test_where_labels_are_mixed_the_criterion_gives_one_number_an_example():
    net, (x, y) = network(), batch()
    with FeatureWeakening(net, [3, 2, 1], labels="mix")(y) as drawn:
        logits = net(x)
    with pytest.raises(ValueError, match=r'gave shape \(\); .* make it with reduction="none"'):
        drawn.loss(F.cross_entropy, logits)


def test_a_layer_that_is_not_called_or_gives_no_tensor_is_told():
    net, (x, y) = network(), batch()
    with pytest.raises(ValueError, match="was not called inside the block"), FeatureWeakening(net, [3, 2, 1])(y):
        net[:2](x)
    lstm = nn.LSTM(3, 4, batch_first=True).double()
    with (
        pytest.raises(TypeError, match="the output of LSTM was tuple"),
        FeatureWeakening(lstm, [3, 2, 1], layer=lstm, side="output")(y),
    ):
        lstm(x[:, None])
    with pytest.raises(ValueError, match=r"has no nn.Linear"):
        FeatureWeakening(lstm, [3, 2, 1])


# --- The claim, in miniature ------------------------------------------------------------------------------------------


def clouds(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(2), torch.tensor(sizes))
    return 2 * torch.eye(2, 6)[y] + torch.randn(len(y), 6, generator=generator), y


def path(strength, seed, epochs=8):
    """Each epoch's training accuracy and feature gradient of the minor class, on 400 : 20."""
    (x, y), generator = clouds((400, 20), seed), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    recorder, weaken, readings = ClassRecorder(net, 2), FeatureWeakening(net, (400, 20), strength=strength), []
    for _ in range(epochs):
        for rows in torch.randperm(420, generator=generator).split(60):
            optimizer.zero_grad()
            with recorder(y[rows]):
                with weaken(y[rows]):
                    logits = net(x[rows])
                F.cross_entropy(logits, y[rows]).backward()
            optimizer.step()
        readings.append(recorder.read())
        recorder.reset()
    return readings


def test_weakening_the_majors_lets_the_minors_be_fitted_sooner():
    """The claim of the abstract in miniature: more equal progress. Means over epochs 4 to 8 of three seeds."""
    plain, weakened = ([r for seed in range(3) for r in path(strength, seed)[3:8]] for strength in (0.0, 0.5))
    for before, after in zip(plain, weakened, strict=True):
        assert before.accuracy[0] > 0.97
        assert after.accuracy[0] > 0.97
    assert sum(r.accuracy[1] for r in weakened) / 15 > sum(r.accuracy[1] for r in plain) / 15 + 0.05
    assert sum(r.feature_gradient[1] for r in weakened) < sum(r.feature_gradient[1] for r in plain)


# --- In the bench -----------------------------------------------------------------------------------------------------


def test_the_method_trains_as_the_formula_says():
    """One step by hand from the shared initial weights: 44, 24 and 16 examples, so lambda is 1/2, 1 - 8/56 and 1."""
    ready = make_ready(toy(optimizer=torch.optim.SGD), MFW(), 0, toy_data())
    job, trainer = ready.job, ready.trainer
    rows = next(iter(job.trainer(MFW().prepare(job)).arm.feed.epoch()))
    x, y, net = job.train.x[rows], job.train.y[rows], job.network()
    weaken = FeatureWeakening(net, SIZES, seed=job.seed_for("weakening"))
    torch.testing.assert_close(weaken.kept, torch.tensor([1 / 2, 6 / 7, 1], dtype=torch.float64))
    with weaken(y):
        F.cross_entropy(net(x), y).backward()
    trainer.train_epoch(1)
    for mine, theirs in zip(net.parameters(), trainer.network.parameters(), strict=True):
        torch.testing.assert_close(mine - 0.02 * mine.grad, theirs)


def test_without_strength_the_method_is_classical_training():
    none = run(toy(), MFW(strength=0.0), 0, data=toy_data())
    plain = run(toy(), "classical", 0, data=toy_data())
    assert_same_curves(none, plain)
    weakened = run(toy(), MFW(), 0, data=toy_data())
    assert weakened.curves["test_loss"][-1] != plain.curves["test_loss"][-1]
    assert_same_curves(weakened, run(toy(), MFW(), 0, data=toy_data()))


@pytest.mark.parametrize("other", ["logit-adjusted", "focal", "learn2mix", "balanced", "group-dro", "importance"])
def test_the_method_composes(other):
    found = run(toy(), f"{other}+mfw", 0, 2, data=toy_data())
    assert found.settings["method_settings"]["mfw.strength"] == 0.5
    alone = run(toy(), other, 0, 2, data=toy_data())
    assert found.curves["test_loss"][-1] != alone.curves["test_loss"][-1]


def test_settings_reach_the_transform():
    changes = [
        {},
        {"strength": 0.25},
        {"labels": "mix"},
        {"distribution": "uniform"},
        {"layer": "0"},
    ]
    ends = [run(toy(), MFW(**change), 0, 1, data=toy_data()).curves["test_loss"][-1] for change in changes]
    assert len(set(ends)) == len(ends)
    for same in ({"layer": "2"}, {"layer": "1", "side": "output"}):  # the default, by its name and from the other side
        assert run(toy(), MFW(**same), 0, 1, data=toy_data()).curves["test_loss"][-1] == ends[0]


def test_it_is_registered():
    assert registry.get("transform", "mfw").part is FeatureWeakening
    assert registry.get("method", "mfw").part is MFW

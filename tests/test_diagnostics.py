"""Training accuracy and feature gradients by class: by hand, against autograd, and without a trace on training."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bench_toys import assert_same_curves, global_random_state, toy, toy_data
from learn2mix import registry
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods.mfw import MFW
from learn2mix.bench.runner import make_ready, run, settings_of
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import MSE
from learn2mix.diagnostics import ClassRecorder
from learn2mix.hooks import find_layer


def network(seed=0, dtype=torch.float64, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.0), nn.Linear(6, classes)).to(dtype)


def batch(n, seed=0, classes=3, dtype=torch.float64):
    """Inputs, and labels 0, 1, 2, 0, ... from a place on that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=generator, dtype=dtype), (torch.arange(n) + seed) % classes


def record(recorder, net, x, y, groups=None):
    with recorder(y, groups):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
    return loss


# --- Numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_worked_by_hand():
    """Features 0 and equal biases: p = 1/3 each, so the gradient of an example is W^T (1/3, 1/3, 1/3) - W_y.

    With rows (3, 0), (-1, 0), (0, 4) the first is (2/3, 4/3): y = 0 leaves (-7/3, 4/3), y = 1 (5/3, 4/3), y = 2 (2/3,
    -8/3). The largest of three equal logits is taken to be the first.
    """
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 3, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[3.0, 0], [-1, 0], [0, 4]]))
    recorder = ClassRecorder(net, 4)
    record(recorder, net, torch.zeros(5, 1), torch.tensor([0, 1, 1, 2, 0]))
    reading = recorder.read()
    assert reading.counts.tolist() == [2, 2, 1, 0]
    np.testing.assert_array_equal(reading.accuracy, [1, 0, 0, math.nan])
    expected = [math.sqrt(65) / 3, math.sqrt(41) / 3, math.sqrt(68) / 3, math.nan]
    np.testing.assert_allclose(reading.feature_gradient, expected, rtol=1e-6)


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([("3", "input"), ("1", "output"), ("0", "output")]),
)
def test_readings_are_those_of_one_example_at_a_time(sizes, where):
    """Whatever the batches are: the reference sends every example through alone and takes its gradient by autograd."""
    net, (layer, side) = network(), where
    recorder = ClassRecorder(net, 3, layer=layer, side=side)
    accuracy, norms = [[] for _ in range(3)], [[] for _ in range(3)]
    cut = int(layer) + (side == "output")
    for number, n in enumerate(sizes):
        x, y = batch(n, seed=number)
        record(recorder, net, x, y)
        for i, c in enumerate(y.tolist()):
            features = net[:cut](x[i : i + 1]).detach().requires_grad_()
            logits = net[cut:](features)
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y[i : i + 1]), features)
            norms[c].append(gradient.norm().item())
            accuracy[c].append(logits[0].argmax().item() == c)
    reading = recorder.read()
    seen = [c for c in range(3) if norms[c]]
    assert reading.counts.tolist() == [len(values) for values in norms]
    np.testing.assert_allclose(reading.accuracy[seen], [np.mean(accuracy[c]) for c in seen])
    np.testing.assert_allclose(reading.feature_gradient[seen], [np.mean(norms[c]) for c in seen])
    assert np.isnan(reading.accuracy).sum() == np.isnan(reading.feature_gradient).sum() == 3 - len(seen)


def test_features_of_any_shape():
    """The norm is over all of an example's features; of (n, 2, 3) as of (n, 6)."""
    flat, wide = network(), network()
    wide = nn.Sequential(*wide[:2], nn.Unflatten(1, (2, 3)), nn.Flatten(), wide[3])
    x, y = batch(9)
    one, other = ClassRecorder(flat, 3), ClassRecorder(wide, 3, layer="2", side="output")
    record(one, flat, x, y)
    record(other, wide, x, y)
    np.testing.assert_allclose(other.read().feature_gradient, one.read().feature_gradient)


def test_groups_need_not_be_the_labels():
    net, (x, y) = network(), batch(8)
    recorder, by_class = ClassRecorder(net, 2), ClassRecorder(net, 3)
    groups = torch.tensor([0, 1] * 4)
    record(recorder, net, x, y, groups)
    record(by_class, net, x, y)
    reading, other = recorder.read(), by_class.read()
    assert reading.counts.tolist() == [4, 4]
    correct = net(x).argmax(dim=1) == y
    np.testing.assert_allclose(reading.accuracy, [correct[0::2].double().mean(), correct[1::2].double().mean()])
    assert reading.feature_gradient.mean() == pytest.approx(other.counts @ other.feature_gradient / 8)


def test_half_precision_is_summed_in_float64():
    """300 examples a class: in bfloat16 counting would end at 256."""
    net = network(dtype=torch.bfloat16)
    x, y = batch(900, dtype=torch.bfloat16)
    recorder = ClassRecorder(net, 3)
    record(recorder, net, x, y)
    exact = ClassRecorder(net.double(), 3)
    record(exact, net, x.double(), y)
    assert recorder.read().counts.tolist() == torch.bincount(y).tolist()
    np.testing.assert_allclose(recorder.read().feature_gradient, exact.read().feature_gradient, rtol=0.02)


# --- Epochs, and going on ---------------------------------------------------------------------------------------------


def test_reading_changes_nothing_and_resetting_starts_anew():
    net, (x, y) = network(), batch(8)
    recorder = ClassRecorder(net, 3)
    assert np.isnan(recorder.read().accuracy).all()
    record(recorder, net, x, y)
    first = recorder.read()
    assert recorder.read().counts.tolist() == first.counts.tolist() == torch.bincount(y, minlength=3).tolist()
    recorder.reset()
    assert not recorder.read().counts.any()
    assert first.counts.any()  # a reading stays what it was
    record(recorder, net, x, y)
    assert recorder.read().feature_gradient.tolist() == first.feature_gradient.tolist()


def test_a_saved_state_goes_on_within_the_epoch():
    net, (x, y) = network(), batch(8)
    recorder, other = ClassRecorder(net, 3), ClassRecorder(net, 3)
    record(recorder, net, x, y)
    file = io.BytesIO()
    torch.save(recorder.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for one in (recorder, other):
        record(one, net, *batch(5, seed=1))
    for name in ("counts", "accuracy", "feature_gradient"):
        np.testing.assert_array_equal(getattr(other.read(), name), getattr(recorder.read(), name))
    with pytest.raises(ValueError, match="a recorder of 2 groups"):
        ClassRecorder(net, 2).load_state_dict(recorder.state_dict())


def test_forward_passes_without_a_gradient_are_not_counted():
    """As of a method that looks at a batch before it trains on it."""
    net, (x, y) = network(), batch(8)
    recorder, plain = ClassRecorder(net, 3), ClassRecorder(net, 3)
    record(plain, net, x, y)
    with recorder(y):
        with torch.no_grad():
            net(torch.cat([x, x]))
        F.cross_entropy(net(x), y).backward()
    assert recorder.read().counts.tolist() == plain.read().counts.tolist()
    assert recorder.read().accuracy.tolist() == plain.read().accuracy.tolist()


def test_backward_may_come_after_the_block():
    net, (x, y) = network(), batch(8)
    recorder, plain = ClassRecorder(net, 3), ClassRecorder(net, 3)
    record(plain, net, x, y)
    with recorder(y):
        loss = F.cross_entropy(net(x), y)
    assert np.isnan(recorder.read().feature_gradient).all()
    loss.backward()
    assert recorder.read().feature_gradient.tolist() == plain.read().feature_gradient.tolist()


# --- No trace ---------------------------------------------------------------------------------------------------------


def hooks_of(net):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_training_is_the_same_bit_for_bit(dropout):
    ends = []
    for recorded in (False, True):
        net = network(dtype=torch.float32)
        net[2].p = dropout
        optimizer, recorder = torch.optim.Adam(net.parameters(), lr=0.05), ClassRecorder(net, 3)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for step in range(10):
                x, y = batch(12, seed=step, dtype=torch.float32)
                optimizer.zero_grad()
                if recorded:
                    record(recorder, net, x, y)
                else:
                    F.cross_entropy(net(x), y).backward()
                optimizer.step()
        ends.append(copy.deepcopy(net.state_dict()))
        assert sum(hooks_of(net)) == 0
    assert ends[0].keys() == ends[1].keys()
    assert all(value.equal(ends[1][name]) for name, value in ends[0].items())


def test_generators_are_left_alone():
    net, (x, y) = network(), batch(8)
    before = global_random_state()
    record(ClassRecorder(net, 3), net, x, y)
    assert global_random_state() == before


def test_hooks_are_gone_after_an_error():
    net, (_, y) = network(), batch(8)
    with pytest.raises(RuntimeError, match="mine"), ClassRecorder(net, 3)(y):
        raise RuntimeError("mine")
    assert sum(hooks_of(net)) == 0


def test_no_value_is_looked_at_before_reading():
    """On the meta device there are none: a step that waited for one would raise."""
    net = network().to("meta")
    recorder = ClassRecorder(net, 3)
    x, y = torch.empty(8, 4, dtype=torch.float64, device="meta"), torch.empty(8, dtype=torch.int64, device="meta")
    record(recorder, net, x, y)
    recorder.reset()
    with pytest.raises(NotImplementedError, match="meta"):
        recorder.read()


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_groups_outside_the_range_are_told_when_read():
    net, (x, y) = network(), batch(8)
    for stray in (3, -1):
        recorder = ClassRecorder(net, 3)
        record(recorder, net, x, y, torch.tensor([0, 1, 2, 0, 0, 0, stray, stray]))
        with pytest.raises(ValueError, match="2 examples had a group outside 0 to 2"):
            recorder.read()


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"num_groups": 0}, "num_groups was 0; it must be 1 or more"),
        (TypeError, {"num_groups": 2.5}, "num_groups was 2.5"),
        (TypeError, {"network": None}, r"network was None \(NoneType\); it must be an nn.Module"),
        (ValueError, {"side": "top"}, "side was 'top'"),
        (ValueError, {"layer": "head"}, r"layer was 'head'; the network has: \['0', '1', '2', '3'\]"),
    ],
)
def test_recorders_that_are_none(error, arguments, message):
    with pytest.raises(error, match=message):
        ClassRecorder(**{"network": network(), "num_groups": 3, **arguments})


@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (ValueError, {"layer": "0"}, "the features have no gradient, no parameter is below them; choose a later layer"),
        (ValueError, {"y": torch.zeros(8, 1, dtype=torch.int64)}, r"labels had shape \(8, 1\) .* both must be \(n,\)"),
        (ValueError, {"groups": torch.zeros(7, dtype=torch.int64)}, r"groups \(7,\); both must be \(n,\)"),
        (ValueError, {"y": torch.zeros(7, dtype=torch.int64)}, r"the features had shape \(8, 6\) for 7 labels"),
        (
            ValueError,
            {"net": lambda net: nn.Sequential(*net, nn.Flatten(0))},
            r"the network gave shape \(24,\) for 8 labels",
        ),
        (ValueError, {"net": nn.Sequential, "call": lambda net, x: x.sum()}, "was not called inside the block"),
    ],
)
def test_batches_that_are_none(error, change, message):
    net, (x, y) = network(), batch(8)
    net = change.get("net", lambda net: net)(net)
    recorder = ClassRecorder(net, 3, layer=change.get("layer"))
    with pytest.raises(error, match=message), recorder(change.get("y", y), change.get("groups")):
        change.get("call", lambda net, x: net(x))(net, x)


def test_layers_are_found_by_name_by_themselves_or_as_the_last_linear():
    net = network()
    assert find_layer(net) is find_layer(net, "3") is find_layer(net, net[3]) is net[3]
    assert find_layer(net[:2]) is net[0]


# --- The diagnosis, in miniature --------------------------------------------------------------------------------------


def diagnosed(sizes, seed, epochs=8):
    """Plain training on two clouds: a reading an epoch."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(2), torch.tensor(sizes))
    x = 2 * torch.eye(2, 4)[y] + torch.randn(len(y), 4, generator=generator)
    net = network(seed, dtype=torch.float32, classes=2)
    optimizer, recorder, readings = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), ClassRecorder(net, 2), []
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=generator).split(60):
            optimizer.zero_grad()
            record(recorder, net, x[rows], y[rows])
            optimizer.step()
        readings.append(recorder.read())
        recorder.reset()
    return readings


@pytest.mark.parametrize("seed", range(2))
def test_plain_training_underfits_the_minors_first_and_then_pushes_their_features_harder(seed):
    """The diagnosis of the abstract, on 400 examples of one class and 20 of another; with 210 of each there is none."""
    _, early, _, *late = diagnosed((400, 20), seed)
    assert early.accuracy[0] > 0.99
    assert early.accuracy[1] < 0.25
    assert late[-1].accuracy[1] > early.accuracy[1] + 0.3
    assert all(reading.feature_gradient[1] > 5 * reading.feature_gradient[0] for reading in late)
    for even in diagnosed((210, 210), seed)[1:]:
        assert abs(even.accuracy[1] - even.accuracy[0]) < 0.1
        assert 0.5 < even.feature_gradient[1] / even.feature_gradient[0] < 2


# --- In the bench -----------------------------------------------------------------------------------------------------

OWN = {"train_group_accuracy", "feature_gradient"}
METHODS = [e.name for e in registry.entries("method") if "classification" in e.part.kinds]


@pytest.mark.parametrize("name", METHODS)
def test_a_diagnosed_run_trains_just_the_same(name):
    method = find_method(name).rehearsal()
    plain = run(toy(), method, 0, 1, data=toy_data())
    diagnosed = run(toy(), method, 0, 1, data=toy_data(), diagnose=True)
    assert diagnosed.curves.keys() - plain.curves.keys() == OWN
    others = {column: values for column, values in diagnosed.curves.items() if column not in OWN}
    assert_same_curves(plain, type(plain)({}, others))
    for column in OWN:
        values = diagnosed.curves[column]
        assert values.shape == (2, 3)
        assert values.dtype == np.float32
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1:]).all()


@pytest.mark.parametrize("method", ["classical", "learn2mix", "importance", MFW()])
def test_accuracies_by_class_make_up_the_training_error(method):
    curves = run(toy(), method, 0, 3, data=toy_data(), diagnose=True).curves
    accuracy = (curves["proportions"] * curves["train_group_accuracy"])[1:].sum(axis=1)
    np.testing.assert_allclose(1 - accuracy, curves["train_metric"][1:], atol=1e-6)


def test_feature_gradients_of_a_first_step_against_autograd():
    """One batch of all 84 examples, at learning rate 0; the reference sends one example through at a time."""
    task = toy(learning_rate=0.0, optimizer=torch.optim.SGD, batch_size=84)
    curves = run(task, "classical", 0, 1, data=toy_data(), diagnose=True).curves
    job = make_ready(task, find_method("classical"), 0, toy_data()).job
    net, norms = job.network(), [[] for _ in range(3)]
    for x, c in zip(job.train.x, job.train.y, strict=True):
        features = net[:2](x[None]).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net[2:](features), c[None]), features)
        norms[int(c)].append(gradient.norm().item())
    np.testing.assert_allclose(curves["feature_gradient"][1], [np.mean(values) for values in norms], rtol=1e-5)


def test_a_diagnosed_run_is_stored_and_packed_beside_the_plain_one(tmp_path):
    runs = [run(toy(), "classical", 0, 2, data=toy_data(), diagnose=diagnose) for diagnose in (False, True)]
    assert runs[0].settings == settings_of(toy(), find_method("classical"), 0, 2, fingerprint=toy_data().fingerprint)
    assert runs[1].settings == {**runs[0].settings, "diagnose": True}
    store = Store(tmp_path)
    for made in runs:
        store.put(made)
    for _ in ("single files", "packed"):
        for made in runs:
            found = store.get(made.settings)
            assert_same_curves(made, found)
        assert store.pack() == 2


def test_what_has_no_classes_is_refused():
    with pytest.raises(ValueError, match="toy is a regression; what is diagnosed is classes"):
        run(toy(kind="regression", metric=MSE), "classical", data=toy_data(), diagnose=True)

"""C-Mixup: partners against the exact probabilities, how near they are, what they cost, what the bench makes of it."""

import io
import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional as F

from bench_toys import assert_same_curves, blobs, global_random_state, toy
from learn2mix.bench.data import Data, Examples
from learn2mix.bench.methods import Learn2Mix, Natural, Oversample
from learn2mix.bench.methods.c_mixup import CMixup as Method
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks.base import MSE, squared_error
from learn2mix.bench.training import Batch
from learn2mix.transforms import CMixup, Mixup
from learn2mix.transforms import c_mixup as module

# Several unequal labels within one bin of half a bandwidth, equal ones, gaps, and ends out of each other's reach.
ON_A_LINE = [0.0, 0.05, 0.1, 0.2, 0.24, 0.26, 0.5, 0.9, 0.9, 1.6, 2.5, 4.0, 8.0]
IN_SPACE = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.4), (0.6, 0.8), (-0.5, 0.5), (0.0, 0.0), (5.0, -5.0)]


def exact(labels, row, bandwidth, kept):
    """The definition, a term at a time."""
    weights = [
        math.exp(-sum((a - b) ** 2 for a, b in zip(np.atleast_1d(labels[row]), np.atleast_1d(label), strict=True))
                 / (2 * bandwidth**2)) if place in kept else 0.0
        for place, label in enumerate(labels)
    ]  # fmt: skip
    return np.array(weights) / sum(weights)


def assert_drawn_as(partners, probabilities):
    """Chi-square, with what is rarely drawn taken together."""
    counts = np.bincount(partners.numpy(), minlength=len(probabilities))
    assert not counts[probabilities == 0].any()
    expected = probabilities * len(partners)
    common = expected >= 5
    seen, due = ([*each[common], each[~common].sum()] for each in (counts, expected))
    if due[-1] < 1e-6 * len(partners):
        assert seen[-1] == 0
        seen, due = seen[:-1], due[:-1]
    assert len(due) == 1 or chisquare(seen, np.array(due) * sum(seen) / sum(due)).pvalue > 1e-3


# --- Which partners ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [None, [0, 2, 3, 5, 6]], ids=["all", "some"])
@pytest.mark.parametrize("bandwidth", [0.1, 0.5, 100.0])
@pytest.mark.parametrize("labels", [ON_A_LINE, IN_SPACE], ids=["line", "space"])
def test_partners_are_drawn_by_the_exact_probabilities(labels, bandwidth, kept, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 999)  # calls and sets in several pieces
    monkeypatch.setattr(module, "_VALUES", 3000)
    c_mixup = CMixup(labels, bandwidth, seed=4)
    c_mixup.restrict(kept)
    among = range(len(labels)) if kept is None else kept
    for row in list(among)[:: 1 if kept else 3]:
        partners = c_mixup.partners(torch.full((4000,), row))
        assert_drawn_as(partners, exact(labels, row, bandwidth, among))


def test_probabilities_worked_by_hand():
    """A label sqrt(2 ln 2) bandwidths away weighs exp(-ln 2), half of one's own: 1/3 against 2/3."""
    c_mixup = CMixup([0.0, 3 * math.sqrt(2 * math.log(2))], bandwidth=3.0)
    away = c_mixup.partners(torch.zeros(20_000, dtype=torch.int64)).double().mean()
    assert float(away) == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 20_000))


def test_rows_of_one_call_are_drawn_each_for_itself():
    labels = np.random.default_rng(0).normal(size=40)
    c_mixup = CMixup(labels, 0.3)
    rows = torch.arange(40).repeat(1000)
    partners = c_mixup.partners(rows)
    for row in (0, 17, 39):
        assert_drawn_as(partners[rows == row], exact(labels, row, 0.3, range(40)))


@given(
    st.lists(st.one_of(st.sampled_from([0.0, 1.0, -1e9]), st.floats(-1e6, 1e6)), min_size=1, max_size=30),
    st.sampled_from([1e-6, 0.1, 1.0, 1e3]),
    st.integers(1, 2),
    st.data(),
)
def test_partners_are_kept_rows_within_reach_whatever_the_labels(labels, bandwidth, dimensions, data):
    targets = np.stack([labels] * dimensions, axis=1)
    kept = data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1))
    c_mixup = CMixup(targets, bandwidth)
    c_mixup.restrict(sorted(kept))
    rows = np.array(sorted(kept))
    partners = c_mixup.partners(rows).numpy()
    assert set(partners.tolist()) <= kept
    assert (np.linalg.norm(targets[partners] - targets[rows], axis=1) <= 9.001 * bandwidth).all()


def test_partners_are_near_and_what_is_mixed_with_them_is_nearer_to_the_truth():
    """The claim: the mixed label is off by less. Labels exp(x): a chord lies above the curve, a short one hardly."""
    x = torch.linspace(0, 3, 500, dtype=torch.float64)[:, None]
    y = x[:, 0].exp()
    c_mixup, mixup = CMixup(y, bandwidth=0.05 * float(y.std()), seed=0), Mixup(2.0, seed=0)
    rows = torch.arange(500)
    off, distance = [], []
    for _ in range(50):
        partners = c_mixup.partners(rows)
        near = c_mixup(x, y, partner_x=x[partners], partner_y=y[partners])
        any_ = mixup(x, y)
        off.append([(mixed.target - mixed.x[:, 0].exp()).abs().mean() for mixed in (near, any_)])
        distance.append([(mixed.partner_y - y).abs().mean() for mixed in (near, any_)])
    for values in (off, distance):
        near_mean, any_mean = np.mean(values, axis=0)
        assert near_mean < any_mean / 10


def test_a_wide_kernel_draws_from_all_alike_and_a_narrow_one_the_row_itself():
    labels = np.random.default_rng(0).permutation(50) / 50
    rows = torch.arange(50).repeat(200)
    assert chisquare(torch.bincount(CMixup(labels, 1e9).partners(rows), minlength=50)).pvalue > 1e-3
    assert CMixup(labels, 1e-9).partners(rows).equal(rows)
    assert CMixup([3, 3, 3, 3], 1.0).partners(rows % 4).unique().tolist() == [0, 1, 2, 3]


# --- What it costs ----------------------------------------------------------------------------------------------------


def traced(act):
    """What it returns, and the most memory it held at once beyond what was held before, in bytes."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bandwidth", [0.01, 1e-7], ids=["dense", "a bin a row"])
def test_a_million_labels_take_memory_in_proportion(bandwidth):
    """An N x N matrix would be 8 TB, M x N for a batch of 512 rows 4 GB."""
    number = 10**6
    labels = np.random.default_rng(0).random(number)
    c_mixup, most = traced(lambda: CMixup(labels, bandwidth))
    assert most < 150 * number
    rows = torch.from_numpy(np.flatnonzero((labels > 0.1) & (labels < 0.9))[:512])
    partners, most = traced(lambda: c_mixup.partners(rows))
    assert most < 3e6
    if bandwidth == 0.01:  # among 10,000 neighbours a bandwidth: normal, with a mean distance of sqrt(2 / pi)
        far = np.abs(labels[partners] - labels[rows]) / bandwidth
        assert far.mean() == pytest.approx(math.sqrt(2 / math.pi), abs=4 * 0.6 / math.sqrt(512))
    _, most = traced(lambda: c_mixup.partners(torch.arange(100_000)))
    assert most < 150e6


def test_labels_of_several_dimensions_are_gone_through_in_pieces():
    labels = np.random.default_rng(0).random((50_000, 3))
    c_mixup = CMixup(labels, 0.05)
    partners, most = traced(lambda: c_mixup.partners(torch.arange(100)))
    assert most < 60e6  # 100 x 50,000 values of 8 bytes, five times over, would be 200 MB
    assert np.linalg.norm(labels[partners] - labels[:100], axis=1).max() < 9 * 0.05


# --- The mixing, the state, the errors --------------------------------------------------------------------------------


def test_a_batch_has_one_weight_for_inputs_and_targets():
    c_mixup = CMixup(np.arange(6), 2.0, seed=0)
    lams = []
    for _ in range(100):
        mixed = c_mixup(torch.ones(6, 3), torch.full((6,), 10.0), partner_x=torch.zeros(6, 3), partner_y=torch.zeros(6))
        assert mixed.x.unique().tolist() == [pytest.approx(mixed.lam)]
        assert mixed.target.unique().tolist() == [pytest.approx(10 * mixed.lam)]
        lams.append(mixed.lam)
    assert np.mean(lams) == pytest.approx(0.5, abs=0.1)
    assert np.var(lams) == pytest.approx(1 / 20, rel=0.4)  # Beta(2, 2)


def test_the_gradient_is_that_of_the_mixed_target():
    """By the weights of a line: 2 (w x~ - y~) x~ / n."""
    c_mixup = CMixup([0.0, 1.0, 2.0], 1.0, seed=0)
    x, y = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    weight = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    mixed = c_mixup(x, y, partner_x=x.flip(0), partner_y=y.flip(0))
    mixed.loss(F.mse_loss, mixed.x @ weight).backward()
    inputs = mixed.lam * x + (1 - mixed.lam) * x.flip(0)
    errors = inputs @ weight.detach() - (mixed.lam * y + (1 - mixed.lam) * y.flip(0))
    torch.testing.assert_close(weight.grad, 2 * (errors[:, None] * inputs).mean(0))


def test_partners_have_the_shape_of_the_rows():
    c_mixup = CMixup(ON_A_LINE, 0.5)
    assert c_mixup.partners([[0, 1], [2, 3]]).shape == (2, 2)
    assert c_mixup.partners(torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert CMixup(IN_SPACE, 0.5).partners(torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert c_mixup.partners(torch.tensor(3)).dtype == torch.int64
    precise = [1.0, 1.0 + 1e-12]  # told apart in float64 alone
    assert CMixup(precise, 1e-13).partners([0] * 50).eq(0).all()
    assert CMixup(torch.tensor(precise, dtype=torch.float64), 1e-13).partners([0] * 50).eq(0).all()
    column = CMixup(np.array(ON_A_LINE)[:, None], 0.5)
    assert column.partners(range(13)).equal(CMixup(ON_A_LINE, 0.5).partners(range(13)))


def sequence(c_mixup, number):
    """Partners and weights of some batches."""
    zeros = torch.zeros(5)
    batches = []
    for _ in range(number):
        partners = c_mixup.partners(range(5)).tolist()
        batches.append((partners, c_mixup(zeros, zeros, partner_x=zeros, partner_y=zeros).lam))
    return batches


def test_the_seed_decides_the_draws_and_nothing_else_is_touched():
    before = global_random_state()
    first = sequence(CMixup(ON_A_LINE, 0.5, seed=0), 5)
    assert sequence(CMixup(ON_A_LINE, 0.5, seed=0), 5) == first
    assert sequence(CMixup(ON_A_LINE, 0.5, seed=1), 5) != first
    assert first[0] != first[1]
    assert global_random_state() == before


@given(st.integers(0, 4), st.booleans(), st.sampled_from([ON_A_LINE, IN_SPACE]))
def test_it_goes_on_exactly_where_it_was_saved(done, restricted, labels):
    one, other = CMixup(labels, 0.5, seed=7), CMixup(labels, 0.5, seed=7)
    if restricted:
        one.restrict(range(5))
    sequence(one, done)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.kept.equal(one.kept)
    assert sequence(other, 3) == sequence(one, 3)


def test_a_restriction_can_be_lifted():
    c_mixup = CMixup([0.0, 0.0, 0.0], 1.0)
    assert c_mixup.kept.tolist() == [0, 1, 2]
    c_mixup.restrict(torch.tensor([2, 0, 2]))  # a row given twice weighs no more
    assert c_mixup.kept.tolist() == [0, 2]
    partners = c_mixup.partners([0] * 2000)
    assert_drawn_as(partners, np.array([0.5, 0.0, 0.5]))
    c_mixup.restrict(None)
    assert c_mixup.partners([1] * 100).unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (
            ValueError,
            {"bandwidth": 0},
            "bandwidth was 0; it must be a number, above 0; it is in the units of the targets",
        ),
        (ValueError, {"bandwidth": math.inf}, "bandwidth was inf"),
        (ValueError, {"alpha": 0}, "alpha was 0"),
        (ValueError, {"seed": -1}, "seed was -1"),
        (ValueError, {"targets": []}, r"targets had shape \(0,\)"),
        (ValueError, {"targets": 3.0}, r"targets had shape \(\); it must be \(N,\)"),
        (ValueError, {"targets": [0.0, math.nan]}, "targets held nan, with bandwidth 1; labels must be finite"),
        (ValueError, {"targets": [1e300], "bandwidth": 1e-300}, r"targets held 1e\+300, with bandwidth 1e-300"),
        (TypeError, {"targets": ["cat", "dog"]}, r"targets was \['cat', 'dog'\]; it must hold numbers"),
    ],
)
def test_settings_that_are_refused(error, change, message):
    good = {"targets": [0.0, 1.0], "bandwidth": 1.0}
    CMixup(**good)
    with pytest.raises(error, match=message):
        CMixup(**{**good, **change})


@pytest.mark.parametrize(
    ("error", "act", "message"),
    [
        (ValueError, lambda c: c.partners([0, 1]), "row 1 is not among the rows kept; fill batches from .kept alone"),
        (ValueError, lambda c: c.partners([3]), "index 3 was asked for"),
        (TypeError, lambda c: c.partners([0.5]), "indices had dtype float64"),
        (ValueError, lambda c: c.restrict([]), "kept was empty; keep at least one row, or pass None"),
        (ValueError, lambda c: c.restrict([-1]), "index -1 was asked for"),
        (TypeError, lambda c: c.restrict([True, False, True]), "indices had dtype bool"),
        (TypeError, lambda c: c.load_state_dict(3), r"the state was 3 \(int\)"),
        (ValueError, lambda c: c.load_state_dict({"kept": None}), r"the state held \['kept'\]"),
        (ValueError, lambda c: c.load_state_dict(CMixup([0.0], 1.0, seed=9).state_dict()), "saved with seed 9"),
    ],
)
def test_calls_that_are_refused(error, act, message):
    c_mixup = CMixup([0.0, 0.0, 0.0], 1.0)
    c_mixup.restrict([0, 2])
    with pytest.raises(error, match=message):
        act(c_mixup)


# --- In the bench -----------------------------------------------------------------------------------------------------

LINE = torch.tensor([1.0, -1.0, 0.5, 2.0])


def line(**changes):
    settings = {"name": "line", "network": lambda: nn.Linear(4, 1), "loss": squared_error, "metric": MSE}
    return toy(**{**settings, "kind": "regression", **changes})


def line_data(scale=1.0):
    x, groups = (torch.as_tensor(part) for part in blobs())
    examples = Examples(x, scale * (x @ LINE), groups.to(torch.int64))
    return Data(examples, examples.take(torch.arange(0, 84, 2)), ("a", "b", "c"))


def test_a_step_is_the_formulas_step():
    """Partners from the whole set by the library's draws, the rest by hand."""
    task = line(optimizer=torch.optim.SGD, learning_rate=0.01)
    ready = make_ready(task, Method(bandwidth=0.3, alpha=1.5), 0, line_data())
    arm, train, twin = ready.trainer.arm, ready.job.train, ready.job.network()
    assert arm.changes - {"train", "feed", "loss"} == Method.changes
    rows = next(iter(make_ready(task, Method(), 0, line_data()).trainer.arm.feed.epoch()))
    spread = math.sqrt(((train.y.double() - train.y.double().mean()) ** 2).mean())
    c_mixup = CMixup(train.y, 0.3 * spread, alpha=1.5, seed=ready.job.seed_for("mixing"))
    partners = c_mixup.partners(rows)
    lam = c_mixup(rows.float(), rows, partner_x=rows.float(), partner_y=rows).lam
    x, y = (lam * part[rows] + (1 - lam) * part[partners] for part in (train.x, train.y))
    loss = (twin(x)[:, 0] - y).square().mean()
    gradient = torch.autograd.grad(loss, twin.weight)[0]
    assert ready.trainer.train_epoch(1).train_loss == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(ready.trainer.network.weight, twin.weight - 0.01 * gradient)
    assert ready.trainer.work.forwarded == 8


def test_the_bandwidth_means_the_same_in_any_unit():
    seen = []
    for scale in (1.0, 1024.0):  # a power of two, so that rounding is the same
        job = make_ready(line(), Method(), 0, line_data(scale)).job
        Method().prepare(job).forward(seen.append, Batch.of(job.train, torch.arange(8)))
    assert seen[0].equal(seen[1])


def test_it_learns_repeats_and_leaves_no_trace():
    task = line(learning_rate=0.05)
    before = global_random_state()
    results = [run(task, Method(), seed, 6, data=line_data()) for seed in (0, 0, 1)]
    assert global_random_state() == before
    assert results[0].curves["test_metric"][-1] < results[0].curves["test_metric"][0] / 2
    assert_same_curves(*results[:2])
    assert results[0].curves["train_loss"].tolist() != results[2].curves["train_loss"].tolist()
    assert results[0].curves["forwarded"].tolist() == [80 * epoch for epoch in range(7)]
    constant = Data(*[Examples(e.x, torch.full((len(e),), 2.0), e.groups) for e in (line_data().train, line_data().test)],
                    ("a", "b", "c"))  # fmt: skip
    assert np.isfinite(run(task, Method(), 0, 2, data=constant).curves["test_loss"]).all()


@pytest.mark.parametrize("other", [Learn2Mix(), Natural(), Oversample()], ids=lambda method: method.name)
def test_it_goes_with_other_batches_and_other_sets(other):
    """Where the set trained on is another, partners come from that one."""
    ready = make_ready(line(), Composed((Method(), other)), 0, line_data())
    ready.trainer.train_epoch()
    assert np.isfinite(ready.evaluate().loss)
    train = ready.trainer.arm.train
    last = torch.arange(len(train) - 8, len(train))
    ready.trainer.arm.forward(nn.Identity(), Batch.of(train, last))  # would fail beyond the end of the set


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "classification"}, "the class numbers of line are neither near nor far; mixup draws them regardless"),
        ({"kind": "reconstruction"}, "c-mixup is for regression, and line is a reconstruction"),
        ({"tokens": True}, "c-mixup would mix numbers of words in line"),
        (
            {"augment": lambda x, generator: x},
            "c-mixup takes partners as they are stored, and line augments its batches",
        ),
    ],
)
def test_tasks_that_it_does_not_fit(change, message):
    assert Method().refusal(line()) == ""
    assert message in Method().refusal(line(**change))


def test_settings_of_the_method():
    assert Method().settings(line()) == {"bandwidth": 0.5, "alpha": 2.0}
    for settings in ({"bandwidth": 0.0}, {"alpha": 0.0}):
        with pytest.raises(ValueError, match=r"was 0.0; it must be a number, above 0"):
            Method(**settings)

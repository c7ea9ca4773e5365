"""RC-Mixup: what cleaning keeps, when it cleans, that planted wrong labels go, what the bench makes of it."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bench_toys import assert_same_curves, blobs, global_random_state, toy
from learn2mix.bench.data import Data, Examples
from learn2mix.bench.methods.c_mixup import CMixup as CMixupMethod
from learn2mix.bench.methods.rc_mixup import RCMixup as Method
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks.base import MSE, squared_error
from learn2mix.transforms import CMixup, RCMixup, kept_after_cleaning

# --- What is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "rate", "kept"),
    [
        ([0.5, 9.0, 0.1, 7.0], 0.5, [0, 2]),
        ([0.5, 9.0, 0.1, 7.0], 0.49, [0, 2, 3]),  # 1.96 examples are one
        ([0.5, 9.0, 0.1, 7.0], 0.0, [0, 1, 2, 3]),
        ([0.5, 9.0, 0.1, 7.0], 0.99, [2]),
        ([1.0, 1.0, 1.0, 1.0], 0.5, [0, 1]),  # of equal ones the later go
        ([math.inf, 2.0, math.nan, 1.0], 0.25, [0, 1, 3]),
        ([math.inf, 2.0, math.nan, 1.0], 0.5, [1, 3]),
        ([3.0], 0.9, [0]),
    ],
)
def test_what_is_kept_worked_by_hand(errors, rate, kept):
    assert kept_after_cleaning(torch.tensor(errors), rate).tolist() == kept


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1, exclude_max=True))
def test_no_error_kept_is_larger_than_one_dropped(errors, rate):
    kept = kept_after_cleaning(torch.tensor(errors, dtype=torch.float64), rate).tolist()
    assert len(kept) == len(errors) - int(rate * len(errors)) >= 1
    assert kept == sorted(set(kept))
    dropped = [errors[row] for row in set(range(len(errors))) - set(kept)]
    assert max(errors[row] for row in kept) <= min(dropped, default=math.inf)


@pytest.mark.parametrize(
    ("error", "errors", "rate", "message"),
    [
        (
            ValueError,
            [1.0],
            1.0,
            "rate was 1.0; it must be a number, at least 0 and below 1; it is the part of the labels",
        ),
        (ValueError, [1.0], -0.1, "rate was -0.1"),
        (TypeError, [1.0], "some", "rate was 'some'"),
        (ValueError, [[1.0]], 0.5, r"errors was tensor\(\[\[1.\]\]\); it must be \(N,\)"),
    ],
)
def test_what_cannot_be_cleaned(error, errors, rate, message):
    with pytest.raises(error, match=message):
        kept_after_cleaning(torch.tensor(errors), rate)


# --- When it cleans ---------------------------------------------------------------------------------------------------


def made(**changes):
    return RCMixup([0.0, 0.1, 0.2, 0.3], **{"bandwidth": 1.0, "rate": 0.25, "warm_up": 2, **changes})


def test_it_cleans_before_each_epoch_after_the_warm_up_and_takes_examples_back():
    rc_mixup, asked = made(), []

    def errors(worst):
        asked.append(worst)
        return torch.arange(4) == worst

    kept = [rc_mixup.start_epoch(epoch, lambda worst=worst: errors(worst).float()) for epoch, worst in
            enumerate([0, 1, 2, 3, 3])]  # fmt: skip
    assert [rows.tolist() for rows in kept] == [[0, 1, 2, 3]] * 2 + [[0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert asked == [2, 3, 3]  # nothing is measured before it is needed
    assert rc_mixup.partners([0, 1, 2] * 50).unique().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="row 3 is not among the rows kept"):
        rc_mixup.partners([3])


def test_a_training_that_starts_again_has_everything_again():
    rc_mixup = made()
    assert len(rc_mixup.start_epoch(5, lambda: torch.arange(4.0))) < 4
    assert rc_mixup.start_epoch(0, lambda: 1 / 0).tolist() == [0, 1, 2, 3]


def test_during_the_warm_up_it_is_c_mixup():
    rc_mixup, c_mixup = made(seed=3), CMixup([0.0, 0.1, 0.2, 0.3], 1.0, seed=3)
    rc_mixup.start_epoch(0, lambda: 1 / 0)
    rows = torch.arange(4).repeat(5)
    assert rc_mixup.partners(rows).equal(c_mixup.partners(rows))
    zeros = torch.zeros(4)
    lams = [one(zeros, zeros, partner_x=zeros, partner_y=zeros).lam for one in (rc_mixup, c_mixup)]
    assert lams[0] == lams[1]


def test_it_goes_on_exactly_where_it_was_saved_with_what_it_kept():
    one, other = made(seed=1), made(seed=1)
    one.start_epoch(2, lambda: torch.tensor([0.0, 5.0, 0.0, 0.0]))
    one.partners([0, 2])
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.kept.tolist() == [0, 2, 3]
    for _ in range(3):
        assert other.partners([0, 2, 3] * 4).equal(one.partners([0, 2, 3] * 4))


@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (ValueError, {"rate": 1}, "rate was 1; .* the part of the labels that is wrong"),
        (ValueError, {"warm_up": -1}, "warm_up was -1"),
        (TypeError, {"warm_up": 0.5}, "warm_up was 0.5"),
        (ValueError, {"bandwidth": -1}, "bandwidth was -1"),
    ],
)
def test_settings_that_are_refused(error, change, message):
    made()
    with pytest.raises(error, match=message):
        made(**change)


@pytest.mark.parametrize("errors", [torch.zeros(3), torch.zeros(4, 1)])
def test_errors_of_another_number_are_refused(errors):
    with pytest.raises(ValueError, match=r"the errors had shape .*; they must be \(4,\), one a training example"):
        made().start_epoch(2, lambda: errors)


# --- The claim --------------------------------------------------------------------------------------------------------


def noisy_line(number=400, rate=0.3, seed=0):
    """y = 2 x_0 - x_1, and a part of the labels wrong by 4 to 8, all in the same direction."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(number, 2, generator=generator)
    wrong = torch.zeros(number, dtype=torch.bool)
    wrong[torch.randperm(number, generator=generator)[: int(rate * number)]] = True
    y = x @ torch.tensor([2.0, -1.0])
    return x, torch.where(wrong, y + 4 + 4 * torch.rand(number, generator=generator), y), wrong


def trained(x, y, rate, epochs=30, warm_up=10):
    """A plain loop; returns the network and the rows of the last epoch."""
    torch_seed = torch.Generator().manual_seed(1)
    network = nn.Linear(2, 1)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    rc_mixup = RCMixup(y, 0.5, rate=rate, warm_up=warm_up)
    for epoch in range(epochs):
        with torch.no_grad():
            rows = rc_mixup.start_epoch(epoch, lambda: (network(x)[:, 0] - y).square())
        for batch in rows[torch.randperm(len(rows), generator=torch_seed)].split(40):
            partners = rc_mixup.partners(batch)
            mixed = rc_mixup(x[batch], y[batch], partner_x=x[partners], partner_y=y[partners])
            optimizer.zero_grad()
            mixed.loss(F.mse_loss, network(mixed.x)[:, 0]).backward()
            optimizer.step()
    return network, rows


def test_planted_wrong_labels_are_dropped_and_the_network_is_nearer_to_the_truth():
    x, y, wrong = noisy_line()
    cleaned, rows = trained(x, y, rate=0.3)
    assert len(rows) == 280
    assert wrong[rows].float().mean() < 0.02  # of 30 in a hundred
    everything, rows = trained(x, y, rate=0.0)
    assert len(rows) == 400
    truth = x @ torch.tensor([2.0, -1.0])
    errors = [(network(x)[:, 0] - truth).square().mean().item() for network in (cleaned, everything)]
    assert errors[0] < errors[1] / 10


@pytest.mark.parametrize("errors", [[0.5, 9.0], np.array([0.5, 9.0])])
def test_errors_must_be_a_tensor(errors):
    with pytest.raises(
        TypeError, match=r"errors was .*; it must be a tensor, one squared error an example; pass a tensor"
    ):
        kept_after_cleaning(errors, 0.5)
    rc_mixup = RCMixup([0.0, 1.0], 1.0, rate=0.5, warm_up=0)
    with pytest.raises(TypeError, match=r"errors was .* pass a tensor"):
        rc_mixup.start_epoch(0, lambda: errors)
    assert rc_mixup.kept.tolist() == [0, 1]


@pytest.mark.parametrize(("error", "epoch"), [(ValueError, -1), (TypeError, 0.5), (TypeError, None)])
def test_epochs_that_are_none(error, epoch):
    with pytest.raises(error, match=f"epoch was {epoch}"):
        RCMixup([0.0, 1.0], 1.0, rate=0.5, warm_up=3).start_epoch(epoch, lambda: torch.zeros(2))


# --- In the bench -----------------------------------------------------------------------------------------------------


def line(**changes):
    settings = {"name": "line", "network": lambda: nn.Linear(4, 1), "loss": squared_error, "metric": MSE}
    return toy(**{**settings, "kind": "regression", "learning_rate": 0.05, **changes})


def line_data():
    x, groups = (torch.as_tensor(part) for part in blobs())
    examples = Examples(x, x @ torch.tensor([1.0, -1.0, 0.5, 2.0]), groups.to(torch.int64))
    return Data(examples, examples.take(torch.arange(0, 84, 2)), ("a", "b", "c"))


def test_batches_are_of_what_is_left_and_measuring_is_counted():
    """84 examples, 25 put aside. An epoch stays 10 steps of 8, for which 59 examples are gone through again."""
    ready = make_ready(line(epochs=4), Method(), 0, line_data())
    trainer, drawn = ready.trainer, []
    assert trainer.arm.changes - {"train", "loss"} == Method.changes
    forward = trainer.arm.forward
    object.__setattr__(
        trainer.arm, "forward", lambda model, batch: (drawn.append(batch.rows), forward(model, batch))[1]
    )
    for epoch in range(4):
        drawn.clear()
        with torch.no_grad():
            outputs = trainer.network(ready.job.train.x)
        errors = squared_error(outputs, ready.job.train.y)
        trainer.train_epoch()
        rows = torch.stack(drawn).flatten()
        assert len(rows) == 80
        assert trainer.network.training
        if epoch < 2:
            assert len(rows.unique()) == 80
        else:
            assert rows.unique().equal(errors.argsort()[:59].sort().values)
            assert rows.bincount().max() == 2
        assert trainer.work.forwarded == 80 * (epoch + 1) + 84 * max(0, epoch - 1)
    assert (trainer.work.steps, trainer.work.backpropagated) == (40, 320)


def test_without_cleaning_it_is_c_mixup():
    """Never, or of nothing; the latter measures all the same."""
    plain = run(line(), CMixupMethod(), 0, 4, data=line_data())
    assert_same_curves(run(line(), Method(warm_up=1.0), 0, 4, data=line_data()), plain)
    measured = run(line(), Method(rate=0.0, warm_up=0.0), 0, 4, data=line_data())
    for curve in ("train_loss", "test_loss", "test_metric", "steps"):
        np.testing.assert_array_equal(measured.curves[curve], plain.curves[curve])
    assert measured.curves["forwarded"].tolist() == [164 * epoch for epoch in range(5)]


def test_measuring_leaves_dropout_and_statistics_alone():
    """Of a network with both: with nothing to put aside, training goes as without measuring."""
    task = line(network=lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)))
    measured, plain = (run(task, method, 0, 3, data=line_data())
                       for method in (Method(rate=0.0, warm_up=0.0), CMixupMethod()))  # fmt: skip
    np.testing.assert_array_equal(measured.curves["test_loss"], plain.curves["test_loss"])


def test_it_learns_repeats_and_leaves_no_trace():
    before = global_random_state()
    results = [run(line(), Method(), seed, 6, data=line_data()) for seed in (0, 0, 1)]
    assert global_random_state() == before
    assert results[0].curves["test_metric"][-1] < results[0].curves["test_metric"][0] / 2
    assert_same_curves(*results[:2])
    assert results[0].curves["train_loss"].tolist() != results[2].curves["train_loss"].tolist()
    assert results[0].facts["preparation"]["forwarded"] == 0


def test_it_is_timed_with_cleaning_in_every_epoch():
    assert Method().rehearsal() == Method(warm_up=0.0)


def test_which_tasks_it_fits_and_its_settings():
    assert Method().refusal(line()) == ""
    assert Method().refusal(line(kind="classification")).startswith("rc-mixup draws partners by how near")
    assert Method().settings(line()) == {"bandwidth": 0.5, "alpha": 2.0, "rate": 0.3, "warm_up": 0.5}
    for settings, message in (({"rate": 1.0}, "rate was 1.0; .* the part of the labels"), ({"warm_up": 2}, "warm_up was 2"),
                              ({"bandwidth": 0}, "bandwidth was 0")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            Method(**settings)

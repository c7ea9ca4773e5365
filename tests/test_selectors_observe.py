"""What a selector goes by: the losses that were observed last, example by example; and what is refused."""

import math

import numpy as np
import pytest
import torch

from learn2mix import Mixer, policies, selectors
from learn2mix.selectors.scores import Scores

NAN = math.nan
BOTH = [selectors.LastLoss(uniform=0.2), selectors.InfoBatch(prune=0.5)]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def scores_of(mixer):
    return mixer.state_dict()["selection"]["scores"].tolist()


def drawn_mixer(labels=(0, 0, 0, 0, 1, 1, 1, 1), batch_size=4, **options):
    """Make a Mixer of which one epoch is drawn, ready to be told of losses."""
    options = {"policy": policies.Static(), "selector": selectors.InfoBatch(), **options}
    mixer = Mixer(list(labels), batch_size, **options)
    list(mixer.batch_sampler)
    return mixer


def told(mixer, losses, indices, **options):
    losses = torch.tensor(losses, dtype=torch.float64)
    mixer.observe(losses, mixer.groups_of(indices), indices=indices, **options)


def train_on(mixer, losses):
    """Train for an epoch on the losses of the examples, by index; give the batches."""
    seen = list(mixer.batch_sampler)
    for batch in seen:
        mixer.observe(torch.as_tensor(losses[batch]), mixer.groups_of(batch), indices=batch)
    mixer.step()
    return seen


@pytest.mark.parametrize("device", DEVICES)
def test_scores_are_the_last_finite_losses_and_count_from_step_on(device):
    mixer = drawn_mixer(batch_size=8)
    given = lambda losses: torch.tensor(losses, device=device, requires_grad=True)  # noqa: E731
    mixer.observe(given([1.0, NAN, 1e39]), [0, 0, 0], indices=torch.tensor([0, 1, 2], device=device))
    mixer.observe(given([4.0, 5.0, 6.0]), [0, 1, 0], indices=[0, 5, 3])  # 0 for the second time
    mixer.observe(given([[7.0, NAN], [8.0, 8.0]]), [1, 1], indices=[6, 7], weights=torch.tensor([[1, 0], [0, 0]]))
    assert np.isnan(scores_of(mixer)).all()
    with pytest.warns(RuntimeWarning, match="NaN or infinite in group 0"):
        mixer.step()
    np.testing.assert_array_equal(scores_of(mixer), np.float32([4, NAN, NAN, 6, NAN, 5, 7, NAN]))
    list(mixer.batch_sampler)
    mixer.observe(given([2.0]), [0], indices=[3])
    mixer.step()
    np.testing.assert_array_equal(scores_of(mixer), np.float32([4, NAN, NAN, 2, NAN, 5, 7, NAN]))


def test_scores_stay_finite_where_losses_are():
    mixer = drawn_mixer()
    told(mixer, [3.0, 1e300, 2.0, 1.0], [0, 1, 4, 5])
    mixer.step()
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(scores_of(mixer), np.float32([3, largest, NAN, NAN, 2, 1, NAN, NAN]))


def test_an_example_twice_in_one_call_has_the_loss_that_comes_last():
    mixer = drawn_mixer()
    told(mixer, [3.0, 1.0, 2.0, 9.0], [0, 0, 0, 4])
    mixer.step()
    assert scores_of(mixer)[0] == 2


def test_a_pass_broken_off_and_batches_skipped_leave_no_scores():
    mixer = drawn_mixer()
    told(mixer, [100.0, 100.0], [0, 4])
    list(mixer.batch_sampler)  # begins anew
    mixer.skip(1)
    told(mixer, [1.0] * 4, [1, 2, 5, 6])
    mixer.step()
    np.testing.assert_array_equal(scores_of(mixer), [NAN, 1, 1, NAN, NAN, 1, 1, NAN])
    list(mixer.batch_sampler)
    told(mixer, [100.0, 100.0], [0, 4])
    next(iter(mixer.batch_sampler))
    mixer.step()
    np.testing.assert_array_equal(scores_of(mixer), [NAN, 1, 1, NAN, NAN, 1, 1, NAN])


def test_an_epoch_that_ends_without_step_leaves_no_scores():
    mixer = drawn_mixer()
    told(mixer, [1.0] * 8, [0, 1, 2, 3, 4, 5, 6, 7])
    list(mixer.batch_sampler)
    assert mixer.epoch == 1
    mixer.skip(1)
    told(mixer, [2.0], [3])
    mixer.step()
    np.testing.assert_array_equal(scores_of(mixer), [NAN, NAN, NAN, 2, NAN, NAN, NAN, NAN])


def test_a_loader_that_reads_the_whole_epoch_ahead_does_not_end_it():
    """Under fixed proportions too: with a selector the batches are going to be observed."""
    mixer = drawn_mixer()
    state = mixer.state_dict()
    assert state["epoch"] == 0
    assert state["stream"]["batches"] == 0


@pytest.mark.parametrize("selector", BOTH, ids=repr)
def test_group_losses_are_those_of_the_groups_not_of_the_examples_chosen(selector):
    """The policy is given means of losses times factors, over the factor expected, by hand: losses of mean 4 and of mean 3.

    With InfoBatch a pass keeps 2.5 of 4, and 3 of 4, so that a seat has the factor 1.6, and 4/3, on average.
    """
    losses = np.array([1.0, 2, 3, 10, 1, 1, 5, 5])
    mixer = Mixer([0] * 4 + [1] * 4, 4, policy=policies.Learn2Mix(), selector=selector)
    train_on(mixer, losses)
    assert mixer.history[-1].losses.tolist() == [4, 3]
    assert mixer.history[-1].counts.tolist() == [4, 4]
    factors = mixer.weights_of(range(8)).numpy().astype(float)
    drawn = np.concatenate(train_on(mixer, losses))
    expected = (1.6, 4 / 3) if selector == BOTH[1] else (1, 1)
    for group, mine in enumerate((drawn[drawn < 4], drawn[drawn >= 4])):
        heard = (factors[mine] * losses[mine]).mean() / expected[group]
        np.testing.assert_allclose(mixer.history[-1].losses[group], heard, rtol=1e-6)
        assert mixer.history[-1].counts[group] == len(mine)


def test_weights_have_the_shape_and_the_device_asked_for():
    mixer = drawn_mixer(batch_size=8)
    told(mixer, [1.0, 3.0], [0, 1])
    mixer.step()
    for device in DEVICES:
        factors = mixer.weights_of(torch.tensor([[0, 1], [2, 3]], device=device))
        assert factors.dtype == torch.float32
        assert factors.device.type == device
        assert factors.tolist() == [[2, 1], [1, 1]]
    assert mixer.weights_of([]).shape == (0,)
    plain = Mixer.from_sizes({"a": 10**12, "b": 5}, 4, policy=policies.Static())
    assert plain.weights_of([0, 10**12]).tolist() == [1, 1]


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (ValueError, {}, r"indices was not given, and this Mixer has a selector.* pass indices="),
        (ValueError, {"indices": [0, 4, 1]}, r"indices had shape \(3,\) for 2 losses; it must be \(2,\)"),
        (ValueError, {"indices": [[0], [4]]}, r"indices had shape \(2, 1\) for 2 losses"),
        (TypeError, {"indices": torch.tensor([0.0, 4.0])}, "indices had dtype float32; data-set indices are integers"),
        (ValueError, {"indices": [0, 8]}, "index 8 was asked for; the data set has 8 examples"),
        (ValueError, {"indices": [0, -1]}, "index -1 was asked for"),
        (
            ValueError,
            {"indices": [0, 1]},
            "index 1 was observed with group 1, and it belongs to 0; .* places in the batch",
        ),
    ],
)
def test_observe_refuses(error, options, message):
    mixer = drawn_mixer()
    before = str(mixer.state_dict())
    with pytest.raises(error, match=message):
        mixer.observe(torch.ones(2), [0, 1], **options)
    assert str(mixer.state_dict()) == before
    mixer.observe(torch.ones(2), [0, 1], indices=[0, 4])


@pytest.mark.parametrize(("index", "message"), [(99, "an index 99 was"), (8, "index 8 was"), (-3, "index below 0 was")])
def test_an_index_that_nobody_looked_at_is_refused_at_step(index, message):
    """On an accelerator nobody looks before; the table of what was heard is what is looked at then."""
    scores = Scores(8, 2, 4, 1, 0)
    scores.add(0, 0, torch.ones(2), torch.tensor([0, index]))
    with pytest.raises(ValueError, match=message):
        scores.merged(scores.table(0, 2))
    assert not scores.table(0, 2).any()
    for device in DEVICES[1:]:
        mixer = drawn_mixer(policy=policies.Learn2Mix())
        mixer.observe(torch.ones(2, device=device), [0, 1], indices=torch.tensor([0, index], device=device))
        with pytest.raises(ValueError, match=message):
            mixer.step()
        assert mixer.epoch == 0
        mixer.step()
        assert mixer.epoch == 1
        assert np.isnan(scores_of(mixer)).all()


@pytest.mark.parametrize(
    ("error", "make", "message"),
    [
        (ValueError, lambda: selectors.LastLoss(uniform=0), "LastLoss's uniform was 0; .* above 0 and at most 1"),
        (TypeError, lambda: selectors.LastLoss(uniform="a"), "LastLoss's uniform was 'a'"),
        (ValueError, lambda: selectors.InfoBatch(prune=1), "InfoBatch's prune was 1; .* below 1"),
        (ValueError, lambda: selectors.InfoBatch(until=-1), "InfoBatch's until was -1; it must be 0 or more"),
        (TypeError, lambda: selectors.InfoBatch(until=0.875), "InfoBatch's until was 0.875 .* an integer"),
        (
            TypeError,
            lambda: selectors.InfoBatch(keep_scale=1),
            "InfoBatch's keep_scale was 1; it must be True or False",
        ),
    ],
)
def test_settings_refused(error, make, message):
    with pytest.raises(error, match=message):
        make()


class Given:
    replace = True

    def __init__(self, weighed):
        self.weigh = lambda scores, epoch: weighed


@pytest.mark.parametrize(
    ("error", "selector", "message"),
    [
        (TypeError, "infobatch", "selector was 'infobatch'; it must be an object with weigh and replace"),
        (TypeError, selectors.InfoBatch, "selector was <class .*InfoBatch"),
        (TypeError, Given(None), "Given gave None; weigh must return chances and factors"),
        (TypeError, Given(["ab", "cd"]), r"Given gave \['ab', 'cd'\]; weigh must return"),
        (
            ValueError,
            Given(([1.0], [1.0, 1.0])),
            r"chances of shape \(1,\) and factors of shape \(2,\) for a group of 2",
        ),
        (
            ValueError,
            Given(([1.0, 0.0], [1.0, 1.0])),
            r"gave the chances \[1.0, 0.0\]; they must be finite and above 0",
        ),
        (ValueError, Given(([1.0, math.inf], [1.0, 1.0])), "gave the chances"),
        (ValueError, Given(([1.0, 1.0], [1.0, -1.0])), r"gave the factors \[1.0, -1.0\]; they must be finite and 0 or"),
    ],
)
def test_selectors_refused(error, selector, message):
    Mixer([0, 0, 1, 1], 2, policy=policies.Static(), selector=Given((np.ones(2), np.ones(2))))
    with pytest.raises(error, match=message):
        Mixer([0, 0, 1, 1], 2, policy=policies.Static(), selector=selector)

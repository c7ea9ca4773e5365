"""What observe and step make of losses: pooled means by group, whatever their form, and nothing that is not finite."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from harness import Script, consume, small_mixer
from learn2mix import Mixer, policies

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]


class Listener(Script):
    """A policy that writes down what it is told."""

    def __init__(self, num_groups=2):
        super().__init__(np.full(num_groups, 1 / num_groups))
        self.told = []

    def update(self, state, losses, *, counts, **signals):
        self.told.append((losses.tolist(), counts.tolist(), signals))
        return super().update(state, losses, counts=counts)


def listening_mixer(labels=LABELS, batch_size=None, **options):
    """Make a Mixer of which one epoch is drawn, ready to be told of losses; M is all there is, where not given."""
    listener = Listener(len(set(labels)))
    mixer = Mixer(labels, batch_size or len(labels), policy=listener, **options)
    list(mixer.batch_sampler)
    return mixer, listener.told


def told_after(losses, groups, labels=LABELS, weights=None):
    """Give the group losses that the policy is told after one observe and a step."""
    mixer, told = listening_mixer(labels)
    mixer.observe(losses, groups, weights=weights)
    mixer.step()
    return told[0][0] if told else None


# --- Means ------------------------------------------------------------------------------------------------------------


def test_a_group_loss_is_the_mean_over_all_its_losses_not_over_batches():
    """Group 0: 1, then 2, 3, 6: mean 3. The mean of the batches' means would be 2.33."""
    mixer, told = listening_mixer(batch_size=4)
    mixer.observe(torch.tensor([1.0, 4.0, 4.0, 4.0]), [0, 1, 1, 1])
    mixer.observe(torch.tensor([2.0, 3.0, 6.0, 8.0]), [0, 0, 0, 1])
    mixer.step(note="passed on")
    assert told == [([3.0, 5.0], [4.0, 4.0], {"note": "passed on"})]


@given(st.data())
def test_means_are_those_of_plain_python_however_batches_are_cut(data):
    groups = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=30))
    number = len(groups)
    losses = data.draw(st.lists(st.floats(0, 1e6, width=32), min_size=number, max_size=number))
    cuts = sorted({0, number, *data.draw(st.lists(st.integers(0, number), max_size=4))})
    batch_size = data.draw(st.integers(1, 30))
    assume(number <= 30 // batch_size * batch_size)
    mixer, told = listening_mixer([0, 1, 2] * 10, batch_size)
    for start, stop in itertools.pairwise(cuts):
        mixer.observe(torch.tensor(losses[start:stop], dtype=torch.float32), groups[start:stop])
    mixer.step()
    if not any(losses):
        assert told == []
        return
    by_group = [[loss for loss, g in zip(losses, groups, strict=True) if g == group] for group in range(3)]
    means = [sum(some) / len(some) if some else None for some in by_group]
    seen = [mean for mean in means if mean is not None]
    expected = [sum(seen) / len(seen) if mean is None else mean for mean in means]
    np.testing.assert_allclose(told[0][0], expected, rtol=1e-12)
    assert told[0][1] == [len(some) for some in by_group]


def test_losses_of_tokens_are_averaged_within_each_example_first():
    losses = torch.tensor([[1.0, 3.0], [5.0, 7.0], [2.0, 2.0]])
    assert told_after(losses, [0, 0, 1]) == [4.0, 2.0]  # examples 2 and 6, and 2


@pytest.mark.parametrize("mask_type", [torch.float32, torch.bool, torch.int64, torch.float16])
def test_padding_is_left_out_of_the_average(mask_type):
    losses = torch.tensor([[1.0, 3.0, torch.nan], [5.0, torch.inf, -9.0], [2.0, 4.0, 6.0], [torch.nan, 8.0, 8.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]]).to(mask_type)
    mixer, told = listening_mixer()
    mixer.observe(losses, [0, 0, 1, 1], weights=mask)
    mixer.step()
    assert mixer.history[-1].non_finite.tolist() == [0, 0]
    assert told == [([3.5, 4.0], [2.0, 1.0], {})]  # (2 + 5) / 2, and 4: the last is all padding, so it has no loss


def test_weights_average_within_an_example_and_leave_single_losses_as_they_are():
    assert told_after(torch.tensor([[1.0, 5.0]]), [0], weights=torch.tensor([[3.0, 1.0]]))[0] == 2.0
    assert told_after(torch.tensor([2.0, 4.0, 9.0]), [0, 0, 1], weights=torch.tensor([5.0, 0.5, 0.0]))[0] == 3.0


def test_images_of_losses_with_weights_of_the_same_shape():
    losses = torch.arange(16.0).reshape(2, 2, 2, 2)
    weights = torch.zeros(2, 2, 2, 2)
    weights[0, 0, 0] = torch.tensor([1.0, 3.0])  # losses 0 and 1
    weights[1, 1, 1] = torch.tensor([1.0, 1.0])  # losses 14 and 15
    assert told_after(losses, [0, 1], weights=weights) == [0.75, 14.5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("long", [False, True])
def test_sums_are_float64_whatever_the_losses_are(dtype, long):
    """4096 losses of 0.1 in half precision add up to nowhere near 409.6 in kind; nor would their mean within a row."""
    tenth = torch.tensor(0.1, dtype=dtype)
    shape = (2, 4096) if long else (4096,)
    labels = [0, 1] if long else [0, 1] * 2048
    mixer, told = listening_mixer(labels)
    mixer.observe(tenth.expand(shape), labels)
    mixer.step()
    np.testing.assert_allclose(told[0][0], [tenth.item()] * 2, rtol=1e-6 if long else 1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_average_within_an_example_keeps_more_digits_than_the_losses(dtype):
    losses = torch.tensor([[1.0, 1.0, 1.0, 1 + torch.finfo(dtype).eps]] * 2, dtype=dtype)
    assert told_after(losses, [0, 1]) == [1 + torch.finfo(dtype).eps / 4] * 2


def test_small_losses_are_not_lost_beside_large_ones():
    """2**-30 beside 1 in one group: float32 sums would drop it."""
    mixer, told = listening_mixer()
    mixer.observe(torch.tensor([1.0, 2.0**-30, 1.0]), [0, 0, 1])
    mixer.step()
    assert told[0][0][0] == (1 + 2.0**-30) / 2


def test_losses_are_detached_and_keep_no_graph():
    losses = torch.ones(4, requires_grad=True) * 2
    assert told_after(losses, [0, 0, 1, 1]) == [2.0, 2.0]
    losses.sum().backward()


# --- Group ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        torch.tensor,
        lambda g: torch.tensor(g, dtype=torch.uint8),
        lambda g: np.array(g, np.int16),
    ],
)
def test_labels_that_are_not_positions(form):
    labels = [9, 3, 7, 3, 9, 7, 7, 7]
    assert told_after(torch.tensor([1.0, 2.0, 3.0, 4.0]), form([7, 3, 9, 9]), labels=labels) == [2.0, 1.0, 3.5]


def test_negative_and_far_apart_labels():
    labels = [-5, 2**62, -5, 0]
    mixer, told = listening_mixer(labels)
    assert mixer.group_names == [-5, 0, 2**62]
    mixer.observe(torch.tensor([1.0, 2.0, 3.0]), [0, 2**62, -5])
    mixer.step()
    assert told[0][0] == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda g: np.array(g, dtype=object)])
def test_named_groups(form):
    labels = ["wiki", "code", "wiki", "blog"]
    assert told_after(torch.tensor([1.0, 2.0, 4.0]), form(["wiki", "blog", "wiki"]), labels=labels) == [2.0, 2.25, 2.5]


def test_groups_of_from_sizes_keep_their_order():
    listener = Listener(3)
    mixer = Mixer.from_sizes({"wiki": 3, "code": 2, "a": 1}, 6, policy=listener)
    batch = next(iter(mixer.batch_sampler))
    assert mixer.group_names == ["wiki", "code", "a"]
    mixer.observe(torch.as_tensor([float(i) for i in batch]), mixer.groups_of(batch))
    mixer.step()
    assert listener.told[0][0][1:] == [3.5, 5.0]


def test_groups_of_from_sizes_may_be_numbers_in_any_order():
    listener = Listener(3)
    mixer = Mixer.from_sizes({7: 3, -1: 2, 3: 1}, 6, policy=listener)
    list(mixer.batch_sampler)
    mixer.observe(torch.tensor([1.0, 2.0, 3.0]), [3, 7, -1])
    mixer.step()
    assert listener.told[0][0] == [2.0, 3.0, 1.0]


def test_bools_are_groups():
    mixer, told = listening_mixer([True, False, False])
    mixer.observe(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, False, False]))
    mixer.step()
    assert mixer.group_names == [0, 1]
    assert told[0][0] == [4.0, 1.0]


# --- What is not there, or not finite ---------------------------------------------------------------------------------


def test_a_group_not_seen_keeps_its_last_known_loss():
    mixer, told = listening_mixer([0, 1, 2] * 3, batch_size=3)
    mixer.observe(torch.tensor([1.0, 4.0, 4.0]), [0, 1, 1])
    mixer.step()
    assert told[0] == ([1.0, 4.0, 2.5], [1, 2, 0], {})  # never seen: the mean of those seen, 1 and 4
    list(mixer.batch_sampler)
    mixer.observe(torch.tensor([8.0]), [2])
    mixer.step()
    assert told[1] == ([1.0, 4.0, 8.0], [0, 0, 1], {})


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_losses_are_left_out_counted_and_warned_of_once(bad):
    mixer, told = listening_mixer(["a", "a", "b", "b", "b", "b"], batch_size=3)
    for _ in range(2):
        mixer.observe(torch.tensor([bad, 2.0, 4.0]), ["a", "a", "b"])
    with pytest.warns(RuntimeWarning, match=r"NaN or infinite in group 'a' \(2\)") as caught:
        mixer.step()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert told == [([2.0, 4.0], [2, 2], {})]
    assert mixer.history[-1].non_finite.tolist() == [2, 0]
    list(mixer.batch_sampler)
    mixer.observe(torch.tensor([bad]), ["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixer.step()


def test_an_example_with_one_bad_token_is_left_out():
    with pytest.warns(RuntimeWarning, match="group 0"):
        assert told_after(torch.tensor([[1.0, torch.nan], [2.0, 4.0], [5.0, 5.0]]), [0, 0, 1]) == [3.0, 5.0]


@pytest.mark.parametrize("losses", [[torch.nan] * 4, [torch.inf, torch.nan, -torch.inf, torch.nan], [0.0] * 4, []])
def test_nothing_to_go_by_leaves_the_proportions_alone(losses):
    mixer = small_mixer((3, 1), 4, policy=policies.Learn2Mix(mixing_rate=0.5))
    list(mixer.batch_sampler)
    mixer.observe(torch.tensor(losses), np.array([0, 0, 1, 1])[: len(losses)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixer.step()
    assert mixer.proportions.tolist() == [0.75, 0.25]
    assert mixer.epoch == 1
    assert mixer.history[-1].losses is None


def test_no_observe_at_all_leaves_the_proportions_alone():
    mixer = small_mixer()
    before = mixer.proportions
    list(mixer.batch_sampler)
    mixer.step()
    np.testing.assert_array_equal(mixer.proportions, before)


@given(
    st.lists(
        st.sampled_from([0.0, 1e-300, 1.0, 1e30, 1e307, 1.7e308, np.nan, np.inf, -np.inf]), min_size=6, max_size=6
    ),
    st.sampled_from([policies.Learn2Mix(mixing_rate=1.0), policies.ema(policies.Learn2Mix(mixing_rate=1.0))]),
)
def test_no_loss_whatever_spoils_the_proportions(losses, policy):
    mixer = Mixer([0, 1, 2] * 2, 6, policy=policy)
    for _ in range(2):
        list(mixer.batch_sampler)
        mixer.observe(torch.tensor(losses, dtype=torch.float64), [0, 0, 1, 1, 2, 2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            mixer.step()
        assert np.isfinite(mixer.proportions).all()
        assert (mixer.proportions >= 0).all()
        assert mixer.proportions.sum() == pytest.approx(1)


def test_history_tells_of_each_update_and_keeps_a_thousand():
    mixer = small_mixer((2, 2), 4, policy=policies.Learn2Mix(mixing_rate=0.5))
    for _ in range(1003):
        consume(mixer, losses=lambda batch: torch.where(torch.as_tensor(mixer.groups_of(batch)) == 1, 3.0, 1.0))
        mixer.step()
    assert len(mixer.history) == 1000
    last = mixer.history[-1]
    assert (last.epoch, last.batch) == (1002, 1)
    assert last.losses.tolist() == [1.0, 3.0]
    assert last.proportions.tolist() == mixer.proportions.tolist()
    assert mixer.history[0].epoch == 3


def test_results_are_copies():
    """Writing into what a Mixer hands out does not reach it."""
    mixer = small_mixer((3, 3), 6)
    consume(mixer)
    mixer.step()
    alpha = mixer.proportions
    for array in (mixer.proportions, mixer.group_sizes, mixer.history[-1].proportions):
        array[:] = 7
    mixer.group_names.append("x")
    np.testing.assert_array_equal(mixer.proportions, alpha)
    assert mixer.group_sizes.tolist() == [3, 3]
    assert mixer.group_names == [0, 1]


# --- What a loop may have got wrong -----------------------------------------------------------------------------------


def warnings_of(policy, epochs, groups_of, *, step=True, **options):
    """Train some epochs on LABELS, in batches of 4, and give what was warned of."""
    mixer = Mixer(LABELS, 4, policy=policy, **options)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(epochs):
            for batch in mixer.batch_sampler:
                mixer.observe(torch.arange(1.0, 5.0), groups_of(batch), indices=batch)
            if step:
                mixer.step()
    return [str(warning.message) for warning in found]


def own(batch):
    return [LABELS[i] for i in batch]


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_groups_of_other_examples_are_warned_of_once_from_the_second_epoch_on(epochs):
    """Each batch holds two of either group; under a set's labels in another order three would be taken for group 0."""
    found = warnings_of(policies.Learn2Mix(mixing_rate=0.0), epochs, lambda batch: [0, 0, 0, 1])
    assert len(found) == (epochs > 1)
    for message in found:
        assert message.startswith("4 examples of group 0 were drawn, and 6 losses observed as its, of as many in all")


def test_nothing_is_said_where_groups_are_right_or_an_epoch_was_not_observed_whole():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warnings_of(policies.Learn2Mix(), 3, own)
        mixer = Mixer(LABELS, 4, policy=policies.Learn2Mix())
        for _ in range(3):  # a part of a batch
            next(iter(mixer.batch_sampler))
            mixer.observe(torch.ones(3), [1, 1, 1])
            mixer.step()
        batch = next(iter(mixer.batch_sampler))
        mixer.observe(torch.ones(4), own(batch))
        state = mixer.state_dict()
        for _ in range(3):
            again = Mixer(LABELS, 4, policy=policies.Learn2Mix())
            again.load_state_dict(state)  # of the epoch's first batch it knows the losses alone
            for batch in again.batch_sampler:
                again.observe(torch.ones(4), own(batch))
            again.step()


def test_a_forgotten_step_is_warned_of_once():
    (message,) = warnings_of(policies.Learn2Mix(), 4, own, step=False)
    assert message.startswith("losses of epoch 1 are observed, and step() was not called since epoch 0")


@pytest.mark.parametrize(
    ("policy", "options"), [(policies.Static("balanced"), {}), (policies.Learn2Mix(), {"update_every": 2})]
)
def test_a_step_that_nothing_waits_for_may_be_left_out(policy, options):
    assert warnings_of(policy, 4, own, step=False, **options) == []


def test_a_mixer_shows_its_epoch_and_proportions():
    mixer = Mixer(["a", "b", "b", "b"], 2, policy=policies.Learn2Mix())
    assert repr(mixer) == "<Mixer, epoch 0: {'a': 0.25, 'b': 0.75}>"


# --- Devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[0, 1], ["a", "b"]])
@pytest.mark.parametrize("shape", [(4,), (4, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_observe_never_looks_at_a_value_of_another_device(names, shape, weighted):
    """On the meta device tensors have no values: any look would raise."""
    mixer, _ = listening_mixer([names[0]] * 4 + [names[1]] * 4, batch_size=4)
    groups = torch.empty(4, dtype=torch.int64, device="meta") if names == [0, 1] else [*names, *names]
    weights = torch.empty(shape, device="meta") if weighted else None
    for _ in range(2):
        mixer.observe(torch.empty(shape, device="meta"), groups, weights=weights)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
class TestAccelerator:
    def test_gives_the_same_and_is_not_waited_for(self):
        mixer, told = listening_mixer([3, 3, 7, 7, 7, 7, 9, 9], batch_size=4)
        losses = [torch.tensor([[1.0, 9.0], [2.0, torch.nan]] * 2, device="cuda"), torch.ones(4, device="cuda")]
        groups = [torch.tensor([3, 7, 9, 7], device="cuda"), torch.tensor([3, 7, 7, 9], device="cuda")]
        mask = torch.tensor([[1, 0], [1, 0]] * 2, device="cuda")
        mixer.observe(losses[0], groups[0], weights=mask)  # warm up: the first call allocates
        torch.cuda.set_sync_debug_mode("error")
        try:
            mixer.observe(losses[1], groups[1])
        finally:
            torch.cuda.set_sync_debug_mode("default")
        mixer.step()
        assert told == [([1.0, 1.5, 1.0], [2, 4, 2], {})]

    def test_names_an_unknown_group_at_step(self):
        mixer, told = listening_mixer([3, 7, 9], batch_size=3)
        mixer.observe(torch.ones(3, device="cuda"), torch.tensor([3, 5, 9], device="cuda"))
        with pytest.raises(ValueError, match=r"group 5 was observed.*call step\(\) again"):
            mixer.step()
        mixer.step()
        assert told == [([1.0, 1.0, 1.0], [1, 0, 1], {})]

    def test_state_goes_on_from_tensors_loaded_there(self):
        mixer, _ = listening_mixer([0, 1, 1])
        state = mixer.state_dict()
        state["policy"]["proportions"] = state["policy"]["proportions"].cuda()
        listening_mixer([0, 1, 1])[0].load_state_dict(state)


def test_losses_of_a_batch_whose_pass_was_broken_off_are_not_heard_at_step():
    """Nothing has been trained on then, so that nothing moves."""
    labels = torch.tensor([0, 1, 1])
    mixer = Mixer(labels, 3, policy=policies.Learn2Mix(mixing_rate=0.1), seed=0)
    batch = next(iter(mixer.batch_sampler))
    mixer.observe(torch.ones(2), labels[batch][:2])
    iter_again = iter(mixer.batch_sampler)
    assert len(next(iter_again)) == 3
    mixer.step()
    assert mixer.proportions.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert mixer.history[-1].counts.tolist() == [0, 0]

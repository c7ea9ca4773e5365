"""Dynamic loading: updates worked by hand, both forms, and validation losses through a Mixer."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bench_toys import arm_of, of_groups, toy, toy_data, toy_job
from harness import Training, assert_resumes, consume, save_and_load, small_mixer
from learn2mix import Mixer
from learn2mix.bench.budget import Budget
from learn2mix.bench.data.splits import hold_out
from learn2mix.bench.methods.dynamic_loading import DynamicLoading as DynamicLoadingMethod
from learn2mix.bench.methods.dynamic_loading import group_losses
from learn2mix.bench.runner import make_ready
from learn2mix.bench.training import Arm, DivergedError
from learn2mix.policies import DynamicLoading, ema

THREE = st.lists(st.floats(0, 5), min_size=3, max_size=3)


def path_of(policy, prior, epochs, **signals):
    """Give the proportions after each update, the start included."""
    state = policy.init(np.array(prior, dtype=np.float64))
    path = [state.proportions]
    for losses in epochs:
        state = policy.update(state, np.array(losses, dtype=np.float64), counts=np.ones(len(prior)), **signals)
        path.append(state.proportions)
    return np.array(path)


def ln(*numbers):
    return [math.log(number) for number in numbers]


def test_the_papers_form_by_hand():
    """References ln 2 and 0. Losses ln 6 and ln 2: factors 3 and 2 on 0.6, 0.4, so 18 : 8. Then ln 1, below, and ln 9."""
    path = path_of(DynamicLoading(ln(2, 1)), [0.6, 0.4], [ln(6, 2), ln(1, 9), ln(1, 1)])
    expected = [[0.6, 0.4], [18 / 26, 8 / 26], [18 / 90, 72 / 90], [18 / 90, 72 / 90]]
    np.testing.assert_allclose(path, expected, rtol=1e-13)


def test_the_released_form_by_hand():
    """No maximum: factors 1/2 and 4 on 3/4, 1/4 give 3 : 8, then a fifth of it is dealt out evenly: 0.8 * 3/11 + 0.1."""
    policy = DynamicLoading(ln(2, 1), clip=False, smoothing=0.2)
    path = path_of(policy, [0.75, 0.25], [ln(1, 4), ln(2, 0.5)])
    first = 0.8 * np.array([3, 8]) / 11 + 0.1
    np.testing.assert_allclose(path[1], first, rtol=1e-13)
    moved = first * [1, 0.5]
    np.testing.assert_allclose(path[2], 0.8 * moved / moved.sum() + 0.1, rtol=1e-13)


def test_three_groups_by_hand_and_one_reference_for_all():
    """Above ln 2: nothing, ln 2 and ln 3 of shares 1/6, 2/6, 3/6, so 1 : 4 : 9."""
    for reference in (math.log(2), ln(2, 2, 2)):
        path = path_of(DynamicLoading(reference), [1 / 6, 2 / 6, 3 / 6], [ln(1, 4, 6)])
        np.testing.assert_allclose(path[1], np.array([1, 4, 9]) / 14, rtol=1e-13)


@given(st.lists(THREE, min_size=1, max_size=5), THREE, st.booleans(), st.sampled_from([0.0, 1e-4, 0.3, 1.0]))
def test_updates_are_those_of_the_formula(epochs, reference, clip, smoothing):
    w = [0.2, 0.3, 0.5]
    for losses in epochs:
        above = [loss - wanted for loss, wanted in zip(losses, reference, strict=True)]
        w = [share * math.exp(max(d, 0) if clip else d) for share, d in zip(w, above, strict=True)]
        w = [(1 - smoothing) * share / sum(w) + smoothing / 3 for share in w]
    found = path_of(DynamicLoading(reference, clip=clip, smoothing=smoothing), [0.2, 0.3, 0.5], epochs)[-1]
    np.testing.assert_allclose(found, w, rtol=1e-9)


def test_it_moves_towards_what_is_above_its_reference_and_unclipped_away_from_what_is_below():
    """Losses 1 above, at, and 1 below: clipped, the last two keep their ratio; unclipped, the last falls behind."""
    losses, prior = [3.0, 2.0, 1.0], [0.2, 0.3, 0.5]
    paper = path_of(DynamicLoading(2.0), prior, [losses] * 4)
    assert (np.diff(paper[:, 0]) > 0).all()
    np.testing.assert_allclose(paper[:, 2] / paper[:, 1], 5 / 3, rtol=1e-12)
    released = path_of(DynamicLoading(2.0, clip=False, smoothing=1e-4), prior, [losses] * 4)
    assert (np.diff(released[:, 0]) > 0).all()
    assert (np.diff(released[:, 2] / released[:, 1]) < 0).all()
    below = [1.0, 1.5, 1.9]
    assert path_of(DynamicLoading(2.0), prior, [below])[1].tolist() == pytest.approx(prior)  # nothing to move for
    assert path_of(DynamicLoading(2.0, clip=False), prior, [below])[1, 0] < 0.2


@given(THREE, THREE)
def test_it_goes_on_from_the_present_shares(first, second):
    """Two updates are one of the summed differences: nothing is measured from the start anew."""
    twice = path_of(DynamicLoading(0.0), [0.2, 0.3, 0.5], [first, second])[-1]
    once = path_of(DynamicLoading(0.0), [0.2, 0.3, 0.5], [np.add(first, second)])[-1]
    np.testing.assert_allclose(twice, once, rtol=1e-9)


@given(st.permutations(range(4)), st.booleans())
def test_the_order_of_groups_does_not_matter(order, clip):
    prior, reference, losses = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 2, 0.5, 3]), np.array([2.0, 1, 0.7, 3])
    plain = path_of(DynamicLoading(reference, clip=clip, smoothing=0.1), prior, [losses] * 3)
    moved = path_of(DynamicLoading(reference[order], clip=clip, smoothing=0.1), prior[order], [losses[order]] * 3)
    np.testing.assert_allclose(moved, plain[:, order], rtol=1e-12)


def test_a_share_that_has_vanished_comes_back():
    path = path_of(DynamicLoading(0.0), [0.25, 0.75], [[0, 1000]] * 3 + [[1000, 0]] * 3)
    assert path[3].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(path[-1], [0.25, 0.75], rtol=1e-12)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("losses", [[1.7e308, 1.7e308, 0.0], [-1.7e308, 1.7e308, 1.0], [5e-324, 0.0, 0.0]])
def test_huge_losses_leave_shares(clip, smoothing, losses):
    policy = DynamicLoading([-1.7e308, 0.0, 1.0], clip=clip, smoothing=smoothing)
    path = path_of(policy, [0.2, 0.3, 0.5], [losses] * 3)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path.sum(axis=1), 1, rtol=1e-12)
    assert path[1:].min() >= smoothing / 3 * (1 - 1e-9)


# --- Which losses it hears --------------------------------------------------------------------------------------------


def test_validation_losses_take_the_place_of_the_training_losses():
    """Factors 1 : 3 on equal shares, whatever training costs; handed over in the middle of a pass, which they end."""
    labels = torch.tensor([0] * 8 + [1] * 8)
    mixer = Mixer(labels, 4, policy=DynamicLoading(0.0))
    for _ in range(2):
        for _, batch in zip(range(2), mixer.batch_sampler, strict=False):
            mixer.observe(5.0 - labels[batch], labels[batch])
        mixer.step(validation_losses=torch.tensor(ln(1, 3)))
    np.testing.assert_allclose(mixer.proportions, [1 / 10, 9 / 10], rtol=1e-6)
    assert mixer.epoch == 2
    restored = Mixer(labels, 4, policy=DynamicLoading(0.0))
    restored.load_state_dict(save_and_load(mixer.state_dict()))
    assert consume(restored, losses=lambda batch: torch.ones(len(batch))) == consume(
        mixer, losses=lambda batch: torch.ones(len(batch))
    )


def test_without_them_it_hears_the_training_losses_the_last_known_for_a_group_not_seen():
    mixer = Mixer([0] * 8 + [1] * 8, 4, policy=DynamicLoading(0.0))
    for losses, groups in ((ln(1, 3, 1, 3), [0, 1, 0, 1]), (ln(2, 2, 2, 2), [0] * 4)):
        next(iter(mixer.batch_sampler))
        mixer.observe(torch.tensor(losses), groups)
        mixer.step()
    np.testing.assert_allclose(mixer.proportions, [2 / 11, 9 / 11], rtol=1e-6)  # 1 : 3, then 2 : 3


def test_a_combinator_passes_them_on():
    policy = ema(DynamicLoading(0.0))
    path = path_of(policy, [0.5, 0.5], [[9.0, 1.0]], validation_losses=ln(1, 3))
    np.testing.assert_allclose(path[1], [1 / 4, 3 / 4], rtol=1e-12)


@pytest.mark.parametrize("options", [{"update_every": 2}, {}])
def test_it_goes_on_from_a_saved_state(options):
    policy = DynamicLoading([0.5, 3.0, 8.0], clip=False, smoothing=0.05)
    assert_resumes(lambda: small_mixer(policy=policy, **options), Training(epochs=3), cuts=[0, 1, 6, 9])
    state = save_and_load(small_mixer(policy=policy).state_dict())
    small_mixer(policy=DynamicLoading(torch.tensor([0.5, 3.0, 8.0]), clip=False, smoothing=0.05)).load_state_dict(state)
    with pytest.raises(ValueError, match="reference"):
        small_mixer(policy=DynamicLoading(0.5, clip=False, smoothing=0.05)).load_state_dict(state)


# --- What it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [np.array([1, 2]), torch.tensor([1.0, 2.0]), [1, 2], (1.0, np.float32(2))])
def test_references_of_any_kind_are_the_same_setting(reference):
    assert DynamicLoading(reference) == DynamicLoading((1.0, 2.0))
    assert hash(DynamicLoading(reference)) == hash(DynamicLoading((1.0, 2.0)))


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (TypeError, {"reference": "low"}, "reference was 'low'; it must be a loss for each group, or a single one"),
        (TypeError, {"reference": None}, "reference was None"),
        (TypeError, {"reference": True}, "reference was True"),
        (TypeError, {"reference": {"wiki": 1.0}}, "reference was {'wiki': 1.0}"),
        (TypeError, {"reference": [[1.0, 2.0]]}, "reference was"),
        (ValueError, {"reference": []}, r"reference was \[\]; .* must be finite numbers, one for each group"),
        (ValueError, {"reference": [1.0, math.nan]}, "reference was"),
        (ValueError, {"reference": math.inf}, "reference was inf"),
        (TypeError, {"clip": 1}, "clip was 1; it must be True or False"),
        (ValueError, {"smoothing": 1.5}, "smoothing was 1.5; it must be a number, at least 0 and at most 1; 0 is the"),
    ],
)
def test_refusals(error, given, message):
    with pytest.raises(error, match=message):
        DynamicLoading(**{"reference": 1.0, **given})


def test_as_many_references_as_groups():
    with pytest.raises(ValueError, match=r"reference held 2 losses for 3 groups; .* order of mixer.group_names"):
        Mixer([0, 1, 2], 1, policy=DynamicLoading([1.0, 2.0]))


@pytest.mark.parametrize("losses", [[1.0, math.nan], [1.0, math.inf], [1.0], [1.0, 2.0, 3.0]])
def test_losses_that_are_refused(losses):
    policy = DynamicLoading(1.0)
    state = policy.init(np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"losses (was|had shape)"):
        policy.update(state, np.array(losses), counts=np.ones(2))
    with pytest.raises(ValueError, match=r"losses (was|had shape)"):
        policy.update(state, np.ones(2), counts=np.ones(2), validation_losses=losses)


# --- In the bench -----------------------------------------------------------------------------------------------------


def prepared(method, **options):
    return make_ready(toy(), method, 0, toy_data(), **options)


def losses_by_group(network, held):
    with torch.no_grad():
        losses = F.cross_entropy(network(held.x), held.y, reduction="none").double()
    return np.array([losses[held.groups == group].mean().item() for group in range(3)])


@pytest.mark.parametrize("released", [False, True])
def test_the_bench_method_moves_by_validation_losses_over_those_of_a_classical_network(released):
    """30 steps and 3 updates: after every 10 steps. The references are a classical network's at the end, on the rest."""
    ready = prepared(DynamicLoadingMethod(updates=3, released=released))
    job, feed = ready.job, ready.trainer.arm.feed
    rest, held = hold_out(job.train, 0.1, 3, job.seed_for("hold-out"))
    assert ready.trainer.arm.train.x.equal(rest.x)
    other = job.trainer(Arm(train=rest), purpose="reference")
    for _ in range(3):
        other.train_epoch()
    reference = losses_by_group(other.network, held)

    w = np.array([40, 22, 15]) / 77
    np.testing.assert_allclose(feed.mixer.proportions, w, rtol=1e-12)
    for epoch in range(1, 4):
        ready.trainer.train_epoch()
        above = losses_by_group(ready.trainer.network, held) - reference
        w = w * np.exp(above if released else np.maximum(above, 0))
        w = w / w.sum()
        w = 0.9999 * w + 0.0001 / 3 if released else w
        np.testing.assert_allclose(feed.mixer.proportions, w, rtol=1e-4)
        assert (ready.trainer.work.steps, ready.trainer.work.forwarded) == (10 * epoch, 87 * epoch)  # 4 + 2 + 1 held


def test_its_reference_is_counted_and_told_of():
    told = []
    ready = prepared(DynamicLoadingMethod(), budget=Budget(epochs=4), progress=lambda *event: told.append(event))
    work = ready.job.preparation
    assert (work.steps, work.forwarded, work.backpropagated) == (40, 320 + 7, 320)
    assert told == [("preparing", i, 4) for i in range(1, 5)]


@pytest.mark.parametrize(("epochs", "made"), [(20, 66), (2, 20)])
def test_it_updates_some_64_times_a_budget_and_at_most_at_every_step(epochs, made):
    """200 steps: every third. 20 steps: every one."""
    ready = prepared(DynamicLoadingMethod(), budget=Budget(epochs=epochs))
    for _ in range(epochs):
        ready.trainer.train_epoch()
    assert len(ready.trainer.arm.feed.mixer.history) == made


def test_an_epoch_is_as_many_steps_although_the_rest_has_fewer_batches():
    """77 examples are 9 batches of 8, an epoch is 10: the next pass begins, and examples are used evenly."""
    job = toy_job()
    arm = arm_of(DynamicLoadingMethod(updates=1).rehearsal(), job)
    assert (job.preparation.steps, job.preparation.forwarded) == (0, 0)
    drawn = []
    for _ in range(3):
        for rows in arm.feed.epoch():
            drawn.append(rows)
            arm.feed.observe(torch.ones(8), of_groups(arm.train.groups[rows]))
        arm.feed.step()
    assert len(drawn) == 30
    uses = torch.bincount(torch.cat(drawn), minlength=77)
    for group in range(3):
        assert uses[arm.train.groups == group].max() - uses[arm.train.groups == group].min() <= 1


def test_a_validation_loss_that_is_not_finite_ends_the_run():
    job = toy_job()
    network = job.network()
    with torch.no_grad():
        next(iter(network.parameters())).fill_(math.nan)
    with pytest.raises(DivergedError, match=r"validation losses became \[nan, nan, nan\]"):
        group_losses(network, job.train, job)


def test_the_bench_methods_settings():
    assert DynamicLoadingMethod().settings(toy()) == {"updates": 64, "released": False}
    assert DynamicLoadingMethod(updates=5).rehearsal().settings(toy()) == {"updates": 5, "released": False}
    with pytest.raises(ValueError, match="updates was 0; it must be 1 or more; 64 is its authors' in pruning"):
        DynamicLoadingMethod(updates=0)


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (ValueError, [math.nan, 1.0], r"validation_losses was \[nan, 1.0\]; group losses must be finite"),
        (ValueError, [1.0], r"validation_losses had shape \(1,\); there are 2 groups"),
        (
            TypeError,
            {"a": 1.0, "b": 2.0},
            r"validation_losses was .* \(dict\); it must be 2 numbers, one mean loss a group, in",
        ),
        (TypeError, ["1", "2"], r"validation_losses was \['1', '2'\] \(list\)"),
        (TypeError, [True, False], r"validation_losses was \[True, False\]"),
    ],
)
def test_a_step_whose_validation_losses_are_refused_changes_nothing(error, given, message):
    """Also in the middle of a batch, which is then not counted, and is drawn again after a restore."""
    labels = torch.tensor([0] * 6 + [1] * 6)
    mixer = Mixer(labels, 4, policy=DynamicLoading(0.5), seed=0)
    batches = iter(mixer.batch_sampler)
    first = labels[next(batches)]
    mixer.observe(torch.ones(4), first)
    mixer.observe(torch.full((2,), 100.0), labels[next(batches)[:2]])
    before = mixer.state_dict()
    with pytest.raises(error, match=message):
        mixer.step(validation_losses=given)
    after = mixer.state_dict()
    assert after["sums"].equal(before["sums"])
    assert after["consumed"] == before["consumed"] == 1
    assert mixer.epoch == 0
    mixer.step(validation_losses=torch.tensor([0.5, 0.5 + math.log(3)], requires_grad=True))
    assert mixer.proportions.tolist() == pytest.approx([0.25, 0.75])


def test_references_may_need_gradients_and_be_no_words():
    assert DynamicLoading(torch.tensor([1.0, 2.0], requires_grad=True)).reference == (1.0, 2.0)
    with pytest.raises(TypeError, match=r"reference was \['1', '2'\]"):
        DynamicLoading(["1", "2"])

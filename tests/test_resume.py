"""A state saved at any moment goes on with the very same indices and proportions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Training, assert_resumes, consume, labels_of, loss_of, save_and_load, small_mixer
from learn2mix import Mixer, policies, registry

WORKERS = {"num_workers": 2, "prefetch_factor": 2}


@pytest.mark.parametrize("how", ["observe", "pieces", "skip"])
@pytest.mark.parametrize(("sizes", "batch_size"), [((7, 2, 4), 3), ((5, 1), 6), ((40, 3, 1, 1), 4)])
def test_after_every_batch_and_every_step(how, sizes, batch_size):
    assert_resumes(lambda: small_mixer(sizes, batch_size, seed=11), Training(how=how))


@pytest.mark.parametrize("options", [{"update_every": 1}, {"update_every": 3}, {"update_every": 2, "look_ahead": 3}])
@pytest.mark.parametrize("how", ["observe", "pieces"])
def test_with_updates_within_the_epoch(options, how):
    assert_resumes(lambda: small_mixer((11, 3, 6), 3, **options), Training(how=how))


@pytest.mark.parametrize("entry", list(registry.entries("policy")), ids=lambda entry: entry.name)
def test_with_every_policy(entry):
    assert_resumes(lambda: small_mixer(policy=entry.part(**entry.example)), Training(epochs=5), cuts=[4, 5, 9, 12])


@pytest.mark.parametrize("loader", [WORKERS, {**WORKERS, "persistent_workers": True}, {"num_workers": 4}])
@pytest.mark.parametrize("cut", [0, 3, 12, 13, 17])  # before all, within, after the last batch, after step(), later
def test_under_workers(loader, cut):
    training = Training(epochs=2, loader=loader)
    assert_resumes(lambda: small_mixer((25, 4, 7), 3), training, cuts=[cut])


def test_under_workers_with_updates_within_the_epoch():
    make = lambda: small_mixer((25, 4, 7), 3, update_every=2, look_ahead=4)  # noqa: E731
    assert_resumes(make, Training(epochs=2, loader=WORKERS), cuts=[7, 12, 13])


def test_static_passes_resume_between_epochs():
    make = lambda: small_mixer((7, 2, 4), 3, policy=policies.Static())  # noqa: E731
    assert_resumes(make, Training(how="static"), cuts=[0, 4, 8])


@settings(max_examples=20)
@given(st.data())
def test_several_restores_in_one_run(data):
    """Save and restore at random moments, in the middle of a batch too: the stream of whole batches stays the same."""
    sizes = data.draw(st.lists(st.integers(1, 15), min_size=2, max_size=5))
    batch_size = data.draw(st.integers(1, sum(sizes)))

    def make():
        return Mixer(labels_of(sizes), batch_size, policy=policies.Learn2Mix(mixing_rate=0.7), seed=2)

    whole = Training(epochs=4).run(make())
    mixer, seen = make(), []
    while len(seen) < len(whole):
        for event in Training(epochs=4).events(mixer):
            seen.append(event)
            if data.draw(st.integers(0, 3)) == 0:
                break
        # Observe part of one more batch; not where only step() is missing, for iterating again would end the epoch.
        if batch_size > 1 and mixer.state_dict()["consumed"] < len(mixer.batch_sampler) and data.draw(st.booleans()):
            batch = next(iter(mixer.batch_sampler))
            mixer.observe(loss_of(batch[:1]), mixer.groups_of(batch[:1]))
        state = save_and_load(mixer.state_dict())
        mixer = make()
        mixer.load_state_dict(state)
    assert seen == whole


def test_the_first_pass_after_a_restore_is_empty_where_only_step_is_missing():
    mixer = small_mixer()
    consume(mixer)
    restored = small_mixer()
    restored.load_state_dict(mixer.state_dict())
    assert list(restored.batch_sampler) == []
    assert restored.epoch == 0
    mixer.step()
    restored.step()
    np.testing.assert_array_equal(mixer.proportions, restored.proportions)
    assert consume(mixer) == consume(restored)


def test_a_state_is_a_copy_and_saving_changes_nothing():
    plain, saving = Training().run(small_mixer()), []
    mixer = small_mixer()
    for event in Training().events(mixer):
        saving.append(event)
        mixer.state_dict()
    assert saving == plain
    state = mixer.state_dict()
    kept = save_and_load(state)
    other = small_mixer()
    other.load_state_dict(state)
    Training(epochs=5).run(other)
    assert str(state) == str(kept)


def test_last_known_losses_are_part_of_the_state():
    """Group 2 is seen in the first epoch alone; after a restore its loss is still known."""
    make = lambda: small_mixer((4, 4, 4), 4, policy=policies.Learn2Mix(mixing_rate=1.0))  # noqa: E731
    mixer = make()
    for batch in mixer.batch_sampler:
        mixer.observe(torch.tensor([1.0, 1.0, 6.0])[mixer.groups_of(batch)], mixer.groups_of(batch))
    mixer.step()
    restored = make()
    restored.load_state_dict(save_and_load(mixer.state_dict()))
    batch = next(iter(restored.batch_sampler))
    restored.observe(torch.tensor([3.0]), [0])
    restored.step()
    np.testing.assert_allclose(restored.proportions, [0.3, 0.1, 0.6])  # losses 3, 1 (last known), 6 (last known)


def test_a_state_holds_only_what_loads_without_trust_and_stays_small():
    mixer = Mixer.from_sizes({"wiki": 10**9, "code": 10**6}, 1000, policy=policies.Learn2Mix())
    consume(mixer, 2, losses=lambda batch: torch.ones(len(batch)))
    state = mixer.state_dict()
    leaves, inner = [], [state]
    while inner:
        value = inner.pop()
        if isinstance(value, (dict, list)):
            inner.extend(value.values() if isinstance(value, dict) else value)
        else:
            leaves.append(value)
    assert {type(leaf) for leaf in leaves} <= {int, float, str, bool, type(None), torch.Tensor}
    assert sum(leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor)) < 50


# --- The sampler's own state: where it stands, for loaders that keep it beside the Mixer's ---------------------------------


def test_the_sampler_tells_its_position_alone():
    mixer = small_mixer()
    position = mixer.batch_sampler.state_dict
    assert position() == {"epoch": 0, "batches": 0}
    batches = iter(mixer.batch_sampler)
    next(batches), next(batches)
    assert position() == {"epoch": 0, "batches": 2}  # yielded, observed or not
    mixer.step()
    assert position() == {"epoch": 1, "batches": 0}


@pytest.mark.parametrize("consumed", [0, 2, 4])
@pytest.mark.parametrize("position_first", [True, False])
def test_position_and_state_agree_in_any_order(consumed, position_first):
    mixer = small_mixer()
    consume(mixer, consumed)
    state, position = mixer.state_dict(), save_and_load(mixer.batch_sampler.state_dict())
    restored = small_mixer()
    if position_first:
        restored.batch_sampler.load_state_dict(position)
    restored.load_state_dict(state)
    if not position_first:
        restored.batch_sampler.load_state_dict(position)
    assert Training().run(restored) == Training().run(small_mixer())[consumed:]


@pytest.mark.parametrize("position", [{"epoch": 0, "batches": 1}, {"epoch": 1, "batches": 2}])
def test_a_position_that_is_not_the_mixers_is_refused_when_iterated(position):
    mixer = small_mixer()
    consume(mixer, 2)
    mixer.batch_sampler.load_state_dict(mixer.batch_sampler.state_dict())
    mixer.batch_sampler.load_state_dict(position)
    with pytest.raises(
        ValueError, match=r"loader's state stands at epoch .*, and the Mixer at epoch 0, batch 2; save and"
    ):
        next(iter(mixer.batch_sampler))

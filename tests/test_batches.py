"""The batches' own promises: exact make-up, even use, and a stream that nothing but seed and proportions moves."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Sampler

from harness import Indices, Ledger, Script, Training, consume, labels_of, small_mixer, untouched_global_rngs
from learn2mix import Mixer, policies
from learn2mix.samplers.apportion import Apportionment, quota
from learn2mix.samplers.permutation import seed_word

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=12)


@st.composite
def shares(draw, num_groups):
    """Proportions of every kind: even, lopsided over many orders of magnitude, with zeros, a single one."""
    kind = draw(st.sampled_from(["any", "whole", "lopsided", "single"]))
    if kind == "single":
        return np.eye(num_groups)[draw(st.integers(0, num_groups - 1))]
    parts = {
        "any": st.floats(0, 1, width=32),
        "whole": st.integers(0, 5).map(float),
        "lopsided": st.integers(-12, 0).map(lambda power: 10.0**power),
    }[kind]
    parts = np.array(draw(st.lists(parts, min_size=num_groups, max_size=num_groups)))
    return parts / parts.sum() if parts.sum() > 1e-30 else np.full(num_groups, 1 / num_groups)


@st.composite
def runs(draw):
    """Sizes, M, a path of proportions, and how many batches of each epoch are trained on before ``step``."""
    sizes = draw(SIZES)
    batch_size = draw(st.one_of(st.integers(1, sum(sizes)), st.just(sum(sizes)), st.just(sum(sizes) // 2 + 1)))
    epochs = draw(st.integers(1, 6))
    path = [draw(shares(len(sizes))) for _ in range(epochs)]
    per_epoch = sum(sizes) // batch_size
    used = [draw(st.one_of(st.just(per_epoch), st.integers(0, per_epoch))) for _ in range(epochs)]
    return sizes, batch_size, path, used, draw(st.integers(0, 2**70))


@given(runs())
def test_promises_hold_while_proportions_change(run):
    sizes, batch_size, path, used, seed = run
    labels = labels_of(sizes)
    mixer = Mixer(labels, batch_size, policy=Script(*path), seed=seed)
    ledger = Ledger(labels, batch_size, len(sizes))
    for number in used:
        proportions = mixer.proportions
        for batch in consume(mixer, number):
            ledger.add(batch, proportions)
            ledger.check_uses()
        mixer.step()


@given(
    runs(), st.integers(1, 5), st.integers(0, 4), st.sampled_from([0.05, 0.5, 1.0]), st.randoms(use_true_random=False)
)
def test_promises_hold_along_the_path_of_a_policy(run, update_every, look_ahead, rate, random):
    """Proportions within an epoch are those in force at each batch: updates reach ``look_ahead`` batches further."""
    sizes, batch_size, _, used, seed = run
    labels = labels_of(sizes)
    policy = policies.Learn2Mix(mixing_rate=rate)
    mixer = Mixer(labels, batch_size, policy=policy, seed=seed, update_every=update_every, look_ahead=look_ahead)
    ledger = Ledger(labels, batch_size, len(sizes))
    for number in used:
        in_force = [mixer.proportions] * (look_ahead + 1)
        drawn = iter(mixer.batch_sampler)
        for _ in range(number):
            batch = next(drawn)
            ledger.add(batch, in_force.pop(0))
            ledger.check_uses()
            losses = torch.tensor([random.choice([0.0, 1e-6, 0.5, 1.0, 3.0, 1e5]) for _ in batch])
            mixer.observe(losses, labels[batch])
            in_force.append(mixer.proportions)
        mixer.step()


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_promises_hold_for_a_thousand_groups_in_batches_of_256(rate):
    sizes = 1 + np.random.default_rng(0).zipf(1.5, 1000) % 300
    labels = labels_of(sizes)
    mixer = Mixer(labels, 256, policy=policies.Learn2Mix(mixing_rate=rate), seed=3)
    ledger = Ledger(labels, 256, 1000)
    difficulty = torch.as_tensor(np.random.default_rng(1).exponential(size=1000) ** 3)
    for _ in range(6):
        proportions = mixer.proportions
        for batch in mixer.batch_sampler:
            ledger.add(batch, proportions)
            mixer.observe(difficulty[labels[batch]], labels[batch])
        ledger.check_uses()
        mixer.step()


def test_a_group_due_a_tenth_an_epoch_is_drawn_every_tenth():
    sizes = [60, 39, 1]
    labels = labels_of(sizes)
    mixer = Mixer(labels, 10, policy=policies.Static([0.5, 0.499, 0.001]))  # due 0.01 a batch, 10 batches an epoch
    epochs = [sum(int((labels[batch] == 2).sum()) for batch in mixer.batch_sampler) for _ in range(200)]
    drawn = np.flatnonzero(epochs)
    assert max(epochs) == 1
    assert 19 <= len(drawn) <= 21
    assert (abs(np.diff(drawn) - 10) <= 1).all()


def test_every_example_once_an_epoch_at_the_natural_mix():
    mixer = small_mixer((6, 2, 4), batch_size=4, policy=policies.Static())
    orders = [np.concatenate(list(mixer.batch_sampler)) for _ in range(5)]
    for order in orders:
        assert sorted(order) == list(range(12))
    assert len({tuple(order) for order in orders}) == 5  # a new order every pass


@given(st.integers(1, 2**30), st.data())
def test_dues_add_up_to_the_batch_however_large(batch_size, data):
    proportions = data.draw(shares(data.draw(st.integers(2, 20))))
    due = quota(proportions, batch_size)
    assert due.sum() == batch_size << 32
    assert ((due >= 0) & ((due == 0) | (proportions > 0))).all()
    # To 2**-32 of an example, or as near as a float64 comes.
    np.testing.assert_allclose(due / 2**32, proportions * batch_size, rtol=1e-14, atol=2**-31)


@given(st.integers(2, 300), st.integers(1, 400), st.randoms(use_true_random=False))
def test_counts_planned_together_or_one_by_one_are_equal(num_groups, batch_size, random):
    due = quota(np.array([w / 1e6 for w in _weights(num_groups, random)]), batch_size)
    together, alone = (Apportionment(num_groups, seed_word(0, 1)) for _ in range(2))
    rows = together.next(7, due)
    np.testing.assert_array_equal(rows, np.concatenate([alone.next(n, due) for n in (1, 2, 4)]))
    np.testing.assert_array_equal(together.owed, alone.owed)
    assert (rows.sum(axis=1) == batch_size).all()


def _weights(num_groups, random):
    cuts = sorted(random.randint(0, 10**6) for _ in range(num_groups - 1))
    return np.diff([0, *cuts, 10**6])


def test_which_group_gets_a_shared_seat_does_not_follow_the_order_of_groups():
    """Four equal groups, one example a batch: over many seeds each group is as likely to come first."""
    first = [small_mixer((5, 5, 5, 5), 1, policy=policies.Static(), seed=seed) for seed in range(400)]
    counts = np.bincount([int(m.groups_of(next(iter(m.batch_sampler)))[0]) for m in first], minlength=4)
    assert ((counts > 65) & (counts < 135)).all(), counts  # 100 each, standard deviation 8.7


def test_batches_are_mixed_within():
    """Any stretch of a batch, as a replica or micro-batch takes it, holds about its share of each group."""
    labels = labels_of([600, 300, 100])
    batch = next(iter(Mixer(labels, 100, policy=policies.Static()).batch_sampler))
    for part in np.split(np.array(batch), 4):
        np.testing.assert_allclose(np.bincount(labels[part], minlength=3), [15, 7.5, 2.5], atol=2)


# --- The stream hangs on seed and proportions alone -------------------------------------------------------------------

LOADERS = [
    {},
    {"num_workers": 2, "prefetch_factor": 1},
    {"num_workers": 2, "prefetch_factor": 5, "persistent_workers": True},
    {"num_workers": 4, "prefetch_factor": 2},
]


@pytest.mark.parametrize("how", ["observe", "static"])
def test_workers_prefetching_and_persistence_change_nothing(how):
    plain = Training(epochs=3, how=how).run(small_mixer((30, 5, 9), 5))
    assert len(plain) >= 24
    for loader in LOADERS:
        assert Training(epochs=3, how=how, loader=loader).run(small_mixer((30, 5, 9), 5)) == plain, loader


@pytest.mark.parametrize("workers", [0, 2, 4])
def test_updates_within_an_epoch_are_the_same_run_for_any_workers(workers):
    def make():
        return small_mixer((30, 5, 9), 4, update_every=2, look_ahead=8)

    loader = {"num_workers": workers, "prefetch_factor": 2 if workers else None}
    plain = Training().run(make())
    assert len({proportions for *_, proportions in plain}) > 10
    assert Training(loader=loader).run(make()) == plain


def test_too_short_a_look_ahead_is_refused_by_name():
    mixer = small_mixer((30, 5, 9), 4, update_every=2, look_ahead=3)
    loader = DataLoader(Indices(), batch_sampler=mixer.batch_sampler, num_workers=2, prefetch_factor=2)
    with pytest.raises(ValueError, match=r"batch 4 was asked for with 0 batches observed and look_ahead=3"):
        next(iter(loader))


def test_updates_take_hold_look_ahead_batches_later():
    """Proportions (1, 0), (0, 1), (1, 0), ... at each update: which group a batch is of tells which update it used."""
    path = [(1.0, 0.0), (0.0, 1.0)] * 6
    labels = labels_of([20, 20])
    mixer = Mixer(labels, 4, policy=Script(*path), update_every=2, look_ahead=1)
    groups = [int(labels[batch[0]]) for batch in consume(mixer)]
    # Updates after batches 1, 3, 5, 7 and 9 hold from batches 3, 5, 7 and 9 on, and the fifth in the next epoch.
    assert groups == [0, 0, 0, 1, 1, 0, 0, 1, 1, 0]
    mixer.step()
    assert int(labels[next(iter(mixer.batch_sampler))[0]]) == 1


def test_seed_alone_decides_the_stream_and_global_rngs_are_left_alone():
    def stream(seed, noise):
        random.seed(noise)
        np.random.seed(noise)  # noqa: NPY002
        torch.manual_seed(noise)
        with untouched_global_rngs():
            mixer = small_mixer(seed=seed)
            events = Training().run(mixer)
            small_mixer(seed=seed).load_state_dict(mixer.state_dict())
        return events

    assert stream(5, noise=1) == stream(5, noise=2)
    assert stream(5, noise=1) != stream(6, noise=1)


@given(SIZES, st.integers(0, 2**64))
def test_arrays_lists_tensors_and_names_give_the_same_stream(sizes, seed):
    labels = labels_of(sizes)
    names = [f"group {label:03}" for label in labels]
    forms = [labels, labels.tolist(), torch.as_tensor(labels), labels.astype(np.uint8), names, np.array(names)]
    streams = [list(Mixer(form, 2, policy=policies.Static("balanced"), seed=seed).batch_sampler) for form in forms]
    assert all(stream == streams[0] for stream in streams)


def test_groups_of_one_size_have_orders_of_their_own():
    mixer = Mixer.from_sizes({"a": 50, "b": 50}, 2, policy=policies.Static())
    a, b = np.sort(list(mixer.batch_sampler), axis=1).T  # one of each a batch
    assert (b >= 50).all()
    assert sum(a == b - 50) < 8


def test_sizes_beyond_32_bits_are_drawn_from_end_to_end():
    mixer = Mixer.from_sizes({"wiki": 2**40, "code": 5}, 1000, policy=policies.Static([0.9, 0.1]))
    for batch in consume(mixer, 3):
        wiki = [i for i in batch if i < 2**40]
        assert len(wiki) == len(set(wiki)) == 900
        assert min(wiki) < 2**35  # 900 even draws all above 2**35: odds 1e-13
        assert max(wiki) > 2**39


def test_the_sampler_is_one_that_trainers_leave_alone():
    sampler = small_mixer().batch_sampler
    assert isinstance(sampler, Sampler)
    assert len(sampler) == 13 // 3
    assert not hasattr(sampler, "batch_size")
    assert not hasattr(sampler, "drop_last")
    assert all(type(index) is int for batch in sampler for index in batch)

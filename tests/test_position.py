"""Where training stands: what counts is what was consumed, whatever was drawn, peeked at or broken off."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch.utils.data import DataLoader

from harness import Indices, Ledger, Training, consume, labels_of, loss_of, save_and_load, small_mixer
from learn2mix import Mixer, policies


class PositionMachine(RuleBasedStateMachine):
    """Drive a Mixer through drawing, observing, skipping, breaking off, steps and restores, beside a model of it.

    The model knows the rules of position and the proportions' formula in plain Python. Batches it takes as it first
    sees them, and asks that batch p of epoch e never changes afterwards and that consumed ones keep the promises.
    """

    @initialize(
        sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
        divisor=st.integers(1, 6),
        seed=st.integers(0, 1000),
        rate=st.sampled_from([0.1, 1.0]),
    )
    def begin(self, sizes, divisor, seed, rate):
        self.labels = labels_of(sizes)
        self.batch_size = max(1, sum(sizes) // divisor)
        self.num_batches = sum(sizes) // self.batch_size
        self.rate, self.seed = rate, seed
        self.mixer = self.make()
        self.alpha = np.array(sizes) / sum(sizes)
        self.ledger = Ledger(self.labels, self.batch_size, len(sizes))
        self.known = np.full(len(sizes), np.nan)
        self.epoch, self.restored, self.reported = 0, False, True
        self.start_epoch()

    def make(self):
        policy = policies.Learn2Mix(mixing_rate=self.rate)
        return Mixer(self.labels, self.batch_size, policy=policy, seed=self.seed)

    def start_epoch(self):
        self.consumed = self.open = self.drawn = 0
        self.batches = []  # of this epoch, as they were first seen
        self.heard, self.heard_open = [], []  # (index, loss): of whole batches, and of the one observed in part
        self.live = None

    def end_epoch(self):
        """Enter the epoch's batches in the ledger; what was drawn counts only where nothing was reported."""
        self.reported = bool(self.consumed or self.open)
        used = self.consumed + bool(self.open) if self.reported else self.drawn
        for batch in self.batches[:used]:
            self.ledger.add(batch, self.alpha)
        self.ledger.check_uses()
        self.epoch += 1
        self.restored = False
        heard = self.heard + self.heard_open
        self.start_epoch()
        return heard

    def see(self, place, batch):
        if place == len(self.batches):
            self.batches.append(batch)
        assert batch == self.batches[place], f"batch {place} of epoch {self.epoch} changed"

    @rule()
    def iterate(self):
        all_consumed = self.consumed == self.num_batches
        all_drawn = self.drawn == self.num_batches and not (self.consumed or self.open)
        if (all_consumed or all_drawn) and not self.restored:
            self.heard = self.end_epoch()  # feedback waits for step()
        self.restored = False
        self.open, self.heard_open, self.drawn = 0, [], self.consumed
        self.live = iter(self.mixer.batch_sampler)
        self.draw_one()

    @precondition(lambda self: self.live is not None)
    @rule(number=st.integers(1, 4))
    def draw(self, number):
        for _ in range(number):
            self.draw_one()

    def draw_one(self):
        batch = next(self.live, None)
        if self.drawn == self.num_batches:
            assert batch is None
            return
        self.see(self.drawn, batch)
        self.drawn += 1

    @precondition(lambda self: self.drawn > self.consumed)
    @rule(share=st.floats(0.01, 1), wild=st.booleans())
    def observe(self, share, wild):
        place = self.consumed * self.batch_size + self.open
        pending = [i for batch in self.batches[: self.drawn] for i in batch][place:]
        piece = pending[: max(1, int(share * len(pending)))]
        losses = np.where(wild & (np.array(piece) % 3 == 0), 0.0, loss_of(piece))
        self.mixer.observe(torch.as_tensor(losses), self.labels[piece])
        self.heard_open += list(zip(piece, losses, strict=True))
        self.consumed, self.open = divmod(place + len(piece), self.batch_size)
        whole = len(self.heard_open) - self.open
        self.heard, self.heard_open = self.heard + self.heard_open[:whole], self.heard_open[whole:]

    @precondition(lambda self: not self.open and self.drawn > self.consumed)
    @rule(share=st.floats(0.01, 1))
    def skip(self, share):
        number = max(1, int(share * (self.drawn - self.consumed)))
        self.mixer.skip(number)
        self.consumed += number

    @rule(extra=st.integers(1, 3))
    def observe_too_much(self, extra):
        number = (self.drawn - self.consumed) * self.batch_size - self.open + extra
        with pytest.raises(ValueError, match=r"were observed, and .* drawn"):
            self.mixer.observe(torch.ones(number), self.labels[np.zeros(number, dtype=int)])

    @rule()
    def step(self):
        while self.live is not None and not (self.consumed or self.open) and self.drawn < self.num_batches:
            self.draw_one()  # an epoch without feedback counts as a whole one: let the ledger see it
        heard = self.end_epoch()
        self.mixer.step()
        if not heard:
            return
        for group in range(len(self.alpha)):
            losses = [loss for i, loss in heard if self.labels[i] == group]
            self.known[group] = np.mean(losses) if losses else self.known[group]
        if np.nansum(self.known) > 0:
            losses = np.where(np.isnan(self.known), np.nanmean(self.known), self.known)
            self.alpha = self.alpha + self.rate * (losses / losses.sum() - self.alpha)

    @rule()
    def save_and_restore(self):
        state = save_and_load(self.mixer.state_dict())
        self.mixer = self.make()
        self.mixer.load_state_dict(state)
        if self.drawn == self.num_batches and not (self.consumed or self.open or self.reported):
            self.heard = self.end_epoch()  # someone who never reports has been through the epoch
            return
        self.open, self.heard_open, self.drawn = 0, [], self.consumed
        self.live, self.restored = None, True

    @invariant()
    def agrees(self):
        if hasattr(self, "mixer"):
            assert self.mixer.epoch == self.epoch
            np.testing.assert_allclose(self.mixer.proportions, self.alpha, rtol=1e-9, atol=1e-12)
            self.alpha = self.mixer.proportions  # the ledger counts with the exact ones


TestPosition = PositionMachine.TestCase


# --- The same rules, one at a time ------------------------------------------------------------------------------------


def test_a_peek_costs_nothing():
    plain, peeked = small_mixer(), small_mixer()
    expected = consume(plain)
    assert next(iter(peeked.batch_sampler)) == expected[0]
    assert consume(peeked, 2) == expected[:2]
    assert next(iter(peeked.batch_sampler)) == expected[2]  # in mid-epoch
    assert consume(peeked) == expected[2:]
    assert peeked.epoch == 0


def test_a_pass_broken_off_goes_on_where_training_stood():
    expected = consume(small_mixer())
    mixer = small_mixer()
    for batch in mixer.batch_sampler:
        if batch == expected[2]:
            break  # drawn, not trained on
        mixer.observe(loss_of(batch), mixer.groups_of(batch))
    assert consume(mixer) == expected[2:]


def test_a_batch_observed_in_part_is_drawn_again_and_counts_once():
    """Of the broken batch the half observed first is forgotten: its losses of 100 leave no trace."""
    plain, broken = small_mixer(), small_mixer()
    batch = next(iter(broken.batch_sampler))
    broken.observe(torch.full((2,), 100.0), broken.groups_of(batch[:2]))
    for mixer in (plain, broken):
        for again in mixer.batch_sampler:
            Training(how="pieces").train(mixer, np.array(again), epoch=0)
    assert again == consume(small_mixer())[-1]
    broken.step()
    plain.step()
    np.testing.assert_array_equal(broken.proportions, plain.proportions)


def test_an_epoch_ends_by_itself_once_all_is_observed():
    mixer = small_mixer()
    first = consume(mixer)
    assert mixer.epoch == 0  # decided at the next iteration, not before
    assert consume(mixer) != first
    assert mixer.epoch == 1


def test_a_static_pass_to_the_end_is_an_epoch():
    mixer = small_mixer(policy=policies.Static())
    passes = [list(mixer.batch_sampler) for _ in range(3)]
    assert mixer.epoch == 2
    assert passes[0] != passes[1] != passes[2]
    assert mixer.state_dict()["epoch"] == 3


def test_a_loader_that_reads_the_whole_epoch_ahead_does_not_end_it():
    """8 batches are dispatched before the first is observed; a state saved then stands at the first batch."""
    mixer = small_mixer((7, 9), 2)
    loader = DataLoader(Indices(), batch_sampler=mixer.batch_sampler, num_workers=1, prefetch_factor=16)
    first = next(iter(loader)).tolist()
    assert mixer.state_dict()["epoch"] == 0
    restored = small_mixer((7, 9), 2)
    restored.load_state_dict(mixer.state_dict())
    assert consume(restored)[0] == first


@pytest.mark.parametrize("loader", [{}, {"num_workers": 1, "prefetch_factor": 3}])
def test_an_unreported_epoch_ended_early_leads_to_the_same_next_one(loader):
    """However far a loader had read ahead when ``step`` was called."""
    whole = small_mixer(policy=policies.Static(), batch_size=2)
    list(whole.batch_sampler)
    mixer = small_mixer(policy=policies.Static(), batch_size=2)
    next(iter(DataLoader(Indices(), batch_sampler=mixer.batch_sampler, **loader)))
    mixer.step()
    assert list(mixer.batch_sampler) == list(whole.batch_sampler)


def test_step_before_anything_was_drawn_moves_no_batch():
    plain, stepped = small_mixer(), small_mixer()
    stepped.step()
    assert stepped.epoch == 1
    assert consume(stepped) == consume(plain)


def test_step_inside_the_loop_is_refused_at_the_next_batch():
    mixer = small_mixer()
    loop = iter(mixer.batch_sampler)
    next(loop)
    mixer.step()
    with pytest.raises(ValueError, match=r"after the pass was over.*call step\(\) after the loop"):
        next(loop)


def test_step_right_after_the_last_batch_ends_the_loop_quietly():
    mixer = small_mixer()
    for number, batch in enumerate(mixer.batch_sampler, start=1):
        mixer.observe(loss_of(batch), mixer.groups_of(batch))
        if number == len(mixer.batch_sampler):
            mixer.step()
    assert mixer.epoch == 1


def test_early_step_counts_the_batch_observed_in_part():
    """One and a half batches of three: the next epoch goes on from the third batch of the stream."""
    expected = small_mixer(policy=policies.Static())
    stream = [*consume(expected), *consume(expected)]
    mixer = small_mixer(policy=policies.Static())
    drawn = iter(mixer.batch_sampler)
    both = [*next(drawn), *next(drawn)]
    mixer.observe(loss_of(both[:5]), mixer.groups_of(both[:5]))
    mixer.step()
    assert consume(mixer) == stream[2:6]


@pytest.mark.parametrize("look_ahead", [0, 1, 5])
def test_early_step_with_updates_within_the_epoch_keeps_what_was_drawn(look_ahead):
    """The first batch is observed in part, then the epoch ended: its examples count as drawn at its own proportions."""
    labels = labels_of([30, 30])
    policy = policies.Learn2Mix(mixing_rate=1.0)
    mixer = Mixer(labels, 6, policy=policy, update_every=1, look_ahead=look_ahead)
    ledger = Ledger(labels, 6, 2)
    batch = next(iter(mixer.batch_sampler))
    ledger.add(batch, mixer.proportions)
    mixer.observe(torch.where(torch.as_tensor(labels[batch[:5]]) == 0, 0.0, 1.0), labels[batch[:5]])
    mixer.step()
    for _ in range(5):
        proportions = mixer.proportions
        for batch in mixer.batch_sampler:
            ledger.add(batch, proportions)
            ledger.check_uses()
            mixer.skip(1)
        mixer.step()


def test_update_within_a_long_epoch_keeps_the_sampler_small():
    mixer = Mixer(labels_of([3000, 3000]), 2, policy=policies.Learn2Mix(), update_every=1)
    consume(mixer, 500)
    assert len(mixer.batch_sampler._settled._dues) < 5

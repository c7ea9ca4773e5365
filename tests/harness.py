"""Shared by the tests: policies to steer with, ways to train, and the one check that a restored run goes on as it was."""

import contextlib
import io
import random
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import torch
from torch.utils.data import DataLoader

from learn2mix import Mixer, policies


@dataclass(frozen=True, eq=False)
class ScriptState(policies.State):
    updates: int


class Script:
    """A policy that goes through given proportions, one at each update, and stays at the last."""

    def __init__(self, *path):
        self.path = [np.array(proportions, dtype=np.float64) for proportions in path]

    def init(self, prior):
        return ScriptState(self.path[0], 0)

    def update(self, state, losses, *, counts, **signals):
        made = state.updates + 1
        return ScriptState(self.path[min(made, len(self.path) - 1)], made)


class Indices(torch.utils.data.Dataset):
    """A data set whose example i is i, so that a loader yields the indices it was given."""

    def __getitem__(self, index):
        return index


def labels_of(sizes):
    """Give labels 0 to k - 1 with so many of each, scattered by a fixed rule."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labels[np.random.default_rng(7).permutation(len(labels))]


def loss_of(indices, epoch=0):
    """Give a loss for each example that hangs on the example and the epoch alone."""
    return torch.as_tensor(np.asarray(indices) * 7 % 11 + 1.0 + epoch)


@contextlib.contextmanager
def untouched_global_rngs():
    """Fail where the global random states of torch, numpy or Python are changed within."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    assert random.getstate() == before[0]
    for was, now in zip(before[1], np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(was, now)
    assert torch.equal(torch.get_rng_state(), before[2])


def save_and_load(state):
    """Send a state through a file that is read without trust."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@dataclass(frozen=True)
class Training:
    """A way to go about a training loop.

    Args:
        epochs: How many.
        how: ``observe`` each batch; in ``pieces`` of uneven size; ``skip`` each; or ``static``: neither, nor ``step``.
        loader: Options of the ``DataLoader``; None to iterate the sampler itself.
    """

    epochs: int = 3
    how: str = "observe"
    loader: dict | None = None

    def events(self, mixer):
        """Train, and say after each batch and each step what was seen: epoch, indices, proportions."""
        batches = mixer.batch_sampler
        if self.loader is not None:
            batches = DataLoader(Indices(), batch_sampler=mixer.batch_sampler, **self.loader)
        for epoch in range(mixer.epoch, self.epochs):
            for batch in batches:
                self.train(mixer, np.asarray(batch), epoch)
                yield epoch, tuple(np.asarray(batch).tolist()), tuple(mixer.proportions.tolist())
            if self.how != "static":
                mixer.step()
                yield epoch, "step", tuple(mixer.proportions.tolist())

    def train(self, mixer, batch, epoch):
        if self.how == "skip":
            mixer.skip(1)
        elif self.how in ("observe", "pieces"):
            cuts = [0, 1, 1 + len(batch) // 3, len(batch)] if self.how == "pieces" else [0, len(batch)]
            for start, stop in pairwise(cuts):
                piece = batch[start:stop]
                mixer.observe(loss_of(piece, epoch), mixer.groups_of(piece).tolist())

    def run(self, mixer):
        return list(self.events(mixer))


def assert_resumes(make, training, cuts=None):
    """Cut a run after each event, go on from the saved state in a new Mixer, and compare with the run not cut.

    Args:
        make: Makes the Mixer.
        training: A ``Training``.
        cuts: After how many events; every one where None.
    """
    whole = training.run(make())
    assert len(whole) > 2
    for cut in range(len(whole) + 1) if cuts is None else cuts:
        running = training.events(first := make())
        seen = list(islice(running, cut))
        state = first.state_dict()
        running.close()
        second = make()
        second.load_state_dict(save_and_load(state))
        np.testing.assert_array_equal(second.proportions, first.proportions)
        assert seen + training.run(second) == whole, f"cut after {cut} of {len(whole)} events"


def consume(mixer, num_batches=None, losses=loss_of):
    """Train on so many batches of one pass, or on all of it, and return them."""
    seen = []
    for batch in islice(mixer.batch_sampler, num_batches):
        mixer.observe(losses(batch), mixer.groups_of(batch).tolist())
        seen.append(batch)
    return seen


def small_mixer(sizes=(7, 2, 4), batch_size=3, *, policy=None, **options):
    """Make a Mixer over a few examples."""
    policy = policy or policies.Learn2Mix(mixing_rate=0.5)
    return Mixer(labels_of(sizes), batch_size, policy=policy, **options)


class Ledger:
    """Keeps count of consumed batches, and checks the first two promises on each as the design words them."""

    def __init__(self, groups, batch_size, num_groups):
        self.groups, self.batch_size, self.num_groups = np.asarray(groups), batch_size, num_groups
        self.uses = np.zeros(len(self.groups), dtype=int)
        self.totals, self.dues = np.zeros(num_groups), np.zeros(num_groups)

    def add(self, batch, proportions):
        assert len(batch) == self.batch_size
        due = proportions * self.batch_size
        counts = np.bincount(self.groups[batch], minlength=self.num_groups)
        assert (counts >= np.floor(due)).all(), (counts, due)
        assert (counts <= np.ceil(due)).all(), (counts, due)
        self.totals += counts
        self.dues += due
        assert (abs(self.totals - self.dues) < 2).all(), (self.totals, self.dues)
        np.add.at(self.uses, batch, 1)

    def check_uses(self):
        most, least = np.zeros(self.num_groups, dtype=int), np.full(self.num_groups, 1 << 40)
        np.maximum.at(most, self.groups, self.uses)
        np.minimum.at(least, self.groups, self.uses)
        assert (most - least <= 1).all(), (most, least)


class NotYet(Exception):
    """Raised out of ``reduce`` to look at a replica's sums."""


def step_together(mixers):
    """Call ``step`` on replicas that live in one process: first hear all their sums, then give each the total."""
    heard = []

    def listen(sums):
        heard.append(sums)
        raise NotYet

    for mixer in mixers:
        with contextlib.suppress(NotYet):
            mixer.step(reduce=listen)
    for mixer in mixers:
        mixer.step(reduce=lambda sums: np.sum(heard, axis=0))


def states_of(policy, prior, epochs, counts=None):
    """Give the states after each update, the start included."""
    states = [policy.init(np.array(prior, dtype=np.float64))]
    for number, losses in enumerate(epochs):
        seen = np.ones(len(prior)) if counts is None else np.array(counts[number])
        states.append(policy.update(states[-1], np.array(losses, dtype=np.float64), counts=seen))
    return states

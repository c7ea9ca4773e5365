"""With a selector too: the stream is the same under workers, over restores and over replicas."""

import copy
import os
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Training, assert_resumes, labels_of, save_and_load, small_mixer, step_together
from learn2mix import Mixer, policies, registry, selectors

BOTH = [selectors.LastLoss(uniform=0.25), selectors.InfoBatch(prune=0.5)]
WORKERS = {"num_workers": 2, "prefetch_factor": 2}
each_selector = pytest.mark.parametrize("selector", BOTH, ids=lambda selector: type(selector).__name__)


@dataclass(frozen=True)
class Telling(Training):
    """Training that names the examples whose losses it tells."""

    def train(self, mixer, batch, epoch):
        if self.how == "skip":
            mixer.skip(1)
            return
        cuts = [0, 1, 1 + len(batch) // 3, len(batch)] if self.how == "pieces" else [0, len(batch)]
        for start, stop in pairwise(cuts):
            piece = batch[start:stop]
            mixer.observe(loss_of(piece, epoch), mixer.groups_of(piece).tolist(), indices=piece)


def loss_of(indices, epoch=0):
    """Give very uneven losses that change from epoch to epoch, whole numbers, so that sums are exact in any order."""
    return torch.as_tensor(2.0 ** ((np.asarray(indices) * 7 + epoch) % 5))


def make_with(selector, sizes=(11, 3, 6), batch_size=3, **options):
    return lambda: small_mixer(sizes, batch_size, selector=selector, seed=11, **options)


# --- Workers ----------------------------------------------------------------------------------------------------------


@each_selector
def test_workers_and_prefetching_change_nothing(selector):
    make = make_with(selector, (30, 5, 9), 5)
    plain = Telling().run(make())
    assert plain != Telling().run(make_with(None, (30, 5, 9), 5)())
    for loader in ({}, WORKERS, {"num_workers": 2, "prefetch_factor": 5, "persistent_workers": True}):
        assert Telling(loader=loader).run(make()) == plain, loader


@each_selector
def test_batches_drawn_one_by_one_or_many_at_once_are_the_same(selector):
    """With updates within the epoch a batch is drawn when it is asked for; where they change nothing, so is the stream."""
    at_once = make_with(selector, (30, 5, 9), 4, policy=policies.Static())
    one_by_one = make_with(selector, (30, 5, 9), 4, policy=policies.Static(), update_every=1)
    assert Telling().run(one_by_one()) == Telling().run(at_once())


# --- Restores ---------------------------------------------------------------------------------------------------------


@each_selector
@pytest.mark.parametrize("how", ["observe", "pieces"])
def test_after_every_batch_and_every_step(selector, how):
    assert_resumes(make_with(selector), Telling(how=how))


@pytest.mark.parametrize("entry", list(registry.entries("selector")), ids=lambda entry: entry.name)
def test_with_every_selector(entry):
    assert_resumes(make_with(entry.part(**entry.example)), Telling(epochs=5), cuts=[3, 6, 7, 13, 20, 25])


@each_selector
def test_with_updates_within_the_epoch_and_under_workers(selector):
    make = make_with(selector, (25, 4, 7), 3, update_every=2, look_ahead=4)
    assert_resumes(make, Telling(epochs=2, loader=WORKERS), cuts=[7, 13, 17])


@each_selector
def test_with_batches_that_are_skipped(selector):
    """The first epoch is observed, the others are skipped: the scores stay in force."""

    @dataclass(frozen=True)
    class Half(Telling):
        def train(self, mixer, batch, epoch):
            Telling(how="skip" if epoch else "observe").train(mixer, batch, epoch)

    assert_resumes(make_with(selector), Half())


@settings(max_examples=8)
@given(st.data())
def test_several_restores_in_one_run(data):
    """Save and restore at random moments, in the middle of a batch too."""
    selector = data.draw(st.sampled_from(BOTH))
    sizes = data.draw(st.lists(st.integers(1, 15), min_size=2, max_size=5))
    make = make_with(selector, sizes, data.draw(st.integers(1, sum(sizes))))
    whole = Telling(epochs=4).run(make())
    mixer, seen = make(), []
    while len(seen) < len(whole):
        for event in Telling(epochs=4).events(mixer):
            seen.append(event)
            if data.draw(st.integers(0, 3)) == 0:
                break
        if mixer.state_dict()["consumed"] < len(mixer.batch_sampler) and data.draw(st.booleans()):
            batch = next(iter(mixer.batch_sampler))
            if len(batch) > 1:
                mixer.observe(torch.full((1,), 99.0), mixer.groups_of(batch[:1]), indices=batch[:1])
        state = save_and_load(mixer.state_dict())
        mixer = make()
        mixer.load_state_dict(state)
        assert str(mixer.state_dict()) == str(state)
    assert seen == whole


def test_a_state_holds_one_score_an_example_and_what_was_heard_since():
    mixer = make_with(BOTH[0], (40, 10), 5)()
    events = Telling().events(mixer)
    list(islice(events, 13))  # an epoch, its step, and two batches of five
    state = mixer.state_dict()["selection"]
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "scores": (50,), "visited": (2,), "places": (10,), "indices": (10,), "losses": (10,),
    }  # fmt: skip
    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert state["places"].tolist() == list(range(10))


def test_a_mixer_without_a_selector_saves_and_loads_what_it_always_did():
    mixer = make_with(None)()
    state = mixer.state_dict()
    keys = {
        "version",
        "setup",
        "replica",
        "epoch",
        "consumed",
        "reports",
        "stream",
        "policy",
        "sums",
        "known",
        "unused",
    }
    assert set(state) == keys
    assert state["version"] == 1
    assert set(state["stream"]) == {"batches", "owed", "drawn", "dues"}
    assert "selector" not in state["setup"]


# --- States refused -----------------------------------------------------------------------------------------------------


def change_of(key, change):
    def apply(state):
        state["selection"][key] = change(state["selection"][key])

    return apply


DAMAGES = [
    (lambda state: state.pop("selection"), "what the selector goes by is missing"),
    (lambda state: state["selection"].pop("scores"), "KeyError"),
    (change_of("scores", lambda old: old[:3]), r"scores had shape \(3,\)"),
    (change_of("scores", lambda old: old.double()), "type float64"),
    (change_of("scores", lambda old: old + torch.inf), "are not finite"),
    (change_of("losses", lambda old: old * torch.nan), "are not finite"),
    (change_of("losses", lambda old: old[1:]), "losses had shape"),
    (change_of("places", lambda old: old.flip(0)), "not in order"),
    (change_of("places", lambda old: old + 3), "not within the epoch"),
    (change_of("places", lambda old: old - 1), "not within the epoch"),
    (change_of("places", lambda old: 5), "TypeError"),
    (change_of("indices", lambda old: old + 20), "an index of the losses heard lies outside"),
    (change_of("visited", lambda old: old - 1), "more examples were drawn than visited"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES)
def test_a_damaged_state_is_refused_whole(change, message):
    make = make_with(BOTH[1])
    mixer = make()
    events = Telling().events(mixer)
    list(islice(events, 9))
    good = mixer.state_dict()
    bad = copy.deepcopy(good)
    change(bad)
    other = make()
    with pytest.raises(ValueError, match=rf"the state is damaged .*{message}.*load an earlier checkpoint"):
        other.load_state_dict(bad)
    assert Telling().run(other) == Telling().run(make())
    other.load_state_dict(good)  # into a Mixer that has been used
    assert Telling().run(other) == list(events)


@pytest.mark.parametrize(("saved_by", "loaded_by"), [(BOTH[0], None), (None, BOTH[0]), (BOTH[0], BOTH[1])])
def test_the_state_of_another_selector_is_refused(saved_by, loaded_by):
    state = make_with(saved_by)().state_dict()
    with pytest.raises(
        ValueError, match=r"with selector .*, and this one has .*; make the Mixer with the selector it was"
    ):
        make_with(loaded_by)().load_state_dict(state)


class Plain:
    replace = True

    def __init__(self, chance):
        self.chance = chance

    def weigh(self, scores, epoch):
        return np.full(len(scores), self.chance), np.ones(len(scores))


@dataclass(frozen=True)
class Fields(Plain):
    chance: float


def test_settings_of_a_selector_of_ones_own_are_seen_where_it_is_a_dataclass():
    """Of any other class a state knows the name alone, as the docstrings say."""
    make_with(Plain(5.0))().load_state_dict(make_with(Plain(1.0))().state_dict())
    state = make_with(Fields(1.0))().state_dict()
    make_with(Fields(1.0))().load_state_dict(state)
    with pytest.raises(
        ValueError, match=r"with selector .*Fields\(chance=1.0\).*, and this one has .*Fields\(chance=5.0\)"
    ):
        make_with(Fields(5.0))().load_state_dict(state)


# --- Replicas without a process group ---------------------------------------------------------------------------------


@each_selector
@pytest.mark.parametrize(
    "policy", [policies.Static(), policies.Learn2Mix(mixing_rate=0.5)], ids=["static", "learn2mix"]
)
def test_the_union_of_the_replicas_is_the_one_process_batch(selector, policy):
    make = lambda **options: Mixer(labels_of([31, 6, 9]), 6, policy=policy, selector=selector, **options)  # noqa: E731
    one, many = make(), [make(num_replicas=3, rank=rank) for rank in range(3)]
    for epoch in range(4):
        for whole, *parts in zip(*(mixer.batch_sampler for mixer in (one, *many)), strict=True):
            assert sorted(np.concatenate(parts)) == sorted(whole)
            for mixer, part in zip((one, *many), (whole, *parts), strict=True):
                # a loss of the batch's place in the epoch too, so that which loss of an example was the last is seen
                losses = loss_of(part, epoch) + mixer.batch_sampler.state_dict()["batches"]
                mixer.observe(losses, mixer.groups_of(part), indices=part)
        one.step()
        step_together(many)
        for mixer in many:
            np.testing.assert_allclose(mixer.proportions, one.proportions, rtol=1e-12)
            np.testing.assert_array_equal(scores_of(mixer), scores_of(one))
            assert mixer.weights_of(range(46)).equal(one.weights_of(range(46)))


def scores_of(mixer):
    return mixer.state_dict()["selection"]["scores"]


def test_a_local_state_loads_elsewhere_only_with_nothing_under_way():
    """With ``update_every`` the sums are used up within the epoch, and the losses of single examples are not."""
    make = lambda rank: make_with(BOTH[1], policy=policies.Static(), num_replicas=3, rank=rank)()  # noqa: E731
    mixer = make(0)
    batch = next(iter(mixer.batch_sampler))
    mixer.observe(torch.ones(1), mixer.groups_of(batch), indices=batch)
    state = mixer.state_dict()
    state["sums"].zero_()
    for elsewhere in (make(1), make_with(BOTH[1], policy=policies.Static())()):
        with pytest.raises(ValueError, match=r"replica 0 of 3.*save with gather_state_dict\(\)"):
            elsewhere.load_state_dict(state)
    make(0).load_state_dict(state)


# --- With one: two processes, joined by gloo --------------------------------------------------------------------------


def shared_mixer(selector):
    return make_with(selector, (30, 5, 9), 4, policy=policies.Learn2Mix(mixing_rate=0.5))()


def halfway(mixer):
    """Train through the first epoch and three batches of the second."""
    events = Telling().events(mixer)
    list(islice(events, len(mixer.batch_sampler) + 1 + 3))
    events.close()
    return mixer


def as_each_process(rank, folder):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    seen = {"run": Telling().run(shared_mixer(BOTH[1]))}
    mixer = halfway(shared_mixer(BOTH[1]))
    seen["gathered"] = mixer.gather_state_dict()
    one_process = torch.load(f"{folder}/one.pt", weights_only=True)
    for name, state in (("gathered", seen["gathered"]), ("local", mixer.state_dict()), ("one", one_process)):
        again = shared_mixer(BOTH[1])
        again.load_state_dict(save_and_load(state))
        seen[f"resumed {name}"] = Telling().run(again)
    seen["updates within"] = Telling().run(make_with(BOTH[1], (30, 5, 9), 4, update_every=2)())
    torch.save(seen, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_train_and_resume_as_one(tmp_path):
    one = halfway(shared_mixer(BOTH[1]))
    torch.save(one.state_dict(), tmp_path / "one.pt")
    torch.multiprocessing.spawn(as_each_process, args=(str(tmp_path),), nprocs=2)
    two = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    assert str(two[0]["gathered"]) == str(two[1]["gathered"])
    for key in ("places", "indices", "losses", "scores", "visited"):
        np.testing.assert_array_equal(two[0]["gathered"]["selection"][key], one.state_dict()["selection"][key])
    rest = Telling().run(copy_of(one))
    expected = {
        "run": Telling().run(shared_mixer(BOTH[1])),
        "updates within": Telling().run(make_with(BOTH[1], (30, 5, 9), 4, update_every=2)()),
        **{f"resumed {name}": rest for name in ("gathered", "local", "one")},
    }
    for name, whole in expected.items():
        assert len(whole) > 10
        for first, second, (epoch, batch, proportions) in zip(two[0][name], two[1][name], whole, strict=True):
            assert first[0] == second[0] == epoch
            assert first[2] == second[2] == proportions
            assert (first[1] if batch == "step" else first[1] + second[1]) == batch, name
    gathered = shared_mixer(BOTH[1])
    gathered.load_state_dict(two[1]["gathered"])
    assert Telling().run(gathered) == rest


def copy_of(mixer):
    other = shared_mixer(BOTH[1])
    other.load_state_dict(mixer.state_dict())
    return other

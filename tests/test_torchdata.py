"""torchdata's StatefulDataLoader: saved together with the Mixer it resumes exactly, and a disagreement raises."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness import save_and_load
from learn2mix import Mixer, policies
from trainers_support import Killed, example, kinds, listening, plain_run, rest_of, weights_of

torchdata = pytest.importorskip("torchdata.stateful_dataloader")

LOADERS = {
    "0 workers": {},
    "2 workers": {"num_workers": 2},
    "2 workers that persist": {"num_workers": 2, "persistent_workers": True},
    "2 workers, little prefetched": {"num_workers": 2, "prefetch_factor": 1},
}


class Run:
    """A training run whose parts can be saved and loaded one by one."""

    def __init__(self, names, *, loader=None, **mixing):
        batch_size = mixing.pop("batch_size", 8)
        self.mixer = Mixer(names["labels"], batch_size, policy=policies.Learn2Mix(mixing_rate=0.5), **mixing)
        self.model = names["make_model"]()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5, momentum=0.5)
        self.loader = torchdata.StatefulDataLoader(
            names["dataset"], batch_sampler=self.mixer.batch_sampler, **(loader or {})
        )

    def save(self):
        parts = ("mixer", "loader", "model", "optimizer")
        return save_and_load({name: getattr(self, name).state_dict() for name in parts})

    def load(self, state, order=("mixer", "loader")):
        for name in (*order, "model", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        return self

    def events(self, epochs=3):
        """Train, and say what happened at each moment after which a user may save."""
        for epoch in range(self.mixer.epoch, epochs):
            for x, y in self.loader:
                self.train_on(x, y)
                yield epoch, tuple(y.tolist()), tuple(x[:, 0].tolist()), tuple(self.mixer.proportions)
            yield epoch, "end of the loop"
            self.mixer.step()
            yield epoch, "step", tuple(self.mixer.proportions)

    def train_on(self, x, y):
        losses = F.cross_entropy(self.model(x), y, reduction="none")
        self.mixer.observe(losses, y)
        self.optimizer.zero_grad()
        losses.mean().backward()
        self.optimizer.step()

    def after(self, count):
        """Train for so many events."""
        seen = list(itertools.islice(self.events(), count))
        assert len(seen) == count
        return self


@pytest.fixture(scope="module")
def names():
    return example("torchdata")


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("batch_size", [8, 13], ids=["5 batches", "3 batches, fewer than prefetched"])
def test_a_run_cut_anywhere_goes_on_as_it_was(names, loader, batch_size):
    def make():
        return Run(names, loader=loader, batch_size=batch_size)

    states = []
    running = make()
    states.append(running.save())  # before anything was drawn
    whole = []
    for event in running.events():
        whole.append(event)
        states.append(running.save())
    bare = make()
    bare.loader = torch.utils.data.DataLoader(names["dataset"], batch_sampler=bare.mixer.batch_sampler)
    assert list(bare.events()) == whole, "saving must not change what is trained on"

    for cut, state in enumerate(states):
        order = ("mixer", "loader") if cut % 2 else ("loader", "mixer")
        resumed = make().load(state, order)
        rest = list(resumed.events())
        if cut and whole[cut - 1][1] == "end of the loop":
            assert rest.pop(0) == whole[cut - 1], "one more pass, without a batch"
        assert rest == whole[cut:], f"cut after {cut} of {len(whole)} events"
        np.testing.assert_array_equal(resumed.mixer.proportions, running.mixer.proportions)
        assert torch.equal(weights_of(resumed.model), weights_of(running.model))


@pytest.mark.parametrize("loader", [LOADERS["0 workers"], LOADERS["2 workers"]], ids=["0 workers", "2 workers"])
def test_updates_within_an_epoch_resume_exactly(names, loader):
    def make():
        return Run(names, loader=loader, update_every=2, look_ahead=4 if loader else 0)

    whole = list(make().events())
    for cut in (1, 2, 4, 9, 12):
        resumed = make().load(make().after(cut).save())
        assert list(resumed.events()) == whole[cut:]


@pytest.mark.parametrize("killed_at", [0, 1, 4, 5, 8, 14])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_example_goes_on_where_it_was_killed(names, tmp_path, killed_at, workers):
    checkpoint = tmp_path / "checkpoint.pt"
    whole, weights = plain_run(names)
    with listening(stop_after=killed_at), pytest.raises(Killed):
        names["train"](checkpoint, num_workers=workers)
    with listening() as events:
        model = names["train"](checkpoint, num_workers=workers)
    batches = [event for event in events if event[1] != "step"]
    assert batches == [event for event in whole if event[1] != "step"][killed_at:]
    assert events[-1] == whole[-1]
    assert torch.equal(weights_of(model), weights)


# --- Disagreement -----------------------------------------------------------------------------------------------------

DISAGREE = "the loader's state stands at epoch .*, batch .*, and the Mixer at .*save and load both together"


@pytest.mark.parametrize("loader", [LOADERS["0 workers"], LOADERS["2 workers"]], ids=["0 workers", "2 workers"])
class TestDisagreement:
    def test_the_loader_alone(self, names, loader):
        state = Run(names, loader=loader).after(3).save()
        naive = Run(names, loader=loader)
        naive.loader.load_state_dict(state["loader"])
        with pytest.raises(ValueError, match=DISAGREE):
            next(iter(naive.loader))

    def test_the_loader_of_a_finished_epoch_alone(self, names, loader):
        state = Run(names, loader=loader).after(7).save()
        naive = Run(names, loader=loader)
        naive.loader.load_state_dict(state["loader"])
        with pytest.raises(ValueError, match=DISAGREE):
            next(iter(naive.loader))

    @pytest.mark.parametrize(("loader_at", "mixer_at"), [(2, 3), (3, 2), (3, 10), (10, 3), (0, 1)])
    def test_states_of_different_moments(self, names, loader, loader_at, mixer_at):
        stale = Run(names, loader=loader).after(loader_at).save()
        state = {**Run(names, loader=loader).after(mixer_at).save(), "loader": stale["loader"]}
        resumed = Run(names, loader=loader).load(state)
        with pytest.raises(ValueError, match=DISAGREE):
            next(iter(resumed.loader))

    def test_saved_before_the_batch_was_observed(self, names, loader):
        running = Run(names, loader=loader)
        running.train_on(*next(batches := iter(running.loader)))
        next(batches)
        state = running.save()
        with pytest.raises(
            ValueError, match=r"batch 2, and the Mixer at epoch 0, batch 1; .*after a batch was observed"
        ):
            next(iter(Run(names, loader=loader).load(state).loader))

    def test_the_mixer_alone_is_enough(self, names, loader):
        whole = list(Run(names, loader=loader).events())
        resumed, state = Run(names, loader=loader), Run(names, loader=loader).after(3).save()
        for name in ("mixer", "model", "optimizer"):
            getattr(resumed, name).load_state_dict(state[name])
        assert list(resumed.events()) == whole[3:]


@pytest.mark.parametrize("cut", range(1, 5))
def test_rare_snapshots_raise_where_they_are_stale(names, cut):
    loader = {"num_workers": 2, "snapshot_every_n_steps": 3}
    whole = list(Run(names, loader=loader).events())
    resumed = Run(names, loader=loader).load(Run(names, loader=loader).after(cut).save())
    if cut == 3:
        assert list(resumed.events()) == whole[3:]
    else:
        with pytest.raises(ValueError, match=r"snapshot_every_n_steps=1"):
            next(iter(resumed.loader))


def test_another_number_of_workers_is_the_loaders_own_refusal(names):
    state = Run(names, loader=LOADERS["2 workers"]).after(2).save()
    resumed = Run(names, loader={"num_workers": 1}).load(state)
    with pytest.raises(AssertionError):
        next(iter(resumed.loader))


def test_a_snapshot_taken_at_dispatch_holds_no_losses(names):
    """Workers are handed batch 5 while batch 1 is trained on; a snapshot of the feedback would be five batches wrong."""
    running = Run(names, loader=LOADERS["2 workers"])
    running.train_on(*next(iter(running.loader)))
    inner = running.loader.state_dict()["_snapshot"]["_main_snapshot"]
    assert inner["_index_sampler_state"] == {"epoch": 0, "batches": 1}
    assert inner["_sampler_iter_state"] is None
    assert running.mixer.batch_sampler.state_dict() == {"epoch": 0, "batches": 5}


def test_without_step_an_epochs_last_batch_costs_one_more_empty_pass(names, tmp_path):
    """What the page says of those who save there and never call ``step()``: no batch is lost or trained on twice."""

    def passes(run, count):
        for _ in range(count):
            with listening() as events:
                for x, y in run.loader:
                    run.train_on(x, y)
            yield kinds(events)

    for loader in (LOADERS["0 workers"], LOADERS["2 workers"]):
        state = Run(names, loader=loader).after(5).save()
        assert list(passes(Run(names, loader=loader).load(state), 4)) == ["", "", "11111", "22222"]


def test_rest_of_counts_batches():
    events = [(0, (1,), ()), (1, "step", ()), (1, (2,), ())]
    assert rest_of(events, 0) == events
    assert rest_of(events, 1) == events[2:]
    assert rest_of(events, 2) == []

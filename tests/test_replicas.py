"""Several processes share every batch: together they are one process, with proportions equal bit for bit."""

import os
import warnings
from itertools import islice

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from harness import Script, Training, consume, labels_of, save_and_load, small_mixer, step_together
from learn2mix import Mixer, policies

# --- Without a process group ------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=6),
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from(["observe", "skip"]),
)
def test_the_union_of_the_replicas_is_the_one_process_batch(sizes, num_replicas, share, how):
    batch_size = num_replicas * share
    if batch_size > sum(sizes):
        return

    def make(**options):
        return Mixer(labels_of(sizes), batch_size, policy=policies.Learn2Mix(mixing_rate=0.5), seed=4, **options)

    one, many = make(), [make(num_replicas=num_replicas, rank=rank) for rank in range(num_replicas)]
    training = Training(how=how)
    for epoch in range(3):
        for whole, *parts in zip(*(mixer.batch_sampler for mixer in (one, *many)), strict=True):
            assert {len(part) for part in parts} == {share}
            assert sorted(np.concatenate(parts)) == sorted(whole)
            for mixer, part in zip((one, *many), (whole, *parts), strict=True):
                training.train(mixer, np.array(part), epoch)
        one.step()
        step_together(many)
        for mixer in many:  # losses are whole numbers, so that their sums are exact in any order
            np.testing.assert_array_equal(mixer.proportions, one.proportions)


def test_group_losses_are_means_over_all_replicas():
    """Group 0: 1 on the first, 2 and 6 on the second: 3. Group 1: 9 on the first alone. Rate 1: 3 and 9 of 12."""
    make = lambda rank: small_mixer((4, 4), 4, policy=policies.Learn2Mix(mixing_rate=1), num_replicas=2, rank=rank)  # noqa: E731
    first, second = make(0), make(1)
    for mixer, losses, groups in ((first, [1.0, 9.0], [0, 1]), (second, [2.0, 6.0], [0, 0])):
        next(iter(mixer.batch_sampler))
        mixer.observe(torch.tensor(losses), groups)
    step_together([first, second])
    assert first.proportions.tolist() == second.proportions.tolist() == [0.25, 0.75]


def test_a_replica_knows_its_own_share_alone():
    """Observing more than the local batch is refused; a batch is whole when its share of it is."""
    mixer = small_mixer((6, 6), 6, num_replicas=3, rank=2)
    batch = next(iter(mixer.batch_sampler))
    assert len(batch) == 2
    mixer.observe(torch.ones(2), mixer.groups_of(batch))
    assert mixer.state_dict()["consumed"] == 1
    with pytest.raises(ValueError, match="3 examples of epoch 0 were observed, and 2 drawn"):
        mixer.observe(torch.ones(1), [0])


@pytest.mark.parametrize("cut", [0, 2, 4, 5, 7])
def test_a_replica_resumes_from_its_own_state(cut):
    make = lambda: small_mixer((7, 2, 4), 3, num_replicas=3, rank=1)  # noqa: E731
    training, step = Training(), {"reduce": lambda sums: 3 * sums}

    def events(mixer):
        for epoch in range(mixer.epoch, 3):
            for batch in mixer.batch_sampler:
                training.train(mixer, np.array(batch), epoch)
                yield epoch, batch, mixer.proportions.tolist()
            mixer.step(**step)
            yield epoch, "step", mixer.proportions.tolist()

    whole, first, second = list(events(make())), make(), make()
    seen = list(islice(events(first), cut))
    second.load_state_dict(save_and_load(first.state_dict()))
    assert seen + list(events(second)) == whole


def test_a_local_state_loads_elsewhere_only_without_sums_under_way():
    make = lambda rank: small_mixer((7, 2, 4), 3, num_replicas=3, rank=rank)  # noqa: E731
    mixer = make(0)
    consume(mixer)
    for elsewhere in (make(1), small_mixer((7, 2, 4), 3)):
        with pytest.raises(ValueError, match=r"replica 0 of 3.*save with gather_state_dict\(\).*right after step\(\)"):
            elsewhere.load_state_dict(mixer.state_dict())
    mixer.step(reduce=lambda sums: sums)
    for elsewhere in (make(1), small_mixer((7, 2, 4), 3)):
        elsewhere.load_state_dict(mixer.state_dict())
        np.testing.assert_array_equal(elsewhere.proportions, mixer.proportions)
        assert elsewhere.epoch == 1


# --- With one: two processes, joined by gloo ---------------------------------------------------------------------------


def shared_mixer(**options):
    return small_mixer((30, 5, 9), 4, policy=policies.Learn2Mix(mixing_rate=0.5), seed=8, **options)


def halfway(mixer):
    """Train through the first epoch and three batches of the second."""
    training = Training()
    events = training.events(mixer)
    list(islice(events, len(mixer.batch_sampler) + 1 + 3))
    return events


def as_each_process(rank, folder):
    """What each of the two does; what it saw goes into a file."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    seen = {
        "run": Training().run(shared_mixer()),
        "workers": Training(loader={"num_workers": 1}).run(shared_mixer()),
        "updates within": Training().run(shared_mixer(update_every=2)),
    }
    mixer = shared_mixer()
    halfway(mixer).close()
    gathered, local = mixer.gather_state_dict(), mixer.state_dict()
    for name, state in (("resumed gathered", gathered), ("resumed local", local)):
        again = shared_mixer()
        again.load_state_dict(save_and_load(state))
        seen[name] = Training().run(again)
    seen["gathered"] = gathered
    again = shared_mixer()
    again.load_state_dict(torch.load(f"{folder}/one.pt", weights_only=True))
    seen["resumed of one process"] = Training().run(again)

    differing = Script([0.5, 0.5], [0.25 + 0.5 * rank, 0.75 - 0.5 * rank])  # a policy that is not the same on each
    mixer = Mixer([0, 1] * 4, 2, policy=differing)
    consume(mixer)
    mixer.step()
    seen["of rank 0"] = mixer.proportions.tolist()

    mixer = Mixer([0, 1] * 4, 2, policy=policies.Learn2Mix())
    list(mixer.batch_sampler)
    mixer.observe(torch.tensor([torch.nan if rank else 1.0]), [rank])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixer.step()
    seen["warned"] = [str(warning.message)[:50] for warning in caught]

    alone, first = dist.new_group([rank], use_local_synchronization=True), dist.new_group([0])
    seen["alone"] = Training().run(shared_mixer(process_group=alone))
    try:
        seen["of the first"] = len(next(iter(shared_mixer(process_group=first).batch_sampler)))
    except ValueError as error:
        seen["of the first"] = str(error)
    given = shared_mixer(num_replicas=2, rank=rank)
    seen["given"] = Training().run(given)
    torch.save(seen, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes saw, and what one process sees."""
    folder = tmp_path_factory.mktemp("replicas")
    one = shared_mixer()
    halfway(one).close()
    torch.save(one.state_dict(), folder / "one.pt")
    torch.multiprocessing.spawn(as_each_process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def assert_together(events, whole):
    """The events of two processes, put together, are those of one."""
    assert len(events[0]) == len(events[1]) == len(whole) > 0
    for first, second, (epoch, batch, proportions) in zip(*events, whole, strict=True):
        assert first[0] == second[0] == epoch
        assert first[2] == second[2] == proportions  # bit for bit
        if batch == "step":
            assert first[1] == second[1] == "step"
        else:
            assert first[1] + second[1] == batch


@pytest.mark.parametrize("name", ["run", "workers", "given"])
def test_two_processes_train_as_one(two, name):
    assert_together([seen[name] for seen in two], Training().run(shared_mixer()))


def test_two_processes_update_within_the_epoch_as_one(two):
    assert_together([seen["updates within"] for seen in two], Training().run(shared_mixer(update_every=2)))


@pytest.mark.parametrize("name", ["resumed gathered", "resumed local", "resumed of one process"])
def test_two_processes_resume_as_one(two, name):
    rest = list(halfway(shared_mixer()))
    assert_together([seen[name] for seen in two], rest)


def test_a_gathered_state_loads_in_one_process(two):
    assert str(two[0]["gathered"]) == str(two[1]["gathered"])
    one = shared_mixer()
    one.load_state_dict(two[1]["gathered"])
    assert Training().run(one) == list(halfway(shared_mixer()))


def test_rank_0_decides_where_a_policy_is_not_the_same_everywhere(two):
    assert two[0]["of rank 0"] == two[1]["of rank 0"] == [0.25, 0.75]


def test_a_loss_that_is_not_finite_anywhere_is_known_everywhere(two):
    assert two[0]["warned"] == two[1]["warned"]
    assert two[0]["warned"][0].startswith("losses were NaN or infinite in group 1 (1)")


def test_a_process_group_of_ones_own(two):
    alone = Training().run(shared_mixer())
    assert two[0]["alone"] == two[1]["alone"] == alone
    assert two[0]["of the first"] == 4
    assert "process_group was one that this process is no member of" in two[1]["of the first"]

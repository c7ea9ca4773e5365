"""Real processes under torchrun, joined by gloo, train a network as one process does."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import distributed_worker as worker
from harness import Training, consume, small_mixer

SCRIPT = str(Path(__file__).with_name("distributed_worker.py"))
ENVIRONMENT = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def torchrun(folder, world):
    """Run the script on so many processes; give what each saw."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(world)]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    done = subprocess.run(
        [*command, SCRIPT, str(folder)], capture_output=True, text=True, check=False, timeout=180, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank} of {world}.pt", weights_only=False) for rank in range(world)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What one, two and four processes saw; the Mixers' states went from two of them to one, and on to four."""
    folder = tmp_path_factory.mktemp("distributed")
    seen = {2: torchrun(folder, 2), 1: [{"folder": folder}]}
    for within in (False, True):
        mixer = worker.mixer_for_resuming(within=within)
        seen[1][0][f"resumed, {within}"], events = worker.resume(folder / f"of 2, {within}.pt", mixer, 7)
        torch.save(mixer.state_dict(), folder / f"of 1, {within}.pt")
        events.close()
    seen[4] = torchrun(folder, 4)
    return seen


@pytest.fixture(scope="module")
def one():
    return {"train": worker.train(), "train within the epoch": worker.train(**worker.WITHIN)}


def joined(parts):
    return [value for part in parts for value in part]


def events_of(ranks, name):
    """Go through the events of all ranks side by side."""
    runs = [rank[name]["events"] for rank in ranks]
    assert {len(run) for run in runs} == {len(runs[0])}
    return zip(*runs, strict=True)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("name", ["train", "train within the epoch"])
def test_several_processes_train_as_one(seen, one, name, world):
    """Same batches; loss curve, proportions and weights up to the order in which sums were formed."""
    for parts, whole in zip(events_of(seen[world], name), one[name]["events"], strict=True):
        epoch, batch, losses, proportions = whole
        assert {part[0] for part in parts} == {epoch}
        assert all(part[3] == parts[0][3] for part in parts)  # bit for bit
        np.testing.assert_allclose(parts[0][3], proportions, rtol=1e-9)
        if batch == "step":
            assert {part[1] for part in parts} == {"step"}
            continue
        assert {len(part[1]) for part in parts} == {worker.BATCH // world}
        assert joined(part[1] for part in parts) == batch
        np.testing.assert_allclose(joined(part[2] for part in parts), losses, rtol=1e-9, atol=1e-12)
    for rank in seen[world]:
        for ours, theirs in zip(rank[name]["weights"], one[name]["weights"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["train", "train within the epoch"])
def test_what_is_compared_moves(one, name):
    """Losses fall, and the proportions move: after every epoch, or within it."""
    events = one[name]["events"]
    means = [np.mean(losses) for _, _, losses, _ in events if losses]
    assert np.mean(means[-7:]) < 0.7 * np.mean(means[:7])
    moves = [before[3] != after[3] for before, after in pairwise(events)]
    assert sum(moves) == (worker.EPOCHS if name == "train" else worker.EPOCHS * 7 // 3)


@pytest.mark.parametrize("world", [2, 4])
def test_a_group_that_a_rank_never_saw(seen, one, world):
    """In the first epoch some rank sees nothing of some group; all the same it knows that group's loss."""
    labels = worker.data()[1]
    first = [[i for epoch, batch, _, _ in rank["train"]["events"] if epoch == 0 and batch != "step" for i in batch]
             for rank in seen[world]]  # fmt: skip
    assert min(len(labels[indices].unique()) for indices in first) < len(worker.SIZES)
    for rank in seen[world]:
        assert rank["train"]["losses"] == seen[world][0]["train"]["losses"]
        np.testing.assert_allclose(rank["train"]["losses"], one["train"]["losses"], rtol=1e-9)


@pytest.mark.parametrize("world", [2, 4])
def test_every_rank_has_the_same_number_of_batches(seen, world):
    assert [rank["static"] for rank in seen[world]] == world * [[sum(worker.SIZES) // worker.BATCH] * 2]


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_that_trained_on_different_numbers_of_batches_are_told(seen, world):
    """Else their batches would be no parts of one any more."""
    for rank in seen[world]:
        gather, step, epoch = rank["apart"]
        assert gather.startswith(f"the replicas have used {[3] + [4] * (world - 1)} batches of the epoch")
        assert step == gather
        assert epoch == 1


@pytest.mark.parametrize("within", [False, True])
def test_a_gathered_state_goes_from_two_processes_to_one_and_to_four(seen, within):
    """Eleven events on two, seven on one, the rest on four: all in all the run of one process."""
    whole = Training(epochs=worker.EPOCHS).run(worker.mixer_for_resuming(within=within))
    middle = seen[1][0][f"resumed, {within}"]
    assert middle == whole[11:18]
    rest = list(zip(*(rank[f"resumed, {within}"] for rank in seen[4]), strict=True))
    assert len(rest) == len(whole) - 18
    for parts, (epoch, batch, proportions) in zip(rest, whole[18:], strict=True):
        assert {(part[0], part[2]) for part in parts} == {(epoch, proportions)}
        assert batch == "step" or tuple(joined(part[1] for part in parts)) == batch


@pytest.mark.parametrize("world", [2, 4])
def test_what_rank_0_alone_saved_is_refused_with_the_way_out(seen, world):
    """Halfway through an epoch its sums are a part of all; after step() there are none, and it loads anywhere."""
    for rank, ranks in enumerate(seen[world]):
        halfway, after_step, same = ranks["rank 0 alone"]
        assert after_step is None
        assert same
        if rank == 0:
            assert halfway is None
        else:
            assert f"replica 0 of {world}" in halfway
            assert "save with gather_state_dict() on all replicas, or right after step()" in halfway
    folder = seen[1][0]["folder"]
    alone = worker.mixer_for_resuming()
    with pytest.raises(ValueError, match=r"save with gather_state_dict\(\)"):
        alone.load_state_dict(torch.load(folder / "rank 0 alone, False.pt", weights_only=True))
    alone.load_state_dict(torch.load(folder / "rank 0 alone, True.pt", weights_only=True))


@pytest.mark.parametrize("pair", [0, 1])
def test_two_data_parallel_groups_of_two(seen, pair):
    """Each is one training run of its own."""
    one = small_mixer(worker.SIZES, worker.BATCH, seed=pair)
    whole = Training(epochs=2 + pair).run(one)
    both = [rank["pairs"] for rank in seen[4][2 * pair : 2 * pair + 2]]
    for *parts, (epoch, batch, proportions) in zip(*(each["events"] for each in both), whole, strict=True):
        assert {(part[0], part[2]) for part in parts} == {(epoch, proportions)}
        assert batch == "step" or parts[0][1] + parts[1][1] == batch
    assert str(both[0]["gathered"]) == str(both[1]["gathered"])
    consume(one, 2)
    assert str(both[0]["gathered"]) == str(one.state_dict())


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_lost_rank_is_an_error_for_the_others(how, tmp_path):
    """Without torchrun, which would end them: nobody hangs, and what they know is unchanged."""
    command = [sys.executable, SCRIPT, str(tmp_path), how]
    ranks = [
        subprocess.Popen([*command, str(rank)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) for rank in range(3)
    ]
    try:
        for process in ranks[:2]:
            _, errors = process.communicate(timeout=90)
            assert process.returncode == 1, errors
            assert "mixer.step()" in errors
    finally:
        for process in ranks:
            process.kill()
            process.communicate()
    for rank in (0, 1):
        told = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert told["unchanged"]
        assert told["seconds"] < worker.WAIT + 5

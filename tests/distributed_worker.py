"""What each process of tests/test_distributed.py does: under torchrun `everything`, started by hand `lose_a_rank`.

python distributed_worker.py FOLDER
python distributed_worker.py FOLDER killed|stopped RANK
"""

import os
import signal
import sys
import time
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from harness import Training, consume, save_and_load, small_mixer
from learn2mix import Mixer, policies

# 93 examples: no whole number of batches. At first group 0 is due one example a batch.
SIZES, BATCH, EPOCHS = (5, 31, 57), 12, 4
WITHIN = {"update_every": 3, "look_ahead": 2}
WAIT = 4  # seconds that the others wait for a lost rank


def data():
    """Give inputs and labels, the same in every process."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return torch.randn(len(labels), 6, generator=generator, dtype=torch.float64) + labels[:, None], labels


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, len(SIZES))).double()


def train(*, workers=0, **options):
    """Train a network on the local part of every batch; say for each batch and step what was seen.

    Gradients are averaged by DistributedDataParallel where there is a process group.
    """
    inputs, labels = data()
    model = network()
    if dist.is_initialized():
        model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    mixer = Mixer(labels, BATCH, policy=policies.Learn2Mix(mixing_rate=0.5), seed=6, **options)
    prefetch = {"prefetch_factor": 2} if workers else {}
    loader = DataLoader(
        TensorDataset(inputs, labels, torch.arange(len(labels))),
        batch_sampler=mixer.batch_sampler,
        num_workers=workers,
        **prefetch,
    )
    events = []
    for epoch in range(EPOCHS):
        for x, y, indices in loader:
            losses = F.cross_entropy(model(x), y, reduction="none")
            mixer.observe(losses, y)
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            events.append((epoch, indices.tolist(), losses.tolist(), mixer.proportions.tolist()))
        mixer.step()
        events.append((epoch, "step", [], mixer.proportions.tolist()))
    weights = [parameter.detach() for parameter in model.parameters()]
    return {"events": events, "weights": weights, "losses": [update.losses.tolist() for update in mixer.history]}


def mixer_for_resuming(*, within=False, **options):
    """Make the Mixer that is carried from 2 processes to 1 and to 4."""
    return small_mixer(SIZES, BATCH, seed=9, **(WITHIN if within else {}), **options)


def resume(path, mixer, how_many=None):
    """Go on from a saved state, for so many events, and say what was seen."""
    mixer.load_state_dict(torch.load(path, weights_only=True))
    events = Training(epochs=EPOCHS).events(mixer)
    seen = list(islice(events, how_many))
    return seen, events


def message(call, *given):
    """Give the message of the error that a call raises, or None."""
    try:
        call(*given)
    except ValueError as error:
        return str(error)
    return None


def everything(folder):
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    seen = {
        "train": train(),
        "train within the epoch": train(**WITHIN, workers=1),
        "static": [
            len(list(static)) for static in 2 * [small_mixer(SIZES, BATCH, policy=policies.Static()).batch_sampler]
        ],
    }
    for within in (False, True):
        mixer = mixer_for_resuming(within=within)
        if world == 2:  # the first of three
            list(islice(Training(epochs=EPOCHS).events(mixer), 11))
            state = mixer.gather_state_dict()
            if rank == 0:
                torch.save(state, folder / f"of 2, {within}.pt")
        else:
            seen[f"resumed, {within}"] = resume(folder / f"of 1, {within}.pt", mixer)[0]
    seen["rank 0 alone"] = save_on_rank_0_alone(folder, rank)
    seen["apart"] = stand_apart(rank)
    if world == 4:
        seen["pairs"] = train_in_pairs(rank)
    torch.save(seen, folder / f"{rank} of {world}.pt")
    dist.destroy_process_group()


def save_on_rank_0_alone(folder, rank):
    """Load on every rank what rank 0 alone saved, halfway through an epoch and after its end."""
    told = []
    mixer = mixer_for_resuming()
    for after_step in (False, True):
        if after_step:
            mixer.step()
        else:
            consume(mixer, 3)
        path = folder / f"rank 0 alone, {after_step}.pt"
        if rank == 0:
            torch.save(mixer.state_dict(), path)
        dist.barrier()
        other = mixer_for_resuming()
        before = str(save_and_load(other.state_dict()))
        told.append(message(other.load_state_dict, torch.load(path, weights_only=True)))
        if told[-1] is not None:
            assert str(save_and_load(other.state_dict())) == before
    told.append(other.proportions.tolist() == mixer.proportions.tolist())
    return told


def stand_apart(rank):
    """Rank 0 trains on one batch less than the others; then it catches up."""
    mixer = small_mixer(SIZES, BATCH)
    consume(mixer, 4 if rank else 3)
    told = [message(mixer.gather_state_dict), message(mixer.step)]
    if rank == 0:
        consume(mixer, 1)
    mixer.step()
    return [*told, mixer.epoch]


def train_in_pairs(rank):
    """Two data-parallel groups of two processes train on their own, one of them for longer."""
    pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    pair = rank // 2
    mixer = small_mixer(SIZES, BATCH, seed=pair, process_group=pairs[pair])
    events = Training(epochs=2 + pair).run(mixer)
    dist.barrier()
    consume(mixer, 2)
    return {"events": events, "gathered": mixer.gather_state_dict()}


def lose_a_rank(folder, how, rank):
    """The last of three ranks is lost before the epoch's end; the others say what came of it, and when."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=3, timeout=timedelta(seconds=WAIT)
    )
    mixer = small_mixer(SIZES, BATCH)
    consume(mixer)
    mixer.step()
    consume(mixer, 4)
    before = save_and_load(mixer.state_dict())
    if rank == 2:
        (folder / "lost").touch()
        os.kill(os.getpid(), signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    while not (folder / "lost").exists():
        time.sleep(0.01)
    proportions, began = mixer.proportions, time.monotonic()
    try:
        mixer.step()
    except RuntimeError as error:
        seconds = time.monotonic() - began
        np.testing.assert_array_equal(mixer.proportions, proportions)
        unchanged = str(save_and_load(mixer.state_dict())) == str(before) and mixer.epoch == 1
        torch.save({"error": str(error), "seconds": seconds, "unchanged": unchanged}, folder / f"{rank}.pt")
        raise


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 2:
        everything(Path(sys.argv[1]))
    else:
        lose_a_rank(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

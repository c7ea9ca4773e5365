"""Two processes share every batch (DistributedDataParallel on one machine, without a GPU).

`batch_size` is that of both together; the Mixer finds the process group by itself.
"""

import os
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before there is a group: imported later, by DDP, it keeps that alive past its end
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from learn2mix import Mixer, policies

REPLICAS = 2


def train(rank: int, folder: str) -> None:
    torch.manual_seed(0)
    labels = torch.cat([torch.zeros(1000), torch.ones(100)]).long()
    inputs = torch.randn(len(labels), 2) + 1.5 * labels[:, None]
    model = DistributedDataParallel(
        torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    mixer = Mixer(labels, batch_size=100, policy=policies.Learn2Mix(mixing_rate=0.1), seed=0)
    loader = DataLoader(TensorDataset(inputs, labels), batch_sampler=mixer.batch_sampler)
    for _ in range(5):
        for x, y in loader:  # 50 examples here, the other 50 on the other replica
            losses = F.cross_entropy(model(x), y, reduction="none")
            mixer.observe(losses, y)
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
        mixer.step()  # sums the losses over both, so that both move alike
    state = mixer.gather_state_dict()  # every replica takes part; it loads at any number of replicas
    if rank == 0:
        torch.save({"mixer": state, "model": model.module.state_dict()}, f"{folder}/checkpoint")
    shares = [None] * REPLICAS
    dist.all_gather_object(shares, mixer.proportions.tolist())
    if rank == 0:
        for replica, proportions in enumerate(shares):
            print(f"replica {replica}: {len(x)} examples a step, proportions {proportions}")


def replica(rank: int, folder: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: its loopback will do
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=REPLICAS)
    train(rank, folder)  # the model holds the group too, and is gone before it ends
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(replica, args=(folder,), nprocs=REPLICAS)

"""Adaptive batches in a plain PyTorch loop: three lines beside the usual ones.

Two classes that overlap; the second is ten times rarer.
"""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from learn2mix import Mixer, policies

torch.manual_seed(0)
labels = torch.cat([torch.zeros(2000), torch.ones(200)]).long()
inputs = torch.randn(len(labels), 2) + 1.5 * labels[:, None]
model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

mixer = Mixer(labels, batch_size=100, policy=policies.Learn2Mix(mixing_rate=0.1), seed=0)  # 1
loader = DataLoader(TensorDataset(inputs, labels), batch_sampler=mixer.batch_sampler)

for _ in range(10):
    for x, y in loader:
        losses = F.cross_entropy(model(x), y, reduction="none")
        mixer.observe(losses, y)  # 2
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    mixer.step()  # 3
    print(
        f"epoch {mixer.epoch}: proportions {mixer.proportions.round(3)}, group losses {mixer.history[-1].losses.round(3)}"
    )

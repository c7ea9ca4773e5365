"""Several parts at once: adaptive proportions, a selector within each group, a loss for rare classes, and a checkpoint.

The order within a step: the loss of each example, observe, the selector's factors, the mean. The run is broken off in the
middle of an epoch and taken up from a file; it ends where one that was never broken off ends.
"""

import io

import torch
from torch.utils.data import DataLoader, TensorDataset

from learn2mix import Mixer, losses, policies, selectors

labels = torch.repeat_interleave(torch.arange(3), torch.tensor([2000, 200, 50]))
generator = torch.Generator().manual_seed(0)
inputs = torch.randn(len(labels), 2, generator=generator) + 1.5 * torch.tensor([[0, 0], [1, 0], [0, 1]])[labels]
dataset = TensorDataset(inputs, labels, torch.arange(len(labels)))  # a selector wants to know which examples they are


def make():
    """Make what a run consists of, always alike."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    mixer = Mixer(labels, 50, policy=policies.Learn2Mix(mixing_rate=0.1), selector=selectors.LastLoss(), seed=0)
    return model, torch.optim.Adam(model.parameters(), lr=1e-2), mixer


criterion = losses.CDTLoss(torch.bincount(labels), reduction="none")


def train(model, optimizer, mixer, epochs, stop_in=None, stop_after=None):
    """Train up to an epoch; or stop within one, after so many batches, and return a checkpoint."""
    loader = DataLoader(dataset, batch_sampler=mixer.batch_sampler)
    for epoch in range(mixer.epoch, epochs):
        for number, (x, y, indices) in enumerate(loader, start=1):
            each = criterion(model(x), y)
            mixer.observe(each, y, indices=indices)
            optimizer.zero_grad()
            (each * mixer.weights_of(indices)).mean().backward()
            optimizer.step()
            if (epoch, number) == (stop_in, stop_after):
                checkpoint = io.BytesIO()
                parts = {"model": model, "optimizer": optimizer, "mixer": mixer}
                torch.save({name: part.state_dict() for name, part in parts.items()}, checkpoint)
                return checkpoint
        mixer.step()
    return None


whole = make()
train(*whole, epochs=5)

checkpoint = train(*make(), epochs=5, stop_in=2, stop_after=17)
checkpoint.seek(0)
resumed = make()
for part, name in zip(resumed, ("model", "optimizer", "mixer"), strict=True):
    part.load_state_dict(torch.load(checkpoint, weights_only=True)[name])
    checkpoint.seek(0)
train(*resumed, epochs=5)

same = all(a.equal(b) for a, b in zip(whole[0].parameters(), resumed[0].parameters(), strict=True))
print(f"proportions {resumed[2].proportions.round(3)}; the same as without the break: {same}")

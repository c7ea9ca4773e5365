"""A Dataset class of one's own, worker processes, and a checkpoint in the middle of an epoch.

Groups are told by a label that the data set knows without loading an example.
"""

import io

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from learn2mix import Mixer, policies


class Recordings(Dataset):
    """Noisy sine waves of three pitches; the labels 3, 7 and 9 are kept apart from the examples."""

    def __init__(self) -> None:
        self.labels = torch.tensor([3] * 300 + [7] * 120 + [9] * 30)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        noise = torch.randn(32, generator=torch.Generator().manual_seed(index))
        wave = torch.sin(torch.arange(32) * self.labels[index] / 10)
        return {"wave": wave + noise, "label": self.labels[index]}


def make() -> tuple[Mixer, DataLoader, torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    data = Recordings()
    mixer = Mixer(data.labels, batch_size=30, policy=policies.Learn2Mix(mixing_rate=0.2), seed=0)
    loader = DataLoader(data, batch_sampler=mixer.batch_sampler, num_workers=2)
    model = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    return mixer, loader, model, torch.optim.Adam(model.parameters(), lr=1e-2)


def train(mixer, loader, model, optimizer, *, epochs: int, stop_at: tuple[int, int] | None = None) -> bytes | None:
    for epoch in range(mixer.epoch, epochs):
        for batch in loader:
            losses = F.cross_entropy(model(batch["wave"]), batch["label"], reduction="none")
            mixer.observe(losses, batch["label"])
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            if stop_at is not None and epoch == stop_at[0]:
                stop_at = (epoch, stop_at[1] - 1)
                if stop_at[1] == 0:
                    file = io.BytesIO()
                    states = {
                        "mixer": mixer.state_dict(),
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                    }
                    torch.save(states, file)
                    return file.getvalue()
        mixer.step()
    return None


if __name__ == "__main__":  # worker processes import this file
    whole = make()
    train(*whole, epochs=3)

    saved = train(*make(), epochs=3, stop_at=(1, 4))  # in the second epoch, after four batches
    resumed = make()
    states = torch.load(io.BytesIO(saved), weights_only=True)
    for part, name in ((resumed[0], "mixer"), (resumed[2], "model"), (resumed[3], "optimizer")):
        part.load_state_dict(states[name])
    train(*resumed, epochs=3)

    same = all(torch.equal(a, b) for a, b in zip(whole[2].parameters(), resumed[2].parameters(), strict=True))
    print(f"weights after the interruption equal those without: {same}")
    print(f"proportions {resumed[0].proportions.round(3)} of labels {resumed[0].group_names}")
    assert same

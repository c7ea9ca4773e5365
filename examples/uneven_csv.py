"""Regression on an uneven CSV: the group is one of its columns.

The file is made here so that the example runs anywhere; `region` says where a house stands, and one region is rare.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from learn2mix import Mixer, policies


def make_csv(path: Path) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["region", "rooms", "age", "price"])
        for region, rows, slope in (("inland", 900, 0.5), ("coast", 300, 1.0), ("island", 30, 2.0)):
            for _ in range(rows):
                rooms, age = rng.integers(1, 8), rng.uniform(0, 50)
                writer.writerow([region, rooms, f"{age:.1f}", f"{slope * rooms - 0.01 * age + rng.normal(0, 0.1):.3f}"])


with tempfile.TemporaryDirectory() as folder:
    make_csv(Path(folder) / "houses.csv")
    with (Path(folder) / "houses.csv").open() as file:
        rows = list(csv.DictReader(file))

regions = [row["region"] for row in rows]  # strings are fine as groups
x = torch.tensor(
    [[float(row["rooms"]), float(row["age"]) / 50, row["region"] == "coast", row["region"] == "island"] for row in rows]
)
y = torch.tensor([float(row["price"]) for row in rows])
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

mixer = Mixer(regions, batch_size=60, policy=policies.floor(policies.Learn2Mix(mixing_rate=0.1), minimum=0.02), seed=0)
loader = DataLoader(TensorDataset(torch.arange(len(x)), x, y), batch_sampler=mixer.batch_sampler)

for _ in range(10):
    for index, inputs, target in loader:
        losses = (model(inputs).squeeze(1) - target) ** 2
        mixer.observe(losses, mixer.groups_of(index))  # from row numbers to region names
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    mixer.step()

for name, share, loss in zip(mixer.group_names, mixer.proportions, mixer.history[-1].losses, strict=True):
    print(f"{name:8} {share:6.1%} of each batch, squared error {loss:.3f}")

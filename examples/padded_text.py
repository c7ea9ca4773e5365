"""A language model on sources of unequal size, with padding: the mask keeps padding out of the group losses.

The sources lie one after another, so nothing is kept per example.
"""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from learn2mix import Mixer, policies

SIZES = {"prose": 600, "verse": 120, "code": 60}
PAD, VOCABULARY, LENGTH = 0, 20, 12


class Sentences(Dataset):
    """Made-up token sequences of unequal length; each source walks the vocabulary at its own stride."""

    def __len__(self) -> int:
        return sum(SIZES.values())

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor]:
        stride = 1 if index < 600 else 3 if index < 720 else 7
        length = 4 + index % (LENGTH - 4)
        tokens = 1 + (index + stride * torch.arange(length + 1)) % (VOCABULARY - 1)
        return index, F.pad(tokens, (0, LENGTH - length), value=PAD)


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Embedding(VOCABULARY, 32), torch.nn.Linear(32, VOCABULARY))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

mixer = Mixer.from_sizes(
    SIZES, batch_size=60, policy=policies.ema(policies.Learn2Mix(mixing_rate=0.2), decay=0.5), seed=0
)
loader = DataLoader(Sentences(), batch_sampler=mixer.batch_sampler)

for _ in range(5):
    for index, tokens in loader:
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        losses = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")  # (batch, length)
        mask = (targets != PAD).float()
        mixer.observe(losses, mixer.groups_of(index), weights=mask)
        optimizer.zero_grad()
        ((losses * mask).sum() / mask.sum()).backward()
        optimizer.step()
    mixer.step()
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(mixer.group_names, mixer.proportions, strict=True))
    print(f"epoch {mixer.epoch}: {shares}")

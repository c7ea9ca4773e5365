"""The last loss of each example, gathered where the losses are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

_MOST = float(np.finfo(np.float32).max)


class Scores:
    """Last losses in force, and those of the epoch under way, which are not.

    What is heard within an epoch is kept by its place in it, of which each replica has its own: so the tables of all
    replicas add up to that of one process, and which loss of an example was the last is known without comparing times.
    It keeps 16 bytes an example.

    Args:
        num_examples: N.
        batches_per_epoch: P.
        batch_size: M, over all replicas.
        num_replicas: W.
        rank: This replica's, 0 to W - 1.
    """

    def __init__(
        self, num_examples: int, batches_per_epoch: int, batch_size: int, num_replicas: int, rank: int
    ) -> None:
        self._shape = (batches_per_epoch, num_replicas, batch_size // num_replicas)
        self._rank = rank
        self.in_force: NDArray[np.float32] = np.full(num_examples, np.nan, dtype=np.float32)
        """The last loss of each example that training goes by, NaN for one not seen, (N,)."""
        self._epoch = 0  # whose losses are kept
        self._losses: Tensor | None = None  # by place among this replica's, NaN where none was heard
        self._indices = torch.empty(0, dtype=torch.int64)
        self._loaded: Floats | None = None  # what a saved state had heard of the epoch; see table

    def add(self, epoch: int, place: int, losses: Tensor, indices: Tensor) -> None:
        """Keep what was heard, from a place among this replica's of the epoch on.

        Args:
            epoch: What is kept of another one is forgotten.
            place: How many examples this replica consumed of the epoch before.
            losses: (m,); those that are not finite are passed over.
            indices: Into the data set, (m,), on the same device.
        """
        if epoch != self._epoch:
            self.clear()
            self._epoch = epoch
        if self._losses is None or self._losses.device != losses.device:
            number = self._shape[0] * self._shape[2]
            old = torch.full((number,), torch.nan) if self._losses is None else self._losses
            indices_of_old = torch.zeros(number, dtype=torch.int64) if self._losses is None else self._indices
            self._losses, self._indices = old.to(losses.device), indices_of_old.to(losses.device)
        # what is finite stays so in float32
        self._losses[place : place + len(losses)] = torch.where(
            losses.isfinite(), losses.clamp(-_MOST, _MOST), torch.nan
        )
        self._indices[place : place + len(losses)] = indices

    def skip(self, epoch: int, place: int, number: int) -> None:
        """Forget what a pass that was broken off heard at places that were passed over then."""
        if self._losses is not None and epoch == self._epoch:
            self._losses[place : place + number] = torch.nan

    def clear(self) -> None:
        """Forget what was heard of the epoch."""
        self._loaded = None
        if self._losses is not None:
            self._losses.fill_(torch.nan)

    def table(self, epoch: int, end: int) -> Floats:
        """Give what was heard in the epoch before place ``end`` of this replica's; over all replicas the tables add up.

        Returns:
            By place in the epoch, (2, P * M): the index plus 1, or 0 where nothing was heard, or -1 where the index was
            below 0; and the loss.
        """
        table = np.zeros((2, *self._shape))
        if epoch == self._epoch and self._loaded is not None:
            table += self._loaded
        if epoch == self._epoch and self._losses is not None:
            losses = self._losses[:end].cpu().double().numpy()
            indices = self._indices[:end].cpu().numpy()
            finite = np.isfinite(losses)
            mine = np.zeros((2, self._shape[0] * self._shape[2]))
            mine[:, :end] = np.where(finite, [np.where(indices < 0, -1, indices + 1), losses], 0)
            table[:, :, self._rank] += mine.reshape(2, self._shape[0], self._shape[2])
        return table.reshape(2, -1)

    def merged(self, table: Floats) -> NDArray[np.float32]:
        """Give the last losses with those of an epoch, (N,); nothing comes into force yet.

        Raises:
            ValueError: An index lies outside the data set; the epoch's losses are forgotten.
        """
        places = np.flatnonzero(table[0])
        indices = table[0, places].astype(np.int64) - 1
        odd = (indices < 0) | (indices >= len(self.in_force))
        if odd.any():
            self.clear()
            which = "below 0" if indices[odd][0] < 0 else str(indices[odd][0])
            raise ValueError(
                f"an index {which} was observed; the data set has {len(self.in_force)} examples; pass those that the batch was "
                "made of; call step() again to go on without this epoch's losses of single examples"
            )
        last = np.full(len(self.in_force), -1)
        np.maximum.at(last, indices, places)
        return np.where(last < 0, self.in_force, table[1, last]).astype(np.float32)

    def take_up(self, scores: NDArray[np.float32]) -> None:
        """Let scores be in force, and forget what was heard."""
        self.in_force = scores
        self.clear()

    def state(self, table: Floats) -> dict[str, Tensor]:
        """Give what a checkpoint keeps: last losses in force (N,), and places, indices and losses of a table, (m,) each."""
        places = np.flatnonzero(table[0])
        return {
            "scores": torch.from_numpy(self.in_force.copy()),
            "places": torch.from_numpy(places.astype(np.int64)),
            "indices": torch.from_numpy(table[0, places].astype(np.int64) - 1),
            "losses": torch.from_numpy(table[1, places].astype(np.float32)),
        }

    def load(self, saved: Mapping[str, NDArray[Any]], epoch: int) -> None:
        """Go on from what :meth:`state` gave, in that epoch."""
        self.clear()
        self.in_force, self._epoch = saved["scores"], epoch
        table = np.zeros((2, int(np.prod(self._shape))))
        table[:, saved["places"]] = saved["indices"] + 1, saved["losses"]
        self._loaded = table.reshape(2, *self._shape)

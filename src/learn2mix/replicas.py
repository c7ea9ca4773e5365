"""Training on several processes: who we are, and how sums and decisions are shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from learn2mix.checks import brief, whole_number

Reduce = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Replicas:
    """One process's place among those that share every batch.

    Args:
        count: W.
        rank: From 0 to W - 1.
        group: The process group that joins them; None where none is initialised.
        assumed: Whether one process was taken for granted, since there was no process group and no word about it.
    """

    count: int
    rank: int
    group: Any = None
    assumed: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """The rank, and W."""
        return self.rank, self.count

    @property
    def joined(self) -> bool:
        """Whether a process group can sum over the replicas."""
        return self.group is not None

    def share(self, batch_size: int) -> int:
        """Give the examples of a batch that each replica trains on.

        Raises:
            ValueError: The replicas do not divide the batch.
        """
        if batch_size % self.count:
            raise ValueError(
                f"batch_size was {batch_size} for {self.count} replicas; it is the size over all of them together, so they "
                "must divide it"
            )
        return batch_size // self.count

    def check(self) -> None:
        """Check that no process group has turned up since one process was taken for granted.

        Raises:
            ValueError: One has; each of its processes would train on the same whole batches.
        """
        if self.assumed and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise ValueError(
                f"the Mixer was made before the process group of {dist.get_world_size()} processes, so that each of them would "
                "train on the same whole batches; make it after the process group; or give it num_replicas=1 and rank=0 if "
                "every process is to train by itself"
            )

    def total(self, sums: NDArray[np.float64], at: int, reduce: Reduce | None = None) -> NDArray[np.float64]:
        """Sum over all replicas; collective.

        Args:
            sums: This replica's, any shape.
            at: How many batches of the epoch this replica has used.
            reduce: Does the summing where no process group can.

        Raises:
            ValueError: There are several replicas, and neither a process group nor ``reduce``; ``reduce`` returns another
                shape; or the process group's replicas have not used the same number of batches.
        """
        if reduce is not None:
            if not callable(reduce):
                raise TypeError(
                    f"reduce was {brief(reduce)}; it must be a function that sums an array over the replicas"
                )
            summed = reduce(sums.copy())
            try:
                total = np.asarray(summed, dtype=np.float64)
            except (TypeError, ValueError):
                raise TypeError(
                    f"reduce returned {brief(summed)}; it must return the sum of the replicas' arrays, a float64 array"
                ) from None
            if total.shape != sums.shape:
                raise ValueError(
                    f"reduce returned shape {total.shape} for sums of shape {sums.shape}; it must add the replicas' arrays "
                    "element by element"
                )
            return total
        if self.count == 1:
            return sums
        if self.group is None:
            raise ValueError(
                f"the losses of {self.count} replicas were to be summed without a process group; call "
                "torch.distributed.init_process_group before making the Mixer, or pass step(reduce=...), a function that "
                "sums an array over the replicas"
            )
        # Each replica's place in the epoch travels along, in an entry of its own.
        places = np.zeros(self.count)
        places[self.rank] = at
        shared = torch.from_numpy(np.append(sums, places)).to(self._device())
        dist.all_reduce(shared, group=self.group)
        over_all: NDArray[np.float64] = shared.cpu().numpy()
        places = over_all[sums.size :]
        if (places != at).any():
            raise ValueError(
                f"the replicas have used {brief(places.astype(np.int64).tolist())} batches of the epoch, and they share every "
                "batch; let each train on as many, and observe or skip them all"
            )
        return over_all[: sums.size].reshape(sums.shape)

    def totals(
        self, arrays: Sequence[NDArray[np.float64]], at: int, reduce: Reduce | None = None
    ) -> list[NDArray[np.float64]]:
        """Sum several arrays over all replicas at one go; see :meth:`total`. Without any, nothing is communicated."""
        if not arrays:
            return []
        if len(arrays) == 1:
            return [self.total(arrays[0], at, reduce)]
        flat = self.total(np.concatenate([array.ravel() for array in arrays]), at, reduce)
        parts = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
        return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]

    def from_first(self, value: Any) -> Any:
        """Give every replica the value of rank 0; collective."""
        box = [value]
        dist.broadcast_object_list(
            box, src=dist.get_global_rank(self.group, 0), group=self.group, device=self._device()
        )
        return box[0]

    def _device(self) -> torch.device:
        nccl = dist.get_backend(self.group) == "nccl"
        return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def find_replicas(num_replicas: int | None, rank: int | None, process_group: Any) -> Replicas:
    """Settle world size and rank: as given, else from the process group, else one process.

    Raises:
        ValueError: Only one of the two is given, they disagree with the process group, or rank is out of range.
    """
    if (num_replicas is None) != (rank is None):
        raise ValueError(
            f"num_replicas was {num_replicas!r} and rank {rank!r}; give both, or neither to take them from the process "
            "group"
        )
    ready = dist.is_available() and dist.is_initialized()
    if process_group is not None and not ready:
        raise ValueError(
            "process_group was given before torch.distributed was initialised; call init_process_group first"
        )
    if num_replicas is None or rank is None:
        if not ready:
            return Replicas(1, 0, assumed=True)
        group = process_group or dist.group.WORLD
        if dist.get_rank(group) < 0:
            raise ValueError(
                "process_group was one that this process is no member of; every process gives the group it trains with"
            )
        return Replicas(dist.get_world_size(group), dist.get_rank(group), group)
    count = whole_number("num_replicas", num_replicas, low=1)
    place = whole_number("rank", rank)
    if place >= count:
        raise ValueError(f"rank was {place} of {count} replicas; it must be from 0 to {count - 1}")
    if process_group is not None and (dist.get_world_size(process_group), dist.get_rank(process_group)) != (
        count,
        place,
    ):
        raise ValueError(
            f"num_replicas {count} and rank {place} were given with a process group of "
            f"{dist.get_world_size(process_group)} in which this is rank {dist.get_rank(process_group)}; leave them out"
        )
    group = process_group
    if group is None and ready and (dist.get_world_size(), dist.get_rank()) == (count, place):
        group = dist.group.WORLD
    return Replicas(count, place, group if count > 1 else None)

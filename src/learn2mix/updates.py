"""Updates of the proportions: when they are due within an epoch, and what is remembered of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learn2mix.checks import whole_number
from learn2mix.replicas import Replicas

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Update:
    """One update of the proportions, as ``Mixer.history`` keeps it.

    Args:
        epoch: The epoch whose losses it used.
        batch: Batches of that epoch observed by then.
        losses: Group losses the policy was given, (k,); None where no finite loss above 0 was seen.
        counts: How many losses each is the mean of, (k,), whole numbers, with a selector too; 0 for a group that was not
            seen.
        non_finite: Losses left out because they were NaN or infinite, (k,).
        proportions: Those that resulted, (k,).
    """

    epoch: int
    batch: int
    losses: Floats | None
    counts: Floats
    non_finite: Floats
    proportions: Floats


class Pace:
    """Counts batches towards the next update within an epoch.

    Args:
        update_every: How many batches from one update to the next; None for updates between epochs alone.
        look_ahead: How many batches may be drawn before the batch at hand is observed.
        replicas: Who shares every batch.

    Raises:
        TypeError: A number is none.
        ValueError: It is out of range, there is a ``look_ahead`` without updates within the epoch, or several replicas
            without a process group that could sum their losses.
    """

    def __init__(self, update_every: int | None, look_ahead: int, replicas: Replicas) -> None:
        self.every = None if update_every is None else whole_number("update_every", update_every, low=1)
        if self.every and replicas.count > 1 and not replicas.joined:
            raise ValueError(
                f"update_every was {update_every} for {replicas.count} replicas without a process group; losses are "
                "summed over the replicas at each update; call torch.distributed.init_process_group first"
            )
        self.look_ahead = whole_number("look_ahead", look_ahead)
        if self.look_ahead and self.every is None:
            raise ValueError(
                f"look_ahead was {look_ahead} without update_every; proportions that move once an epoch need none; leave "
                "it out"
            )
        self.unused = 0
        """Batches observed since the last update within an epoch."""

    @property
    def left(self) -> int | None:
        """Batches until the next update within the epoch; None where there is none."""
        return None if self.every is None else self.every - self.unused

    def count(self, batches: int) -> bool:
        """Count batches; returns whether an update is due now."""
        if self.every is None:
            return False
        due, self.unused = divmod(self.unused + batches, self.every)
        return due > 0

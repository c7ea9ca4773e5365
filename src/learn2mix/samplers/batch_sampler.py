"""The batch sampler: where training stands in the stream, and what a pass over it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from learn2mix.checks import brief, whole_number
from learn2mix.samplers.stream import Stream

# Indices computed at a time: enough to make array arithmetic cheap, few enough that an array of them stays below the
# 128 KiB from which the C library gives memory back at once, which would cost more than the arithmetic.
_BLOCK = 8_000


class BatchSampler(Sampler[list[int]]):
    """Yields batches of indices; give it to a ``DataLoader`` as ``batch_sampler``. Made by ``Mixer``.

    Every iteration is a pass over what is left of the epoch. What counts is what training consumed
    (``Mixer.observe``, ``Mixer.skip``), not what was drawn: a loader that reads ahead, a peek or an early ``break``
    move nothing.

    It has no ``batch_size`` and no ``drop_last`` on purpose: trainers that find them build a sampler of their own.

    Args:
        stream: Where the batches come from, at its start.
        batches_per_epoch: P.
        local_size: Examples of one batch that this process trains on, M / num_replicas.
        look_ahead: How many batches may be drawn beyond the first unobserved one where proportions change within an
            epoch; None where they do not.
        reports: Whether batches are going to be observed, as far as is known before the first epoch has ended.
        before_pass: Called when a pass begins; raises where it must not.
    """

    def __init__(
        self,
        stream: Stream,
        batches_per_epoch: int,
        local_size: int,
        look_ahead: int | None = None,
        *,
        reports: bool = True,
        before_pass: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._before_pass = before_pass
        self._settled = stream  # at the first batch of the epoch, or later, never past what was consumed
        self._ahead = stream.copy()  # where the present pass draws
        self._batches_per_epoch = batches_per_epoch
        self._local_size = local_size
        self._look_ahead = look_ahead
        self._pass = 0
        self._start = 0  # the stream's batch number at which the epoch began
        self._before: NDArray[np.int64] | None = stream.drawn  # what had been drawn of each group by then, if known
        self._drawn = 0  # batches of the epoch that the present pass has yielded, those before its start included
        self._resumed = False  # restored, and nothing trained on nor a pass given out since
        self._expected: tuple[int, int] | None = None  # epoch and batches that a loaded position named
        self._reports = reports  # whether the last epoch that ended had been observed or skipped
        self.epoch = 0
        self.consumed = 0
        """Whole batches of the epoch that training consumed."""
        self.open = 0
        """Examples consumed of the batch after those."""

    def __len__(self) -> int:
        """P, the batches of an epoch."""
        return self._batches_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Go through what is left of the epoch, or through the next one."""
        self._begin_pass()
        mine, drawn = self._pass, self._drawn
        while drawn < self._batches_per_epoch:
            for batch in self._ahead.draw(self._block(drawn)).tolist():
                drawn += 1
                self._drawn = drawn
                yield batch
                if self._pass != mine:
                    if drawn == self._batches_per_epoch:
                        return
                    raise ValueError(
                        f"batch {drawn} of a pass was asked for after the pass was over: step() was called, or the "
                        "sampler iterated again, inside the loop; call step() after the loop over the loader, or give "
                        "Mixer update_every= to update within an epoch"
                    )

    def state_dict(self) -> dict[str, int]:
        """Give the position alone: the epoch, and the batches of it yielded so far.

        For loaders that keep their own snapshots, as torchdata's ``StatefulDataLoader`` does when it hands out a batch.
        Losses, policy and the stream itself are in ``Mixer.state_dict()``, which is to be saved beside it.
        """
        return {"epoch": self.epoch, "batches": self._drawn}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Expect to stand at a position; ``Mixer.load_state_dict`` goes there, before or after this.

        Args:
            state: From :meth:`state_dict`.

        Raises:
            TypeError: It is no mapping.
            ValueError: It is no position. Whether it is the Mixer's shows at the next iteration, which raises if not.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"the position was {brief(state)}; it must be what batch_sampler.state_dict() returned")
        if set(state) != {"epoch", "batches"}:
            raise ValueError(f"the position held {brief(list(state))}; it must hold epoch and batches alone")
        epoch, batches = (whole_number(f"the position's {key}", state[key]) for key in ("epoch", "batches"))
        if batches > self._batches_per_epoch:
            raise ValueError(f"the position was batch {batches}; an epoch here has {self._batches_per_epoch} batches")
        self._expected = epoch, batches
        self._pass += 1  # what iterates now is over

    def check(self, examples: int) -> None:
        """Check that so many more examples can have been trained on.

        Raises:
            ValueError: That is more than were drawn.
        """
        total = self.place + examples
        if total > self._drawn * self._local_size:
            raise ValueError(
                f"{total} examples of epoch {self.epoch} were observed, and {self._drawn * self._local_size} drawn "
                f"({self._drawn} batches of {self._local_size}); observe each training batch once, and no validation "
                "batch"
            )

    def consume(self, examples: int) -> int:
        """Count examples that training consumed; returns how many of them belong to batches that are whole now."""
        self.check(examples)
        self._resumed = self._resumed and not examples
        total = self.place + examples
        whole = max(0, (self.open + examples) // self._local_size * self._local_size - self.open)
        self.consumed, self.open = divmod(total, self._local_size)
        return whole

    def close(self) -> None:
        """Count the batch that was consumed in part as whole."""
        self.consumed, self.open = self.consumed + bool(self.open), 0

    @property
    def place(self) -> int:
        """Examples of the epoch consumed so far, by this process."""
        return self.consumed * self._local_size + self.open

    @property
    def used(self) -> int:
        """Batches of the epoch that count as used if it ends here.

        Those consumed; where none was but some were drawn, all of them: how many a loader has drawn hangs on how far it
        reads ahead.
        """
        return self.consumed + bool(self.open) or (self._batches_per_epoch if self._drawn else 0)

    def end_epoch(self) -> NDArray[np.int64] | None:
        """End the epoch here: the next one goes on from what was used.

        Returns:
            How many examples of each group its batches held, over all replicas, (k,); None where that is not known, as
            the epoch was taken up in its middle.
        """
        self._reports = bool(self.consumed or self.open)
        self._settle(self.used)
        before, self._before = self._before, self._settled.drawn
        self._settled.begin_epoch(self.epoch + 1)
        self._start = self._settled.batches
        self._settled.hasten(at=self._start)
        self._ahead = self._settled.copy()
        self.epoch += 1
        self.consumed = self.open = self._drawn = 0
        self._pass += 1
        self._resumed = False
        return None if before is None else self._before - before

    def change(self, proportions: NDArray[np.float64]) -> None:
        """Let new proportions hold from the first batch that cannot have been drawn yet."""
        used = self.consumed + bool(self.open)
        at = self._start + (used + (self._look_ahead or 0) if used else 0)
        self._settle(self.consumed)  # what was due before is done with, or the dues of a long epoch would pile up
        self._settled.change(proportions, at=at)
        self._ahead.change(proportions, at=at)

    def checkpoint(self) -> tuple[int, int, bool, Stream]:
        """Give epoch, batches consumed, whether the last epoch was observed, and the stream at that place.

        An epoch that was drawn to its end by someone who never observes is over.
        """
        if not (self.consumed or self.open or self._reports) and self._drawn == self._batches_per_epoch:
            stream = self._settled.copy()
            stream.skip(self._start + self._drawn - stream.batches)
            return self.epoch + 1, 0, False, stream
        self._settle(self.consumed)
        return self.epoch, self.consumed, self._reports, self._settled

    def resume(self, epoch: int, consumed: int, reports: bool, stream: Mapping[str, Any]) -> None:
        """Take up what :meth:`checkpoint` gave, the stream as its state."""
        self._settled.restore(**stream)
        self._settled.begin_epoch(epoch)
        self._ahead = self._settled.copy()
        self._start = self._settled.batches - consumed
        self._before = None if consumed else self._settled.drawn
        self.epoch, self.consumed, self.open, self._reports = epoch, consumed, 0, reports
        self._drawn = consumed
        self._pass += 1
        self._resumed = True

    def _check_expected(self) -> None:
        """Check that a loaded position is the Mixer's own."""
        if self._expected is None:
            return
        epoch, batches = self._expected
        end_is_start = (epoch + 1, 0) if batches == self._batches_per_epoch else None
        if (self.epoch, self.consumed) not in (self._expected, end_is_start):
            raise ValueError(
                f"the loader's state stands at epoch {epoch}, batch {batches}, and the Mixer at epoch {self.epoch}, batch "
                f"{self.consumed}; save and load both together, each time after a batch was observed (with "
                "snapshot_every_n_steps=1), the Mixer's state_dict before the loader is iterated"
            )
        self._expected = None

    def _begin_pass(self) -> None:
        if self._before_pass is not None:
            self._before_pass()
        # A loader that restores its own position may draw from a pass that it then throws away, and begin another: such
        # a pass does not count as the first after a restore.
        may_be_thrown_away = self._expected is not None and self._reports
        self._check_expected()
        all_consumed = self.consumed == self._batches_per_epoch
        all_drawn = not (self.consumed or self.open) and self._drawn == self._batches_per_epoch
        if (all_consumed or all_drawn) and not self._resumed:
            self.end_epoch()
        self._resumed = self._resumed and may_be_thrown_away
        self._settle(self.consumed)
        self._ahead = self._settled.copy()
        self._drawn, self.open = self.consumed, 0
        self._pass += 1

    def _settle(self, batches: int) -> None:
        """Bring the settled stream to this many batches of the epoch."""
        target = self._start + batches
        if self._ahead.batches == target:
            self._settled = self._ahead.copy()
        elif self._settled.batches < target:
            self._settled.skip(target - self._settled.batches)

    def _block(self, drawn: int) -> int:
        block = min(max(1, _BLOCK // self._local_size), self._batches_per_epoch - drawn)
        if self._look_ahead is None:
            return block
        allowed = self.consumed + self._look_ahead - drawn + 1
        if allowed < 1:
            raise ValueError(
                f"batch {drawn} was asked for with {self.consumed} batches observed and look_ahead="
                f"{self._look_ahead}; batch p needs batch p - 1 - look_ahead observed; observe every batch before asking "
                "for the next, and give Mixer look_ahead=num_workers * prefetch_factor when the loader has workers"
            )
        return min(block, allowed)

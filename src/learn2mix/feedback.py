"""Group losses, gathered where the losses are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn2mix.checks import brief
from learn2mix.groups import Names

Floats = NDArray[np.float64]

_LOSS, _COUNT = 0, 1  # rows of the sums: losses, counts, non-finite
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True, eq=False)
class Heard:
    """What a stretch of training said of the groups, each (k,) in their order.

    Args:
        losses: Mean loss of each group, its last known one where it was not seen (before any, the mean of those
            known); None where no finite loss was seen, or all are zero.
        counts: How many losses each is the mean of, with a selector too; 0 for a group that was not seen.
        non_finite: Losses left out because they were NaN or infinite.
        known: Last known loss of each group, NaN before any.
    """

    losses: Floats | None
    counts: Floats
    non_finite: Floats
    known: Floats


class Feedback:
    """Adds up losses by group, on their own device and without waiting for it.

    Losses of whole batches and those of a batch still under way are kept apart, so that a checkpoint taken in the
    middle of a batch can leave the latter out.

    Args:
        names: The groups' names, as they are given to :meth:`read`.
        wants_step: Whether nothing comes of losses before the epoch is ended by a step.
    """

    def __init__(self, names: Names, *, wants_step: bool = False) -> None:
        self._names = names
        self._wants_step = wants_step
        self._strings = bool(names) and isinstance(names[0], str)
        self._place = {name: i for i, name in enumerate(names)} if self._strings else {}
        self._sorted, self._order = (
            (torch.empty(0), torch.empty(0)) if self._strings else torch.sort(torch.tensor(names, dtype=torch.int64))
        )
        self._settled: Tensor | None = None
        self._open: Tensor | None = None
        self._stray: Tensor | None = None
        self._warned: set[int | str] = set()
        self._since: int | None = None  # the epoch of the first losses since the last update
        self._strange = 0  # epochs running that were heard of under other groups than were drawn
        self.known: Floats = np.full(len(names), np.nan)
        """Last known loss of each group, (k,); NaN before any."""

    def begin(self, epoch: int) -> None:
        """Take notice of the epoch that the next losses are of; warn, once, where those of an earlier one still wait."""
        if self._since is None:
            self._since = epoch
        elif self._wants_step and self._since < epoch:
            self._warn_once(
                "step",
                f"losses of epoch {epoch} are observed, and step() was not called since epoch {self._since}: it alone moves "
                "the proportions, and then by the losses of all those epochs; call it after each",
            )

    def read(self, losses: Any, groups: Any, weights: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """Check one call's arguments and bring them to one form; nothing is added yet.

        Args:
            losses: (n,) or (n, ...), floating point.
            groups: (n,), group names.
            weights: Non-negative, shape of ``losses``, or None for equal weights.

        Returns:
            A loss an example (n,), NaN where the example had one; whether it counts (n,), False where all its weights
            are zero; group positions (n,), k for an unknown group.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: Shapes disagree; or, where looking costs no synchronisation, an unknown group or bad weight.
        """
        losses = _as_losses(losses)
        counted = torch.ones(len(losses), dtype=torch.bool, device=losses.device)
        if weights is not None:
            losses, counted = _weighted_mean(losses, weights)
        elif losses.ndim > 1:
            losses = losses.flatten(1).mean(1)
        return losses, counted, self._positions(groups, losses)

    def rows(self, losses: Tensor, counted: Tensor, factors: Tensor | None = None) -> Tensor:
        """Turn what :meth:`read` returned into what is added up: losses, counts, non-finite, (3, n).

        Args:
            losses: (n,).
            counted: (n,).
            factors: What each loss is multiplied by, (n,); None for 1. They leave the counts alone.
        """
        finite = torch.isfinite(losses)
        rows = torch.stack(
            [torch.where(finite, losses, 0.0) * counted, finite & counted, ~finite & counted],
        ).to(_wide(losses.device))
        if factors is not None:
            rows[_LOSS] *= factors
        return rows

    def add(self, rows: Tensor, positions: Tensor, *, settled: bool) -> None:
        """Add rows (3, n) of groups (n,); ``settled`` says whether to the whole batches or to the open one."""
        self._buffer(rows.device, settled).index_add_(1, positions, rows)

    def settle(self) -> None:
        """Count the open batch as whole."""
        if self._open is not None:
            self._buffer(self._open.device, settled=True).add_(self._open)
            self._open.zero_()

    def drop_open(self) -> None:
        """Forget the open batch."""
        if self._open is not None:
            self._open.zero_()

    def drop(self) -> None:
        """Forget all losses but the last known ones of the groups."""
        for buffer in (self._settled, self._open):
            if buffer is not None:
                buffer.zero_()

    def sums(self, *, whole: bool = True) -> Floats:
        """Give the sums, (3, k + 1): losses, counts, non-finite; the last column unknown groups'.

        Args:
            whole: Of whole batches alone; or of the open one too.
        """
        sums = np.zeros((3, len(self._names) + 1))
        for buffer in (self._settled, None if whole else self._open):
            if buffer is not None:
                sums += buffer.to("cpu", torch.float64).numpy()
        return sums

    def load(self, sums: Floats, known: Floats) -> None:
        """Go on from saved sums, shape (3, k + 1), and last known losses, (k,)."""
        self.known = known
        self._since = None
        self._open = None
        self._settled = torch.from_numpy(sums.copy())

    def hear(self, sums: Floats) -> Heard:
        """Turn sums over all replicas, shape (3, k + 1), into group losses; nothing is changed yet.

        Raises:
            ValueError: An unknown group was observed; it is left out from then on.
        """
        if sums[_COUNT:, -1].any():
            stray = "on another replica" if self._stray is None else repr(int(self._stray))
            self._stray = None
            for buffer in (self._settled, self._open):
                if buffer is not None:
                    buffer[:, -1] = 0
            raise ValueError(_unknown(stray, self._names) + "; call step() again to go on without those losses")
        losses, counts, non_finite = sums[:, :-1]
        self._warn(non_finite)
        known = np.where(counts > 0, losses / np.maximum(counts, 1), self.known)
        known = np.clip(known, -_LARGEST, _LARGEST)  # a sum of huge losses may have overflowed
        moves = counts.any() and np.nan_to_num(known).any()
        filled = np.where(np.isnan(known), _mean(known[~np.isnan(known)]), known) if moves else None
        return Heard(filled, counts, non_finite, known)

    def compare(self, sums: Floats, drawn: NDArray[np.int64] | None) -> None:
        """Warn, once, where two epochs running were heard of whole, but under other groups than were drawn.

        Args:
            sums: Those of the epoch, over all replicas, (3, k + 1).
            drawn: Examples of each group that the epoch drew, (k,); None where that is not known.
        """
        heard = sums[_COUNT, :-1]
        if drawn is None or heard.sum() != drawn.sum():
            return
        if (heard == drawn).all():
            self._strange = 0
            return
        self._strange += 1
        if self._strange == 2:
            i = int(np.abs(heard - drawn).argmax())
            self._warn_once(
                "groups",
                f"{drawn[i]} examples of group {self._names[i]!r} were drawn, and {heard[i]:.0f} losses observed as its, of as "
                "many in all, and it was like that an epoch ago; give Mixer the groups in the order of the data set's "
                "indices, and observe each loss with the group of its own example",
            )

    def forget(self, heard: Heard) -> None:
        """Start anew, but for the last known losses."""
        self.known = heard.known
        self._since = None
        self.drop()

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _warn(self, non_finite: Floats) -> None:
        """Name each group that had a non-finite loss, once."""
        new = [int(i) for i in np.flatnonzero(non_finite) if int(i) not in self._warned]
        if new:
            self._warned.update(new)
            named = ", ".join(f"{self._names[i]!r} ({int(non_finite[i])})" for i in new[:10])
            more = f" and {len(new) - 10} more groups" if len(new) > 10 else ""
            warnings.warn(
                f"losses were NaN or infinite in group {named}{more}; they are left out of the group losses. Each "
                "group is named once; mixer.history counts them",
                RuntimeWarning,
                stacklevel=5,
            )

    def _buffer(self, device: torch.device, settled: bool) -> Tensor:
        buffer = self._settled if settled else self._open
        if buffer is None or buffer.device != device:
            old = buffer
            buffer = torch.zeros(3, len(self._names) + 1, dtype=_wide(device), device=device)
            if old is not None:
                buffer += old.to(device, buffer.dtype)
            if settled:
                self._settled = buffer
            else:
                self._open = buffer
        return buffer

    def _positions(self, groups: Any, losses: Tensor) -> Tensor:
        if self._strings:
            return self._positions_of_strings(groups, losses)
        try:
            given = torch.as_tensor(groups, device=losses.device)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"groups was {brief(groups)}; this Mixer was given integer groups, so observe takes integers, one an "
                "example"
            ) from None
        if given.dtype.is_floating_point or given.dtype.is_complex:
            raise TypeError(f"groups had dtype {given.dtype}; group ids are integers; pass groups.long()")
        _check_length(tuple(given.shape), losses)
        given = given.long()
        if self._sorted.device != losses.device:
            self._sorted, self._order = self._sorted.to(losses.device), self._order.to(losses.device)
        nearest = torch.searchsorted(self._sorted, given).clamp_(max=len(self._names) - 1)
        known = self._sorted[nearest] == given
        if losses.device.type == "cpu":
            if not known.all():
                raise ValueError(_unknown(repr(int(given[~known][0])), self._names))
        else:
            # A look would make the device wait: keep one of the strays, for step() to name.
            stray = torch.where(known, torch.iinfo(torch.int64).min, given).max()
            self._stray = stray if self._stray is None else torch.maximum(self._stray, stray)
        return torch.where(known, self._order[nearest], len(self._names))

    def _positions_of_strings(self, groups: Any, losses: Tensor) -> Tensor:
        if isinstance(groups, (str, bytes)) or not hasattr(groups, "__len__") or isinstance(groups, Tensor):
            raise TypeError(
                f"groups was {brief(groups)} ({type(groups).__name__}); this Mixer was given named groups, so observe "
                f"takes a list of names such as {self._names[0]!r}, one an example"
            )
        _check_length((len(groups),), losses)
        found = [self._place.get(name, -1) if isinstance(name, str) else -1 for name in groups]
        if -1 in found:
            raise ValueError(_unknown(repr(groups[found.index(-1)]), self._names))
        return torch.tensor(found, dtype=torch.int64).to(losses.device, non_blocking=True)


def _wide(device: torch.device) -> torch.dtype:
    """Give the type of sums: not every device has float64 (Apple's GPUs do not)."""
    return torch.float32 if device.type == "mps" else torch.float64


def _mean(losses: Floats) -> float:
    """Give the mean of finite losses, where their sum may overflow."""
    return float(np.clip((losses / len(losses)).sum(), -_LARGEST, _LARGEST))


def _as_losses(given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        try:
            given = torch.as_tensor(given)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"losses was {brief(given)} ({type(given).__name__}); it must be a tensor of floats, one loss an example"
            ) from None
    losses: Tensor = given.detach()
    if not losses.dtype.is_floating_point:
        raise TypeError(f"losses had dtype {losses.dtype}; it must be floating point, one loss an example")
    if losses.ndim == 0:
        raise ValueError(
            "losses was a single number; observe needs one loss an example: compute it with reduction='none', and take "
            ".mean() of it for the backward pass"
        )
    # bfloat16 and float16 would lose a mean over a long sequence.
    return losses.float() if losses.dtype.itemsize < 4 else losses


def _weighted_mean(losses: Tensor, weights: Any) -> tuple[Tensor, Tensor]:
    try:
        weights = torch.as_tensor(weights, device=losses.device).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"weights was {brief(weights)}; it must be a tensor of the shape of losses") from None
    if weights.shape != losses.shape:
        raise ValueError(
            f"weights had shape {tuple(weights.shape)} and losses {tuple(losses.shape)}; they must agree: a padding mask "
            "has one entry a token"
        )
    weights = weights.to(losses.dtype)
    if losses.device.type == "cpu" and not ((weights >= 0) & torch.isfinite(weights)).all():
        raise ValueError("weights held a negative or non-finite number; weights are 0 or more (a mask: 0 and 1)")
    # On other devices nobody looks: a bad weight makes its example's loss non-finite, which step() reports.
    weights = torch.where(weights >= 0, weights, torch.nan)
    # What is masked may hold anything, NaN included.
    weighted = torch.where(weights == 0, 0.0, losses * weights)
    if losses.ndim > 1:
        weighted, weights = weighted.flatten(1).sum(1), weights.flatten(1).sum(1)
    counted = weights != 0
    return torch.where(counted, weighted / weights, 0.0), counted


def _check_length(shape: Sequence[int], losses: Tensor) -> None:
    if tuple(shape) != (len(losses),):
        raise ValueError(
            f"groups had shape {tuple(shape)} and losses {tuple(losses.shape)}; groups must be ({len(losses)},), one for "
            "each example of losses"
        )


def _unknown(group: str, names: Names) -> str:
    return (
        f"group {group} was observed; Mixer was given {brief(names)}; pass the values that were given to Mixer, not "
        "positions"
    )

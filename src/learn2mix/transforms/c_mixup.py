"""C-Mixup: for regression, partners whose labels are near."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learn2mix.checks import Range, brief, number
from learn2mix.groups import check_indices
from learn2mix.registry import register
from learn2mix.transforms.base import Draws, Mixed, check_alpha, check_keys, check_partners, mix

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# What is further away has exp(-40.5) = 2.6e-18 of an example's own weight, below float64's resolution of it.
_REACH = 9.0
_BINS_PER_BANDWIDTH = 2
# Rows drawn for at a time, and kernel values computed at a time where labels have several dimensions.
_ROWS, _VALUES = 1 << 14, 1 << 20


@register(
    "c-mixup",
    family="transform",
    summary="partners from the whole set, the likelier the nearer their label; one Beta-distributed weight a batch",
    example={"targets": (0.0, 0.5, 2.0), "bandwidth": 1.0},
    reference="arXiv 2210.05775",
)
class CMixup:
    """Mix examples with partners from the whole training set whose labels are near.

    ``P(j | i) = exp(-|y_i - y_j|^2 / (2 bandwidth^2)) / sum over k``, where j and k go through the rows kept, i itself
    included; then ``x~ = lam * x_i + (1 - lam) * x_j`` and ``y~`` likewise, ``lam ~ Beta(alpha, alpha)``, one a batch.

    No matrix of all pairs is ever made. Labels on a line are sorted once into bins of half a bandwidth; a partner is
    drawn by bin from an upper bound of the kernel, and accepted with the kernel's part of it: exactly P, but for labels
    more than 9 bandwidths away, which are left out (together at most N * 3e-18). That takes O(N) memory, and
    O(M) work a call of M rows: there are at most some 40 bins within reach. Labels of d dimensions are gone through whole,
    in pieces: O(M * N * d) work a call.

    Args:
        targets: The labels of the training set, finite numbers, (N,) or (N, ...); kept as float64 on the CPU.
        bandwidth: Above 0, in the units of the labels. There is no good value for all sets; the authors chose one for
            each. A large one draws from all alike, a small one only the example itself and its equals.
        alpha: Above 0; 2 is the authors' for most sets.
        seed: 0 or more; see :class:`Mixup`.

    Raises:
        TypeError: ``targets`` hold no numbers, or a setting is of the wrong type.
        ValueError: ``targets`` are empty or not finite, or a setting lies outside its range.

    Example:
        >>> c_mixup = CMixup([0.0, 0.1, 5.0, 5.1], bandwidth=0.5, seed=0)
        >>> bool((c_mixup.partners([0] * 50 + [2] * 50) < 2).eq(torch.arange(100) < 50).all())  # near in label
        True
        >>> x = torch.eye(4)
        >>> rows = torch.tensor([0, 3])
        >>> partners = c_mixup.partners(rows)
        >>> mixed = c_mixup(x[rows], rows.float(), partner_x=x[partners], partner_y=partners.float())
        >>> mixed.loss(torch.nn.functional.mse_loss, mixed.target)
        tensor(0.)

    Reference:
        Yao et al., C-Mixup: Improving Generalization in Regression (arXiv 2210.05775); kernel and alpha as in the authors'
        code.
    """

    def __init__(self, targets: Any, bandwidth: float, *, alpha: float = 2.0, seed: int = 0) -> None:
        allowed = Range(0, low_open=True, high_open=True)
        self.bandwidth = float(number("bandwidth", bandwidth, allowed, fix="it is in the units of the targets"))
        self.alpha = check_alpha(alpha)
        self._labels = _in_bandwidths(targets, self.bandwidth)
        self._draws = Draws(
            seed,
            transform=type(self).__name__,
            alpha=self.alpha,
            bandwidth=self.bandwidth,
            targets=f"{self._labels.shape} {hashlib.sha256(np.ascontiguousarray(self._labels).data).hexdigest()}",
        )
        self.restrict(None)

    @property
    def kept(self) -> Tensor:
        """The rows that partners are drawn from, ascending, int64, (K,)."""
        return torch.from_numpy(np.flatnonzero(self._is_kept))

    def restrict(self, kept: Any) -> None:
        """Draw partners from some rows alone from now on; their probabilities are normalised anew.

        Args:
            kept: Rows of the training set, integers, (K,); None for all.

        Raises:
            TypeError: They are no integers.
            ValueError: There are none, or one lies outside the training set.
        """
        rows = np.arange(len(self._labels)) if kept is None else np.unique(check_indices(kept, len(self._labels)))
        if not len(rows):
            raise ValueError("kept was empty; keep at least one row, or pass None for all of them")
        self._is_kept = np.zeros(len(self._labels), dtype=np.bool_)
        self._is_kept[rows] = True
        labels = self._labels[rows]
        self._near: _Neighbours = _OnALine(rows, labels[:, 0]) if labels.shape[1] == 1 else _InSpace(rows, labels)

    def partners(self, indices: Any) -> Tensor:
        """Draw a partner for each row.

        Args:
            indices: Rows of the training set that are kept, integers, any shape.

        Returns:
            Rows of the training set, int64, of the shape and on the device of ``indices``.

        Raises:
            TypeError: They are no integers.
            ValueError: One lies outside the training set, or is not among the rows kept.
        """
        rows = check_indices(indices, len(self._labels))
        left_out = rows[~self._is_kept[rows]]
        if left_out.size:
            raise ValueError(f"row {left_out[0]} is not among the rows kept; fill batches from .kept alone")
        generator, pieces = self._draws.next(), np.array_split(rows.ravel(), -(-rows.size // _ROWS) or 1)
        found = np.concatenate([self._near.draw(self._labels[piece], generator) for piece in pieces])
        partners = torch.from_numpy(found.reshape(rows.shape))
        return partners.to(indices.device) if isinstance(indices, Tensor) else partners

    def __call__(self, x: Tensor, y: Tensor, *, partner_x: Tensor, partner_y: Tensor) -> Mixed:
        """Mix a batch with the partners drawn for it.

        Args:
            x: Inputs, floating, (n, ...).
            y: Targets, (n, ...); to be mixed they must be floats, see :meth:`Mixed.loss`.
            partner_x: The inputs of the partners, like ``x``.
            partner_y: Their targets, like ``y``.

        Raises:
            TypeError: The inputs are no floats.
            ValueError: The lengths differ, or the partners have another shape or type.
        """
        check_partners(x, y, partner_x, partner_y)
        lam = float(self._draws.next().beta(self.alpha, self.alpha))
        return mix(x, y, partner_x=partner_x, partner_y=partner_y, lam=lam)

    def state_dict(self) -> dict[str, Any]:
        """Return the position among the draws, the settings, a hash of the targets, and the rows kept."""
        return {"draws": self._draws.state_dict(), "kept": None if self._is_kept.all() else self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the same rows kept, and the draws that followed it. What is refused changes nothing.

        Raises:
            TypeError: It is no such state.
            ValueError: It is no such state, or one of another seed, alpha, bandwidth or set of targets.
        """
        check_keys(state, {"draws", "kept"})
        made = self._draws.position(state["draws"])
        self.restrict(state["kept"])
        self._draws.made = made


def _in_bandwidths(targets: Any, bandwidth: float) -> Floats:
    """Check the labels and measure them in bandwidths: (N, d)."""
    try:
        if isinstance(targets, Tensor):
            targets = targets.detach().cpu()
            targets = (targets if targets.is_complex() else targets.double()).numpy()
        given = np.asarray(targets)
        if given.dtype.kind not in "biufO" or any(isinstance(value, (str, bytes)) for value in _objects(given)):
            raise TypeError  # float64 would read numbers out of strings, and drop imaginary parts
        values = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"targets was {brief(targets)}; it must hold numbers, one label an example") from None
    if values.ndim == 0 or not values.size:
        raise ValueError(f"targets had shape {values.shape}; it must be (N,) or (N, ...), one label an example")
    with np.errstate(over="ignore"):
        labels: Floats = values.reshape(len(values), -1) / bandwidth
    if not np.isfinite(labels).all():
        raise ValueError(
            f"targets held {values[~np.isfinite(labels).reshape(values.shape)][0]}, with bandwidth {bandwidth:g}; labels "
            "must be finite, also in units of the bandwidth"
        )
    return labels


def _objects(values: NDArray[Any]) -> Iterable[Any]:
    return values.flat if values.dtype == object else ()


def _kernel(squares: Floats) -> Floats:
    """Weigh squared distances, in bandwidths; nothing beyond the reach."""
    weights: Floats = np.where(squares <= _REACH**2, np.exp(-squares / 2), 0.0)
    return weights


def _pick(sums: Floats, u: Floats) -> Ints:
    """Pick a column of each row in proportion to its weight.

    Args:
        sums: Running sums of the weights along each row, (n, m), the last above 0.
        u: In [0, 1), (n,).
    """
    picked: Ints = (sums <= (u * sums[:, -1])[:, None]).sum(axis=1)
    return picked


class _Neighbours(Protocol):
    """Rows of the training set, to be drawn by how near their labels are."""

    def draw(self, labels: Floats, generator: np.random.Generator) -> Ints:
        """Draw a row for each label, (M, d) in bandwidths; each is the label of one of the rows: (M,)."""
        ...


class _OnALine:
    """Labels of one dimension, by rejection.

    Args:
        rows: (K,).
        labels: Theirs, in bandwidths, (K,).
    """

    def __init__(self, rows: Ints, labels: Floats) -> None:
        order = labels.argsort(kind="stable")
        self._rows, self._labels = rows[order], labels[order]
        bins = np.floor((self._labels - self._labels[0]) * _BINS_PER_BANDWIDTH)
        self._starts = np.flatnonzero(np.diff(bins, prepend=-1.0))
        ends = np.append(self._starts[1:], len(labels))
        self._sizes = ends - self._starts
        # the outermost labels of each bin, not its edges: rounding cannot put a label outside
        self._low, self._high = self._labels[self._starts], self._labels[ends - 1]

    def draw(self, labels: Floats, generator: np.random.Generator) -> Ints:
        """See :class:`_Neighbours`."""
        at = labels[:, 0]
        first = self._high.searchsorted(at - _REACH)
        last = self._low.searchsorted(at + _REACH, side="right")
        bins = first[:, None] + np.arange((last - first).max(initial=0))
        within = bins < last[:, None]
        bins = np.where(within, bins, 0)
        gaps = np.maximum(np.maximum(self._low[bins] - at[:, None], at[:, None] - self._high[bins]), 0.0)
        bounds = _kernel(gaps**2)  # no label of the bin weighs more
        sums = np.where(within, bounds * self._sizes[bins], 0.0).cumsum(axis=1)
        found = np.empty(len(at), dtype=np.int64)
        waiting = np.arange(len(at))
        while len(waiting):
            u = generator.random((3, len(waiting)))
            columns = _pick(sums[waiting], u[0])
            chosen = bins[waiting, columns]
            places = self._starts[chosen] + (u[1] * self._sizes[chosen]).astype(np.int64)
            weights = _kernel((at[waiting] - self._labels[places]) ** 2)
            accepted = u[2] * bounds[waiting, columns] < weights
            found[waiting[accepted]] = self._rows[places[accepted]]
            waiting = waiting[~accepted]
        return found


class _InSpace:
    """Labels of several dimensions, piece by piece: each piece takes the place of those before by its part of the sum.

    Args:
        rows: (K,).
        labels: Theirs, in bandwidths, (K, d).
    """

    def __init__(self, rows: Ints, labels: Floats) -> None:
        self._rows, self._labels = rows, labels

    def draw(self, labels: Floats, generator: np.random.Generator) -> Ints:
        """See :class:`_Neighbours`."""
        found = np.empty(len(labels), dtype=np.int64)
        total = np.zeros(len(labels))
        size = max(1, _VALUES // max(1, len(labels)))
        for start in range(0, len(self._labels), size):
            piece = self._labels[start : start + size]
            squares = np.zeros((len(labels), len(piece)))
            for own, others in zip(labels.T, piece.T, strict=True):  # differences, not products: an equal label is at 0
                squares += (own[:, None] - others) ** 2
            sums = _kernel(squares).cumsum(axis=1)
            total += sums[:, -1]
            u = generator.random((2, len(labels)))
            moved = np.flatnonzero(u[0] * total < sums[:, -1])
            found[moved] = self._rows[start + _pick(sums[moved], u[1, moved])]
        return found

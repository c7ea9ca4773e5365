"""Examples in memory: what a task loads, what a run splits and cuts, what a batch is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def quiet(phase: str, done: int, total: int) -> None:
    """Take no notice of progress."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs, targets and groups, row by row.

    Args:
        x: Inputs, (n, ...), as the network sees them.
        y: Targets, (n, ...).
        groups: Group positions in [0, k), int64, (n,).

    Raises:
        ValueError: The lengths differ.
    """

    x: Tensor
    y: Tensor
    groups: Tensor

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.groups):
            raise ValueError(
                f"x, y and groups have {len(self.x)}, {len(self.y)} and {len(self.groups)} rows; give one of each an example"
            )

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: Tensor) -> Examples:
        """Gather the rows at ``indices`` (m,), int64, on the examples' device."""
        return self._each(lambda tensor: tensor.index_select(0, indices))

    def chunks(self, size: int) -> Iterator[Examples]:
        """Go through the rows in order, ``size`` at a time, without copying."""
        for start in range(0, len(self), size):
            yield self._each(itemgetter(slice(start, start + size)))

    def to(self, device: torch.device | str) -> Examples:
        """Move all three to a device; what is there already is not copied."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Examples:
        """Do the same to all three, and once where inputs are their own targets."""
        x = change(self.x)
        return Examples(x, x if self.y is self.x else change(self.y), change(self.groups))

    def group_sizes(self, num_groups: int) -> list[int]:
        """Count the examples of each group."""
        sizes: list[int] = torch.bincount(self.groups, minlength=num_groups).tolist()
        return sizes


@dataclass(frozen=True, eq=False)
class Data:
    """A task's data before any split, cut or hold-out.

    Args:
        train: The training examples.
        test: The test examples; None where a part of ``train`` is to be drawn for it, by seed.
        group_names: The groups' names, in the order of their positions.
        digest: A hash of the content, if one is known; otherwise it is computed when it is asked for.

    Raises:
        ValueError: A group position is not in [0, k), or a group has no examples.
    """

    train: Examples
    test: Examples | None
    group_names: tuple[str, ...]
    digest: str | None = None

    def __post_init__(self) -> None:
        for part, examples in (("training", self.train), ("test", self.test)):
            if examples is not None:
                _check_groups(examples.groups, self.group_names, part)

    @cached_property
    def fingerprint(self) -> str:
        """The hash that stands for the data in a run's settings: 16 hexadecimal digits."""
        return self.digest or fingerprint(self)

    @classmethod
    def from_arrays(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        test_x: ArrayLike | None = None,
        test_y: ArrayLike | None = None,
        *,
        group_names: Sequence[str] | None = None,
    ) -> Data:
        """Make the data of a classification, where the groups are the classes, from arrays.

        Args:
            x: Inputs, (n, ...); converted to float32.
            y: Class numbers 0 to k - 1, (n,).
            test_x: Test inputs; without them a part of the training examples is drawn for testing, by seed.
            test_y: Test class numbers.
            group_names: The names of the classes; without them their numbers.

        Raises:
            ValueError: Only one of ``test_x`` and ``test_y`` was given, or see :class:`Data`.

        >>> Data.from_arrays([[0.0], [1.0], [2.0]], [0, 1, 1]).group_names
        ('0', '1')
        """
        if (test_x is None) != (test_y is None):
            raise ValueError("only one of test_x and test_y was given; give both or neither")
        train = _classified(x, y)
        test = None if test_x is None or test_y is None else _classified(test_x, test_y)
        names = group_names if group_names is not None else [str(i) for i in range(int(train.y.max()) + 1)]
        return cls(train, test, tuple(names))

    @classmethod
    def regression(cls, x: ArrayLike, y: ArrayLike, groups: ArrayLike, group_names: Sequence[str]) -> Data:
        """Make the data of a regression, all in one set of which a part is to be drawn for testing.

        Args:
            x: Inputs, (N, d); converted to float32.
            y: Targets, (N,); converted to float32.
            groups: Positions of the groups, 0 to k - 1, (N,).
            group_names: Their names, (k,).

        Raises:
            ValueError: See :class:`Data`.

        >>> Data.regression(np.eye(3), [0, 1, 2], [1, 0, 1], ["red", "white"]).train.y.tolist()
        [0.0, 1.0, 2.0]
        """
        inputs, targets = (torch.as_tensor(np.asarray(part, dtype=np.float32)) for part in (x, y))
        places = torch.as_tensor(np.asarray(groups, dtype=np.int64))
        return cls(Examples(inputs, targets, places), None, tuple(group_names))


def _classified(x: ArrayLike, y: ArrayLike) -> Examples:
    labels = torch.as_tensor(np.asarray(y, dtype=np.int64))
    return Examples(torch.as_tensor(np.asarray(x, dtype=np.float32)), labels, labels)


def _check_groups(groups: Tensor, names: Sequence[str], part: str) -> None:
    if len(groups) and not 0 <= int(groups.min()) <= int(groups.max()) < len(names):
        raise ValueError(
            f"the {part} groups run from {int(groups.min())} to {int(groups.max())}, but there are {len(names)} names; "
            "number the groups 0 to k - 1 and name each"
        )
    present = torch.bincount(groups, minlength=len(names)) > 0
    missing = [name for name, there in zip(names, present.tolist(), strict=True) if not there]
    if missing:
        raise ValueError(f"no {part} example is of group {', '.join(missing)}; every group needs at least one")


def fingerprint(data: Data) -> str:
    """Hash all examples and names: 16 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(data.group_names).encode())
    for examples in (data.train, data.test):
        for tensor in () if examples is None else (examples.x, examples.y, examples.groups):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return digest.hexdigest()[:16]

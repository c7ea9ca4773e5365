"""Which examples belong to which group."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learn2mix import index_file
from learn2mix.checks import brief, whole_number

Ints = NDArray[np.int64]
Names = list[int] | list[str]

# Examples handled at a time, so that temporaries stay small beside the index itself.
_CHUNK = 1 << 20
_MOST = 1 << 62


class Groups(Protocol):
    """What the rest of the library asks of a division into k groups."""

    names: Names
    """The groups' names, in the order of their positions 0 to k - 1."""
    sizes: Ints
    """Examples in each group, shape (k,)."""

    def indices(self, groups: Ints, positions: Ints) -> Ints:
        """Give the data-set index of each (group, position within the group), any equal shapes."""
        ...

    def of(self, indices: Ints) -> Ints:
        """Give the group position of each data-set index, any shape."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the whole division: equal for equal divisions."""
        ...


class ListedGroups:
    """Groups given by a label for each example, in any order.

    Keeps at most 8 bytes an example: its group, and its place in a list sorted by group. Making that takes seconds for
    10**8 examples; :meth:`save` keeps it in a file that :meth:`load` maps into memory at once.

    Args:
        labels: Integers or strings, shape (N,): array, tensor, list or pandas column.

    Raises:
        TypeError: The labels are neither integers nor strings.
        ValueError: They are empty, not one-dimensional, or hold a missing value.

    Example:
        >>> import tempfile
        >>> from learn2mix import Mixer, policies
        >>> from learn2mix.groups import ListedGroups
        >>> path = tempfile.mkdtemp() + "/groups"
        >>> ListedGroups(["cat", "dog", "cat"]).save(path)
        >>> Mixer(ListedGroups.load(path), 2, policy=policies.Learn2Mix()).group_names
        ['cat', 'dog']
    """

    def __init__(self, labels: Any) -> None:
        names, codes = _encode(_as_array(labels))
        sizes = _count(codes, len(names))
        self._take(names, sizes, codes, _sort(codes, sizes))

    def _take(self, names: Names, sizes: Ints, codes: NDArray[Any], members: NDArray[Any]) -> None:
        self.names, self.sizes, self._codes, self._members = names, sizes, codes, members
        self._starts = np.cumsum(sizes) - sizes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the division to a file, whole or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        index_file.save(path, {"codes": self._codes, "members": self._members}, {"names": self.names})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, verify: bool = True) -> ListedGroups:
        """Map a saved division into memory; pages are read as they are needed and shared between processes.

        Args:
            path: Written by :meth:`save`.
            verify: Read the file whole once and compare checksums; without, a changed byte goes unnoticed.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no such file, damaged or cut short.
        """
        arrays, facts = index_file.load(path, verify=verify)
        groups = cls.__new__(cls)
        groups._take(facts["names"], _count(arrays["codes"], len(facts["names"])), arrays["codes"], arrays["members"])
        return groups

    def indices(self, groups: Ints, positions: Ints) -> Ints:
        """See :class:`Groups`."""
        found: Ints = self._members[self._starts[groups] + positions].astype(np.int64)
        return found

    def of(self, indices: Ints) -> Ints:
        """See :class:`Groups`."""
        found: Ints = self._codes[indices].astype(np.int64)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """See :class:`Groups`."""
        digest = _hash_names("listed", self.names)
        for start in range(0, len(self._codes), _CHUNK):
            digest.update(np.ascontiguousarray(self._codes[start : start + _CHUNK]).data)
        return str(digest.hexdigest())


class ContiguousGroups:
    """Groups that lie one after another: the first ``sizes[0]`` examples are the first group, and so on.

    Keeps nothing per example.

    Args:
        sizes: Examples by group name, in the order in which the groups lie.

    Raises:
        TypeError: ``sizes`` is no mapping, or a size or name is of the wrong type.
        ValueError: A size is below 1.
    """

    def __init__(self, sizes: Mapping[str, int] | Mapping[int, int]) -> None:
        if not isinstance(sizes, Mapping):
            raise TypeError(
                f"sizes was {brief(sizes)} ({type(sizes).__name__}); it must map each group's name to its number of "
                'examples, for instance {"wiki": 1000, "code": 200}'
            )
        self.names = _checked_names(sizes)
        checked = [
            whole_number(f"the size of group {name!r}", size, low=1, fix="leave an empty group out")
            for name, size in sizes.items()
        ]
        if sum(checked) > _MOST:
            raise ValueError(
                f"sizes was {brief(dict(sizes))}, {sum(checked)} examples; there can be at most 2**62; are they bytes or "
                "tokens rather than examples?"
            )
        self.sizes = np.array(checked, dtype=np.int64)
        self._starts = np.cumsum(self.sizes) - self.sizes

    def indices(self, groups: Ints, positions: Ints) -> Ints:
        """See :class:`Groups`."""
        return self._starts[groups] + positions

    def of(self, indices: Ints) -> Ints:
        """See :class:`Groups`."""
        return np.searchsorted(self._starts, indices, side="right") - 1

    @cached_property
    def fingerprint(self) -> str:
        """See :class:`Groups`."""
        digest = _hash_names("contiguous", self.names)
        digest.update(self.sizes.tobytes())
        return str(digest.hexdigest())


def as_groups(groups: Any) -> Groups:
    """Return a division as it is, or make one of labels.

    Raises:
        TypeError: The labels are neither integers nor strings.
        ValueError: There are fewer than two groups, or as for :class:`ListedGroups`.
    """
    division: Groups = groups if isinstance(groups, (ContiguousGroups, ListedGroups)) else ListedGroups(groups)
    if len(division.sizes) < 2:
        raise ValueError(
            f"groups held {brief(division.names)} alone; mixing needs at least two groups; pass the column that "
            "tells the examples apart"
        )
    return division


def check_batch_size(batch_size: Any, num_examples: int) -> int:
    """Return the batch size as an int.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below 1 or above the number of examples.
    """
    size = whole_number("batch_size", batch_size, low=1)
    if size > num_examples:
        raise ValueError(
            f"batch_size was {size} for {num_examples} examples; an epoch is N // batch_size batches, so it must be at most "
            f"{num_examples}"
        )
    return size


def check_indices(indices: Any, num_examples: int) -> Ints:
    """Return data-set indices as an array.

    Raises:
        TypeError: They are no integers.
        ValueError: One lies outside the data set, or the rows differ in length.
    """
    try:
        array = np.asarray(indices.detach().cpu() if hasattr(indices, "detach") else indices)
    except ValueError:
        raise ValueError(f"indices was {brief(indices)}; it must be an array, its rows of one length") from None
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"indices had dtype {array.dtype}; data-set indices are integers; pass those of a batch")
    if array.size and not 0 <= array.min() <= array.max() < num_examples:
        odd = array.min() if array.min() < 0 else array.max()
        raise ValueError(
            f"index {odd} was asked for; the data set has {num_examples} examples, so indices go from 0 to "
            f"{num_examples - 1}; are they those of another data set?"
        )
    return array.astype(np.int64)


def _as_array(labels: Any) -> NDArray[Any]:
    """Turn labels into a one-dimensional array of integers, of strings, or of string objects."""
    unordered = isinstance(labels, (str, bytes, Mapping, Set))
    if unordered or not (hasattr(labels, "__array__") or isinstance(labels, Iterable)):
        raise TypeError(
            f"groups was {brief(labels)} ({type(labels).__name__}); it must hold one group an example: an array, "
            "tensor or list of integers or strings; for sizes by name there is Mixer.from_sizes"
        )
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu()
    if not hasattr(labels, "__array__"):
        labels = list(labels)
        if any(
            issubclass(kind, str) for kind in set(map(type, labels))
        ):  # or numbers among them would turn into strings
            labels = np.array(labels, dtype=object)
    try:
        array = np.asarray(labels)
    except ValueError:
        raise ValueError(f"groups was {brief(labels)}; it must be flat, one group an example") from None
    if array.ndim != 1:
        raise ValueError(
            f"groups had shape {array.shape}; it must be (N,), one group an example; for one-hot labels pass "
            "labels.argmax(1)"
        )
    if not len(array):
        raise ValueError("groups was empty; it must hold one group for each example of the training set")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "OT":
        return _checked_objects(array)
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.max() > np.iinfo(np.int64).max:
        raise _too_far(array.max())
    if array.dtype.kind not in "iuU":
        raise TypeError(
            f"groups had dtype {array.dtype}; groups are integers or strings; if these are whole numbers, convert "
            "them to an integer type, and cut a continuous value into ranges first"
        )
    return array


def _too_far(label: int) -> ValueError:
    return ValueError(f"groups held {label}; integer labels must lie from -2**63 to 2**63 - 1; renumber them")


def _checked_objects(array: NDArray[Any]) -> NDArray[Any]:
    kinds = set(map(type, array))
    if all(issubclass(kind, str) for kind in kinds):
        return array.astype(object)
    if all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
        try:
            return array.astype(np.int64)
        except OverflowError:
            raise _too_far(max(array, key=abs)) from None
    odd = next(label for label in array if not isinstance(label, str))
    raise TypeError(
        f"groups mixed {' and '.join(sorted(kind.__name__ for kind in kinds))}, for instance {brief(odd)}; they must "
        "be all integers or all strings; give missing values a name of their own"
    )


def _encode(labels: NDArray[Any]) -> tuple[Names, NDArray[Any]]:
    """Give the sorted distinct labels and each example's place among them, in the smallest unsigned type."""
    if labels.dtype.kind == "O":
        names = sorted(set(labels))
        place = {name: i for i, name in enumerate(names)}
        return names, np.fromiter(map(place.__getitem__, labels), _code_type(len(names)), len(labels))
    low, high = (0, 0) if labels.dtype.kind == "U" else (int(labels.min()), int(labels.max()))
    if labels.dtype.kind == "U" or high - low > max(_CHUNK, len(labels) // 8):
        distinct = np.unique(np.concatenate([np.unique(part) for part in _chunks(labels)]))
        return distinct.tolist(), _map(labels, lambda part: np.searchsorted(distinct, part), len(distinct))
    # Labels in a narrow range, as class ids are, need no sorting.
    present = np.zeros(high - low + 1, dtype=bool)
    for part in _chunks(labels):
        present[part.astype(np.int64) - low] = True
    place_of = np.cumsum(present) - 1
    names = (np.flatnonzero(present) + low).tolist()
    return names, _map(labels, lambda part: place_of[part.astype(np.int64) - low], len(names))


def _map(labels: NDArray[Any], place: Callable[[NDArray[Any]], Ints], num_groups: int) -> NDArray[Any]:
    codes = np.empty(len(labels), dtype=_code_type(num_groups))
    for i, part in enumerate(_chunks(labels)):
        codes[i * _CHUNK : i * _CHUNK + len(part)] = place(part)
    return codes


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (array[start : start + _CHUNK] for start in range(0, len(array), _CHUNK))


def _code_type(num_groups: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if num_groups <= 1 << 8 else np.uint16 if num_groups <= 1 << 16 else np.uint32


def _count(codes: NDArray[Any], num_groups: int) -> Ints:
    sizes = np.zeros(num_groups, dtype=np.int64)
    for part in _chunks(codes):
        sizes += np.bincount(part, minlength=num_groups)
    return sizes


def _sort(codes: NDArray[Any], sizes: Ints) -> NDArray[Any]:
    """List the examples group by group, within a group in their own order (a counting sort by chunks)."""
    members = np.empty(len(codes), dtype=np.uint32 if len(codes) <= 1 << 32 else np.int64)
    free = np.cumsum(sizes) - sizes
    for i, part in enumerate(_chunks(codes)):
        order = np.argsort(part, kind="stable")
        counts = np.bincount(part, minlength=len(sizes))
        within = np.arange(len(part)) - np.repeat(np.cumsum(counts) - counts, counts)
        members[np.repeat(free, counts) + within] = order + i * _CHUNK
        free += counts
    return members


def _checked_names(sizes: Mapping[Any, int]) -> Names:
    names = list(sizes)
    whole = all(isinstance(name, int) and not isinstance(name, bool) for name in names)
    if names and not whole and not all(isinstance(name, str) for name in names):
        raise TypeError(f"sizes had the group names {brief(names)}; they must be all strings or all integers")
    if whole and names and not -(1 << 63) <= min(names) <= max(names) < 1 << 63:
        raise _too_far(max(names, key=abs))
    return names


def _hash_names(kind: str, names: Names) -> Any:
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for name in names:
        text = repr(name).encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return digest

"""Orders that need no memory: the place of the j-th example, computed when it is asked for.

An order of n examples is a permutation of a grid of cells just large enough to hold n: rounds that shift every row by
an amount that depends on the column, then every column by one that depends on the row (a generalised Feistel
network). A place that lands in a cell beyond n is permuted again until it lands inside (cycle walking; Black and
Rogaway, 2002). All of it is wrapping integer arithmetic, so a key gives the same order on every platform and with
every version of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
_Word = type[np.uint32] | type[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Odd multipliers, one a half-round: they make the half-rounds different functions of the same key.
_MULTIPLIERS = (
    0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1, 0xD3A2646D, 0xFD7046C5, 0xB55A4F09,
    0x7FEB352D, 0x846CA68B, 0x68E31DA5, 0xB5297A4D, 0x1B56C4E9, 0xE2D0D4CB, 0xCC9E2D51, 0x1B873593,
    0xCB9E8C2D, 0x38B34AE5, 0xA1E38B93, 0x52DCE729, 0x9F3B5E17, 0x6C8E9CF5, 0xF1357AEB, 0x3C6EF375,
)  # fmt: skip
_ROUNDS = 4
# Few rounds leave some orders of a small set likelier than others; twelve are uniform as far as tests can tell.
_SMALL, _SMALL_ROUNDS = 512, 12


def mix(words: Words) -> Words:
    """Scramble 64-bit words, one to one (the finaliser of splitmix64; Steele, Lea and Flood, 2014).

    >>> [hex(w) for w in mix(np.array([0, 1, 2], dtype=np.uint64))]
    ['0x0', '0x5692161d100b05e5', '0xdbd238973a2b148a']
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def combine(words: Words, numbers: Ints) -> Words:
    """Derive a word from each word and a number, both (n,) or one of them (1,)."""
    return mix(words + (numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def seed_word(seed: int, purpose: int) -> Words:
    """Turn a seed of any size and a purpose into one 64-bit word, shape (1,)."""
    limbs = [(seed >> shift) & 0xFFFFFFFFFFFFFFFF for shift in range(0, max(seed.bit_length(), 1), 64)]
    word = np.zeros(1, dtype=np.uint64)
    for limb in (purpose, len(limbs), *limbs):
        word = mix(word + np.array([limb], dtype=np.uint64) * _GOLDEN + _GOLDEN)
    return word


def columns_for(sizes: Ints) -> Ints:
    """Give the width of a grid for each size: even, or no odd permutation could be reached.

    >>> columns_for(np.array([1, 2, 5, 9, 10_000])).tolist()
    [2, 2, 4, 4, 100]
    """
    return 2 * np.ceil(np.sqrt(sizes) / 2).astype(np.int64)


def permute(places: Ints, sizes: Ints, columns: Ints, keys: Words) -> Ints:
    """Look up places of keyed permutations.

    Args:
        places: Which place of the order is wanted, each from 0 to its size - 1, shape (n,).
        sizes: How many examples that order holds, 1 to 2**62, shape (n,).
        columns: ``columns_for(sizes)``, shape (n,).
        keys: One word an order: equal keys and sizes give the same order, shape (n,).

    Returns:
        For each place a number from 0 to its size - 1, shape (n,). Over all places of one key and size, each once.

    >>> sizes = np.full(7, 7)
    >>> sorted(permute(np.arange(7), sizes, columns_for(sizes), np.full(7, 42, dtype=np.uint64)).tolist())
    [0, 1, 2, 3, 4, 5, 6]
    """
    small = sizes <= _SMALL
    if small.all():
        return _walk(places, sizes, columns, keys, _SMALL_ROUNDS)
    if not small.any():
        return _walk(places, sizes, columns, keys, _ROUNDS)
    out = np.empty_like(places)
    for part, rounds in ((small, _SMALL_ROUNDS), (~small, _ROUNDS)):
        out[part] = _walk(places[part], sizes[part], columns[part], keys[part], rounds)
    return out


def _walk(places: Ints, sizes: Ints, columns: Ints, keys: Words, rounds: int) -> Ints:
    # A group keeps its arithmetic whatever the other groups are: half-words where its grid fits them, else whole ones.
    if (columns <= 1 << 16).all():
        return _walk_words(places, sizes, columns, keys, rounds, np.uint32)
    if (columns > 1 << 16).all():
        return _walk_words(places, sizes, columns, keys, rounds, np.uint64)
    out, narrow = np.empty_like(places), columns <= 1 << 16
    for part in (narrow, ~narrow):
        out[part] = _walk(places[part], sizes[part], columns[part], keys[part], rounds)
    return out


def _walk_words(places: Ints, sizes: Ints, columns: Ints, keys: Words, rounds: int, dtype: _Word) -> Ints:
    out = _cells(places, sizes, columns, keys, rounds, dtype)
    todo = np.flatnonzero(out >= sizes)
    while len(todo):
        out[todo] = _cells(out[todo], sizes[todo], columns[todo], keys[todo], rounds, dtype)
        todo = todo[out[todo] >= sizes[todo]]
    return out


def _cells(places: Ints, sizes: Ints, columns: Ints, keys: Words, rounds: int, dtype: _Word) -> Ints:
    """Send each cell of its grid to another, one to one."""
    width: NDArray[Any] = columns.astype(dtype)
    height: NDArray[Any] = (-(-sizes // columns)).astype(dtype)
    quotient = places // columns
    row: NDArray[Any] = quotient.astype(dtype)
    column: NDArray[Any] = (places - quotient * columns).astype(dtype)
    other: NDArray[Any] = keys.astype(dtype)
    key: NDArray[Any] = (keys >> np.uint64(32)).astype(dtype) if dtype is np.uint32 else mix(keys)
    # Two arrays serve all rounds: fresh ones for every operation cost more than the arithmetic.
    amount, spare = np.empty_like(row), np.empty_like(row)
    for i in range(rounds):
        np.add(column, key, out=amount)
        _shift(row, amount, _MULTIPLIERS[2 * i], height, spare)
        np.add(row, other, out=amount)
        _shift(column, amount, _MULTIPLIERS[2 * i + 1], width, spare)
    return row.astype(np.int64) * columns + column.astype(np.int64)


def _shift(
    coordinate: NDArray[Any], amount: NDArray[Any], multiplier: int, modulus: NDArray[Any], spare: NDArray[Any]
) -> None:
    """Add a hash of ``amount`` to the coordinate, modulo its range, in place; both other arrays are overwritten."""
    word = amount.dtype.type
    half = word(amount.itemsize * 4)
    amount *= word(multiplier)
    for fold, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        np.right_shift(amount, word(fold), out=spare)
        amount ^= spare
        amount *= word(factor)
    amount >>= half
    amount *= modulus  # at most 2**half, so that the product fits and its upper half lies below the modulus
    amount >>= half
    amount += coordinate
    np.subtract(amount, modulus, out=spare)  # where amount < modulus this wraps to a huge number
    np.minimum(amount, spare, out=coordinate)

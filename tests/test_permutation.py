"""Orders computed when asked for: one to one, every order as likely, and none telling of another."""

from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn2mix.samplers.permutation import columns_for, combine, mix, permute, seed_word

WORD = seed_word(2024, 1)


def orders(size, num_keys, places=None):
    """Look places up in the orders of many keys, shape (keys, places)."""
    places = np.arange(size) if places is None else np.asarray(places)
    keys = np.repeat(combine(WORD, np.arange(num_keys)), len(places))
    sizes = np.full(len(keys), size)
    return permute(np.tile(places, num_keys), sizes, columns_for(sizes), keys).reshape(num_keys, -1)


def assert_as_expected(observed, expected):
    """Chi-square: fail where the counts are further from those expected than chance allows (5 standard deviations)."""
    observed, expected = np.ravel(observed), np.broadcast_to(expected, np.shape(observed)).ravel()
    assert expected.min() >= 4, "too few to tell"
    assert observed.sum() == pytest.approx(expected.sum())
    freedom = len(observed) - 1
    excess = (((observed - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)
    assert excess < 5, f"{excess:.1f} standard deviations"


def test_the_check_itself_tells_a_die_that_is_off_by_a_tenth():
    even = np.full(6, 10_000.0)
    assert_as_expected(even + np.array([90, -80, 60, -100, 50, -20]), even)
    with pytest.raises(AssertionError, match="standard deviations"):
        assert_as_expected(even + 500 * np.array([1, -1, 1, -1, 1, -1]), even)


# --- One to one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*range(1, 66), 97, 100, 127, 128, 255, 256, 257, 511, 512, 513, 1000, 4096, 4099])
def test_every_place_once(size):
    rows = orders(size, 20)
    assert (np.sort(rows, axis=1) == np.arange(size)).all()
    assert size < 8 or len({tuple(row) for row in rows.tolist()}) == 20


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 65_537 * 3, 10**6 + 3])
def test_every_place_once_in_large_orders(size):
    assert (np.sort(orders(size, 1)[0]) == np.arange(size)).all()


@pytest.mark.parametrize("size", [2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**32 + 2**17, 2**40 + 7, 2**53 + 1, 2**62])
def test_no_place_twice_in_huge_orders(size):
    """Both ends and a stretch in the middle; a random function of 2**32 would hit some 100 places twice."""
    places = np.concatenate([np.arange(400_000), size // 2 + np.arange(400_000), size - 1 - np.arange(200_000)])
    found = orders(size, 1, places)[0]
    assert 0 <= found.min() <= found.max() < size
    assert len(np.unique(found)) == len(places)
    assert_as_expected(np.histogram(found / size, bins=100, range=(0, 1))[0], len(places) / 100)


@given(st.lists(st.sampled_from([1, 2, 7, 512, 513, 2**32, 2**32 + 1]), min_size=1, max_size=8), st.integers(0, 99))
def test_an_order_is_the_same_whatever_is_asked_along_with_it(sizes, key):
    sizes = np.array(sizes)
    keys = combine(seed_word(key, 1), np.arange(len(sizes)))
    places = sizes // 3
    together = permute(places, sizes, columns_for(sizes), keys)
    for i in range(len(sizes)):
        one = slice(i, i + 1)
        assert permute(places[one], sizes[one], columns_for(sizes[one]), keys[one])[0] == together[i]


# --- As likely as any -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_all_orders_of_a_few_examples_are_equally_likely(size):
    num_keys = 50 * factorial(size)
    codes = orders(size, num_keys) @ size ** np.arange(size)
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == factorial(size)
    assert_as_expected(counts, 50.0)


@pytest.mark.parametrize("size", [7, 100, 512, 513, 1000, 4099, 70_001])
def test_any_example_at_any_place(size):
    places = np.array([0, 1, size // 2, size - 1])
    found = orders(size, 30_000, places)
    bins = np.arange(size) * min(size, 1000) // size
    for column in found.T:
        assert_as_expected(np.bincount(bins[column]), 30_000 / size * np.bincount(bins))


@pytest.mark.parametrize("size", [7, 100, 512, 513, 1000, 4099, 70_001])
@pytest.mark.parametrize("pair", [(0, 1), (0, "row"), (3, 5), (0, "last")])
def test_pairs_of_places_are_independent(size, pair):
    """Neighbours, the two ends, and places one row of the grid apart, in a 7 by 7 table."""
    apart = {"row": int(columns_for(np.array([size]))[0]), "last": size - 1}
    first, second = orders(size, 30_000, [apart.get(place, place) for place in pair]).T
    blocks = np.bincount(np.arange(size) * 7 // size)
    expected = (np.outer(blocks, blocks) - np.diag(blocks)) / (size * (size - 1)) * 30_000
    table = np.zeros((7, 7))
    np.add.at(table, (first * 7 // size, second * 7 // size), 1)
    keep = expected > 0  # of 7 examples none comes twice
    assert not table[~keep].any()
    assert_as_expected(table[keep], expected[keep])


@pytest.mark.parametrize("size", [7, 100, 512, 513, 1000, 4099])
def test_the_step_to_the_next_place_is_any(size):
    found = orders(size, max(40, 400_000 // size // 10))
    steps = (found[:, 1:] - found[:, :-1]) % size
    counts = np.bincount(steps.ravel(), minlength=size)[1:]
    assert_as_expected(counts, steps.size / (size - 1))


@pytest.mark.parametrize("size", [100, 513, 1000, 4099])
def test_successive_passes_are_independent(size):
    """The same place in the next pass, and the example after next, in a 7 by 7 table."""
    num_keys = 40_000_000 // size // 100
    found = orders(size, num_keys) * 7 // size
    blocks = np.bincount(np.arange(size) * 7 // size) / size
    for lag in (1, 2):
        table = np.zeros((7, 7))
        np.add.at(table, (found[lag:].ravel(), found[:-lag].ravel()), 1)
        # Rows and columns of the table are fixed, so that chance leaves it less room than independent draws would.
        assert_as_expected(table, np.outer(blocks, blocks) * table.sum())


@pytest.mark.parametrize("size", [100, 513, 1000, 4099])
def test_orders_look_random_as_a_whole(size):
    """Fixed points, descents, correlation with the identity: their mean over many orders, and its spread."""
    num_keys = 2000
    found = orders(size, num_keys)
    place = np.arange(size)
    centred = place - (size - 1) / 2
    figures = {  # name: (observed, mean, variance)
        "fixed points": ((found == place).sum(axis=1), 1, 1),
        "descents": ((found[:, 1:] < found[:, :-1]).sum(axis=1), (size - 1) / 2, (size + 1) / 12),
        "correlation": ((found - (size - 1) / 2) @ centred / (centred @ centred), 0, 1 / (size - 1)),
    }
    for name, (observed, mean, variance) in figures.items():
        z = (np.mean(observed) - mean) / np.sqrt(variance / num_keys)
        assert abs(z) < 4.5, (name, z)
        assert np.var(observed) == pytest.approx(variance, rel=0.15), name


@pytest.mark.parametrize("size", [8, 9, 25, 80, 81])
def test_half_of_all_orders_are_odd(size):
    odd = sum(parity(row) for row in orders(size, 1000).tolist())
    assert abs(odd - 500) < 80  # standard deviation 16


def parity(order):
    seen, odd = set(), 0
    for start in range(len(order)):
        length, at = 0, start
        while at not in seen:
            seen.add(at)
            at, length = order[at], length + 1
        odd ^= max(length - 1, 0) & 1
    return odd


# --- Words ------------------------------------------------------------------------------------------------------------


def test_words_are_those_of_splitmix64():
    """Its published first outputs for the states 0 and 1234567."""
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert combine(np.zeros(1, dtype=np.uint64), np.arange(3)).tolist() == first
    other = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert combine(np.array([1234567], dtype=np.uint64), np.arange(3)).tolist() == other
    assert mix(np.array([0x9E3779B97F4A7C15], dtype=np.uint64)).tolist() == first[:1]


def test_seeds_of_any_size_and_purposes_give_words_of_their_own():
    seeds = [*range(1000), 2**32, 2**64, 2**64 + 1, 2**128, 2**64 * 5, 5 * 2**128]
    words = {int(seed_word(seed, purpose)[0]) for seed in seeds for purpose in (1, 2)}
    assert len(words) == 2 * len(seeds)

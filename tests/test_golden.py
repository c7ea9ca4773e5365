"""A few small streams, written down: any change of what a seed stands for turns these red.

Whoever means to change the stream raises the version of saved states, says so in the changelog, and writes these anew.
"""

import numpy as np
import pytest

from harness import Script, consume
from learn2mix import Mixer, policies
from learn2mix.samplers.permutation import columns_for, permute, seed_word


def epochs(mixer, number):
    seen = []
    for _ in range(number):
        seen.append(consume(mixer))
        mixer.step()
    return seen


def test_learn2mix_over_three_epochs():
    mixer = Mixer([0] * 7 + [1] * 2 + [2] * 4, 5, policy=policies.Learn2Mix(mixing_rate=0.5), seed=3)
    assert epochs(mixer, 3) == [
        [[0, 8, 6, 12, 3], [2, 10, 1, 9, 7]],
        [[5, 11, 4, 9, 3], [0, 11, 5, 10, 7]],
        [[2, 7, 4, 12, 8], [1, 10, 6, 11, 8]],
    ]


def test_large_and_rare_groups_and_a_large_seed():
    policy = policies.Static([0.5, 0.45, 0.05])
    mixer = Mixer.from_sizes({"wiki": 10**10, "code": 50, "rare": 1}, 6, policy=policy, seed=2**80)
    assert consume(mixer, 3) == [
        [2298627926, 10000000049, 10000000027, 10000000010, 9717676658, 3885303207],
        [933339088, 10000000050, 10000000048, 10000000029, 4925450730, 358028790],
        [3422761206, 10000000041, 10000000000, 10000000045, 3912759756, 9433708852],
    ]


def test_a_thousand_groups_that_share_eight_seats():
    mixer = Mixer.from_sizes({i: 1 + i % 3 for i in range(1000)}, 8, policy=policies.Static("balanced"))
    assert consume(mixer, 2) == [[93, 516, 339, 714, 450, 108, 602, 391], [20, 411, 247, 729, 384, 31, 475, 349]]


def test_updates_within_the_epoch():
    mixer = Mixer([0] * 4 + [1] * 2, 3, policy=Script([1, 0], [0.25, 0.75], [0, 1]), update_every=1)
    assert epochs(mixer, 2) == [[[2, 3, 1], [0, 4, 5]], [[5, 4, 4], [5, 5, 4]]]


def test_the_second_of_two_replicas():
    mixer = Mixer([0] * 7 + [1] * 2 + [2] * 4, 4, policy=policies.Static(), seed=1, num_replicas=2, rank=1)
    whole = Mixer([0] * 7 + [1] * 2 + [2] * 4, 4, policy=policies.Static(), seed=1)
    expected = [[2, 12, 7, 1], [5, 11, 10, 4], [3, 9, 8, 0]]
    assert list(whole.batch_sampler) == expected
    assert list(mixer.batch_sampler) == [batch[2:] for batch in expected]


@pytest.mark.parametrize(
    ("size", "places", "expected"),
    [
        (1, [0], [0]),
        (5, range(5), [3, 0, 2, 4, 1]),
        (13, range(13), [8, 6, 11, 4, 9, 12, 0, 5, 7, 10, 3, 2, 1]),
        (512, range(8), [271, 419, 100, 473, 426, 156, 71, 343]),
        (513, range(8), [50, 389, 492, 327, 155, 460, 393, 288]),
        (60_000, range(6), [2282, 33844, 38408, 34649, 16618, 43151]),
        (2**32, range(4), [2880962406, 4220557180, 1856115671, 4092046964]),
        (2**32 + 1, range(4), [1753966692, 3515552651, 2682267459, 827980736]),
        (2**62, [0, 2**61], [3909316317810906544, 194963238816590973]),
    ],
)
def test_orders(size, places, expected):
    sizes = np.full(len(places), size)
    keys = np.repeat(seed_word(7, 2), len(places))
    assert permute(np.array(places), sizes, columns_for(sizes), keys).tolist() == expected


def test_seed_words():
    expected = [0x882821205BABC31F, 0x8576B56C3603C2B9, 0xB9A728299DF72971, 0x24B78363FB5C6631]
    assert [int(seed_word(seed, 1)[0]) for seed in (0, 1, 2**64, 2**70 + 3)] == expected

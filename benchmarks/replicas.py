"""Weak scaling: what it costs a rank to form its part of a batch, as ranks are added and the batch grows with them.

    python benchmarks/replicas.py

1000 examples a rank and batch, from 10,000,000 in 1000 groups that lie one after another; 1, 2, 4 and 8 ranks. Drawing
alone, as the last rank; nothing is communicated for it. All take turns in one run. Prints one JSON object.
"""

import itertools
import json
import statistics
import time

import numpy as np

from learn2mix import Mixer, policies

EXAMPLES, GROUPS, PER_REPLICA, REPLICAS = 10**7, 1000, 1000, (1, 2, 4, 8)
ROUNDS, BATCHES = 24, 48  # within one epoch of 8 ranks, 1250 batches


def main() -> None:
    edges = np.sort(np.random.default_rng(0).choice(np.arange(1, EXAMPLES), GROUPS - 1, replace=False))
    sizes = dict(enumerate(np.diff([0, *edges, EXAMPLES]).tolist()))
    samplers = {}
    for count in REPLICAS:
        options = {"policy": policies.Learn2Mix(), "num_replicas": count, "rank": count - 1}
        samplers[count] = iter(Mixer.from_sizes(sizes, PER_REPLICA * count, **options).batch_sampler)
    seconds = {count: [] for count in REPLICAS}
    for round_ in range(ROUNDS):
        for count, batches in samplers.items():
            start = time.perf_counter()
            sizes_drawn = [len(batch) for batch in itertools.islice(batches, BATCHES)]
            taken = time.perf_counter() - start
            assert sizes_drawn == [PER_REPLICA] * BATCHES
            if round_ >= 2:  # the first ones warm up
                seconds[count].append(taken / BATCHES)
    ratios = {
        count: round(statistics.median(a / b for a, b in zip(seconds[count], seconds[1], strict=True)), 2)
        for count in REPLICAS
    }
    result = {"what": f"a rank's {PER_REPLICA} indices of a batch, from {EXAMPLES} examples in {GROUPS} groups",
              "replicas": list(REPLICAS),
              "us_per_local_batch": [round(statistics.median(seconds[count]) * 1e6, 1) for count in REPLICAS],
              "quartiles": [[round(q * 1e6, 1) for q in statistics.quantiles(seconds[count], n=4)[::2]] for count in REPLICAS],
              "ratio_to_one": list(ratios.values()), "rounds": ROUNDS - 2, "batches_a_round": BATCHES}  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()

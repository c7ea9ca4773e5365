"""What size costs: time to the first batch, memory above the labels, time a batch.

    python benchmarks/scale.py

Every case runs in a process of its own, so that one's memory is not another's; ours and torch's take turns, and ratios are
between neighbours. Prints one JSON object.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from torch.utils.data import BatchSampler, RandomSampler, WeightedRandomSampler

from learn2mix import Mixer, policies

BATCH, ROUNDS = 1000, 3


def contiguous(examples: int, groups: int) -> Mixer:
    sizes = {f"source {i}": examples // groups for i in range(groups)}
    return Mixer.from_sizes(sizes, BATCH, policy=policies.Learn2Mix(), seed=0)


def labels(examples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, examples, dtype=np.int16)


def weighted(examples: int) -> BatchSampler:
    weights = 1 / np.bincount(given := labels(examples))[given]
    return BatchSampler(WeightedRandomSampler(torch.from_numpy(weights), examples), BATCH, drop_last=True)


CASES = {
    "contiguous 1e8 in 1e3": (lambda _: contiguous(10**8, 10**3).batch_sampler, 10_000),
    "contiguous 1e9 in 1e5": (lambda _: contiguous(10**9, 10**5).batch_sampler, 300),
    "labels 1e7 in 1e3": (lambda y: Mixer(y, BATCH, policy=policies.Learn2Mix(), seed=0).batch_sampler, 2_000),
    "labels 1e8 in 1e3": (lambda y: Mixer(y, BATCH, policy=policies.Learn2Mix(), seed=0).batch_sampler, 2_000),
    "torch RandomSampler 1e7": (lambda _: BatchSampler(RandomSampler(range(10**7)), BATCH, drop_last=True), 9_999),
    "torch WeightedRandomSampler 1e7": (lambda _: weighted(10**7), 2_000),
    "torch WeightedRandomSampler 1e8": (lambda _: weighted(10**8), 1),
}


def measure(case: str) -> dict:
    make, batches = CASES[case]
    given = labels(10**8 if "1e8" in case else 10**7) if case.startswith("labels") else None
    next(iter(contiguous(100_000, 10).batch_sampler))  # what is imported and compiled once is not the case's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    batch = iter(make(given))
    try:
        next(batch)
    except RuntimeError as error:
        return {"raises": str(error).splitlines()[0]}
    first = time.perf_counter()
    for _ in range(batches - 1):
        next(batch)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "first_batch_ms": (first - begun) * 1e3,
        "peak_mb": (peak - before) / 1024,
        "us_per_batch": (end - first) / max(1, batches - 1) * 1e6,
        "batches": batches,
        "total_s": end - begun,
    }


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        found = {}
        for case in CASES:
            command = [sys.executable, __file__, case]
            found[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rounds.append(found)
    result = {"rounds": ROUNDS}
    for case in CASES:
        keys = rounds[0][case]
        median = {k: statistics.median(r[case][k] for r in rounds) for k in keys if k != "raises"}
        result[case] = {k: round(v, 2) for k, v in median.items()} or rounds[0][case]
    ours, theirs = "contiguous 1e8 in 1e3", "torch RandomSampler 1e7"
    for key in ("total_s", "us_per_batch"):
        result[f"ratio of {key}: {ours} / {theirs}"] = round(
            statistics.median(r[ours][key] / r[theirs][key] for r in rounds), 3
        )
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()

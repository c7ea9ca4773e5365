"""What forming a batch costs, beside torch's own sampler: the two take turns in one run.

    python benchmarks/batches.py

60,000 examples in 10 groups, batches of 1000; whole epochs, each with its start. Prints one JSON object.
"""

import json
import statistics
import time

import numpy as np
from torch.utils.data import BatchSampler, RandomSampler

from learn2mix import Mixer, policies

EXAMPLES, GROUPS, BATCH, EPOCHS = 60_000, 10, 1000, 40


def epoch_seconds(sampler) -> float:
    start = time.perf_counter()
    for _ in sampler:
        pass
    return time.perf_counter() - start


def main() -> None:
    labels = np.random.default_rng(0).integers(0, GROUPS, EXAMPLES)
    mixer = Mixer(labels, BATCH, policy=policies.Learn2Mix(), seed=0)
    torch_sampler = BatchSampler(RandomSampler(range(EXAMPLES)), BATCH, drop_last=True)
    ours, theirs = [], []
    for epoch in range(EPOCHS + 3):
        pair = epoch_seconds(mixer.batch_sampler), epoch_seconds(torch_sampler)
        if epoch >= 3:  # the first ones warm up
            ours.append(pair[0])
            theirs.append(pair[1])
    batches = EXAMPLES // BATCH
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    result = {
        "what": f"an epoch of {batches} batches of {BATCH} from {EXAMPLES} examples in {GROUPS} groups",
        "learn2mix_us_per_batch": round(statistics.median(ours) / batches * 1e6, 1),
        "torch_us_per_batch": round(statistics.median(theirs) / batches * 1e6, 1),
        "ratio": {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]},
        "epochs": EPOCHS,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""A million batches: every promise still exact, memory flat.

    python benchmarks/soak.py [batches]

The group losses are drawn anew each epoch, so the proportions keep moving. Prints a line now and then; fails at the
first broken promise.
"""

import resource
import sys
import time
from itertools import pairwise

import numpy as np
import torch

from learn2mix import Mixer, policies

SIZES, BATCH = {"common": 200_000, "usual": 50_000, "rare": 37, "single": 1}, 64


def main(num_batches: int) -> None:
    mixer = Mixer.from_sizes(SIZES, BATCH, policy=policies.Learn2Mix(mixing_rate=0.3), seed=7)
    starts = np.cumsum([0, *SIZES.values()])
    uses = np.zeros(starts[-1], dtype=np.int64)
    owed = np.zeros(len(SIZES))
    generator = np.random.default_rng(0)
    done, begun, early = 0, time.perf_counter(), 0
    while done < num_batches:
        share = mixer.proportions * BATCH
        losses = torch.from_numpy(generator.exponential(size=len(SIZES)) ** 3)
        for batch in mixer.batch_sampler:
            indices = np.asarray(batch)
            groups = np.searchsorted(starts, indices, side="right") - 1
            counts = np.bincount(groups, minlength=len(SIZES))
            owed += share - counts
            assert len(batch) == BATCH
            assert ((counts == np.floor(share)) | (counts == np.ceil(share))).all(), (counts, share)
            assert abs(owed).max() < 2, owed
            np.add.at(uses, indices, 1)
            mixer.observe(losses[groups], mixer.groups_of(indices))
            done += 1
        mixer.step()
        spread = [int(np.ptp(uses[a:b])) for a, b in pairwise(starts)]
        assert max(spread) <= 1, spread
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        early = early or peak
        assert peak < early + 20, f"memory grew from {early:.0f} to {peak:.0f} MiB"
        if mixer.epoch % 10 == 0 or done >= num_batches:
            seconds = time.perf_counter() - begun
            print(
                f"{done:9,} batches  {seconds:6.0f} s  peak {peak:.0f} MiB  most owed {abs(owed).max():.2f}", flush=True
            )
    print(f"ok: {done:,} batches, {mixer.epoch} epochs, every promise exact")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

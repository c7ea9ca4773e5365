"""What a learn2mix training step costs, beside a classical one: LeNet-5, batches of 1000 of MNIST's shape.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/step.py

All methods take turns in one run, so that whatever slows the machine slows all. Pixels are random: what a step costs
does not hang on them. Evaluation is left out, what an epoch's start and end cost is shared among its steps.
"""

import json
import os
import statistics

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads

import torch

from learn2mix.bench.clock import measure
from learn2mix.bench.data import Data, Examples

METHODS = ("classical", "learn2mix", "natural")


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (60_000,), generator=generator)
    train = Examples(torch.rand(60_000, 1, 28, 28, generator=generator), labels, labels)
    data = Data(train, train.take(torch.arange(1000)), tuple("0123456789"))
    timing = measure("mnist", METHODS, rounds=25, steps=6, data=data)
    base = timing.methods["classical"].by_round
    result = {"threads": torch.get_num_threads(), "rounds": len(base)}
    for name in METHODS[1:]:
        ratios = [a / b for a, b in zip(timing.methods[name].by_round, base, strict=True)]
        result[name] = {"ratio_to_classical": round(statistics.median(ratios), 4),
                        "quartiles": [round(q, 4) for q in statistics.quantiles(ratios, n=4)[::2]]}  # fmt: skip
    result["classical_ms_per_step"] = round(timing.methods["classical"].seconds_per_step * 1e3, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

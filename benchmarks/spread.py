"""How five runs of mean estimation may come out, kept in results/spread.json: python benchmarks/spread.py.

The paper's figures are means of five runs with an interval. At a quarter of the budget our errors are far from normal: most
runs are near their end and some are still far up. Two questions: how often does a set of five runs, each with weights and data
of its own, come out as the paper's did, in its mean and in its interval; and is it the weights or the data that make the
difference?
"""

import json
from pathlib import Path

import numpy as np
import torch

from learn2mix.bench import provenance
from learn2mix.bench.analysis.stats import half_widths, mean_interval
from learn2mix.bench.exhibits.published import RUNS, TABLE_2
from learn2mix.bench.files import write_whole
from learn2mix.bench.runner import run
from learn2mix.bench.tasks.mean_estimation import MEAN_ESTIMATION, draw

PLACE = Path(__file__).parents[1] / "results" / "spread.json"
PAPERS = {"natural": "classical", "learn2mix": "learn2mix"}
"""The paper's name of each method: its classical regressions use stratified batches."""
SETS = 100_000


def error(method: str, weights: int, data: int) -> float:
    """Train for a quarter of the budget, from initial weights and on rows that each have a seed; give the test error."""
    made = run(MEAN_ESTIMATION, method, weights, MEAN_ESTIMATION.epochs // 4, data=draw(data))
    return round(float(made.curves["test_metric"][-1]), 4)


def compare(errors: np.ndarray, paper: float, half_width: float) -> dict[str, object]:
    """Describe the errors, and say how often sets of five come out as the paper's did.

    Args:
        errors: (n,), of runs that have nothing in common.
        paper: The paper's mean.
        half_width: Half its interval.

    Returns:
        JSON values: ``as far out`` is the part of all sets of five whose mean lies on the paper's side at least as far out,
        ``and as close together`` the part of which that holds and whose interval is no wider than the paper's.
    """
    sets = np.random.default_rng(0).choice(errors, (SETS, RUNS))
    means = sets.mean(axis=1)
    beyond = (means >= paper) if paper >= errors.mean() else (means <= paper)
    close = half_widths(sets.T) <= half_width
    e = mean_interval(errors.tolist())
    return {
        "n": e.n,
        "mean": e.mean,
        "low": e.low,
        "high": e.high,
        "median": float(np.median(errors)),
        "standard deviation": float(errors.std(ddof=1)),
        "largest": float(errors.max()),
        "paper": paper,
        "paper, half width": half_width,
        "as far out": float(beyond.mean()),
        "and as close together": float((beyond & close).mean()),
        "sets, 2.5 %": float(np.quantile(means, 0.025)),
        "sets, 97.5 %": float(np.quantile(means, 0.975)),
        "errors": errors.tolist(),
    }


def main(number: int = 200, initialisations: int = 20) -> None:
    """Measure both methods with so many seeds, then one with several sets of data for the same weights."""
    found: dict[str, object] = {"made": provenance.describe(torch.device("cpu")), "set": RUNS}
    for method, name in PAPERS.items():
        quarter = TABLE_2[MEAN_ESTIMATION.name][name][0]
        errors = np.array([error(method, seed, seed) for seed in range(number)])
        found[method] = compare(errors, quarter.mean, quarter.high - quarter.mean)
        print(method, {key: value for key, value in found[method].items() if key != "errors"}, flush=True)
    # data seeds of their own, so that no set of rows comes twice
    found["natural, same weights"] = [
        [error("natural", weights, number + weights * RUNS + i) for i in range(RUNS)]
        for weights in range(initialisations)
    ]
    print(found["natural, same weights"])
    write_whole(PLACE, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()

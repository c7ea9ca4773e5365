"""How far five runs may lie from their mean, kept in results/spread.json: python benchmarks/spread.py.

The paper's figures are means of five runs, and Welch's interval takes them for normal. At a quarter of the budget the
errors of mean estimation are not: most runs are near their end and some are still far up. So that many runs are made, each
on data drawn anew, and sets of five taken from them; how often does such a set come out as the paper's did, or further?
"""

import json
from pathlib import Path

import numpy as np
import torch

from learn2mix.bench import provenance
from learn2mix.bench.analysis.stats import mean_interval
from learn2mix.bench.exhibits.published import RUNS, TABLE_2
from learn2mix.bench.files import write_whole
from learn2mix.bench.runner import run
from learn2mix.bench.tasks.mean_estimation import MEAN_ESTIMATION, draw

PLACE = Path(__file__).parents[1] / "results" / "spread.json"
PAPERS = {"natural": "classical", "learn2mix": "learn2mix"}
"""The paper's name of each method: its classical regressions use stratified batches."""
SETS = 100_000


def ends(method: str, number: int) -> np.ndarray:
    """Train so many times for a quarter of the budget, each time on rows drawn anew; give the test errors, (number,)."""
    budget = MEAN_ESTIMATION.epochs // 4
    made = (run(MEAN_ESTIMATION, method, seed, budget, data=draw(seed)) for seed in range(number))
    return np.array([one.curves["test_metric"][-1] for one in made])


def compare(errors: np.ndarray, paper: float) -> dict[str, object]:
    """Describe the errors, and say how often the mean of a set of five lies on the paper's side at least as far out."""
    sets = np.random.default_rng(0).choice(errors, (SETS, RUNS)).mean(axis=1)
    beyond = (sets >= paper) if paper >= errors.mean() else (sets <= paper)
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
        "as far out": float(beyond.mean()),
        "sets, 2.5 %": float(np.quantile(sets, 0.025)),
        "sets, 97.5 %": float(np.quantile(sets, 0.975)),
    }


def main(number: int = 200) -> None:
    """Measure both methods with so many seeds."""
    found: dict[str, object] = {"made": provenance.describe(torch.device("cpu")), "set": RUNS}
    for method, name in PAPERS.items():
        quarter = TABLE_2[MEAN_ESTIMATION.name][name][0]
        found[method] = compare(ends(method, number), quarter.mean)
        print(method, found[method], flush=True)
    write_whole(PLACE, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()

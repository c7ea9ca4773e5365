"""Whether the curriculum orders by difficulty: rank correlations, kept in results/order.json: python benchmarks/order.py.

For each seed two networks are trained beforehand as the curriculum does, from different initial weights. The order that the
first gives is compared with the difficulty by the first, by the second, and with what comes of using scores that were taken
in a shuffled order as if they were in the set's own.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import spearmanr

from learn2mix.bench import provenance, seeds
from learn2mix.bench.analysis.stats import mean_interval
from learn2mix.bench.arithmetic import fixed_threads
from learn2mix.bench.data import Data
from learn2mix.bench.files import write_whole
from learn2mix.bench.lookup import find_task
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.curriculum import Curriculum
from learn2mix.bench.runner import make_ready
from learn2mix.bench.tasks import Task
from learn2mix.bench.training import difficulty

PLACE = Path(__file__).parents[1] / "results" / "order.json"


def correlations(task: Task, data: Data, seed: int, warmup_epochs: int = 50) -> dict[str, float]:
    """Train the two networks and correlate the first one's order with three notions of difficulty."""
    job = make_ready(task, Classical(), seed, data).job
    curriculum = Curriculum(warmup_epochs=warmup_epochs)
    order = curriculum.prepare(job).feed.ranking
    position = torch.empty(len(order))
    position[order] = torch.arange(len(order), dtype=torch.float32)

    def scores(of: int) -> torch.Tensor:
        other = replace(job, seed=of)
        with seeds.isolated(other.seed_for("preparation")):
            return difficulty(curriculum.teacher(other), job.train, task.loss, job.chunk)

    own = scores(seed)
    shuffled = own[torch.randperm(len(own), generator=seeds.generator(seed))]
    return {
        "by the network that ordered": float(spearmanr(position, own).statistic),
        "by another network": float(spearmanr(position, scores(seed + 10_000)).statistic),
        "had scores been taken in a shuffled order": float(spearmanr(shuffled.argsort().argsort(), own).statistic),
    }


def main(names: list[str], number: int) -> None:
    """Measure on some tasks."""
    found: dict[str, object] = {"made": provenance.describe(torch.device("cpu"))}
    for name in names:
        task = find_task(name)
        data = task.load()
        with fixed_threads(task.threads):
            rows = [correlations(task, data, seed) for seed in range(number)]
        estimates = {key: mean_interval([row[key] for row in rows]) for key in rows[0]}
        found[name] = {key: {"mean": e.mean, "low": e.low, "high": e.high, "n": e.n} for key, e in estimates.items()}
        print(name, json.dumps(found[name]), flush=True)
    write_whole(PLACE, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main(sys.argv[1].split(",") if len(sys.argv) > 1 else ["digits", "mean-estimation"], 20)

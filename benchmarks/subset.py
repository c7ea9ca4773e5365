"""Whether pretraining on a part saves gradients, kept in results/subset_pretraining.json: python benchmarks/subset.py.

In the terms of the paper's claim: an optimiser that takes the whole of what it trains on at every step (L-BFGS with a line
search), the cost counted in gradients of single examples. Training on all from the start until the objective is within
2 % of its minimum is compared with training on a part to the part's own optimum, and from there on all to the same 2 %.
A part has as many examples as give it a ratio of outputs to parameters; see `schedules.subset_size`.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from learn2mix.bench import provenance
from learn2mix.bench.analysis.stats import mean_interval
from learn2mix.bench.arithmetic import fixed_threads
from learn2mix.bench.files import write_whole
from learn2mix.schedules import SubsetPretraining, overdetermination_ratio, subset_size

PLACE = Path(__file__).parents[1] / "results" / "subset_pretraining.json"
RATIOS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
WITHIN = 0.02
PRECISION = 1e-3
MOST_PASSES = 2000

Objective = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """What is to be fitted.

    Args:
        objective: Makes the number to minimise, of the parameters (P,), from the rows of the training set it is over.
        test: What counts in the end, of the parameters: smaller is better.
        groups: The group of each training example, (N,).
        num_outputs: M.
        start: The parameters at the start, (P,), float64.
    """

    objective: Callable[[Tensor], Objective]
    test: Callable[[Tensor], float]
    groups: Tensor
    num_outputs: int
    start: Tensor

    @property
    def everything(self) -> Tensor:
        return torch.arange(len(self.groups))


def regression(seed: int, link: Callable[[Tensor], Tensor], *, number: int = 20_000, inputs: int = 20) -> Problem:
    """``y = link(W x) + noise``: two outputs of uneven inputs, whose variances span a factor of 100; noise of variance 1/4."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = normal(2 * number, inputs) * torch.logspace(0, -1, inputs, dtype=torch.float64)
    weights = normal(inputs, 2)
    y = link(x @ weights) + normal(2 * number, 2) / 2

    def objective(rows: Tensor) -> Objective:
        some, targets = x[rows], y[rows]
        return lambda flat: (link(some @ flat.view(inputs, 2)) - targets).square().sum(dim=1).mean()

    held_out = objective(torch.arange(number, 2 * number))
    groups = torch.zeros(number, dtype=torch.int64)
    return Problem(objective, lambda flat: float(held_out(flat)), groups, 2, torch.zeros(2 * inputs).double())


def digits(seed: int, *, decay: float = 1e-3) -> Problem:
    """Softmax regression on 1257 of the 1797 digits of 8 x 8 pixels; a small L2 penalty, or there is no minimum."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels) / 16, torch.from_numpy(labels)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    train, held_out = order[:1257], order[1257:]

    def logits(flat: Tensor, rows: Tensor) -> Tensor:
        return x[rows] @ flat[:640].view(64, 10) + flat[640:]

    def objective(rows: Tensor) -> Objective:
        places = train[rows]
        return lambda flat: functional.cross_entropy(logits(flat, places), y[places]) + decay / 2 * flat.square().sum()

    def error(flat: Tensor) -> float:
        return float((logits(flat, held_out).argmax(dim=1) != y[held_out]).double().mean())

    return Problem(objective, error, y[train], 10, torch.zeros(650).double())


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "linear least squares": lambda seed: regression(seed, lambda z: z),
    "nonlinear least squares (tanh)": lambda seed: regression(seed, torch.tanh),
    "digits, softmax regression": digits,
}


class _Done(Exception):
    """The optimiser is where it was to go."""


def minimise(
    objective: Objective, start: Tensor, *, target: float = -math.inf, precision: float = 0.0
) -> tuple[Tensor, int]:
    """Descend by L-BFGS until the objective is at most ``target``, or its largest slope that part of the first one.

    Returns:
        The parameters, and how often the gradient was taken.

    Raises:
        RuntimeError: That was not reached.
    """
    flat = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [flat],
        max_iter=MOST_PASSES,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    slopes: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = objective(flat)
        value.backward()
        slopes.append(float(flat.grad.abs().max()))
        if value <= target or slopes[-1] <= precision * slopes[0]:
            raise _Done
        return value

    try:
        optimizer.step(closure)
    except _Done:
        return flat.detach(), len(slopes)
    raise RuntimeError(f"after {len(slopes)} passes the objective is {float(objective(flat))}, the slope {slopes[-1]}")


def measure(problem: Problem, seed: int) -> dict[float, dict[str, float]]:
    """Compare, for each ratio that the set can give, training on a part first with training on all."""
    number, parameters = len(problem.groups), len(problem.start)
    everything = problem.objective(problem.everything)
    best, _ = minimise(everything, problem.start, precision=1e-6)
    target = float(everything(best)) * (1 + WITHIN)
    plain, passes = minimise(everything, problem.start, target=target)
    rows = {}
    for ratio in RATIOS:
        if ratio > overdetermination_ratio(number, problem.num_outputs, parameters) / 2:
            continue
        size = subset_size(ratio, problem.num_outputs, parameters, number)
        part = SubsetPretraining(problem.groups, size, switch=1, seed=seed).pool(0)
        middle, early = minimise(problem.objective(part), problem.start, precision=PRECISION)
        end, late = minimise(everything, middle, target=target)
        rows[ratio] = {
            "share of the set": size / number,
            "excess at the part's optimum": float(everything(middle)) / float(everything(best)) - 1,
            "gradients at the part's optimum": early * size / (passes * number),
            "gradients": (early * size + late * number) / (passes * number),
            "test at the part's optimum": problem.test(middle),
            "test": problem.test(end),
            "test less that of all": problem.test(end) - problem.test(plain),
        }
    return rows


def estimate(key: str, values: list[float]) -> dict[str, float | int | None]:
    """Give a mean over seeds with its 95 % interval: a geometric one of what are ratios, where one seed can be tenfold."""
    if "test" in key:
        e = mean_interval(values)
        return {"mean": e.mean, "low": e.low, "high": e.high, "n": e.n}
    e = mean_interval([math.log(value) for value in values])
    ends = (None if end is None else math.exp(end) for end in (e.mean, e.low, e.high))
    return {**dict(zip(("mean", "low", "high"), ends, strict=True)), "n": e.n}


def main(number: int = 20) -> None:
    """Measure every problem with so many seeds."""
    found: dict[str, object] = {"made": provenance.describe(torch.device("cpu")), "within": WITHIN}
    for name, make in PROBLEMS.items():
        with fixed_threads(1):
            runs = [measure(make(seed), seed) for seed in range(number)]
        found[name] = {
            f"{ratio:g}": {key: estimate(key, [run[ratio][key] for run in runs]) for key in values}
            for ratio, values in runs[0].items()
        }
        print(name, *(f"{ratio}: {rows['gradients']}" for ratio, rows in found[name].items()), sep="\n  ", flush=True)
    write_whole(PLACE, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()

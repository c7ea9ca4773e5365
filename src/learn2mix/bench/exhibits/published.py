"""The paper's figures: arXiv 2412.16482 (v3), Tables 1 and 2, in the tasks' own metrics."""

from __future__ import annotations

from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.exhibits.base import Published

RUNS = 5
"""How many runs the paper's means are of."""

PAPERS_METHODS = ("learn2mix", "classical", "focal", "smote", "importance", "curriculum")
"""What the paper compares, in the order of its Table 1."""


def _accuracy(*by_method: str) -> Published:
    """Turn accuracies in per cent into error rates; a dash stands for what is not stated."""

    def estimate(text: str) -> Estimate | None:
        return None if text == "-" else Estimate(1 - float(text) / 100, None, None, RUNS)

    rows = (tuple(estimate(text) for text in row.split()) for row in by_method)
    return dict(zip(PAPERS_METHODS, rows, strict=True))


def _mse(learn2mix: str, classical: str) -> Published:
    """Take means and half-widths of 95 % intervals: ``1.81+-0.84``."""

    def estimate(text: str) -> Estimate:
        mean, half = map(float, text.split("+-"))
        return Estimate(mean, mean - half, mean + half, RUNS)

    return {
        name: tuple(estimate(text) for text in row.split())
        for name, row in (("learn2mix", learn2mix), ("classical", classical))
    }


TABLE_1: dict[str, Published] = {
    "mnist": _accuracy(
        "95.42 97.61 98.46",
        "93.14 96.74 98.14",
        "91.32 95.92 97.86",
        "92.41 96.51 98.09",
        "92.44 96.60 98.14",
        "93.30 96.53 98.13",
    ),
    "fashion-mnist": _accuracy(
        "77.62 83.16 85.85",
        "74.13 79.75 -",
        "74.08 78.94 -",
        "73.67 79.17 -",
        "74.23 79.65 -",
        "75.06 79.08 -",
    ),
    "cifar10": _accuracy(
        "51.34 55.84 60.49",
        "49.26 54.50 59.62",
        "47.90 54.15 59.37",
        "47.76 53.72 58.46",
        "47.40 52.56 57.44",
        "49.11 53.49 59.15",
    ),
    "imagenette": _accuracy(
        "24.12 33.64 42.95",
        "15.55 23.63 34.53",
        "20.11 29.44 40.60",
        "23.19 28.90 39.59",
        "23.10 28.52 35.33",
        "18.82 27.26 35.26",
    ),
    "cifar100": _accuracy(
        "30.03 46.80 54.50",
        "23.23 43.00 52.30",
        "27.15 40.26 -",
        "23.93 39.10 -",
        "27.97 42.61 52.83",
        "27.15 39.48 50.88",
    ),
    "imdb": _accuracy(
        "70.28 76.02 82.38",
        "50.13 74.99 80.84",
        "50.30 68.30 -",
        "50.94 62.72 74.64",
        "58.48 74.00 79.08",
        "50.02 71.68 -",
    ),
}

TABLE_2: dict[str, Published] = {
    "mean-estimation": _mse("1.81+-0.84 1.45+-0.26 1.07+-0.09", "6.51+-1.52 1.52+-0.27 1.17+-0.06"),
    "wine-quality": _mse("17.7+-1.64 4.26+-1.55 1.75+-0.21", "19.8+-1.51 9.72+-1.94 2.03+-0.18"),
    "california-housing": _mse("2.52+-0.68 1.33+-0.32 0.77+-0.08", "2.95+-0.67 1.82+-0.39 0.99+-0.10"),
    "mnist-reconstruction": _mse("19.6+-0.81 12.9+-0.39 9.31+-0.24", "20.8+-0.93 14.0+-0.52 10.1+-0.56"),
    "fashion-mnist-reconstruction": _mse("89.3+-2.63 65.1+-1.21 45.5+-1.21", "91.9+-2.37 70.9+-1.28 51.6+-1.60"),
    "cifar10-reconstruction": _mse("193+-1.23 175+-2.85 144+-1.71", "194+-1.98 179+-3.87 148+-1.37"),
}


def as_stratified(published: Published) -> Published:
    """Give figures of the paper's regressions, whose classical batches are stratified, under the method that makes such."""
    return {"natural" if method == "classical" else method: row for method, row in published.items()}


SPEED_UPS: dict[str, tuple[float, float, float]] = {
    "mnist": (98, 30, 40),
    "fashion-mnist": (83, 20, 33),
    "cifar10": (60, 170, 200),
    "imagenette": (40, 185, 230),
    "cifar100-mobilenet": (50, 120, 140),
    "imdb": (70, 35, 60),
    "imdb-200": (70, 35, 60),
}
"""The paper's stated speed-ups: an accuracy in per cent, learn2mix's and classical's seconds to it on an RTX 3090."""

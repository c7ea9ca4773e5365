"""The problems that methods are compared on, one a file."""

from learn2mix.bench.tasks.base import ERROR, MSE, Metric, Task, add
from learn2mix.bench.tasks.california_housing import CALIFORNIA_HOUSING
from learn2mix.bench.tasks.digits import DIGITS
from learn2mix.bench.tasks.fashion_mnist import FASHION_MNIST
from learn2mix.bench.tasks.mean_estimation import MEAN_ESTIMATION
from learn2mix.bench.tasks.mnist import MNIST
from learn2mix.bench.tasks.wine_quality import WINE_QUALITY

__all__ = [
    "CALIFORNIA_HOUSING",
    "DIGITS",
    "ERROR",
    "FASHION_MNIST",
    "MEAN_ESTIMATION",
    "MNIST",
    "MSE",
    "WINE_QUALITY",
    "Metric",
    "Task",
    "add",
]

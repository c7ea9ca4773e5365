"""The problems that methods are compared on, one a file."""

from learn2mix.bench.tasks.base import ERROR, Metric, Task, add
from learn2mix.bench.tasks.digits import DIGITS
from learn2mix.bench.tasks.fashion_mnist import FASHION_MNIST
from learn2mix.bench.tasks.mnist import MNIST

__all__ = ["DIGITS", "ERROR", "FASHION_MNIST", "MNIST", "Metric", "Task", "add"]

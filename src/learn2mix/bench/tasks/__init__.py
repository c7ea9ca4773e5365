"""The problems that methods are compared on, one a file."""

from learn2mix.bench.tasks.base import ERROR, MSE, Metric, Task, add
from learn2mix.bench.tasks.california_housing import CALIFORNIA_HOUSING
from learn2mix.bench.tasks.cifar10 import CIFAR10
from learn2mix.bench.tasks.cifar10_mobilenet import CIFAR10_MOBILENET
from learn2mix.bench.tasks.cifar10_reconstruction import CIFAR10_RECONSTRUCTION
from learn2mix.bench.tasks.cifar100 import CIFAR100
from learn2mix.bench.tasks.cifar100_mobilenet import CIFAR100_MOBILENET
from learn2mix.bench.tasks.digits import DIGITS
from learn2mix.bench.tasks.fashion_mnist import FASHION_MNIST
from learn2mix.bench.tasks.fashion_mnist_reconstruction import FASHION_MNIST_RECONSTRUCTION
from learn2mix.bench.tasks.imagenette import IMAGENETTE
from learn2mix.bench.tasks.imdb import IMDB, IMDB_200
from learn2mix.bench.tasks.joint import CALIFORNIA_HOUSING_JOINT, WINE_QUALITY_JOINT
from learn2mix.bench.tasks.mean_estimation import MEAN_ESTIMATION
from learn2mix.bench.tasks.mnist import MNIST
from learn2mix.bench.tasks.mnist_reconstruction import MNIST_RECONSTRUCTION
from learn2mix.bench.tasks.wine_quality import WINE_QUALITY

__all__ = [
    "CALIFORNIA_HOUSING",
    "CALIFORNIA_HOUSING_JOINT",
    "CIFAR10",
    "CIFAR10_MOBILENET",
    "CIFAR10_RECONSTRUCTION",
    "CIFAR100",
    "CIFAR100_MOBILENET",
    "DIGITS",
    "ERROR",
    "FASHION_MNIST",
    "FASHION_MNIST_RECONSTRUCTION",
    "IMAGENETTE",
    "IMDB",
    "IMDB_200",
    "MEAN_ESTIMATION",
    "MNIST",
    "MNIST_RECONSTRUCTION",
    "MSE",
    "WINE_QUALITY",
    "WINE_QUALITY_JOINT",
    "Metric",
    "Task",
    "add",
]

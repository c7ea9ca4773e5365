"""Scikit-learn's handwritten digits with a long tail: the demo, on data that come with a package."""

from __future__ import annotations

import os
from functools import partial

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.profiles import Exponential
from learn2mix.bench.models import mlp
from learn2mix.bench.tasks.base import Task, add


def load(data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load the 1797 digits of 8 x 8 pixels, (1797, 64), scaled from 0..16 to [0, 1]; a test set is drawn by seed.

    Raises:
        ImportError: Scikit-learn, whose data these are, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the task digits takes its data from scikit-learn: pip install 'learn2mix[bench]'") from error
    pixels, labels = load_digits(return_X_y=True)
    return Data.from_arrays(pixels / 16, labels)


# A conventional small network and Adam's usual rate, not tuned for any method. Keeping a tenth of the last class leaves
# 12 of it, enough for SMOTE's five neighbours, and 512 examples in all: 16 batches of 32 an epoch.
DIGITS = add(
    Task(
        name="digits",
        version=1,
        summary="scikit-learn's 8 x 8 digits, long-tailed (factor 10); MLP, seconds a run",
        load=load,
        network=partial(mlp, 64, 64, 10),
        batch_size=32,
        epochs=60,
        mixing_rate=0.1,
        learning_rate=1e-3,
        profile=Exponential(factor=10),
        test_fraction=0.3,
        threads=1,
        seeds=20,
        reference="scikit-learn, load_digits; E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
    )
)

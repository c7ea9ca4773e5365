"""A method and a task of one's own, compared with others: the same data path, weights, steps and seeds for all.

Nothing of it needs to be in the package. Runs are stored by their settings, so raise `version` after a change of either, or
the old runs stand for the new.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from learn2mix import policies
from learn2mix.bench import Data, Store
from learn2mix.bench.analysis import wording
from learn2mix.bench.compare import compare
from learn2mix.bench.data.profiles import Exponential
from learn2mix.bench.methods import Method
from learn2mix.bench.methods.base import MixerFeed
from learn2mix.bench.models import mlp
from learn2mix.bench.report import write_report
from learn2mix.bench.tasks import Task
from learn2mix.bench.training import Arm

CLASSES, FEATURES = 3, 8


def load(data_dir=None, progress=None):
    """Three overlapping blobs, 400 examples each."""
    labels = np.repeat(np.arange(CLASSES), 400)
    noise = np.random.default_rng(0).normal(size=(len(labels), FEATURES))
    return Data.from_arrays((noise + 1.5 * np.eye(FEATURES)[labels]).astype(np.float32), labels)


BLOBS = Task(
    name="blobs",
    version=1,
    summary="three blobs, long-tailed",
    load=load,
    network=partial(mlp, FEATURES, 32, CLASSES),
    profile=Exponential(factor=20),  # the training set alone; the test set stays even
    batch_size=32,
    epochs=5,
    learning_rate=1e-2,
    mixing_rate=0.3,
    threads=1,
)


@dataclass(frozen=True)
class Halfway(Method):
    """Batches halfway between the training set's own shares and equal ones."""

    name: ClassVar[str] = "halfway"
    summary: ClassVar[str] = "shares halfway between natural and balanced"
    changes: ClassVar[frozenset] = frozenset({"feed"})  # what it makes of an Arm; the rest is as in classical training

    def prepare(self, job):
        sizes = job.class_sizes().numpy()
        return Arm(feed=MixerFeed(job, policies.Static((sizes / sizes.sum() + 1 / CLASSES) / 2)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        done = compare([BLOBS], ["classical", "learn2mix", Halfway()], range(3), store=Store(f"{folder}/blobs"))
        summary = write_report(done.runs, f"{folder}/report.html")  # the page, and the same figures as an object
        for row in summary.tasks[0].rows:
            print(f"{row.name}: error {row.final.mean:.2%} ± {row.final.high - row.final.mean:.2%} (95 %)")
        print(wording.headline(summary.tasks[0]))

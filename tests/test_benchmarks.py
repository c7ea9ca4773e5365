"""The benchmarks run, in short; what they time is not judged here."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(*arguments):
    command = [sys.executable, FOLDER / arguments[0], *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hundred_million_contiguous_examples_take_next_to_no_memory():
    found = run("scale.py", "contiguous 1e8 in 1e3")
    assert found["batches"] == 10_000
    assert found["peak_mb"] < 50


def test_forming_batches_is_compared_over_whole_epochs():
    found = run("batches.py")
    assert found["epochs"] == 40
    assert found["ratio"]["min"] <= found["ratio"]["median"] <= found["ratio"]["max"]


def test_how_far_sets_of_five_lie():
    """Of errors 0 and 1, as likely: all five are 1 in 1 of 32 sets, and all 0 in another; the mean of those sets is 1/2."""
    spec = importlib.util.spec_from_file_location("spread", FOLDER / "spread.py")
    spread = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(spread)
    # and in 5 of 32 sets one alone is 0: mean 0.8, standard deviation sqrt(0.2), half width 2.776 * sqrt(0.2 / 5) = 0.555
    for paper, half_width, far, close in ((0.0, 0.0, 1, 1), (1.0, 0.0, 1, 1), (0.8, 0.56, 6, 6), (0.8, 0.55, 6, 1)):
        found = spread.compare(np.array([0.0, 1.0]), paper, half_width)
        for key, expected in (("as far out", far / 32), ("and as close together", close / 32)):
            assert found[key] == pytest.approx(expected, abs=5 * (expected / spread.SETS) ** 0.5), (paper, key)
    assert (found["sets, 2.5 %"], found["sets, 97.5 %"]) == (0, 1)
    assert (found["n"], found["mean"], found["largest"]) == (2, 0.5, 1)
    one, same, other = (spread.draw(seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert spread.draw(0).fingerprint == spread.MEAN_ESTIMATION.load().fingerprint

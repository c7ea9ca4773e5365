"""The benchmarks run, in short; what they time is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

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

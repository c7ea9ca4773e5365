"""A training process that is killed and resumed again and again ends as one that was never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

KILLS = Path(__file__).parents[1] / "benchmarks" / "kills.py"


def test_a_run_killed_and_resumed_is_the_same_bit_for_bit():
    """Five times for each setting; `make soak` does the same 200 times."""
    done = subprocess.run(
        [sys.executable, str(KILLS), "5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["indices_and_weights"] == "equal bit for bit"
    assert [hit["kills"] for hit in result["settings"].values()] == [5, 5]

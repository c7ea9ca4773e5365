"""The soak, in short: thousands of batches with every promise checked on each."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"


def test_every_promise_holds_over_thousands_of_batches():
    done = subprocess.run([sys.executable, SOAK, "12000"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "every promise exact" in done.stdout

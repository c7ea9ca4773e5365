"""Every example runs as a user would run it, and says what it should."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"

# The last lines of each, with figures left open where only their range matters.
ENDS = {
    "plain_loop": r"epoch 10: proportions \[0\.[56]\d+ 0\.[34]\d+\]",
    "uneven_csv": r"island\s+[2-9]\d\.\d% of each batch",  # 2.4 % of the rows
    "padded_text": r"epoch 5: prose [3-5]\d\.\d%, verse [2-4]\d\.\d%, code [2-4]\d\.\d%",
    "custom_dataset": r"equal those without: True\nproportions .* of labels \[3, 7, 9\]",
    "several_parts": r"the same as without the break: True",
    "own_method": r"halfway: error \d+\.\d+% ± .*\nAfter 5 epochs, learn2mix ends at",
    "two_replicas": r"replica \d: 50 examples a step, proportions \[0\.(\d+), 0\.\d+\]\n.*proportions \[0\.\1,",
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_example_runs(path):
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(ENDS[path.stem], done.stdout), done.stdout

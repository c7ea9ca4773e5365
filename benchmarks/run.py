"""Run all benchmarks and keep what they print in results/benchmarks.json: python benchmarks/run.py.

`python docs/build.py` writes docs/benchmarks.md from that file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from learn2mix.bench import provenance
from learn2mix.bench.files import write_whole

FOLDER = Path(__file__).parent
SCRIPTS = ("batches", "step", "scale", "replicas")


def main() -> None:
    found = {"made": provenance.describe(torch.device("cpu"))}
    for name in SCRIPTS:
        print(f"{name} ...", flush=True)
        done = subprocess.run([sys.executable, FOLDER / f"{name}.py"], check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(found[name], indent=2), flush=True)
    write_whole(FOLDER.parent / "results" / "benchmarks.json", json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()

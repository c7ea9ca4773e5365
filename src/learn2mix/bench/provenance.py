"""Where a run comes from: versions, machine, commit, command, time."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import learn2mix


def describe(device: torch.device) -> dict[str, Any]:
    """Describe this process as JSON values: ``versions``, ``machine``, ``commit``, ``command``, ``finished``."""
    return {
        "versions": versions(),
        "machine": machine(device),
        "commit": commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Name the versions that can change a result."""
    return {
        "learn2mix": learn2mix.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine as far as it decides how fast things go."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
    }


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """Name the commit that the package is run from, with ``+changes`` where the working tree has any; None if none."""
    here = Path(__file__).resolve().parent
    try:
        # a package installed into another project's checkout is not part of that project
        if _git(here, "ls-files", "--error-unmatch", "provenance.py"):
            changed = _git(here, "status", "--porcelain", "--untracked-files=no")
            return _git(here, "rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        pass
    return None


def _git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return answer.stdout.strip()

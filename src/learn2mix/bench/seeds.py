"""Seeds that depend on the task, the seed and the purpose, and never on the method: equal footing for every arm."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(task: str, seed: int, purpose: str) -> int:
    """Derive the seed for one purpose of one run by hashing, so that a new purpose shifts no other.

    Args:
        task: The task's name.
        seed: The run's seed.
        purpose: What the random numbers are for: ``"split"``, ``"cut"``, ``"weights"``, ``"order"``, ``"dropout"``,
            ``"selection"`` and so on.

    Returns:
        An integer in [0, 2^63).

    >>> derive("digits", 0, "weights") == derive("digits", 0, "weights") != derive("digits", 0, "order")
    True
    """
    digest = hashlib.sha256(f"{task}\n{seed}\n{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator of its own, seeded, on a device."""
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def isolated(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python inside the block and leave them untouched outside it.

    For what draws from them alone: initial weights, dropout, and packages that know no better (some do on import).
    """
    device = torch.device(device)
    on_cuda = device.type == "cuda"
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if on_cuda else []):
            # not torch.manual_seed: it seeds every device, also those that are not put back afterwards
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            if on_cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002

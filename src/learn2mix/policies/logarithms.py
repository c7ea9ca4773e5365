"""Shares kept as logarithms, so that exponentials of losses neither overflow nor vanish for good."""

from __future__ import annotations

import numpy as np

from learn2mix.policies.base import Floats

# The difference of two such numbers is still a number.
LARGEST = float(np.finfo(np.float64).max) / 8


def log_sum(logs: Floats) -> float:
    """Give ``ln(sum(exp(logs)))`` of numbers that are at most ``LARGEST`` in size.

    >>> round(log_sum(np.array([1000.0, 1000.0])) - 1000, 4)  # ln 2
    0.6931
    """
    highest = logs.max()
    return float(highest + np.log(np.exp(logs - highest).sum()))


def log_normalised(logs: Floats) -> Floats:
    """Shift logarithms so that their exponentials sum to 1; infinite ones are taken as ``LARGEST`` in size.

    >>> np.exp(log_normalised(np.array([1e5, 1e5 + np.log(3)]))).round(4)
    array([0.25, 0.75])
    """
    bounded = np.clip(logs, -LARGEST, LARGEST)
    shifted: Floats = bounded - bounded.max()  # first: beside a huge number the logarithm of the sum would be lost
    return shifted - log_sum(shifted)

"""How torch computes while a run trains or is timed: on how many threads, and to what precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def fixed_threads(number: int | None) -> Iterator[None]:
    """Let torch use so many threads inside the block; None leaves them as they are."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Keep matrix products and convolutions in full float32 inside the block: TF32 is torch's default for some."""
    try:
        cudnn, precision = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        # someone uses the settings by operator of newer releases, and torch wants no mix of the two
        with _exact_operators():
            yield
        return
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = cudnn
        torch.set_float32_matmul_precision(precision)


@contextmanager
def _exact_operators() -> Iterator[None]:
    families: list[Any] = [torch.backends.cudnn, torch.backends.mkldnn]
    operators = [torch.backends.cuda.matmul, families[1].matmul]
    operators += [operator for family in families for operator in (family.conv, family.rnn)]
    before = [operator.fp32_precision for operator in operators]
    try:
        for operator in operators:
            operator.fp32_precision = "ieee"
        yield
    finally:
        for operator, precision in zip(operators, before, strict=True):
            operator.fp32_precision = precision

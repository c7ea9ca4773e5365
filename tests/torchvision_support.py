"""Lets a torchvision built for CUDA be imported beside a torch without, whose import fails on two operators.

Its compiled part cannot be loaded then. The networks need nothing of it, but torchvision, and with it torchmetrics and
lightning, takes for granted that these two are declared. Where the compiled part loads, nothing is done. To be imported
before any of them.
"""

import importlib.util
from pathlib import Path

import torch


def _stand_in_for_operators():
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    try:
        for compiled in Path(spec.origin).parent.glob("_C.*"):
            torch.ops.load_library(compiled)
    except OSError:
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return operators
    return None


OPERATORS = _stand_in_for_operators()  # declared for as long as this is kept

"""A colour and a dash for each method, the same in every chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.ranking import method_names

# Colours that stay apart for colour-blind readers (after Okabe and Ito, then Tol), on a light and on a dark ground.
# A method that is not named here takes one of the spare ones, dashed.
_COLOURS = {
    "classical": ("#4d4d4d", "#c3c9d1"),
    "learn2mix": ("#0072b2", "#4aa8e8"),
    "natural": ("#56b4e9", "#9bdcff"),
    "balanced": ("#009e73", "#2cc79b"),
    "focal": ("#e69f00", "#f0b63c"),
    "smote": ("#cc79a7", "#e79fc8"),
    "importance": ("#d55e00", "#ff8b3d"),
    "curriculum": ("#8c7a1f", "#cdb94f"),
}
_SPARE = (
    ("#332288", "#9d8cff"),
    ("#882255", "#dc6ba3"),
    ("#44aa99", "#6ad4c2"),
    ("#117733", "#58b873"),
    ("#661100", "#d9826f"),
    ("#6699cc", "#8fb9e6"),
)
_DASHES = ("solid", "dash", "dot", "dashdot")

Style = Mapping[str, Any]


def swatches(tasks: Sequence[TaskSummary]) -> dict[str, Style]:
    """Give each name in some tasks its method's ``colors`` (on light, on dark) and a ``dash``.

    Several names of one method differ by dashes, and so do colours used again.
    """
    methods = method_names(tasks)
    unknown = sorted({method for method in methods.values() if method not in _COLOURS})
    colours = {**_COLOURS, **{method: _SPARE[i % len(_SPARE)] for i, method in enumerate(unknown)}}
    used: dict[tuple[str, str], int] = {}
    styles: dict[str, Style] = {}
    for name, method in methods.items():
        colour = colours[method]
        dash = used.get(colour, 1 if method in unknown else 0)
        styles[name] = {"colors": list(colour), "dash": _DASHES[dash % len(_DASHES)]}
        used[colour] = dash + 1
    return styles

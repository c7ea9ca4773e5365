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
# What a method's settings shade into, the first dark and the last light: how far towards which colour, on either ground.
_ENDS = (("#2a0a50", 0.75), ("#ffffff", 0.3)), (("#5b2fa8", 0.65), ("#ffffff", 0.7))
# Lengths of strokes and gaps in pixels, and what a bar has in their place.
_MARKS = (
    ((), ""),
    ((8, 4), "/"),
    ((2, 3), "."),
    ((8, 3, 2, 3), "x"),
    ((15, 4), "-"),
    ((8, 3, 2, 3, 2, 3), "\\"),
)

Style = Mapping[str, Any]


def swatches(tasks: Sequence[TaskSummary]) -> dict[str, Style]:
    """Give each name in some tasks its ``colors`` (on light, on dark), ``dash`` (pixels) and ``pattern`` (of a bar).

    A method's plain name has the method's colour. Its names with settings differ by shade and by dashes; methods that share
    a colour differ by dashes.
    """
    methods = method_names(tasks)
    unknown = sorted({method for method in methods.values() if method not in _COLOURS})
    colours = {**_COLOURS, **{method: _SPARE[i % len(_SPARE)] for i, method in enumerate(unknown)}}
    used: dict[tuple[str, str], int] = {}
    styles: dict[str, Style] = {}
    for name, method in methods.items():
        colour = colours[method]
        mark = used.get(colour, 1 if method in unknown else 0)
        variants = [other for other in methods if methods[other] == method != other]
        place = 2 * variants.index(name) / (len(variants) - 1) - 1 if len(variants) > 1 and name in variants else 0.0
        dash, pattern = _MARKS[mark % len(_MARKS)]
        shades = [_shade(base, ends, place) for base, ends in zip(colour, _ENDS, strict=True)]
        styles[name] = {"colors": shades, "dash": list(dash), "pattern": pattern}
        used[colour] = mark + 1
    return styles


def _shade(colour: str, ends: Sequence[tuple[str, float]], place: float) -> str:
    """Mix a colour with one of two others: all the first's part at place -1, none at 0, all the second's part at 1."""
    other, part = ends[place > 0]
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(own + (to - own) * part * abs(place)) for own, to in pairs).hex()

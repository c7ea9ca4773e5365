"""What every method's card ends with: its rows in the stored comparison of all methods."""

from collections.abc import Mapping
from functools import cache

from build_tools import ROOT
from results_page import stored

from learn2mix import registry
from learn2mix.bench.analysis.wording import Block
from learn2mix.bench.reproduce import find_exhibit

CARDS = ROOT / "docs" / "methods"
MEASURED = "\n**Measured**"
_COLUMNS = (
    "n",
    "Difference to classical",
    "95 % interval",
    "Verdict",
    "Forward, times classical",
    "Seconds, times classical",
)


def cards() -> dict[str, str]:
    """Give the text of every method's card, by its name, its measured rows made anew."""
    names = [entry.name for entry in registry.entries("method")]
    return {name: _before((CARDS / f"{name}.md").read_text()) + measured(name) for name in names}


def measured(name: str) -> str:
    """Say how a method did on every task of the comparison that has runs of it; nothing where none has."""
    rows = [row for title, block in _blocks().items() if (row := _row(title, block, name))]
    if not rows:
        return ""
    head = ["task", "result", "worst group", *(column.lower() for column in _COLUMNS)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return f"{MEASURED} at each task's own settings (`learn2mix reproduce methods`):\n\n" + "\n".join(lines) + "\n"


def _before(text: str) -> str:
    return text.split(MEASURED)[0].rstrip("\n") + "\n"


@cache
def _blocks() -> Mapping[str, Block]:
    exhibit = find_exhibit("methods")
    there = [shown for shown in stored(exhibit).shown if shown.summary is not None]
    return {one.panel.title: block for one, block in zip(there, exhibit.view(exhibit, there), strict=True)}


def _row(title: str, block: Block, name: str) -> list[str]:
    table = {column.title: column.cells for column in block.columns}
    if name not in table["Method"]:
        return []
    place = table["Method"].index(name)
    result, worst = (next(t for t in table if t.startswith(start)) for start in ("Test", "Worst"))
    unit = " %" if result.endswith("%") else ""
    return [title, *(table[t][place] + unit for t in (result, worst)), *(table[t][place] for t in _COLUMNS)]

"""Tables on a terminal: whole words, whatever the width."""

import io

import pytest
from rich.console import Console

from learn2mix.bench.analysis.wording import NONE, Column
from learn2mix.cli.terminal import show_table

COLUMNS = (
    Column("Method", ("learn2mix-weighted", "classical"), numeric=False),
    Column("Test error, %", ("6.46 ± 0.66", "8.43 ± 0.72")),
    Column("Difference to classical", ("-1.97", NONE)),
    Column("Verdict", ("better", "reference"), numeric=False),
)


def shown(width):
    console = Console(file=io.StringIO(), width=width)
    show_table(console, COLUMNS)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [45, 60, 80, 200])
def test_no_word_is_cut_and_every_part_names_its_rows(width):
    text = shown(width)
    for column in COLUMNS:
        for cell in (column.title, *column.cells):
            assert cell in text
    parts = text.strip().split("\n\n")
    assert len(parts) == {45: 3, 60: 2, 80: 1, 200: 1}[width]
    for part in parts:
        assert part.split("\n")[1].startswith("learn2mix-weighted")
    assert all(len(line.rstrip()) <= width for line in text.split("\n"))


def test_a_cell_is_in_one_part_alone():
    assert shown(60).count("6.46 ± 0.66") == 1

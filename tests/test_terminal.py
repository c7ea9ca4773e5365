"""What is shown on a terminal: tables of whole words, whatever the width; how far things are; what was made."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from bench_support import make_run
from learn2mix.bench import provenance
from learn2mix.bench.analysis.wording import NONE, Column
from learn2mix.bench.compare import Comparison, Event
from learn2mix.cli.publish import made_words
from learn2mix.cli.terminal import Bar, show_table

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


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Event(0, 4, "", "ended", 1, 1), "0 of 4 runs"),
        (Event(0, 0, "", "decoding", 1, 2), "decoding"),
        (
            Event(1, 4, "digits, natural, seed 0", "training", 1, 2),
            "1 of 4 runs  digits, natural, seed 0: training 50%",
        ),
        (Event(2, 4, "digits, natural, seed 0", "ended", 1, 1), "2 of 4 runs  digits, natural, seed 0"),
    ],
)
def test_progress_has_no_empty_fields(event, says):
    progress = Progress()
    bar = Bar(progress)
    bar.runs(event)
    assert progress.tasks[0].description == says
    bar.heading = "tuning:"
    bar.runs(event)
    assert progress.tasks[0].description == f"tuning:  {says}"


HERE = "a" * 40


def made_on(commit, seed):
    return make_run(seed=seed, provenance={"commit": commit, "versions": {"learn2mix": "0.0.9"}})


@pytest.mark.parametrize(
    ("now", "commits", "new", "failures", "lines"),
    [
        (HERE, [HERE, HERE], {0, 1}, {}, ["2 of 2 runs made"]),
        (HERE, [HERE, HERE], {0}, {}, ["1 of 2 runs made, 1 was stored"]),
        (HERE, [HERE, HERE], {}, {}, ["2 of 2 runs were stored, none made"]),
        (HERE, [HERE], {0}, {"x": "diverged"}, ["1 of 2 runs made"]),
        (f"{HERE}+changes", [f"{HERE}+changes"], {0}, {}, ["1 of 1 runs made"]),
        # older ones, one of no known commit; and the same commit with changes, which may be others by now
        (
            HERE,
            ["b" * 40, "b" * 40, None, HERE],
            {},
            {},
            "2 from bbbbbbbbbb and 1 from learn2mix 0.0.9; the code is now aaa",
        ),
        (HERE, [f"{HERE}+changes"], {}, {}, "1 from aaaaaaaaaa with changes; the code is now aaaaaaaaaa:"),
        (
            f"{HERE}+changes",
            [f"{HERE}+changes"],
            {},
            {},
            "1 from aaaaaaaaaa with changes; the code is now aaaaaaaaaa with",
        ),
        (f"{HERE}+changes", [HERE], {}, {}, "1 from aaaaaaaaaa; the code is now aaaaaaaaaa with changes"),
    ],
)
def test_what_was_made_and_which_code_the_rest_is_of(now, commits, new, failures, lines, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: now)
    runs = [made_on(commit, seed) for seed, commit in enumerate(commits)]
    said = made_words(Comparison(runs, failures, frozenset(runs[i].key for i in new)))
    if isinstance(lines, list):
        assert said == lines
    else:
        assert len(said) == 2
        assert lines in said[1]

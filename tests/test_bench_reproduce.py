"""Showing what is stored: what was asked for and is not there is told, by name."""

import pytest

from learn2mix.bench.exhibits import Exhibit, Panel, views
from learn2mix.bench.methods import Classical
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.reproduce import reproduce
from learn2mix.bench.runner import run
from learn2mix.bench.store import Store
from learn2mix.bench.tasks import DIGITS
from learn2mix.bench.tuning import Choice, Tuning

E = DIGITS.epochs
SMALL = Exhibit(
    "small",
    "A small one",
    (Panel("digits"), Panel("digits", {"batch_size": 64}, "batches of 64")),
    views.at_the_end,
    of_paper=False,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs of classical and one of learn2mix for an epoch, one of classical and of natural for three."""
    place = tmp_path_factory.mktemp("runs")
    for method, seed, epochs in (
        ("classical", 0, 1),
        ("classical", 1, 1),
        ("learn2mix", 0, 1),
        ("classical", 0, 3),
        ("natural", 0, 3),
    ):
        Store(place / "digits").put(run(DIGITS, method, seed, epochs))
    return place


def shown(folder, **asked):
    done = reproduce(SMALL, folder=folder, stored_only=True, **asked)
    there = {(one.settings["method"], one.settings["seed"], one.settings["epochs"]) for one in done.runs}
    return there, [note.replace(str(folder), "F") for note in done.notes]


def test_where_nothing_but_what_is_there_was_asked_for_only_the_empty_panel_is_told(folder):
    there, notes = shown(folder)
    assert there == {("classical", 0, 3), ("natural", 0, 3)}
    assert notes == ["small: no run is stored of digits, batches of 64 in F"]


def test_methods_that_are_not_there_are_named(folder):
    there, notes = shown(folder, methods=["classical", "curriculum", "c-mixup"], tasks=["digits"])
    assert there == {("classical", 0, 3)}
    assert notes == [
        "small: no run is stored of digits, batches of 64; methods classical, curriculum, c-mixup in F",
        "small: digits, in F/digits: not stored: curriculum, c-mixup",  # c-mixup is not for classes
    ]


def test_too_few_seeds_are_counted(folder):
    _, notes = shown(folder, seeds=2, fraction=1 / E)
    assert notes[1:] == ["small: digits, in F/digits: of 2 seeds there are fewer: learn2mix 1"]
    assert shown(folder, seeds=1, fraction=1 / E)[0] == {("classical", 0, 1), ("learn2mix", 0, 1)}


@pytest.mark.parametrize(
    ("epochs", "methods", "found", "told"),
    [
        (1, None, {("classical", 0, 1), ("classical", 1, 1), ("learn2mix", 0, 1)}, False),
        (2, None, {("classical", 0, 1), ("classical", 1, 1), ("learn2mix", 0, 1)}, True),
        (3, None, {("classical", 0, 3), ("natural", 0, 3)}, False),
        (15, None, {("classical", 0, 3), ("natural", 0, 3)}, True),
        (1, ["natural"], {("natural", 0, 3)}, True),  # nothing shorter is there
        (E, ["natural"], {("natural", 0, 3)}, False),  # that is what comes without asking, and the table tells
    ],
)
def test_the_budget_nearest_to_what_is_asked_is_shown_and_told(folder, epochs, methods, found, told):
    there, notes = shown(folder, fraction=epochs / E, methods=methods)
    assert there == found
    stored = next(iter(found))[2]
    expected = f"small: digits, in F/digits: {epochs} epochs were asked for, and these runs have {stored}"
    assert notes[1:] == [expected] * told


def test_a_folder_that_is_none_is_named(tmp_path):
    there, notes = shown(tmp_path / "rusn", seeds=3)
    assert there == set()
    assert notes == ["small: no run is stored of digits; digits, batches of 64; seeds below 3 in F, which is no folder"]


def test_methods_that_are_not_tuned_are_named(tmp_path):
    panel = Panel("digits", methods=("classical", "natural", "learn2mix"), tuned=True)
    exhibit = Exhibit("tuned", "Tuned", (panel,), views.at_the_end, of_paper=False)
    folder, method = tmp_path / "digits+tuned", Tuned(Classical(), 0.01)
    made = run(DIGITS, method, 0, 1)
    Store(folder).put(made)
    choices = (Choice(method, 0.1, (), 2, ()),)
    Tuning(DIGITS.settings(), made.settings["data"], {"epochs": 15}, (1000,), 8, choices).save(folder / "tuned.json")
    done = reproduce(exhibit, folder=tmp_path, stored_only=True, methods=["classical", "natural"])
    assert [one.key for one in done.runs] == [made.key]
    assert done.notes == [f"tuned: digits, in {folder}: not tuned: natural"]
    assert "classical 2" in done.shown[0].tuning
    done = reproduce(exhibit, folder=tmp_path, stored_only=True, methods=["natural"])
    assert done.runs == []  # not those that were not asked for
    assert done.notes[1] == f"tuned: digits, in {folder}: not tuned: natural"

"""Tuning kept in a folder: more methods are added, those there stay, and nothing is tuned in two ways."""

import pytest

from bench_toys import toy, toy_data
from learn2mix.bench import tuning_folder
from learn2mix.bench.budget import Budget
from learn2mix.bench.methods import Classical, Learn2Mix
from learn2mix.bench.search import FEWEST
from learn2mix.bench.store import Store
from learn2mix.bench.tuning import Tuning, tune
from learn2mix.bench.tuning_folder import tuned_in


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Tune in a folder, quickly, and note who is tuned."""
    asked = []

    def noting(task, methods, **options):
        asked.append([method.name for method in methods])
        return tune(task, methods, **options, extensions=0)

    monkeypatch.setattr(tuning_folder, "tune", noting)
    usual = {"reported": range(2), "data": toy_data(), "trials": FEWEST, "budget": Budget(steps=3)}

    def run(*methods, task=None, **changes):
        return tuned_in(tmp_path, task or toy(), list(methods), **{**usual, **changes})

    return run, asked


def test_what_is_missing_is_tuned_and_what_is_there_stays(tuned, tmp_path):
    run, asked = tuned
    first = run(Classical())
    both = run(Learn2Mix(), Classical())
    again = run(Learn2Mix())
    assert asked == [["classical"], ["learn2mix"]]
    assert both.choices[0] == first.choices[0]
    assert [choice.method.name for choice in both.choices] == ["classical", "learn2mix"]
    assert again.choices == both.choices[1:]  # those alone that were asked for
    assert Tuning.load(tmp_path / "tuned.json") == both  # and the file has all
    alone = tune(toy(), [Learn2Mix()], store=Store(tmp_path / "other"), seeds=[1000], trials=FEWEST, extensions=0,
                 budget=Budget(steps=3), data=toy_data())  # fmt: skip
    assert again == alone  # tuned later is tuned alike
    assert {run.settings["evaluate_on"] for run in Store(tmp_path / "trials").runs()} == {"validation"}


def test_trials_are_kept(tuned, tmp_path):
    run, _ = tuned
    first = run(Classical())
    (tmp_path / "tuned.json").unlink()
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "trials").glob("*.parquet")}
    assert run(Classical()) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "trials").glob("*.parquet")} == there


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trials": FEWEST + 1}, "learn2mix would be tuned by \\(6"),
        ({"budget": Budget(steps=4)}, "'steps': 3.* learn2mix would be tuned by .*'steps': 4"),
        ({"task": toy(seeds=20)}, "1000, 1001, 1002"),
        ({"task": toy(batch_size=4)}, "tuned on a task with"),
        ({"data": toy_data((40, 20, 10))}, "tuned on data"),
        ({"reported": range(999, 1001)}, r"seeds \[1000\] are both tuned on and reported"),
    ],
)
def test_what_would_be_tuned_in_two_ways_is_refused(tuned, changes, says, tmp_path):
    run, asked = tuned
    run(Classical())
    before = (tmp_path / "tuned.json").read_text()
    with pytest.raises(ValueError, match=says):
        run(Classical(), Learn2Mix(), **changes)
    assert asked == [["classical"]]
    assert (tmp_path / "tuned.json").read_text() == before


def test_how_it_is_told():
    choices = [
        {"method": "classical", "extensions": 2, "edges": ["learning_rate"]},
        {"method": "natural", "extensions": 0, "edges": []},
    ]
    rest = {"version": 1, "settings": {}, "learning_rate": 0.1, "score": 1.0, "trials": []}
    values = {"task": {}, "data": "x", "budget": {"epochs": 15}, "seeds": [1000, 1001], "trials": 8}
    tuning = Tuning.from_json({**values, "choices": [{**rest, **choice} for choice in choices]})
    assert tuning.words == (
        "Tuned on a tenth of the training set, held out, and on 2 other seeds: 8 trials a method at 15 epochs, and where the "
        "best lay at an edge more: classical 2. Still at an edge: classical."
    )
    assert tuning.only(["natural"]).words.endswith("8 trials a method at 15 epochs.")

"""The command line beyond the plain comparison: variants and budgets, exhibits, packing; run as a user runs it."""

import json
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from learn2mix.bench.store import Store
from test_cli import command, run

SMALL = ["reproduce", "table2", "--tasks", "mean-estimation", "--methods", "learn2mix,classical", "--seeds", "2"]
SMALL += ["--fraction", "0.02", "--workers", "1"]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = run(*SMALL, "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def curves(folder):
    return {
        run.key: np.nan_to_num(run.curves["test_metric"]).tolist() for run in Store(folder / "mean-estimation").runs()
    }


def test_reproduce_prints_our_figures_and_writes_the_report(reproduced):
    folder, done = reproduced
    assert "table2: Test error of regressions and reconstructions" in done.stdout
    heads = next(line for line in done.stdout.splitlines() if line.startswith("Method"))
    assert "0.02E" in heads  # the paper states nothing there, and nothing is extrapolated
    assert "paper" not in heads
    assert "10 of 500 epochs" in done.stdout
    assert (folder / "exhibits" / "table2" / "report.html").stat().st_size > 10_000
    assert len(curves(folder)) == 4


def test_reproduce_again_makes_nothing_anew_and_stored_shows_the_same(reproduced):
    folder, _ = reproduced
    again = json.loads(run(*SMALL, "--output", folder, "--json").stdout)
    stored = run("reproduce", "table2", "--tasks", "mean-estimation", "--stored", "--output", folder, "--json")
    assert again["made"] == 0
    assert json.loads(stored.stdout)["tables"] == again["tables"]
    assert again["tables"][0]["columns"]["Method"] == ["classical", "learn2mix"]


def test_what_is_asked_for_and_not_stored_is_told(reproduced, tmp_path):
    folder, _ = reproduced
    arguments = ["reproduce", "table2", "--tasks", "mean-estimation", "--stored", "--output"]
    some = run(*arguments, folder, "--methods", "curriculum,learn2mix", "--seeds", "3")
    assert some.returncode == 0
    assert some.stderr == (
        f"learn2mix: table2: mean-estimation, in {folder}/mean-estimation: not stored: curriculum; of 3 seeds there are fewer: "
        "learn2mix 2\n"
    )
    none = run(*arguments, tmp_path / "rusn", "--json")
    assert none.returncode == 1
    (note,) = json.loads(none.stdout)["notes"]
    assert note == f"table2: no run is stored of mean-estimation in {tmp_path}/rusn, which is no folder"
    assert not (tmp_path / "rusn").exists()


def test_figures_are_drawn(reproduced):
    folder, _ = reproduced
    done = run("reproduce", "figure3", "--tasks", "mean-estimation", "--stored", "--output", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "exhibits" / "figure3" / "figure3.png").read_bytes().startswith(b"\x89PNG")
    assert "figure3.png" in done.stdout


def test_a_killed_reproduction_loses_at_most_the_run_under_way(reproduced, tmp_path):
    whole, _ = reproduced
    rng = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen(
            command(*SMALL, "--output", tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(2.5, 5.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = len(list((tmp_path / "mean-estimation").glob("*.parquet")))
    done = run(*SMALL, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["made"] == 4 - kept
    assert curves(tmp_path) == curves(whole)


def test_packed_runs_are_still_found_and_reported(reproduced, tmp_path):
    folder, _ = reproduced
    before = curves(folder)
    done = run("pack", folder / "mean-estimation")
    assert done.returncode == 0, done.stderr
    assert "4 runs" in done.stdout
    assert [path.name for path in (folder / "mean-estimation").glob("*.parquet")] == ["runs.parquet"]
    assert curves(folder) == before
    assert json.loads(run(*SMALL, "--output", folder, "--json").stdout)["made"] == 0
    assert run("report", folder / "mean-estimation", "-o", tmp_path / "x.html").returncode == 0


def test_a_variant_goes_to_a_folder_of_its_own(tmp_path):
    done = run(
        *["compare", "digits", "--methods", "learn2mix,natural", "--seeds", "1", "--epochs", "2", "--output", tmp_path],
        *["--workers", "1"],
        *[
            "--profile",
            "exponential",
            "--imbalance-factor",
            "20",
            "--batch-size",
            "16",
            "--mixing-rate",
            "0.4",
            "--json",
        ],
    )
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name == "digits+batch_size=16+profile=exponential-factor-20"
    settings = {run.settings["method"]: run.settings for run in Store(folder).runs()}
    assert settings["learn2mix"]["method_settings"] == {"mixing_rate": 0.4}
    assert settings["natural"]["profile"] == "Exponential(factor=20)"


def test_given_proportions_are_a_variant_too(tmp_path):
    proportions = "1,1,1,1,1,1,1,1,1,0.5"
    arguments = ["--methods", "natural", "--seeds", "1", "--epochs", "1", "--output", tmp_path]
    done = run("compare", "digits", "--profile", "given", "--proportions", proportions, *arguments)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name == "digits+profile=given-proportions-1-1-1-1-1-1-1-1-1-0.5"
    (found,) = Store(folder).runs()
    sizes = found.facts["train_group_sizes"]
    assert sizes[:9] == [sizes[0]] * 9
    assert sizes[9] == sizes[0] // 2


def test_every_method_is_tuned_by_equally_many_trials_and_then_compared(tmp_path):
    arguments = ["compare", "digits", "--tune", "5", "--epochs", "1", "--seeds", "2", "--workers", "1"]
    arguments += ["--output", tmp_path, "--json"]
    told = json.loads(run(*arguments, "--methods", "natural").stdout)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "digits+tuned=5+epochs=1"  # apart from runs at the task's rate
    trials = Store(folder / "trials").runs()
    assert {one.settings["evaluate_on"] for one in trials} == {"validation"}
    assert {one.settings["seed"] for one in trials}.isdisjoint({0, 1})
    assert len({one.settings["method_settings"]["learning_rate"] for one in trials}) >= 5
    rate = told["chosen"]["natural"]["learning_rate"]
    assert [one.settings["method_settings"]["learning_rate"] for one in Store(folder).runs()] == [rate] * 2
    assert "5 trials a method at 1 epoch" in told["tuned"]
    both = run(*arguments[:-1], "--methods", "natural,classical")  # what is there is not tuned again
    assert "2 of 4 runs made, 2 were stored" in both.stdout
    chosen = [line.split() for line in both.stdout.splitlines() if "learning_rate" in line]
    assert [line[0] for line in chosen] == ["natural", "classical"]
    assert float(chosen[0][2]) == rate
    assert {one.key for one in trials} < {one.key for one in Store(folder / "trials").runs()}


@pytest.mark.parametrize(
    ("budget", "steps"),
    [(["--steps", "40"], [0, 16, 32, 40]), (["--fraction", "0.05"], [0, 16, 32, 48]), (["--epochs", "2"], [0, 16, 32])],
    ids=["steps", "fraction", "epochs"],
)
def test_budgets(budget, steps, tmp_path):
    arguments = ["compare", "digits", "--methods", "classical,curriculum", "--seeds", "1", "--workers", "1"]
    done = run(*arguments, *budget, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    runs = {found.settings["method"]: found for found in Store(tmp_path / "digits").runs()}
    assert runs["classical"].curves["steps"].tolist() == steps
    # 60 epochs of 16 steps, and 50 before them
    assert runs["curriculum"].settings["method_settings"] == {"warmup_epochs": round(50 * steps[-1] / 960)}


def test_a_budget_in_seconds_is_as_many_steps_as_the_timing_run_says(tmp_path):
    arguments = ["compare", "digits", "--methods", "classical,learn2mix", "--seeds", "1", "--seconds", "0.05"]
    arguments += ["--workers", "1"]
    done = run(*arguments, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "digits")
    step = store.timing()["seconds_per_step"]
    for found in store.runs():
        expected = max(1, int(0.05 / step[found.settings["method"]]))
        assert found.settings["method_steps"] == found.curves["steps"][-1] == expected
        assert found.settings["seconds"] == 0.05


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["reproduce", "table9"], "no exhibit is called 'table9'; did you mean table"),
        (["reproduce", "table2", "--fraction", "0"], "0.0 is no part of a budget"),
        (["reproduce", "table2", "--methods", "smoothe"], "no method is called 'smoothe'"),
        (["reproduce", "table2", "--tasks", "moon", "--stored"], "table2 has no task 'moon'"),
        (["compare", "digits", "--epochs", "2", "--steps", "3"], "--epochs and --steps are one budget twice"),
        (["compare", "digits", "--fraction", "1.5"], "1.5 is no part of a budget"),
        (["compare", "digits", "--seconds", "0"], "0.0 seconds is no budget"),
        (["compare", "digits", "--profile", "steep", "--imbalance-factor", "3"], "no profile is called 'steep'"),
        (["compare", "digits", "--profile", "steep"], "no profile is called 'steep'"),
        (["compare", "digits", "--profile", "step"], "'step' was given nothing; it takes imbalance_factor alone"),
        (
            ["compare", "digits", "--imbalance-factor", "0.5"],
            "imbalance_factor was 0.5; it must be a number, at least 1",
        ),
        (["compare", "digits", "--profile", "given", "--proportions", "5,a"], "'5,a' are no proportions"),
        (["compare", "digits", "--tune", "2"], "2 trials are not offered; each method begins with 5 learning rates"),
        (["compare", "digits", "--tune", "8", "--mixing-rate", "0.1"], "--tune chooses a mixing rate"),
        (["reproduce", "all", "--tasks", "digits,mnst"], "no exhibit has a task 'mnst'; did you mean mnist?"),
        (["compare", "digits", "--optimizer", "lion"], "no optimiser is called 'lion'"),
        (["compare", "digits", "--learning-rate", "0"], "learning_rate was 0.0"),
        (["compare", "mean-estimation", "--methods", "smote"], "smote is for classification"),
        (["pack", "nowhere"], "'nowhere' is no folder"),
        (["pack", "."], "holds no runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_gets_one_line(arguments, says, tmp_path):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("learn2mix: ")
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []

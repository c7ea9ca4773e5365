"""The command line, run as a user runs it."""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import learn2mix
from learn2mix.bench.store import Store

QUICK = ["compare", "digits", "--methods", "learn2mix,classical", "--seeds", "2", "--epochs", "2", "--workers", "1"]


def command(*arguments):
    return [sys.executable, "-m", "learn2mix", *map(str, arguments)]


def run(*arguments, **environment):
    env = {**os.environ, **environment}
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, check=False, env=env)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = run(*QUICK, "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def curves(folder):
    """Everything the runs measured but the clock, by run."""
    return {
        run.key: {
            name: np.nan_to_num(column, nan=-1).tolist() for name, column in run.curves.items() if "seconds" not in name
        }
        for run in Store(folder / "digits").runs()
    }


def test_list_names_every_part_on_a_line_and_cuts_none_short():
    done = run("list", COLUMNS="20")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {"digits", "mnist", "fashion-mnist", "learn2mix", "classical", "importance", "static", "focal"} <= set(names)
    assert "proportions move a part of the way towards the normalised group losses" in done.stdout


def test_list_as_json():
    parts = json.loads(run("list", "--json").stdout)
    assert {"family", "name", "summary", "reference"} == set(parts[0])
    assert ("method", "smote") in {(part["family"], part["name"]) for part in parts}


@pytest.mark.parametrize(("asked", "family"), [("losses", "loss"), ("policy", "policy"), ("exhibits", "exhibit")])
def test_list_of_one_family(asked, family):
    parts = json.loads(run("list", asked, "--json").stdout)
    assert {part["family"] for part in parts} == {family}
    assert len(parts) > 2


def test_version_and_help_have_short_ways():
    assert run("--version").stdout == f"learn2mix {learn2mix.__version__}\n"
    assert run("compare", "-h").stdout == run("compare", "--help").stdout
    assert "--proportions" in run("compare", "-h").stdout


def test_compare_prints_what_it_stored(compared):
    folder, done = compared
    runs = Store(folder / "digits").runs()
    assert len(runs) == 4
    for method in ("learn2mix", "classical"):
        final = [float(run.curves["test_metric"][-1]) * 100 for run in runs if run.settings["method"] == method]
        row = next(line.split() for line in done.stdout.splitlines() if line.startswith(method))
        assert row[1] == "2"  # n
        assert float(row[2]) == pytest.approx(np.mean(final), abs=0.005)
    assert "\n4 of 4 runs made\n" in done.stdout
    assert done.stderr == ""  # no bar where nobody looks
    assert (folder / "digits" / "report.html").stat().st_size > 100_000


def test_compare_again_makes_nothing_anew(compared):
    folder, _ = compared
    before = {path: path.stat().st_mtime_ns for path in (folder / "digits").glob("*.parquet")}
    again = run(*QUICK, "--output", folder, "--json")
    assert json.loads(again.stdout)["made"] == 0
    assert sum(json.loads(again.stdout)["origins"].values()) == 4
    assert {path: path.stat().st_mtime_ns for path in (folder / "digits").glob("*.parquet")} == before


def test_json_holds_the_figures(compared):
    folder, _ = compared
    figures = json.loads(run(*QUICK, "--output", folder, "--json").stdout)
    rows = {row["method"]: row for row in figures["tasks"][0]["rows"]}
    ours, theirs = rows["learn2mix"], rows["classical"]
    assert ours["n"] == 2
    assert ours["difference"]["mean"] == pytest.approx(ours["final"]["mean"] - theirs["final"]["mean"])
    assert ours["difference"]["low"] < ours["difference"]["mean"] < ours["difference"]["high"]


def test_report_of_stored_runs(compared, tmp_path):
    folder, done = compared
    page = tmp_path / "page.html"
    reported = run("report", folder / "digits", "-o", page)
    assert reported.returncode == 0, reported.stderr
    assert "<html" in page.read_text()
    assert reported.stdout.splitlines()[:6] == done.stdout.splitlines()[:6]  # the same tables


def test_a_terminal_gets_a_bar_with_the_time_left(tmp_path):
    main_end, terminal = pty.openpty()
    arguments = command(*QUICK, "--output", tmp_path)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, "TERM": "xterm"})
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(main_end, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    process.stdout.read()
    assert process.wait() == 0
    assert b"left" in shown
    assert b"timing steps" in shown
    assert "━".encode() in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["compare", "digit"], 2, "no task is called 'digit'; did you mean digits?"),
        (
            ["compare", "digits", "--methods", "smoothe"],
            2,
            "no method is called 'smoothe'; did you mean smote?",
        ),
        (["compare", "digits", "--methods", "focal,focal"], 2, "names a method twice"),
        (["compare", "digits", "--methods", "classical,all"], 2, "all stands for every method, and by itself"),
        (["compare", "digits", "--mixing-rate", "nan"], 2, "mixing_rate was nan; it must be a number, at least 0"),
        (
            ["compare", "digits", "--seeds", "0"],
            2,
            "'--seeds': 0 is too few; give 1 or more; see learn2mix compare --help",
        ),
        (["list", "lossess"], 2, "there are no 'lossess'; did you mean losses? there are: tasks, methods"),
        (["compare", "digits", "--epochs", "few"], 2, "--epochs"),
        (["compare", "digits", "--device", "abacus"], 2, "'abacus' cannot be used here"),
        (["compare"], 2, "Missing argument"),
        (["compair", "digits"], 2, "No such command 'compair'"),
        (["report", "nowhere"], 2, "'nowhere' is no folder"),
        (["report", "."], 1, "holds no runs; make some with `learn2mix compare TASK`"),
        (["compare", "mnist", "--data-dir", "nowhere"], 1, "nowhere"),
        (["compare", "mnist"], 1, "--data-dir DIR or LEARN2MIX_DATA=DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_gets_one_line(arguments, code, says, tmp_path):
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "LEARN2MIX_CACHE": str(tmp_path), "LEARN2MIX_DATA": ""}
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **env},
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("learn2mix: ")
    assert says in done.stderr
    assert done.stdout == ""


def test_a_killed_comparison_goes_on_and_ends_alike(compared, tmp_path):
    whole, _ = compared
    arguments = command(*QUICK, "--output", tmp_path)
    rng = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1.5, 4.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "digits").glob("*.parquet")}
    done = run(*QUICK, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["made"] == 4 - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert curves(tmp_path) == curves(whole)


def test_two_comparisons_at_once_share_the_work(compared, tmp_path):
    whole, _ = compared
    arguments = command(*QUICK, "--output", tmp_path, "--json")
    pair = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [json.loads(process.communicate(timeout=300)[0])["made"] for process in pair]
    assert sum(made) == 4
    assert curves(tmp_path) == curves(whole)


def test_workers_change_nothing(compared, tmp_path):
    whole, _ = compared
    assert run(*QUICK, "--output", tmp_path, "--workers", "2").returncode == 0
    assert curves(tmp_path) == curves(whole)

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_support import BATCH_SIZE, STEPS_PER_EPOCH, make_run, make_timing
from learn2mix.bench.analysis.quantities import (
    BALANCED,
    NATURAL,
    PRIMARY,
    QUANTITIES,
    SHIFTED,
    TRAIN_LOSS,
    TRAIN_METRIC,
    WORST_GROUP,
    reversed_shares,
)
from learn2mix.bench.analysis.ranking import opponents, rank
from learn2mix.bench.analysis.readings import read
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import NO_BETTER_THAN_CONSTANT, Judged, against_each, difference, summarise
from learn2mix.bench.analysis.wording import cost_table, headline, results_table, tally
from learn2mix.bench.report import page
from learn2mix.bench.report.tables import final_table, overview, reading_tables


def falling(*ends):
    """Runs of both methods whose error falls to these ends, one a seed: (classical, learn2mix)."""
    runs = []
    for seed, (theirs, ours) in enumerate(ends):
        runs.append(make_run("classical", seed, test_metric=[0.9, 0.6, 0.5, 0.45, theirs]))
        runs.append(make_run("learn2mix", seed, test_metric=[0.9, 0.5, 0.4, 0.35, ours]))
    return runs


def only_task(runs, timing=None):
    (task,) = summarise(runs, timing=timing).tasks
    return task


# --- the figures


def test_figures_by_hand():
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    task = only_task(runs, timing=make_timing(classical=0.01, learn2mix=0.02))
    row = task.row("learn2mix")
    assert (row.n, row.final.mean) == (3, pytest.approx(0.34))
    assert row.difference.mean == pytest.approx(-0.1)
    # differences -.10 -.08 -.12: s = .02, t(.975, 2) = 4.302653, half = 4.302653 * .02 / sqrt(3)
    assert row.difference.half_width == pytest.approx(0.049683, abs=1e-6)
    assert row.verdict == "better"
    assert task.row("classical").difference is None
    assert task.target == pytest.approx(0.5)
    assert task.row("classical").to_target["epochs"].median == 2
    assert task.row("classical").to_target["epochs"].reached == 3
    assert row.to_target["epochs"].median == 1
    assert row.to_target["steps"].median == STEPS_PER_EPOCH
    assert row.to_target["examples"].median == 2 * STEPS_PER_EPOCH * BATCH_SIZE
    assert row.to_target["seconds"].median == pytest.approx(0.02 * STEPS_PER_EPOCH)
    assert row.forwarded_per_epoch == STEPS_PER_EPOCH * BATCH_SIZE


def test_the_last_epoch_counts_not_the_best():
    runs = [make_run("classical", seed, test_metric=[0.9, 0.1, 0.3 + seed / 10]) for seed in range(2)]
    assert only_task([*runs]).rows[0].final.mean == pytest.approx(0.35)


def test_group_metrics_by_hand():
    # natural mix 300 : 150 : 30 of 480
    groups = np.tile([0.1, 0.2, 0.6], (3, 1))
    row = only_task([make_run(test_metric=[0.9, 0.5, 0.2], group_metric=groups, epochs=2)]).rows[0]
    assert row.estimates[WORST_GROUP].mean == pytest.approx(0.6)
    assert row.estimates[BALANCED].mean == pytest.approx(0.3)
    assert row.estimates[NATURAL].mean == pytest.approx((0.1 * 300 + 0.2 * 150 + 0.6 * 30) / 480)


def test_preparation_is_counted_only_where_said():
    spent = {"seconds": 3.0, "steps": 30, "forwarded": 700, "backpropagated": 300}
    runs = [make_run("curriculum", test_metric=[0.9, 0.5], preparation=spent), make_run(test_metric=[0.9, 0.5])]
    row = only_task(runs, timing=make_timing(curriculum=0.1)).row("curriculum")
    assert row.to_target["seconds"].median == pytest.approx(1.5)
    assert row.to_target_prepared["seconds"].median == pytest.approx(4.5)
    assert row.to_target_prepared["examples"].median == 2 * STEPS_PER_EPOCH * BATCH_SIZE + 1000
    assert row.to_target_prepared["backpropagated"].median == STEPS_PER_EPOCH * BATCH_SIZE + 300
    assert row.to_target_prepared["epochs"].median == 1


def test_a_target_not_reached_is_censored():
    runs = [make_run("learn2mix", seed, test_metric=[0.9, end]) for seed, end in enumerate([0.1, 0.3, 0.2])]
    runs += [make_run("classical", seed, test_metric=[0.9, 0.15]) for seed in range(3)]
    task = only_task(runs)
    reached = task.row("learn2mix").to_target["epochs"]
    assert (reached.reached, reached.n, reached.median) == (1, 3, None)
    table = cost_table(task)
    assert (column(table, "Reached"), column(table, "Epochs")) == (("3 of 3", "1 of 3"), ("1", "\u2013"))


def test_holm_counts_every_comparison_of_the_page():
    runs = [
        make_run(method, seed, task=task)
        for task in ("a", "b")
        for method in ("classical", "learn2mix", "focal")
        for seed in range(3)
    ]
    summary = summarise(runs)
    rows = [row for task in summary.tasks for row in task.rows if row.difference]
    assert summary.comparisons == len(rows) == 4
    smallest = min(rows, key=lambda row: row.difference.p)
    assert smallest.p_adjusted == pytest.approx(min(4 * smallest.difference.p, 1))


def test_a_verdict_outlives_the_adjustment_or_is_undecided():
    # one clear comparison alone, p = .013; among eleven it is p = .15
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    others = [
        make_run(f"other-{i}", seed, test_metric=[0.9, 0.6, 0.5, 0.45, 0.4 + (seed * i % 5) / 50])
        for i in range(10)
        for seed in range(3)
    ]
    alone, among = only_task(runs).row("learn2mix"), only_task(runs + others).row("learn2mix")
    assert alone.difference == among.difference
    assert (alone.verdict, among.verdict) == ("better", "undecided")
    assert "undecided once all comparisons here are counted" in headline(only_task(runs + others))


def test_pairs_are_common_seeds_and_gaps_are_noted():
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    task = only_task([run for run in runs if (run.settings["method"], run.settings["seed"]) != ("learn2mix", 1)])
    row = task.row("learn2mix")
    assert (row.n, row.difference.n) == (2, 2)
    assert row.difference.mean == pytest.approx(-0.11)
    assert any("learn2mix lacks seed 1" in note for note in task.notes)
    assert "(n = 2)" not in column(results_table(task), "95 % interval")[1]  # n stands in its own column already


def test_runs_under_other_settings_are_not_mixed():
    runs = [make_run(m, 0, epochs=e) for m in ("classical", "learn2mix") for e in (2, 4)]
    assert [task.title for task in summarise(runs).tasks] == ["toy (epochs 2)", "toy (epochs 4)"]
    fast = [make_run("learn2mix", 0, settings={"method_settings": {"mixing_rate": 0.5}}), *runs[2:]]
    names = [row.name for task in summarise([*fast, *runs]).tasks for row in task.rows if task.epochs == 4]
    assert names == ["classical", "learn2mix (mixing_rate 0.1)", "learn2mix (mixing_rate 0.5)"]


def test_a_run_given_twice_counts_once():
    run = make_run()
    assert only_task([run, run]).rows[0].n == 1


def test_figures_are_json_even_where_a_run_diverged():
    runs = [make_run("classical", s, test_metric=[0.9, end]) for s, end in enumerate([0.5, float("nan")])]
    summary = summarise(runs)
    figures = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert figures["tasks"][0]["rows"][0]["final"]["mean"] is None
    assert "not finite" in page(summary)


def test_order_of_runs_does_not_matter():
    runs = falling((0.40, 0.30), (0.50, 0.42))
    assert page(summarise(runs)) == page(summarise(runs[::-1]))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "no runs to summarise"),
        (
            [make_run(seed=0), make_run(seed=1, test_metric=[0.9, 0.8], settings={"epochs": 4})],
            r"toy: runs .* another last epoch \(4.0, 1.0\)",
        ),
        ([make_run(seed=0), make_run(seed=1, metric="mse")], "another metric"),
        ([make_run(seed=0), make_run(seed=1, groups=("a", "b", "z"))], "another groups"),
    ],
)
def test_refusals(runs, message):
    with pytest.raises(ValueError, match=message):
        summarise(runs)


# --- in words


def column(columns, title):
    return next(column.cells for column in columns if column.title == title)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([(0.40, 0.30), (0.50, 0.42), (0.42, 0.30)], "10.00 points lower (95 % interval of the difference"),
        ([(0.30, 0.40), (0.42, 0.50), (0.30, 0.42)], "so worse."),
        ([(0.30, 0.40), (0.42, 0.30), (0.30, 0.32)], "undecided (95 % interval"),
        ([(0.30, 0.20)], "undecided, as one seed cannot tell"),
        ([(0.25, 0.25), (0.5, 0.5)], "undecided, as 2 seeds without any spread cannot tell"),
    ],
)
def test_the_headline_says_no_more_than_the_interval(ends, words):
    text = headline(only_task(falling(*ends)))
    assert words in text
    assert ("so better" in text) == ("lower (" in words)


def test_the_headline_has_the_figures_of_the_table():
    task = only_task(falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30)))
    assert headline(task).startswith("After 4 epochs, learn2mix ends at 34.00 % test error and classical at 44.00 %: ")
    assert column(results_table(task), "Difference to classical") == ("\u2013", "\u221210.00")
    assert "learn2mix takes 1 epoch (median; 3 of 3 runs), classical takes 2 epochs" in headline(task)


def test_the_headline_names_the_best_method_where_it_is_another():
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    best = [make_run("balanced", s, test_metric=[0.9, 0.6, 0.5, 0.45, 0.20]) for s in range(3)]
    text = headline(only_task(runs + best))
    assert text.index("so better. Lowest of the 3 methods is balanced, 20.00 %.") < text.index("By interval alone")
    alone = [make_run("balanced", s, test_metric=[0.9, 0.6, 0.5, 0.45, 0.60]) for s in range(3)]
    assert "Lowest" not in headline(only_task(runs + alone))
    near = [make_run("balanced", s, test_metric=[0.9, 0.6, 0.5, 0.45, 0.33999]) for s in range(3)]
    assert "Lowest" not in headline(only_task(runs + near))
    lost = [make_run("balanced", s, test_metric=[0.9, 0.6, 0.5, 0.45, float("nan")]) for s in range(3)]
    assert "Lowest" not in headline(only_task(runs + lost))
    two = headline(only_task(falling((0.30, 0.40), (0.42, 0.50))))
    assert "Lowest" not in two  # of two the first sentence says it


def test_the_headline_says_how_it_stands_at_the_training_sets_own_mix():
    """Groups weigh 300, 150 and 30: what the rare one gains by .3 the common one loses by .1."""
    ours, theirs = np.tile([0.2, 0.2, 0.3], (5, 1)), np.tile([0.1, 0.2, 0.6], (5, 1))
    runs = [
        make_run(name, s, test_metric=[0.9, 0.5, 0.4, 0.3, 0.2 + s / 50], group_metric=groups + s / 100 * (1 + odd))
        for name, groups, odd in (("learn2mix", ours, 0.1), ("classical", theirs, 0))
        for s in range(3)
    ]
    moved = (0.1 * 300 - 0.3 * 30) / 480  # and .001 a seed more
    half = 4.302653 * 0.001 / 3**0.5
    low, high = (f"{100 * (moved + 0.001 + side * half):+.2f}" for side in (-1, 1))
    assert f"and worse on the training set's own mix ({low} to {high} points)." in headline(only_task(runs))
    assert "better on the mean over groups" in headline(only_task(runs))


def test_the_table_is_explained_beneath_it():
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    more = [make_run("focal", s) for s in range(3)]
    assert headline(only_task(runs)).endswith(" \u00b1 is half a 95 % interval.")  # one comparison adjusts nothing
    assert headline(only_task(runs + more)).endswith(
        " \u00b1 is half a 95 % interval; verdicts take Holm's adjustment over the 2 comparisons to classical shown together."
    )
    assert "\u00b1" not in headline(only_task(falling((0.40, 0.30))))


def test_no_loss_hides_behind_the_adjustment():
    """Gaps of p = .013, among six comparisons .08: undecided, and the interval alone says what."""
    runs = falling((0.30, 0.40), (0.42, 0.50), (0.30, 0.42))
    runs += [
        make_run(f"other-{i}", seed, test_metric=[0.9, 0.6, 0.5, 0.45, 0.4 + (seed * i % 5) / 50])
        for i in range(5)
        for seed in range(3)
    ]
    task = only_task(runs)
    assert task.row("learn2mix").verdict == "undecided"
    assert column(results_table(task), "Verdict")[1] == "undecided (interval alone: worse)"
    gaps = Estimate(0.1, 0.05, 0.15, 3, 0.013)
    found = [Judged(gaps, "undecided", 6), Judged(gaps, "worse", 1), Judged(replace(gaps, low=-0.1), "undecided", 6)]
    assert tally(found) == "1 worse, 2 undecided (interval alone: 1 worse)"
    assert tally([]) == "\u2013"


def test_several_settings_of_learn2mix_have_a_line_each():
    runs = [make_run("classical", s, test_metric=[0.9, 0.5 + s / 10]) for s in range(2)]
    for rate, end in ((0.1, 0.3), (0.5, 0.2)):
        settings = {"method_settings": {"mixing_rate": rate}}
        runs += [make_run("learn2mix", s, test_metric=[0.9, end + s / 9], settings=settings) for s in range(2)]
    first, second = headline(only_task(runs)).splitlines()
    assert first.startswith("After 1 epoch, learn2mix (mixing_rate 0.1) ends at 35.56 % test error")
    assert second.startswith("After 1 epoch, learn2mix (mixing_rate 0.5) ends at 25.56 % test error")
    assert "To reach" not in first + second


def test_a_squared_error_is_not_in_per_cent():
    runs = [
        make_run(m, s, metric="mse", test_metric=[900.0, 12.3456 + s])
        for m in ("classical", "learn2mix")
        for s in (0, 1)
    ]
    task = only_task(runs)
    assert results_table(task)[2].title == "Test mean squared error"
    assert results_table(task)[2].cells[0].startswith("12.85 ± ")
    assert "%" not in headline(task).replace("95 %", "")


def test_validation_is_not_called_test():
    task = only_task([make_run(settings={"evaluate_on": "validation"})])
    assert results_table(task)[2].title == "Validation error, %"


# --- quantities beside the primary metric


def test_shares_turned_around_by_hand():
    assert reversed_shares([300, 150, 30]).tolist() == [30, 150, 300]
    # the rarest gets 0.4; the two of one size share what is left, 0.4 and 0.2
    assert reversed_shares([0.4, 0.2, 0.4]).tolist() == pytest.approx([0.3, 0.4, 0.3])
    assert reversed_shares([0.5, 0.5]).tolist() == [0.5, 0.5]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8).flatmap(lambda s: st.tuples(st.just(s), st.permutations(s))))
def test_shares_turned_around_keep_their_sum_whatever_the_order(pair):
    for sizes in pair:
        assert reversed_shares(sizes).sum() == pytest.approx(sum(sizes))
    turned = [sorted(zip(sizes, reversed_shares(sizes).tolist(), strict=True)) for sizes in pair]
    assert turned[0] == turned[1]


@pytest.mark.parametrize("shares", [[], [[0.5, 0.5]]])
def test_shares_of_another_shape_are_refused(shares):
    with pytest.raises(ValueError, match="one share a group"):
        reversed_shares(shares)


def test_the_shifted_test_by_hand():
    # 30 : 150 : 300 instead of 300 : 150 : 30
    groups = np.tile([0.1, 0.2, 0.6], (3, 1))
    runs = [make_run("classical", s, test_metric=[0.9, 0.5, 0.2], group_metric=groups) for s in (0, 1)]
    runs += [make_run("learn2mix", s, test_metric=[0.9, 0.5, 0.2], group_metric=groups / 2) for s in (0, 1)]
    theirs, ours = only_task(runs).rows
    assert theirs.estimates[SHIFTED].mean == pytest.approx((0.1 * 30 + 0.2 * 150 + 0.6 * 300) / 480)
    for quantity in (SHIFTED, NATURAL):
        assert ours.differences[quantity].mean == pytest.approx(-theirs.estimates[quantity].mean / 2)


def altered(run, *, rows=None, without=(), curves=None, **settings):
    """A run with some rows only, more curves, or other settings."""
    kept = {name: column if rows is None else column[list(rows)] for name, column in run.curves.items()}
    own = {key: value for key, value in run.settings.items() if key not in without}
    return replace(run, settings={**own, **settings}, curves={**kept, **(curves or {})})


def test_the_training_metric_is_there_where_all_runs_have_it():
    runs = falling((0.40, 0.30), (0.50, 0.42))
    assert "train_metric" not in [quantity.name for quantity in only_task(runs).quantities]
    column_ = np.array([np.nan, 0.8, 0.6, 0.5, 0.25], dtype=np.float32)
    told = [altered(run, curves={"train_metric": column_}) for run in runs]
    task = only_task(told)
    assert [quantity.name for quantity in task.quantities] == [quantity.name for quantity in QUANTITIES]
    assert task.rows[1].estimates[TRAIN_METRIC].mean == 0.25
    assert "train_metric" not in [q.name for q in only_task([*told[1:], runs[0]]).quantities]


def test_what_is_not_comparable_is_not_compared():
    task = only_task(falling((0.40, 0.30), (0.50, 0.42)))
    compared = {q.name: [c.title for c in final_table(task, q).columns] for q in task.quantities}
    assert "Difference to classical" in compared["shifted"]
    assert compared["train_loss"] == ["Method", "n", "Training loss"]
    assert "not comparable" in final_table(task, TRAIN_LOSS).caption


def test_no_method_better_than_a_constant_is_said():
    note = "No method ends better than a constant prediction"
    worse, equal, better = falling((0.7, 0.65)), falling((0.7, 0.6)), falling((0.7, 0.5))  # the constant scores 0.6
    assert [any(note in text for text in only_task(runs).notes) for runs in (worse, equal, better)] == [
        True,
        True,
        False,
    ]
    cells = final_table(only_task(better), PRIMARY).columns[2].cells
    assert [cell.endswith("\u2020") for cell in cells] == [True, False]


def test_worse_than_a_constant_is_judged_on_the_seeds_that_a_method_has():
    """Of a constant learn2mix's one run knows 0.4, which its 0.5 is worse than; the mean over all runs is higher."""
    runs = [make_run("classical", seed, test_metric=[0.9, 0.85]) for seed in range(2)]
    runs.append(make_run("learn2mix", 0, test_metric=[0.9, 0.5]))
    constants = (0.4, 0.8, 0.4)
    task = only_task(
        [replace(run, facts={**run.facts, "reference_metric": c}) for run, c in zip(runs, constants, strict=True)]
    )
    assert task.constant == pytest.approx(1.6 / 3)
    assert task.no_better_than_constant
    assert NO_BETTER_THAN_CONSTANT in task.notes


def test_the_overview_names_the_tasks_on_which_a_constant_does_better_and_no_others():
    runs = [make_run(m, s, task="a", test_metric=[0.9, 0.7 + s / 10]) for m in ("classical", "focal") for s in (0, 1)]
    runs += [make_run("classical", s, task="b") for s in (0, 1)] + [make_run("constant-rate", 0, task="b")]
    notes = page(summarise(runs)).split('id="overview"')[1].split('class="notes"')[1].split("</ul>")[0]
    assert notes == f"><li>a: {NO_BETTER_THAN_CONSTANT}</li>"


def test_learn2mix_against_each_takes_holm_over_a_methods_tasks():
    """Gaps of p = .04: among the two tasks of focal that is .08, alone it stays."""
    runs = [
        make_run(method, seed, task=task, metric="mse", test_metric=[9.0, 3.0 + gap])
        for task, others in (("a", ("focal",)), ("b", ("focal", "natural")))
        for method in ("learn2mix", *others)
        for seed, gap in enumerate([0.1, 0.13, 0.2] if method != "learn2mix" else [0.0] * 3)
    ]
    judged = against_each([None, *summarise(runs).tasks], difference)
    assert {key: (one.verdict, one.family) for key, one in judged.items()} == {
        (1, "focal"): ("undecided", 2),
        (2, "focal"): ("undecided", 2),
        (2, "natural"): ("better", 1),
    }
    found = judged[1, "focal"].difference
    assert (found.mean, found.n, found.p) == (pytest.approx(-0.43 / 3), 3, pytest.approx(0.0402, abs=1e-4))


def test_json_has_each_quantity_by_its_name():
    row = summarise(falling((0.40, 0.30), (0.50, 0.42))).to_json()["tasks"][0]["rows"][1]
    for quantity in QUANTITIES:
        name = "difference" if quantity is PRIMARY else f"{quantity.name}_difference"
        assert quantity.name in row
        assert (name in row) == quantity.compared
    assert row["final"]["mean"] == pytest.approx(0.36)
    assert row["difference"] == {
        "mean": pytest.approx(-0.09),
        "low": pytest.approx(-0.09 - 12.7062 * 0.01, abs=1e-5),  # -.10 and -.08: s / sqrt(2) = .01
        "high": pytest.approx(-0.09 + 12.7062 * 0.01, abs=1e-5),
        "n": 2,
        "p": pytest.approx(0.0704, abs=1e-4),
    }
    assert (row["train_metric"], row["worst_group"]["n"]) == (None, 2)
    assert not {"estimates", "differences"} & set(row)


# --- budgets in other units, and rows that are not one an epoch


def test_a_budget_in_steps_may_end_within_an_epoch():
    runs = []
    for run in falling((0.40, 0.30), (0.50, 0.42)):
        epoch = np.array([0, 1, 2, 2.5], dtype=np.float32)
        curves = {"epoch": epoch, "steps": 15 * epoch, "forwarded": 480 * epoch, "backpropagated": 480 * epoch}
        runs.append(altered(run, rows=(0, 1, 2, 4), without=("epochs",), curves=curves, steps=38))
    task = only_task(runs)
    assert (task.epochs, task.budget) == (2.5, "38 steps")
    assert headline(task).startswith("After 38 steps, learn2mix ends at 36.00 %")
    assert task.rows[0].forwarded_per_epoch == pytest.approx(480)


def test_a_budget_in_seconds_gives_each_method_its_own_steps():
    runs = [
        altered(run, rows=range(rows), without=("epochs",), seconds=2.0, method_steps=15 * (rows - 1))
        for run in falling((0.40, 0.30), (0.50, 0.42))
        for rows in [5 if run.settings["method"] == "classical" else 3]
    ]
    task = only_task(runs)
    assert (task.epochs, task.budget) == (4, "2 seconds")
    assert task.row("learn2mix").final.mean == pytest.approx(0.4)  # at its own end
    assert task.row("learn2mix").difference.mean == pytest.approx(0.4 - 0.45)
    assert [row.name for row in task.rows] == ["classical", "learn2mix"]
    assert '"final"' in page(summarise(runs))
    odd = altered(runs[1], rows=(0, 1))
    with pytest.raises(ValueError, match=r"another last epoch \((1.0, 2.0|2.0, 1.0)\)"):
        summarise([runs[0], *runs[2:], odd])


def test_runs_thinned_differently_are_read_where_all_have_a_point():
    runs = falling((0.40, 0.30), (0.50, 0.42))
    mixed = [altered(runs[0], rows=(0, 2, 4)), altered(runs[1], rows=(0, 1, 2, 4)), *runs[2:]]
    task, whole = only_task(mixed), only_task(runs)
    assert [arm.stack("epoch").tolist() for arm in task.arms] == [[[0, 2, 4]] * 2] * 2
    assert [row.final for row in task.rows] == [row.final for row in whole.rows]
    assert task.row("learn2mix").to_target["epochs"].median == 2  # 0.5 is reached at epoch 1, which not all have
    assert whole.row("learn2mix").to_target["epochs"].median == 1
    thinned = "Curves have 3 points over 4 epochs; when a target is reached is read at those."
    assert (thinned in task.notes, len(task.notes) - len(whole.notes)) == (True, 1)


# --- on the way


def means(readings):
    return {r.name: [None if e is None else pytest.approx(e.mean) for e in r.at] for r in readings}


def test_readings_by_epoch_by_hand():
    task = only_task(falling((0.40, 0.30), (0.50, 0.42)))
    assert means(read(task)) == {"classical": [0.6, 0.5, 0.45], "learn2mix": [0.5, 0.4, 0.36]}


def test_readings_of_thinned_curves_lie_between_their_points():
    """Half the budget is epoch 2, between epochs 1 and 3."""
    task = only_task([altered(run, rows=(0, 1, 3, 4)) for run in falling((0.40, 0.30))])
    assert means(read(task)) == {"classical": [0.6, 0.525, 0.4], "learn2mix": [0.5, 0.425, 0.3]}
    ((_, _, table),) = reading_tables(task)
    assert [column.title for column in table.columns[1:]] == ["0.25 E: epoch 1", "0.5 E: epoch 2", "E: epoch 4"]


def test_readings_by_second_by_hand():
    """The reference needs 4 epochs of 15 steps of 10 ms, 0.6 s."""
    curve = [0.9, 0.5, 0.4, 0.3, 0.2]
    spent = {"seconds": 0.3, "steps": 0, "forwarded": 0, "backpropagated": 0}
    runs = [make_run(method, 0, test_metric=curve) for method in ("classical", "slow", "fast", "untimed")]
    runs.append(make_run("prepared", 0, test_metric=curve, preparation=spent))
    task = only_task(runs, timing=make_timing(classical=0.01, slow=0.02, fast=0.005, prepared=0.01))
    found = read(task, axis="seconds")
    assert means(found) == {
        "classical": [0.5, 0.4, 0.2],
        "slow": [0.7, 0.5, 0.4],  # 0.3 s an epoch: at 0.15 s half-way from 0.9 to 0.5
        "fast": [0.4, 0.2, None],  # ends at 0.3 s
        "prepared": [0.5, 0.4, 0.2],
        "untimed": [None, None, None],
    }
    assert next(r.ends for r in found if r.name == "fast") == pytest.approx(0.5)
    counted = means(read(task, axis="seconds", prepared=True))
    assert counted["prepared"] == [0.9, 0.9, 0.4]  # starts at 0.3 s
    assert counted["classical"] == [0.5, 0.4, 0.2]
    table = {value: table for value, _, table in reading_tables(task)}["seconds"]
    assert table.columns[3].cells[1:3] == ("\u2013\nends at 0.50 E", "20.00")
    assert table.columns[1].cells[3] == "70.00 \u2020"
    assert table.foot["E: 0.6 s"] == "60.00"


def test_without_step_times_there_are_no_readings_by_second():
    task = only_task(falling((0.40, 0.30)))
    assert read(task, axis="seconds") == ()
    assert [value for value, _, _ in reading_tables(task)] == ["epochs"]


# --- over tasks


def test_timings_of_several_tasks_go_to_their_tasks():
    runs = [make_run(task=task) for task in ("a", "b", "c")]
    summary = summarise(runs, timing=[make_timing("b", classical=2.0), make_timing("a", classical=1.0)])
    assert [task.rows[0].step_seconds for task in summary.tasks] == [1.0, 2.0, None]


def test_ranking_by_hand():
    def runs(task, method, **ends):
        return [make_run(method, int(seed[1:]), task=task, test_metric=[0.9, end]) for seed, end in ends.items()]

    summary = summarise(
        [
            *runs("a", "classical", s0=0.2, s1=0.3),
            *runs("a", "focal", s0=0.1, s1=0.2),
            *runs("b", "classical", s0=0.3, s1=0.4, s2=0.9),
            *runs("b", "focal", s0=0.6, s1=0.3),  # seed 2 is not common
            *runs("c", "focal", s0=0.01, s1=0.01),  # a task without the other
            *runs("b", "balanced", s0=0.3, s1=0.3),
        ]
    )
    assert opponents(summary) == ("classical", "balanced")
    focal, balanced = rank(summary)  # that over most tasks first
    # a: 3.5 of 4 pairs; b: 0.6 loses twice, 0.3 ties with 0.3 and beats 0.4
    assert focal.improvement.mean == pytest.approx((3.5 / 4 + 1.5 / 4) / 2)
    assert (focal.tasks, focal.runs) == (2, 4)
    # of .1 .2 .6 .3 over .6 the middle two are left
    assert focal.relative.mean == pytest.approx((0.2 + 0.3) / 2 / 0.6)
    assert focal.opponent_relative.mean == pytest.approx((0.3 + 0.3) / 2 / 0.6)
    assert focal.improvement.low <= focal.improvement.mean <= focal.improvement.high
    assert (balanced.name, balanced.tasks, balanced.improvement.mean) == ("balanced", 1, pytest.approx(0.75))
    assert [standing.name for standing in rank(summary, "balanced")] == ["classical", "focal"]


def test_one_seed_ranks_without_an_interval_and_one_that_diverged_has_lost():
    (alone,) = rank(summarise(falling((0.40, 0.30))))
    assert (alone.improvement.mean, alone.improvement.low, alone.relative.low) == (1.0, None, None)
    (lost,) = rank(summarise(falling((0.40, float("nan")), (0.40, 0.50))))
    assert lost.improvement.mean == 0.0


def test_the_overview_has_a_row_a_task_and_a_column_a_method():
    runs = falling((0.40, 0.30), (0.50, 0.42), (0.42, 0.30))
    extra = [make_run("focal", 0, task="z", metric="mse", test_metric=[9.0, 3.0])]
    extra += [make_run("classical", s, task="z", metric="mse", test_metric=[9.0, 2.0]) for s in range(2)]
    cells = {column.title: column.cells for column in overview(summarise(runs + extra), ["#a", "#b"]).columns}
    assert cells["Task"] == ("toy", "z")
    assert cells["Metric"] == ("test error, %\n4 epochs", "test mean squared error\n1 epoch")
    assert cells["n"] == ("3", "2")
    # of .30 .42 .30: s = .0693, half = 4.302653 * .0693 / sqrt(3)
    assert cells["learn2mix"] == ("34.00 ± 17.21\nbetter", "\u2013")
    assert cells["focal"] == ("\u2013", "3.000 \u2020\nn = 1")
    assert cells["Constant prediction"] == ("60.00", "0.600")

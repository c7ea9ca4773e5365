import json
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats as reference

from bench_support import BATCH_SIZE, STEPS_PER_EPOCH, make_run, make_timing
from browser_support import browser, needs_browser
from learn2mix.bench.report import page, write_report
from learn2mix.bench.store import Store
from learn2mix.bench.summary import summarise
from learn2mix.bench.wording import cost_table, headline, results_table

NASTY = '</script><b onclick=alert(1)>x</b><img src=x onerror=alert(1)> %{x} &amp; "q" \''


def falling(*ends):
    """Runs of both methods whose error falls to these ends, one a seed: (classical, learn2mix)."""
    runs = []
    for seed, (theirs, ours) in enumerate(ends):
        runs.append(make_run("classical", seed, test_metric=[0.9, 0.6, 0.5, 0.45, theirs]))
        runs.append(make_run("learn2mix", seed, test_metric=[0.9, 0.5, 0.4, 0.35, ours]))
    return runs


def only_task(runs, **options):
    (task,) = summarise(runs, **options).tasks
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
    assert row.worst_group.mean == pytest.approx(0.6)
    assert row.balanced.mean == pytest.approx(0.3)
    assert row.natural.mean == pytest.approx((0.1 * 300 + 0.2 * 150 + 0.6 * 30) / 480)


def test_preparation_is_counted_only_where_said():
    spent = {"seconds": 3.0, "steps": 30, "forwarded": 700, "backpropagated": 300}
    runs = [make_run("curriculum", test_metric=[0.9, 0.5], preparation=spent)]
    row = only_task(runs, timing=make_timing(curriculum=0.1), target=0.5).rows[0]
    assert row.to_target["seconds"].median == pytest.approx(1.5)
    assert row.to_target_prepared["seconds"].median == pytest.approx(4.5)
    assert row.to_target_prepared["examples"].median == 2 * STEPS_PER_EPOCH * BATCH_SIZE + 1000
    assert row.to_target_prepared["backpropagated"].median == STEPS_PER_EPOCH * BATCH_SIZE + 300
    assert row.to_target_prepared["epochs"].median == 1


def test_a_target_not_reached_is_censored():
    ends = [0.1, 0.3, 0.2]
    runs = [make_run("learn2mix", seed, test_metric=[0.9, end]) for seed, end in enumerate(ends)]
    reached = only_task(runs, target=0.15).rows[0].to_target["epochs"]
    assert (reached.reached, reached.n, reached.median) == (1, 3, None)
    table = cost_table(only_task(runs, target=0.15))
    assert (column(table, "Reached"), column(table, "Epochs")) == (("1 of 3",), ("\u2013",))


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
            r"toy: runs .* another length \(5, 2\)",
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


# --- the page


class Outline(HTMLParser):
    """Collects what elements a page has, with their attributes, and its visible text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self._inside = [], set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._inside):
            self.text.append(data)


def nasty_runs():
    own = {"commit": NASTY, NASTY: {NASTY: NASTY}, "command": ["learn2mix", NASTY]}
    return [
        make_run(method, seed, task=NASTY, groups=(NASTY, "b&amp;", "%{y}"), provenance=own, settings={NASTY: NASTY})
        for method in ("classical", "learn2mix", NASTY)
        for seed in range(2)
    ]


def test_names_are_escaped():
    html = page(summarise(nasty_runs()), title=NASTY)
    tame = page(summarise([make_run(m, s) for m in ("classical", "learn2mix", "x") for s in range(2)]), title="t")
    outline, expected = Outline(html), Outline(tame)
    assert set(outline.tags) == set(expected.tags)
    assert "onclick" not in outline.attributes
    assert outline.tags.count("script") == 3
    assert NASTY in "".join(outline.text)
    data = re.search('<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert json.loads(data)[0]["groups"][1] == "b&amp;amp;"


def test_nothing_is_loaded_from_elsewhere():
    html = page(summarise([make_run()]))
    assert not re.search(r"<(link|iframe|object|embed|img|base)\b|<script[^>]*\bsrc=|@import|url\(", markup(html))
    assert "default-src 'none'" in html


def markup(html):
    """A page without its scripts."""
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("runs", "timing", "note"),
    [
        ([make_run("learn2mix", 0)], None, "There is no run of classical"),
        ([make_run("classical", 0)], None, "classical is the only method here"),
        ([make_run("classical", 0), make_run("learn2mix", 0)], None, "There is one seed, so there are no intervals"),
        ([make_run("classical", 0), make_run("learn2mix", 1)], None, "learn2mix lacks seed 0"),
        ([make_run("classical", 0)], None, "Step times were not measured"),
        ([make_run("classical", 0)], make_timing("another-task", classical=1.0), "Step times were not measured"),
        ([make_run("classical"), make_run("focal")], make_timing(classical=1.0), "No step time was measured for focal"),
        ([make_run("classical", 0, epochs=0)], None, "one seed"),
    ],
)
def test_what_is_missing_is_noted(runs, timing, note):
    assert escape(note) in page(summarise(runs, timing=timing))


def test_the_page_is_written_whole_and_its_figures_returned(tmp_path):
    path = tmp_path / "new" / "report.html"
    runs = falling((0.40, 0.30), (0.50, 0.42))
    summary = write_report(runs, path)
    assert summary.to_json() == summarise(runs).to_json()
    assert path.read_text(encoding="utf-8") == page(summary)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def read_plot(view, name):
    """What a chart plots, as the page's own library has it."""
    traces = view.evaluate(f"JSON.stringify(document.getElementById('{name}').data)")
    assert traces is not None, f"{name} was not drawn"
    return json.loads(traces)


def stacked(store, method, curve):
    runs = [run for run in store.runs() if run.settings["method"] == method]
    return np.array([run.curves[curve] for run in runs], dtype=np.float64)


def expect_band(values):
    """Mean and 95 % interval of each column, as scipy has them."""
    half = reference.sem(values, axis=0) * reference.t.ppf(0.975, len(values) - 1)
    return values.mean(axis=0), values.mean(axis=0) - half, values.mean(axis=0) + half


@needs_browser
def test_page_in_browser(tmp_path):
    """The page opens without a complaint and plots what is stored, read back from the page itself."""
    methods, seeds, step = ("classical", "learn2mix", "curriculum"), range(4), 0.0125
    spent = {"seconds": 0.5, "steps": 60, "forwarded": 1000, "backpropagated": 920}
    store = Store(tmp_path / "runs")
    for method in methods:
        for seed in seeds:
            store.put(make_run(method, seed, epochs=12, preparation=spent if method == "curriculum" else None))
    store.put_timing(make_timing(classical=step, learn2mix=step, curriculum=step))
    write_report(store.runs(), tmp_path / "report.html", timing=store.timing())
    write_report(nasty_runs(), tmp_path / "nasty.html", title=NASTY)
    with browser() as view:
        view.open(tmp_path / "report.html")
        check_curves(view, store, methods, "epoch", 1, {})
        view.evaluate("document.querySelector('input[value=seconds]').click()")
        check_curves(view, store, methods, "steps", step, {})
        view.evaluate("document.getElementById('prepared-0').click()")
        check_curves(view, store, methods, "steps", step, {"curriculum": 0.5})
        check_target(view, store, methods, step, {"curriculum": 0.5})
        check_groups(view, store, methods)
        view.resize(390, 800)
        view.evaluate("new Promise((done) => setTimeout(done, 500))")  # the charts follow a moment later
        assert view.evaluate("document.documentElement.scrollWidth") <= 390
        view.open(tmp_path / "nasty.html")
        names = view.evaluate("[...document.querySelectorAll('#proportions-0 .legendtext')].map((e) => e.textContent)")
        assert names == [NASTY, "b&amp;", "%{y}"]
        assert view.evaluate("document.querySelectorAll('[onclick], [onerror], b, img').length") == 0
    assert view.problems == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in view.requests)


def check_curves(view, store, methods, at, factor, before):
    traces = read_plot(view, "curves-0")
    assert len(traces) == 3 * len(methods)
    for method in methods:
        mean, low, high = expect_band(stacked(store, method, "test_metric"))
        own = {trace["meta"]: trace for trace in traces if trace["name"] == method}
        x = stacked(store, method, at).mean(axis=0) * factor + before.get(method, 0)
        for part, y in {"mean": mean, "low": low, "high": high}.items():
            assert own[part]["x"] == pytest.approx(x.tolist(), rel=1e-12)
            assert own[part]["y"] == pytest.approx(y.tolist(), rel=1e-12)


def check_target(view, store, methods, step, before):
    (bars,) = read_plot(view, "target-0")
    target = stacked(store, "classical", "test_metric")[:, -1].max()
    assert bars["y"] == list(methods)
    for method, shown, reached in zip(methods, bars["x"], bars["customdata"], strict=True):
        curves, steps = stacked(store, method, "test_metric"), stacked(store, method, "steps")
        times = [
            min([s for y, s in zip(c, a, strict=True) if y <= target], default=np.inf)
            for c, a in zip(curves, steps, strict=True)
        ]
        expected = np.median(times)
        assert reached == np.isfinite(expected)
        assert shown == pytest.approx((expected if reached else steps[0, -1]) * step + before.get(method, 0))


def check_groups(view, store, methods):
    (cells,) = read_plot(view, "groups-0")
    expected = [stacked(store, method, "group_metric")[:, -1].mean(axis=0).tolist() for method in methods]
    assert cells["z"] == [pytest.approx(row, rel=1e-12) for row in expected]
    for i, method in enumerate(methods):
        view.evaluate(
            f"(s => {{ s.value = {i}; s.dispatchEvent(new Event('change')); }})(document.getElementById('method-0'))"
        )
        paths = stacked(store, method, "proportions").mean(axis=0).T
        shown = [trace["y"] for trace in read_plot(view, "proportions-0")]
        assert shown == [pytest.approx(path.tolist(), rel=1e-12) for path in paths]

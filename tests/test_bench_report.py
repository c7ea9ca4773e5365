import json
import re
from html import escape
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats as reference

from bench_support import make_run, make_timing
from browser_support import browser, needs_browser
from learn2mix import registry
from learn2mix.bench.analysis.palette import swatches
from learn2mix.bench.analysis.quantities import PRIMARY, WORST_GROUP
from learn2mix.bench.analysis.ranking import rank
from learn2mix.bench.analysis.summary import summarise
from learn2mix.bench.exhibits import plots
from learn2mix.bench.exhibits.base import Exhibit, Panel, Shown
from learn2mix.bench.report import page, write_report
from learn2mix.bench.report.charts import chart_data
from learn2mix.bench.report.tables import final_table, reading_tables, standing_table
from learn2mix.bench.store import Store

NASTY = '</script><b onclick=alert(1)>x</b><img src=x onerror=alert(1)> %{x} &amp; "q" \''


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
    assert outline.tags.count("script") == 4
    assert NASTY in "".join(outline.text)
    data = re.search('<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert json.loads(data)["tasks"][0]["groups"][1] == "b&amp;amp;"


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
    runs = [make_run(method, seed) for method in ("classical", "learn2mix") for seed in range(2)]
    summary = write_report(runs, path)
    assert summary.to_json() == summarise(runs).to_json()
    assert path.read_text(encoding="utf-8") == page(summary)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_every_run_can_be_found_again():
    runs = [make_run(method, seed) for method in ("classical", "learn2mix") for seed in range(3)]
    runs.append(
        make_run("focal", 0, provenance={"commit": "0123456789abcdef+changes", "finished": "2026-01-02T03:04:05"})
    )
    html = page(summarise(runs))
    table = html[html.index('<table class="runs">') :]
    for run in runs:
        method, seed = run.settings["method"], run.settings["seed"]
        assert f"{method}<td>{seed}<td>{run.key}<td>" in table
    assert "<td>2026-01-02 03:04:05<td>0123456789+<td>" in table
    assert [f"<h4>Origin {letter}</h4>" in html for letter in "ABC"] == [True, True, False]


def test_failures_are_listed():
    html = page(summarise([make_run()]), failures={"toy, focal, seed 3": "the loss became <nan>"})
    assert "One run failed" in html
    assert "<li>toy, focal, seed 3: the loss became &lt;nan&gt;</li>" in html
    assert 'class="failures"' not in page(summarise([make_run()]))


def test_a_constant_prediction_is_in_the_tables():
    text = "".join(Outline(page(summarise([make_run("classical", s) for s in range(2)]))).text)
    assert text.count("constant prediction60.00") == 2  # at the end and on the way
    assert "Every method ends worse" not in text


def long_runs(epochs, groups, seeds=2):
    names = [f"class {i}" for i in range(groups)]
    sizes = np.arange(groups, 0, -1) * 10
    return [
        make_run(method, seed, epochs=epochs, groups=names, sizes=sizes)
        for method in ("classical", "learn2mix")
        for seed in range(seeds)
    ]


def test_long_curves_are_thinned_with_both_ends_in_full():
    runs = long_runs(1200, 3)
    (task,) = chart_data(summarise(runs), {})["tasks"]
    stored = np.mean([run.curves["test_metric"].astype(np.float64) for run in runs[:2]], axis=0)
    curve = task["arms"][0]["curves"]["final"]["mean"]
    track, factor = task["arms"][0]["progress"]["epochs"]
    rows = task["tracks"][track]
    assert factor == 1
    assert (rows[0], rows[-1]) == (0, 1200)
    assert len(curve) == len(rows) <= 170
    assert (curve[0], curve[-1]) == (stored[0], stored[-1])
    assert curve == pytest.approx(stored[rows].tolist(), rel=6e-5)


def test_long_runs_and_many_groups_make_no_heavy_page():
    data = json.dumps(chart_data(summarise(long_runs(600, 100)), {}), separators=(",", ":"))
    assert len(data) < 120_000


def read_plot(view, name):
    """What a chart plots, as the page's own library has it."""
    traces = view.evaluate(f"JSON.stringify(document.getElementById('{name}').data)")
    assert traces is not None, f"{name} was not drawn"
    return json.loads(traces)


def choose(view, name, value):
    view.evaluate(
        f"(s => {{ s.value = '{value}'; s.dispatchEvent(new Event('change', {{bubbles: true}})); }})"
        f"(document.getElementById('{name}'))"
    )


def click(view, selector):
    view.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def settle(view):
    """Wait for the charts, which follow a new size a moment later."""
    view.evaluate("new Promise((done) => setTimeout(done, 500))")


def width(view):
    return view.evaluate("document.documentElement.scrollWidth")


def stacked(runs, method, curve):
    return np.array([run.curves[curve] for run in runs if run.settings["method"] == method], dtype=np.float64)


def expect_band(values):
    """Mean and 95 % interval of each column, as scipy has them."""
    half = reference.sem(values, axis=0) * reference.t.ppf(0.975, len(values) - 1)
    return {"mean": values.mean(axis=0), "low": values.mean(axis=0) - half, "high": values.mean(axis=0) + half}


def near(values, half=0.0):
    """Values as charts have them: five digits of means, three of half-widths."""
    return pytest.approx(values.tolist(), rel=6e-5, abs=6e-3 * float(np.max(half)) + 1e-12)


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
    runs = store.runs()
    write_report(runs, tmp_path / "report.html", timing=store.timing())
    with browser() as view:
        view.open(tmp_path / "report.html")
        check_curves(view, runs, methods, "epoch", 1, {})
        check_levels(view, runs)
        click(view, "input[value=seconds]")
        check_curves(view, runs, methods, "steps", step, {})
        click(view, "#prepared-0")
        check_curves(view, runs, methods, "steps", step, {"curriculum": 0.5})
        check_target(view, runs, methods, step, {"curriculum": 0.5})
        check_quantities(view, runs, methods)
        check_legend(view, methods)
        check_paths(view, runs, methods)
        check_groups(view, runs, methods)
    assert view.problems == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in view.requests)


def check_curves(view, runs, methods, at, factor, before):
    traces = [trace for trace in read_plot(view, "curves-0") if trace["meta"] != "level"]
    assert len(traces) == 3 * len(methods)
    for method in methods:
        own = {trace["meta"]: trace for trace in traces if trace["name"] == method}
        x = stacked(runs, method, at).mean(axis=0) * factor + before.get(method, 0)
        expected = expect_band(stacked(runs, method, "test_metric"))
        for part, y in expected.items():
            assert own[part]["x"] == pytest.approx(x.tolist(), rel=1e-9)
            assert own[part]["y"] == near(y, expected["high"] - expected["mean"])
            assert (own[part]["y"][0], own[part]["y"][-1]) == pytest.approx((y[0], y[-1]), rel=1e-9)


def check_levels(view, runs):
    levels = {trace["name"]: trace["y"] for trace in read_plot(view, "curves-0") if trace["meta"] == "level"}
    assert levels == {
        "constant prediction": pytest.approx([0.6, 0.6]),
        "target": [stacked(runs, "classical", "test_metric")[:, -1].max()] * 2,
    }


def check_target(view, runs, methods, step, before):
    (bars,) = read_plot(view, "target-0")
    target = stacked(runs, "classical", "test_metric")[:, -1].max()
    for method, shown, reached, text in zip(methods, bars["x"], bars["customdata"], bars["hovertext"], strict=True):
        curves, steps = stacked(runs, method, "test_metric"), stacked(runs, method, "steps")
        times = [
            min([s for y, s in zip(c, a, strict=True) if y <= target], default=np.inf)
            for c, a in zip(curves, steps, strict=True)
        ]
        expected = np.median(times)
        assert f"<b>{method}</b>" in text
        assert reached == np.isfinite(expected)
        assert f"({sum(np.isfinite(times))} of 4)" in text
        assert shown == pytest.approx((expected if reached else steps[0, -1]) * step + before.get(method, 0))


def check_quantities(view, runs, methods):
    """Another metric is shown in the curves and in the table, and in no other table."""
    shares = np.array([30, 150, 300]) / 480
    for name, title, expected in (
        ("balanced", "Mean over groups, %", lambda groups: groups.mean(axis=-1)),
        ("shifted", "Shifted test, %", lambda groups: groups @ shares),
    ):
        choose(view, "quantity-0", name)
        traces = {t["name"]: t["y"] for t in read_plot(view, "curves-0") if t["meta"] == "mean"}
        for method in methods:
            assert traces[method] == near(expected(stacked(runs, method, "group_metric")).mean(axis=0))
        shown = view.evaluate(
            "[...document.querySelectorAll('.panel[data-of=quantity-0]')].filter((p) => p.offsetHeight).map((p) => "
            "p.querySelector('th:nth-child(3)').textContent)"
        )
        assert shown == [title]
    choose(view, "quantity-0", "final")


def check_legend(view, methods):
    """Entries switch curves on and off."""

    def drawn():
        names = [trace["name"] for trace in read_plot(view, "curves-0") if trace["meta"] == "mean"]
        return sorted(names)

    click(view, "#legend-0 input[value='1']")
    assert drawn() == sorted([methods[0], methods[2]])
    click(view, "#legend-0 button[value=none]")
    assert drawn() == []
    click(view, "#legend-0 button[value=all]")
    assert drawn() == sorted(methods)


def check_paths(view, runs, methods):
    for i, method in enumerate(methods):
        choose(view, "method-0", i)
        paths = stacked(runs, method, "proportions").mean(axis=0).T
        areas = read_plot(view, "proportions-0")
        assert [area["stackgroup"] for area in areas] == ["shares"] * 3
        for area, path in zip(areas, paths, strict=True):
            at = np.array(area["x"], dtype=int)  # two ends are enough where nothing moves
            assert area["y"] == pytest.approx(path[at].tolist(), rel=1e-3)
            assert (at[0], at[-1]) == (0, 12)


def check_groups(view, runs, methods):
    def bars():
        return {bar["name"]: bar for bar in read_plot(view, "groups-0")}

    assert sorted(bars()) == ["classical", "learn2mix"]
    click(view, "#chosen-0 button[value=all]")
    shown = bars()
    for method in methods:
        expected = expect_band(stacked(runs, method, "group_metric")[:, -1])
        half = expected["high"] - expected["mean"]
        assert shown[method]["y"] == near(expected["mean"])  # made-up groups come by size
        assert shown[method]["error_y"]["array"] == pytest.approx(half.tolist(), rel=6e-3)
        assert shown[method]["error_y"]["arrayminus"] == pytest.approx(half.tolist(), rel=6e-3)


@needs_browser
def test_page_in_browser_with_several_tasks(tmp_path):
    """One task at a time, chosen by list, link, address or keyboard; narrow and dark; many groups."""
    runs = [make_run(m, s, task="a") for m in ("classical", "learn2mix", "natural") for s in range(3)] + [
        make_run(
            run.settings["method"], run.settings["seed"], task="b", metric="mse", epochs=300, groups=names, sizes=sizes
        )
        for names, sizes in [([f"class {i}" for i in range(100)], [*range(1, 101)])]
        for run in [make_run(m, s) for m in ("classical", "learn2mix") for s in range(3)]
    ]
    write_report(runs, tmp_path / "report.html", timing=[make_timing("a", classical=0.01, learn2mix=0.02)])
    write_report(nasty_runs(), tmp_path / "nasty.html", title=NASTY)
    with browser() as view:
        view.open(tmp_path / "report.html")
        assert views(view) == ["overview"]
        check_ranking(view)
        view.evaluate("document.getElementById('view').focus()")
        view.press("ArrowDown")
        assert views(view) == ["task-0"]
        click(view, "a[href='#task-1']")
        assert views(view) == ["task-1"]
        check_many_groups(view)
        check_keyboard(view)
        view.evaluate("history.back()")
        settle(view)
        assert views(view) == ["task-0"]
        check_dark(view)
        for name in ("overview", "task-0", "task-1"):
            view.resize(360, 740)
            view.evaluate(f"location.hash = '{name}'")
            settle(view)
            assert (views(view), width(view)) == ([name], 360)
        view.open(tmp_path / "nasty.html", width=360)
        settle(view)
        names = view.evaluate("[...document.querySelectorAll('#proportions-0 .legendtext')].map((e) => e.textContent)")
        assert sorted(names) == sorted([NASTY, "b&amp;", "%{y}"])
        assert view.evaluate("document.querySelectorAll('[onclick], [onerror], main b, main img').length") == 0
        assert width(view) == 360
    assert view.problems == []


def views(view):
    return view.evaluate(
        "new Promise((done) => setTimeout(() => done([...document.querySelectorAll('.view')]"
        ".filter((part) => part.offsetHeight).map((part) => part.id)), 100))"
    )


def check_ranking(view):
    shown = "document.querySelector('.panel[data-of=opponent]:not([hidden]) table').innerText"
    assert "P(lower than classical)" in view.evaluate(shown)
    assert [dots["name"] for dots in read_plot(view, "relative")[-2:]] == ["classical", "relative"]
    click(view, "input[value=natural]")
    assert "P(lower than natural)" in view.evaluate(shown)
    assert read_plot(view, "improvement")[-1]["x"][0] >= read_plot(view, "improvement")[-1]["x"][-1]


def check_many_groups(view):
    assert len(read_plot(view, "proportions-1")) == 100
    means = [trace for trace in read_plot(view, "groups-1") if trace["meta"] == "mean"]
    assert [len(trace["y"]) for trace in means] == [100, 100]
    assert means[0]["customdata"][0].startswith("class 99 (2 % of the training set)")  # the largest first


def check_keyboard(view):
    """Every chooser in view can be reached by Tab, and shows that it has been."""
    view.evaluate("document.querySelector('#main').scrollIntoView(); document.activeElement.blur()")
    reached, outlines = [], set()
    for _ in range(60):
        view.press("Tab")
        name, outline = view.evaluate(
            "(e => [e.id || e.name || (e.closest('fieldset') || {}).id || e.tagName, getComputedStyle(e).outlineStyle])"
            "(document.activeElement)"
        )
        reached.append(name)
        if name != "BODY":
            outlines.add(outline)
    wanted = {
        "view",
        "quantity-1",
        "axis-1",
        "prepared-1",
        "log-1",
        "bands-1",
        "legend-1",
        "way-1",
        "method-1",
        "chosen-1",
    }
    assert wanted <= set(reached)
    assert "SUMMARY" in reached
    assert outlines <= {"solid", "auto"}


def check_dark(view):
    ground = "getComputedStyle(document.querySelector('#curves-0 .main-svg')).backgroundColor"
    light = view.evaluate(ground)
    view.prefer("dark")
    settle(view)
    assert view.evaluate(ground) != light
    assert view.evaluate("getComputedStyle(document.body).backgroundColor") == view.evaluate(ground)
    view.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert view.evaluate(ground) == light  # on paper
    view.evaluate("dispatchEvent(new Event('afterprint'))")
    view.prefer("light")


@needs_browser
def test_tables_in_browser_are_sorted_by_the_heading_that_is_pressed(tmp_path):
    """Upwards, downwards, then as they came; what is no figure comes last both ways; the constant stays at the foot."""
    ends = {"classical": 0.3, "learn2mix": 0.1, "balanced": 0.2, "natural": 1.2}
    runs = [make_run(m, s, test_metric=[2.0, end + s / 100], metric="mse") for m, end in ends.items() for s in range(2)]
    write_report(runs, tmp_path / "report.html")
    table = ".panel[data-value=final] table"

    def order():
        return view.evaluate(f"[...document.querySelectorAll('{table} tbody th')].map((cell) => cell.textContent)")

    def press(number):
        click(view, f"{table} thead th:nth-child({number}) button")
        return order()

    with browser() as view:
        view.open(tmp_path / "report.html")
        came = order()
        mark = f"getComputedStyle(document.querySelector('{table} thead th:nth-child(3) button'), '::after').content"
        unsorted = view.evaluate(mark)
        assert unsorted != "none"
        rising = ["learn2mix", "balanced", "classical", "natural"]
        assert press(3) == rising
        assert view.evaluate(f"document.querySelector('{table} thead th:nth-child(3)').ariaSort") == "ascending"
        assert view.evaluate(mark) not in ("none", unsorted)
        assert press(3) == rising[::-1]
        assert press(3) == came
        # differences to classical, of which it has none itself: -0.2, -0.1 and 0.9
        assert press(4) == ["learn2mix", "balanced", "natural", "classical"]
        assert press(4) == ["natural", "balanced", "learn2mix", "classical"]
        assert press(1) == sorted(ends)
        sorts = view.evaluate(f"[...document.querySelectorAll('{table} thead th')].map((cell) => cell.ariaSort)")
        assert sorts == ["ascending", *["none"] * 9]
        view.evaluate(f"document.querySelector('{table} thead th:nth-child(3) button').focus()")
        view.press(" ")
        assert order() == rising
        assert view.evaluate(f"document.querySelector('{table} tfoot th').textContent") == "constant prediction"
    assert view.problems == []


@needs_browser
def test_intervals_are_drawn_no_further_than_the_metric_goes(tmp_path):
    ends = {"classical": (0.98, 0.999), "learn2mix": (0.001, 0.02)}
    write_report(
        [
            make_run(name, seed, metric=metric, task=metric, test_metric=[0.5, end])
            for metric in ("error", "mse")
            for name, pair in ends.items()
            for seed, end in enumerate(pair)
        ],
        tmp_path / "report.html",
    )
    with browser() as view:
        for number, most in ((0, 1), (1, np.inf)):  # errors, then squared errors
            view.open(tmp_path / "report.html")
            view.evaluate(f"location.hash = 'task-{number}'")
            settle(view)
            click(view, f"#log-{number}")
            curves = {(trace["name"], trace["meta"]): trace["y"] for trace in read_plot(view, f"curves-{number}")}
            assert curves["learn2mix", "low"][-1] == 0
            assert (max(curves["classical", "high"]) == 1) == (most == 1)
            for bar in read_plot(view, f"groups-{number}"):
                mean, error = np.array(bar["y"]), bar["error_y"]
                assert (mean - error["arrayminus"] >= -1e-12).all()
                assert (mean + error["array"] <= most + 1e-12).all()
                assert (np.array(error["arrayminus"]) >= 0).all()
                assert (np.array(error["array"]) >= 0).all()
    assert view.problems == []


def on_at_first(path, legend):
    entries = path.read_text().split(f'id="{legend}"')[1].split("</fieldset>")[0].split("<label")[1:]
    return [entry.split("</svg>")[1].split("<")[0] for entry in entries if " checked" in entry]


def test_of_many_curves_the_plain_methods_and_the_best_are_on_at_first(tmp_path):
    runs = [make_run(name, seed, test_metric=[0.9, 0.1 + i / 100]) for i, name in enumerate(MANY) for seed in range(2)]
    write_report(runs, tmp_path / "many.html")
    on = on_at_first(tmp_path / "many.html", "legend-0")
    assert set(on) == {"classical", "learn2mix", "natural", "balanced", *MANY[:4]}


def test_of_several_settings_the_tasks_own_is_on_at_first(tmp_path):
    own = registry.get("task", "digits").part.mixing_rate
    rates = sorted({0.01, 0.02, 0.04, 0.08, own})
    runs = [make_run(name, seed, task="digits") for name in MANY if name != "learn2mix" for seed in range(2)]
    runs += [
        make_run("learn2mix", seed, task="digits", settings={"method_settings": {"mixing_rate": rate}})
        for rate in rates
        for seed in range(2)
    ]
    write_report(runs, tmp_path / "rates.html")
    mixed = [name for name in on_at_first(tmp_path / "rates.html", "legend-0") if name.startswith("learn2mix")]
    assert mixed == [f"learn2mix (mixing_rate {own})"]
    assert on_at_first(tmp_path / "rates.html", "chosen-0") == ["classical", *mixed]
    assert f"{len(MANY)} methods with {len(MANY) + len(rates) - 1} settings" in (tmp_path / "rates.html").read_text()


MANY = [*(f"other-{i:02d}" for i in range(16)), "learn2mix", "natural", "balanced", "classical"]


def test_one_run_each_is_not_ranked(tmp_path):
    one = [make_run(name, 0) for name in ("classical", "learn2mix")]
    write_report(one, tmp_path / "one.html")
    assert "<h2>Ranking</h2>" not in (tmp_path / "one.html").read_text()
    write_report([*one, *(make_run(name, 1) for name in ("classical", "learn2mix"))], tmp_path / "two.html")
    assert "<h2>Ranking</h2>" in (tmp_path / "two.html").read_text()


def light(colour):
    """Relative luminance, as the guidelines for web content have it."""
    parts = np.array(list(bytes.fromhex(colour[1:]))) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_settings_of_a_method_and_methods_of_a_colour_can_be_told_apart():
    rates = [{"method_settings": {"mixing_rate": rate / 10}} for rate in range(1, 9)]
    runs = [make_run("learn2mix", settings=settings) for settings in rates] + [make_run(f"m{i}") for i in range(20)]
    styles = swatches(summarise(runs).tasks)
    variants = [style for name, style in styles.items() if name.startswith("learn2mix")]
    for ground in (0, 1):
        lights = [light(style["colors"][ground]) for style in variants]
        assert lights == sorted(set(lights))
        assert min((b + 0.05) / (a + 0.05) for a, b in pairwise(lights)) > 1.08
    marks = [(*style["colors"], *style["dash"], style["pattern"]) for style in styles.values()]
    assert len(set(marks)) == len(marks)
    (alone,) = swatches(summarise([make_run("learn2mix", settings=rates[0])]).tasks).values()
    assert alone == {"colors": ["#0072b2", "#4aa8e8"], "dash": [], "pattern": ""}


def ranked(*runs):
    return {
        standing.name: standing
        for standing in rank(
            summarise(
                make_run(name, seed, task=task, test_metric=[0.9, end])
                for task, name, ends in runs
                for seed, end in enumerate(ends)
            )
        )
    }


def test_ranking_counts_no_task_without_a_method_better_than_a_constant():
    fair = [("a", "classical", (0.3, 0.4)), ("a", "natural", (0.2, 0.35)), ("a", "focal", (0.1, 0.2))]
    poor = [("b", "classical", (0.8, 0.9)), ("b", "natural", (0.7, 0.95))]  # a constant scores 0.6
    assert ranked(*fair, *poor)["natural"] == ranked(*fair)["natural"]
    html = page(
        summarise(make_run(n, s, task=t, test_metric=[1, e]) for t, n, es in fair + poor for s, e in enumerate(es))
    )
    assert "Not counted, as no method ends better than a constant prediction: b." in html


def test_ranking_puts_methods_over_most_tasks_first_and_gives_no_interval_without_width():
    found = ranked(
        ("a", "classical", (0.3, 0.4)),
        ("a", "natural", (0.32, 0.38)),
        ("a", "focal", (0.1, 0.2)),
        ("b", "classical", (0.3, 0.4)),
        ("b", "natural", (0.32, 0.38)),
    )
    assert list(found) == ["natural", "focal"]
    assert (found["focal"].improvement.mean, found["focal"].improvement.low) == (1.0, None)  # every draw is below
    assert found["focal"].relative.low < found["focal"].relative.high
    assert found["natural"].improvement.low < found["natural"].improvement.high
    assert "over most tasks" in standing_table(list(found.values()), "classical").caption
    assert "over most tasks" not in standing_table([found["focal"]], "classical").caption


def test_a_mean_without_an_interval_says_why():
    runs = [
        make_run("classical", seed, test_metric=[0.9, 0.3 + seed / 10], group_metric=[[1, 1, 1]] * 2) for seed in (0, 1)
    ]
    (task,) = summarise(runs).tasks
    columns = {column.title: column.cells for column in final_table(task, PRIMARY).columns}
    assert columns["Worst group, %"] == ("100.00 \u2021",)
    assert "\u2021" not in columns["Test error, %"][0]
    assert "\u2021 the same for all seeds" in final_table(task, PRIMARY).caption
    assert final_table(task, WORST_GROUP).columns[2].cells == ("100.00 \u2021",)
    (one,) = summarise(runs[:1]).tasks  # which says so itself
    assert "\u2021" not in final_table(one, PRIMARY).caption


def test_tables_of_the_way_say_what_e_is():
    task = summarise([make_run("classical", seed) for seed in (0, 1)], timing=make_timing(classical=0.1)).tasks[0]
    captions = [table.caption for _, _, table in reading_tables(task)]
    assert len(captions) == 3
    assert all("E is the whole budget, 4 epochs" in caption for caption in captions)


@pytest.mark.parametrize("plot", [plots.by_epoch, plots.differences])
def test_figures_of_exhibits_have_room_for_long_names(tmp_path, monkeypatch, plot):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rates = [{"method_settings": {"mixing_rate": rate / 10}} for rate in range(1, 7)]
    runs = [make_run("learn2mix", s, settings=settings) for settings in rates for s in range(2)]
    (task,) = summarise([*runs, *(make_run("classical", s) for s in range(2))]).tasks
    panel = Panel("digits", label="under settings that take many words, half the budget")
    exhibit = Exhibit("toy", "A title", (panel,), lambda *_: [])
    for number in (1, 3):
        plot(exhibit, [Shown(panel, task)] * number, tmp_path / "figure.png")
        figure = drawn[-1]
        figure.draw_without_rendering()
        texts = [place.title for place in figure.axes if place.axison] + figure.legends
        for part in texts:
            box = part.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1

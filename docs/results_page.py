"""The page of results, docs/results.md: every exhibit as Markdown, from the stored runs alone."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from build_tools import ROOT, short

from learn2mix.bench.analysis.quantities import PRIMARY
from learn2mix.bench.analysis.stats import half_widths, mean_interval
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE
from learn2mix.bench.analysis.wording import MINUS, Block, capital, judged_words, scale_of, with_unit, written
from learn2mix.bench.exhibits import PAPER, STUDIES, Exhibit, Shown, against
from learn2mix.bench.exhibits.published import PAPERS_METHODS, TABLE_1
from learn2mix.bench.lookup import fitting
from learn2mix.bench.reproduce import CONTROLS, Reproduction, find_exhibit, reproduce
from learn2mix.bench.store import Store

RESULTS = ROOT / "results"
FIGURES = ROOT / "docs" / "figures"
FIRST = "verdicts"
AGAINST = (
    *PAPERS_METHODS,
    *CONTROLS,
    "one-shot",
    "yoked",
    "learn2mix-weighted",
    "group-dro",
    "logit-adjusted",
    "oversample",
)
"""Whom the README names; the page has all."""
HEAD = """# Results

Written by `python docs/build.py` from the runs in `results/`; do not edit. E is a task's budget in epochs, the same for every
method; ± is half a 95 % t-interval over n seeds. Each table comes from `learn2mix reproduce NAME`, the name in brackets.
`learn2mix reproduce NAME --stored --output results` makes it again from what is stored; a task that stands in for another on
a small machine (`imdb-200`) is asked for by `--tasks`.
"""


def page() -> str:
    """Give the whole page."""
    exhibits = sorted((*STUDIES, *PAPER), key=lambda exhibit: (exhibit.name != FIRST, not exhibit.of_paper))
    parts: list[str] = []
    lacking: list[str] = []
    for exhibit in exhibits:
        done = stored(exhibit)
        lacking += [f"{exhibit.name}: {words}" for one in done.shown for words in not_run(exhibit, one)]
        if there := answered(done):
            parts.append(section(exhibit, exhibit.view(exhibit, there)))
    parts.append(equal_seconds())
    parts.append(too_much())
    parts.append(spread())
    parts.append(order())
    parts.append(subset())
    parts.append("## What was not run\n\n" + "\n".join(f"- {name}" for name in lacking) + "\n")
    parts.append(origins())
    return "\n".join([HEAD, contents(parts), *parts])


def contents(parts: Sequence[str]) -> str:
    """List the page's sections, each linked to."""
    titles = [line.removeprefix("## ") for part in parts for line in part.splitlines() if line.startswith("## ")]
    return "\n".join(f"- [{title}](#{slug(title)})" for title in titles) + "\n"


def stored(exhibit: Exhibit) -> Reproduction:
    """Read an exhibit's runs; of panels that stand in for others, those that there are runs of."""
    done = reproduce(
        exhibit,
        folder=RESULTS,
        stored_only=True,
        tasks=list(dict.fromkeys(panel.task for panel in exhibit.panels)),
    )
    shown = [one for one in done.shown if one.summary is not None or not one.panel.stand_in]
    return Reproduction(exhibit, shown, done.runs, done.timings)


def verdict_counts() -> str:
    """Give the table that counts on how many tasks learn2mix is better than the paper's methods and the controls."""
    exhibit = find_exhibit(FIRST)
    block = exhibit.view(exhibit, stored(exhibit).shown)[0]
    rows = [i for i, name in enumerate(block.columns[0].cells) if name in AGAINST]
    columns = tuple(replace(column, cells=tuple(column.cells[i] for i in rows)) for column in block.columns)
    means = ". ".join(map(capital, against.meanings(stored(find_exhibit("controls")).shown).values()))
    where = f"[where](docs/results.md#{slug(heading(find_exhibit('controls')))})"
    said = f"By its controls, at the tasks' own settings ({where}): {means}."
    return f"{table(replace(block, columns=columns))}\n\n{' '.join(block.notes)}\n\n{said}\n"


def tuned_table() -> str:
    """Give the table of tuned learn2mix less tuned plain training, and of the best of all tuned methods, a row a task."""
    shown = [one for one in stored(find_exhibit("tuned")).shown if one.summary is not None and not unanswered(one)]
    judged = against.judged_at_the_end(shown)[PRIMARY]
    plain = (REFERENCE, *CONTROLS)
    titles = ("Task", "n", "Test figure", FOCUS, *(f"less {name}" for name in plain), "Best of all")
    lines = []
    for place, task in enumerate(one.summary for one in shown):
        assert task is not None
        ours, scale = task.row(FOCUS), scale_of(task)
        best = min(task.rows, key=lambda row: row.final.mean)
        assert ours is not None, "the panel is answered, so it has learn2mix"
        cells = [
            task.task,
            str(ours.n),
            with_unit(scale.noun.removeprefix("test "), scale.unit.strip()),
            written(ours.final, scale),
            *(judged_words(judged[place, name], scale) for name in plain),
            f"{best.name}, {written(best.final, scale)}",
        ]
        lines.append(cells)
    family = max(found.family for found in judged.values())
    note = (
        f"± is half a 95 % interval. Less: learn2mix's figure less the other's, paired by seed, with its 95 % interval; below "
        f"zero learn2mix is better. Verdicts take Holm's adjustment over the {family} tasks. Less each other method, and in "
        f"the worst group: [results](docs/results.md#{slug(heading(find_exhibit('tuned')))})."
    )
    return f"{grid(titles, lines, words=(0, 2, 7))}\n\n{note}\n"


def unanswered(shown: Shown) -> bool:
    """Tell whether a panel that names its own methods lacks some of them, so that its question is not answered."""
    if shown.summary is None or not shown.panel.methods:
        return False
    return len(shown.summary.rows) < len(fitting(shown.panel.varied(), shown.panel.methods))


def not_run(exhibit: Exhibit, shown: Shown) -> list[str]:
    """Name what a panel lacks: all of it, the end of its budget, or arms of the paper's and of the controls' that fit it."""
    panel, task = shown.panel, shown.summary
    if task is None or unanswered(shown):
        return [panel.inline]
    lacks = [f"what is beyond {shown.fraction:.2g}E"] if shown.fraction < 1 else []
    seeds = panel.varied().seeds
    lacks += [f"more than {len(task.seeds)} of {seeds} seeds"] if len(task.seeds) < seeds else []
    usual = (*PAPERS_METHODS, *CONTROLS) if exhibit.of_paper else AGAINST
    names = [method.name for method in fitting(panel.varied(), usual)]
    absent = [name for name in dict.fromkeys(names) if task.row(name) is None and not panel.methods]
    lacks += [", ".join(absent)] if absent else []
    return [f"{panel.inline}: {'; '.join(lacks)}"] if lacks else []


def heading(exhibit: Exhibit) -> str:
    """Give the heading of an exhibit's section."""
    return f"{exhibit.title} (`{exhibit.name}`)"


def slug(title: str) -> str:
    """Give what a link to a heading ends with."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def section(exhibit: Exhibit, blocks: Sequence[Block]) -> str:
    """Write an exhibit: its figure, its tables, what is to be said of them."""
    parts = [f"## {heading(exhibit)}\n"]
    if exhibit.plot is not None:
        parts.append(f"![{exhibit.title}](figures/{exhibit.name}.png)\n")
    for block in blocks:
        parts.append(f"### {block.title}\n")
        if block.columns:
            parts.append(table(block) + "\n")
        several = len(block.notes) > 1 and not block.columns
        parts.append("\n".join(f"- {note}" for note in block.notes) if several else " ".join(block.notes))
        parts[-1] += "\n"
    return "\n".join(parts)


def table(block: Block) -> str:
    """Write a block's columns as a Markdown table."""
    words = [i for i, column in enumerate(block.columns) if not column.numeric]
    rows = zip(*(column.cells for column in block.columns), strict=True)
    return grid([column.title for column in block.columns], rows, words)


def grid(titles: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """Write a Markdown table; figures are set flush right, and ``words`` are the columns that hold none."""
    rules = ["---" if i in words else "---:" for i in range(len(titles))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (titles, rules, *rows))


def equal_seconds() -> str:
    """Set our accuracies at the epochs that the paper's code makes in equal seconds beside the paper's."""
    lines = [
        "## What equal seconds mean in the paper's Table 1\n",
        "The paper holds methods to the same seconds, and its code feeds them differently: in those of 60 epochs of learn2mix "
        "on MNIST it makes 45 of classical training, and in those of 70 on Fashion-MNIST 56. Here both make the same steps. "
        "At the epochs that each has in the paper's code, our accuracy beside the paper's, and classical training's at "
        "learn2mix's epochs:\n",
    ]
    titles = (
        "Task",
        "Method",
        "n",
        "Part of E",
        "Epoch in the paper's code",
        "ours, %",
        "paper, %",
        "ours at learn2mix's epoch, %",
    )
    rows = []
    for task, epochs in (
        ("mnist", {"learn2mix": 60, "classical": 45}),
        ("fashion-mnist", {"learn2mix": 70, "classical": 56}),
    ):
        runs = Store(RESULTS / task).runs()
        for method, theirs in epochs.items():
            curves = [run.curves for run in runs if run.settings["method"] == method]
            for part, published in zip((0.25, 0.5), TABLE_1[task][method], strict=False):
                assert published is not None
                read = (
                    mean_interval([float(np.interp(part * e, c["epoch"], c["test_metric"])) for c in curves])
                    for e in (theirs, epochs["learn2mix"])
                )
                ours, later = (f"{100 - 100 * one.mean:.2f} ± {100 * (one.half_width or 0):.2f}" for one in read)
                place = (task, method, str(len(curves)), f"{part:g}E", f"{part * theirs:g}")
                rows.append((*place, ours, f"{100 - 100 * published.mean:.2f}", later))
    return "\n".join([*lines, grid(titles, rows, (0, 1))]) + "\n"


def too_much() -> str:
    """Show how tuned learn2mix comes to lose on mean estimation: by what it draws, and what that group then scores."""
    tuned = Store(RESULTS / "mean-estimation+tuned").runs()
    same = Store(RESULTS / "mean-estimation+learning_rate=0.001581").runs()
    arms = [
        ("learn2mix", "learn2mix", tuned),
        ("classical", "classical", tuned),
        ("classical, learn2mix's rate", "classical", same),
    ]
    lines = [
        "## Why tuned learn2mix loses on mean estimation\n",
        "Its tuned learning rate, chosen by trials of a quarter of the budget, is higher than classical training's, and early "
        "on it is ahead. But the loss of the uniform distributions, the rarest group, is in good part noise of the ten draws, "
        "which no network can predict: it stays the largest, and learn2mix gives that group ever more of each batch. Its few "
        "examples are then learnt by heart, and its test error rises. A group's loss tells how much is wrong, not how much "
        "of it can be learnt. Nor is it the rate: classical training at learn2mix's rate overfits little (`learn2mix compare "
        "mean-estimation --learning-rate 0.001581 --methods classical,natural`). Means over seeds:\n",
    ]
    titles = (
        "Method",
        "Epoch",
        "Test error",
        "Of the uniform group",
        "Share of that group in the batches, %",
        "Training error",
    )
    rows = []
    for name, method, runs in arms:
        own = [run.curves for run in runs if run.settings["method"] == method]
        epochs = own[0]["epoch"]
        mean = {curve: np.mean([curves[curve] for curves in own], axis=0) for curve in own[0]}
        for epoch in (50, 125, 250, 500):
            i = int(np.abs(np.asarray(epochs) - epoch).argmin())
            cells = [
                name,
                f"{epochs[i]:g}",
                f"{mean['test_metric'][i]:.2f}",
                f"{mean['group_metric'][i, -1]:.2f}",
                f"{mean['proportions'][i, -1] * 100:.0f}",
                f"{mean['train_metric'][i]:.2f}",
            ]
            rows.append(cells)
    return "\n".join([*lines, grid(titles, rows)]) + "\n"


def spread() -> str:
    """Say how five runs of mean estimation come out, in mean and interval, and whether it is weights or data that count."""
    found = json.loads((RESULTS / "spread.json").read_text())
    methods = [name for name in found if isinstance(found[name], dict) and name != "made"]
    lines = [
        "## Whether the paper's five runs of mean estimation agree with ours at 0.25E\n",
        "Early on the errors of runs are far from normal: most are near their end, some far up, and Welch's interval takes "
        f"five of them for normal. So each method is run {found[methods[0]]['n']} times, from weights and on data of its own "
        f"each time; then {found['set']} of the runs are taken, again and again. Of such sets the last columns count those "
        "whose mean is the paper's or further out, and those of them whose interval is no wider than the paper's; what comes "
        "in fewer than 2.5 % does not fit. `python benchmarks/spread.py`\n",
    ]
    titles = ("Method", "n", "mean", "median", "largest", "middle 95 % of the means of five", "paper")
    rows = []
    for name in methods:
        of = found[name]
        cells = [
            name,
            str(of["n"]),
            f"{of['mean']:.2f} ± {(of['high'] - of['low']) / 2:.2f}",
            f"{of['median']:.2f}",
            f"{of['largest']:.1f}",
            f"{of['sets, 2.5 %']:.2f} to {of['sets, 97.5 %']:.2f}",
            f"{of['paper']:.2f} ± {of['paper, half width']:.2f}",
            f"{of['as far out'] * 100:.1f}",
            f"{of['and as close together'] * 100:.3f}",
        ]
        rows.append(cells)
    return "\n".join(
        [*lines, grid((*titles, "as far out, %", "and as close together, %"), rows), "", *_of_weights(found)]
    )


def _of_weights(found: dict[str, Any]) -> list[str]:
    """Say how runs from the same weights differ by their data, beside how the weights differ."""
    of = np.array(found["natural, same weights"])
    means, within = of.mean(axis=1), of.std(axis=1, ddof=1)
    shared = half_widths(of.T)
    paper = found["natural"]
    near = int(((means >= paper["paper"]) & (shared <= paper["paper, half width"])).sum())
    fits = "does not fit" if paper["and as close together"] < 0.025 else "fits"
    return [
        f"The paper's classical figure, mean and interval together, {fits} five runs that have nothing in common. It is the "
        f"initial weights that make ours differ: of {len(of)} sets of "
        f"weights, each trained on {of.shape[1]} sets of data, the means lie between {means.min():.2f} and {means.max():.2f} "
        f"(standard deviation {means.std(ddof=1):.2f}), and the {of.shape[1]} runs from the same weights within "
        f"{np.median(within):.2f} of theirs (median standard deviation; largest {within.max():.2f}). {near} of the {len(of)} "
        "sets of weights give five runs with a mean as large as the paper's and an interval no wider: that is how its figure "
        "could come about. Whether its runs had weights in common is not known to us, and so the "
        "difference stays open.\n",
    ]


def order() -> str:
    """Say how well the curriculum's order agrees with difficulty."""
    found = json.loads((RESULTS / "order.json").read_text())
    tasks = [name for name in found if name != "made"]
    lines = [
        "## Whether the curriculum orders by difficulty\n",
        "Rank correlation (Spearman) of its order with the loss of the network that ordered, of another network, and of what "
        "comes of scores taken in a shuffled order and used as if in the set's own, as in the authors' code.",
        "`python benchmarks/order.py`\n",
    ]
    rows = [
        [name, str(next(iter(found[name].values()))["n"]), *(_correlation(values) for values in found[name].values())]
        for name in tasks
    ]
    return "\n".join([*lines, grid(["Task", "n", *found[tasks[0]]], rows)]) + "\n"


def subset() -> str:
    """Say whether pretraining on a part of the set saves gradients, by how many numbers a parameter has to fit."""
    found = json.loads((RESULTS / "subset_pretraining.json").read_text())
    problems = [name for name in found if name not in ("made", "within")]
    n = next(iter(found[problems[0]].values()))["gradients"]["n"]
    lines = [
        "## Whether pretraining on a part of the set saves gradients\n",
        "L-BFGS on a part to its optimum, then on all until the objective is within "
        f"{found['within'] * 100:g} % of its minimum: gradients of single examples, over those that training on all from the "
        f"start takes to the same (geometric means with 95 % intervals, n = {n}); then by how much the part's optimum misses "
        "the minimum, and the test figure at the end (mean squared error, or error rate) less that of training on all. Below "
        "1 gradients are saved. `python benchmarks/subset.py`\n",
    ]
    titles = (
        "Problem",
        "Q of the part",
        "part, %",
        "gradients, times all",
        "excess at the part's optimum, %",
        "test, less all",
    )
    rows = []
    for name in problems:
        for ratio, values in found[name].items():
            gradients, test = values["gradients"], values["test less that of all"]
            excess = values["excess at the part's optimum"]
            cells = [
                name,
                ratio,
                f"{values['share of the set']['mean'] * 100:.3g}",
                f"{gradients['mean']:.2f} ({gradients['low']:.2f} to {gradients['high']:.2f})",
                f"{excess['mean'] * 100:.3g}",
                f"{test['mean']:+.4f} ± {(test['high'] - test['low']) / 2:.4f}".replace("-", MINUS),
            ]
            rows.append(cells)
    return "\n".join([*lines, grid(titles, rows)]) + "\n"


def _correlation(values: dict[str, float | None]) -> str:
    mean, low, high = values["mean"], values["low"], values["high"]
    half = f" ± {(high - low) / 2:.3f}" if low is not None and high is not None else ""
    return f"{mean:.3f}{half}".replace("-", MINUS)


def origins() -> str:
    """Say where the runs of each folder were made."""
    lines = ["## Where the runs were made\n"]
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        runs = Store(folder).runs()
        if not runs:
            continue
        made = sorted({(short(run.provenance["commit"]), run.provenance["machine"]["cpu"]) for run in runs})
        torch = sorted({run.provenance["versions"]["torch"] for run in runs})
        where = "; ".join(f"commit {commit} on {cpu}" for commit, cpu in made)
        lines.append(f"- {folder.name}: {len(runs)} runs, torch {', '.join(torch)}, {where}.")
    return "\n".join(lines) + "\n"


def answered(done: Reproduction) -> list[Shown]:
    """Give the panels that the page shows: those that answer something, and none where they do not together."""
    there = [shown for shown in done.shown if shown.summary is not None and not unanswered(shown)]
    varied = len({shown.panel.task for shown in done.shown}) < len(done.shown)
    return [] if varied and len(there) < 2 else there  # one value of what is varied answers nothing


def draw() -> None:
    """Draw the figures of what the page shows, and remove those of what it no longer does."""
    for exhibit in (*PAPER, *STUDIES):
        place = Path(FIGURES) / f"{exhibit.name}.png"
        place.unlink(missing_ok=True)
        if exhibit.plot is not None and (there := answered(stored(exhibit))):
            exhibit.plot(exhibit, there, place)

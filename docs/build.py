"""Write what is generated in the documentation: python docs/build.py.

The index of methods comes from the registry; the README's figures and picture come from the stored runs in results/.
"""

import json
import re
from typing import Any

import method_cards
import results_page
from build_tools import ROOT, short

from learn2mix import registry
from learn2mix.bench.analysis import stats, wording
from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.palette import swatches
from learn2mix.bench.analysis.summary import verdict
from learn2mix.bench.exhibits import Exhibit, Panel, views

INDEX = ROOT / "docs" / "methods" / "README.md"
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "digits.svg"
FAMILIES = {
    "policy": "Policies: how the proportions move",
    "selector": "Selectors: which examples of a group fill its seats",
    "loss": "Losses: what an error costs",
    "transform": "Transforms: what is done to a batch",
    "schedule": "Schedules: what training does when",
    "post-hoc": "Post-hoc: what is done to a trained network",
    "method": "Methods of the bench: whole ways to train",
}
registry.load()
COLUMNS = ("Method", "n", "Test error, %", "Difference to classical", "95 % interval", "Verdict", "Worst group, %")
DRAWN = ("classical", "learn2mix", "natural", "balanced")


def index() -> str:
    """Give the index of methods: a table a family, a line a member, each linked to its card."""
    parts = ["# Methods\n\nWritten by `python docs/build.py` from the registry; do not edit.\n"]
    for family, title in FAMILIES.items():
        rows = [f"| [{e.name}]({e.name}.md) | {e.summary} | {e.reference} |" for e in registry.entries(family)]
        parts.append(
            "\n".join([f"## {title}\n", "| name | what it is | reference |", "| --- | --- | --- |", *rows]) + "\n"
        )
    return "\n".join(parts)


def summary(task: str) -> TaskSummary:
    """Give the figures of a task's stored runs of the paper's methods and two controls."""
    panel = Exhibit(task, task, (Panel(task),), views.at_the_end)
    found = results_page.stored(panel).shown[0].summary
    assert found is not None, f"no run of {task} is stored"
    return found


def table(task: str) -> str:
    """Give a task's results as a Markdown table, with a sentence and where the runs were made."""
    found = summary(task)
    columns = {column.title: column for column in wording.results_table(found)}
    chosen = [columns[title] for title in COLUMNS]
    rules = ["---:" if column.numeric else "---" for column in chosen]
    lines = [[column.title for column in chosen], rules, *zip(*(column.cells for column in chosen), strict=True)]
    rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    controls = " ".join(against(found, control) for control in ("natural", "balanced"))
    all_made = [run.provenance for arm in found.arms for run in arm.runs.values()]
    made = all_made[0]
    where = f"{made['machine']['cpu']}, {made['machine']['cores']} cores, torch {made['versions']['torch']}"
    commits = ", ".join(sorted({short(one["commit"]) for one in all_made}))
    return f"{wording.headline(found)}\n\n{rows}\n\n{controls}\n\nMade on: {where}, commit {commits}.\n"


def against(found: TaskSummary, control: str) -> str:
    """Say how learn2mix ends against a control, paired by seed, in points of error."""
    final = {
        arm.name: {seed: run.curves["test_metric"][-1] * 100 for seed, run in arm.runs.items()} for arm in found.arms
    }
    difference = stats.paired_difference(final["learn2mix"], final[control])
    interval = (
        f"{difference.low:+.2f} to {difference.high:+.2f}, n = {difference.n}; interval alone: {verdict(difference)}"
    )
    return f"Learn2mix less {control}: {difference.mean:+.2f} points ({interval}).".replace("-", wording.MINUS)


def readme() -> str:
    """Give the README with its generated parts renewed."""

    def renew(match: re.Match[str]) -> str:
        return f"{match[1]}\n{table(match[2])}{match[3]}"

    text = re.sub(r"(<!-- results: (\S+) -->)\n.*?(<!-- end -->)", renew, README.read_text(), flags=re.DOTALL)
    text = re.sub(
        r"<!-- tuned -->\n.*?<!-- end -->",
        lambda _: f"<!-- tuned -->\n{results_page.tuned_table()}<!-- end -->",
        text,
        flags=re.DOTALL,
    )
    counted = f"<!-- verdicts -->\n{results_page.verdict_counts()}<!-- end -->"
    return re.sub(r"<!-- verdicts -->\n.*?<!-- end -->", lambda _: counted, text, flags=re.DOTALL)


def benchmarks() -> str:
    """Give the page of benchmarks from the figures that `make bench` kept."""
    found = json.loads((ROOT / "results" / "benchmarks.json").read_text())
    machine, versions = found["made"]["machine"], found["made"]["versions"]
    batches, step, scale, replicas = (found[name] for name in ("batches", "step", "scale", "replicas"))
    cases = [(case, values) for case, values in scale.items() if isinstance(values, dict)]
    lines = [
        "# Benchmarks\n\nWritten by `make bench`; do not edit. Ratios are between things that took turns in one run; single",
        f"times are this machine's ({machine['cpu']}, {machine['cores']} cores, torch {versions['torch']}, numpy",
        f"{versions['numpy']}), at commit {short(found['made']['commit'])}.\n",
        "## Forming batches\n",
        f"{batches['what'].capitalize()}, each with its start: {batches['learn2mix_us_per_batch']} us a batch, torch's",
        f"`BatchSampler(RandomSampler)` {batches['torch_us_per_batch']} us; ratio of epochs, median",
        f"{batches['ratio']['median']:.2f} ({batches['ratio']['min']:.2f} to {batches['ratio']['max']:.2f}) over",
        f"{batches['epochs']} epochs.",
        "`python benchmarks/batches.py`\n",
        "## A training step\n",
        "LeNet-5 on batches of 1000 of MNIST's shape, a whole step with the epoch's start and end shared among its steps:",
        *(
            f"- {name}: {step[name]['ratio_to_classical']:.3f} times a classical step (quartiles "
            f"{step[name]['quartiles'][0]:.3f} to {step[name]['quartiles'][1]:.3f})"
            for name in ("learn2mix", "natural")
        ),
        f"\nA classical step took {step['classical_ms_per_step']} ms; {step['rounds']} rounds. `python benchmarks/step.py`\n",
        "## Size\n",
        f"Batches of 1000, a process a case, medians of {scale['rounds']} runs. Memory is the peak above what the process",
        "held before (the labels themselves not counted). `python benchmarks/scale.py`\n",
        "| case | first batch, ms | peak, MB | a batch, us | batches | in all, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {case} | {_measured(values)} |" for case, values in cases),
        "",
        *(f"- {name}: {value}" for name, value in scale.items() if name.startswith("ratio")),
        "\n## Replicas\n",
        f"{replicas['what'].capitalize()}: {', '.join(map(str, replicas['us_per_local_batch']))} us for",
        f"{', '.join(map(str, replicas['replicas']))} replicas, "
        f"{', '.join(map(str, replicas['ratio_to_one']))} times that of one.",
        "`python benchmarks/replicas.py`",
    ]
    return "\n".join(lines) + "\n"


def _measured(values: dict[str, Any]) -> str:
    if "raises" in values:
        return f"raises: {values['raises']} | | | | "
    keys = ("first_batch_ms", "peak_mb", "us_per_batch", "batches", "total_s")
    return " | ".join(f"{values[key]:,.0f}" if values[key] >= 100 else f"{values[key]:.3g}" for key in keys)


def draw() -> None:
    """Draw the README's picture: test error by epoch, and the path of learn2mix's proportions."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {"svg.hashsalt": "learn2mix", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    found = summary("digits")
    styles = swatches([found])
    for arm in found.arms:
        if arm.name in DRAWN:
            mean = arm.stack("test_metric").mean(axis=0) * 100
            left.plot(arm.stack("epoch")[0], mean, color=styles[arm.name]["colors"][0], label=arm.name)
        if arm.name == "learn2mix":
            shares = arm.stack("proportions").mean(axis=0) * 100
            for group in range(shares.shape[1]):
                colour = plt.get_cmap("viridis")(group / shares.shape[1])
                right.plot(arm.stack("epoch")[0], shares[:, group], color=colour, label=f"digit {group}")
    left.set(xlabel="epoch", ylabel="test error, % (mean of seeds)", yscale="log", title="digits, long-tailed")
    left.legend(frameon=False)
    right.set(xlabel="epoch", ylabel="share of a batch, %", title="make-up of learn2mix's batches", ylim=(0, None))
    right.legend(frameon=False, ncols=2, fontsize=7)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    INDEX.write_text(index())
    for name, text in method_cards.cards().items():
        (method_cards.CARDS / f"{name}.md").write_text(text)
    BENCHMARKS.write_text(benchmarks())
    README.write_text(readme())
    RESULTS.write_text(results_page.page())
    draw()
    results_page.draw()

"""Exports, registry and documentation name the same things."""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import learn2mix
from bench_support import make_run
from learn2mix import registry
from learn2mix.bench.analysis.summary import summarise
from learn2mix.bench.exhibits import Panel, Shown
from learn2mix.bench.reproduce import find_exhibit

registry.load()
DOCS = Path(__file__).parents[1] / "docs"


def load_build():
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))  # the build's own parts lie beside it
    spec = importlib.util.spec_from_file_location("index", DOCS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_index_is_what_the_registry_says():
    build = load_build()
    assert build.INDEX.read_text() == build.index()


def test_every_registered_part_has_a_card_and_every_card_a_part():
    cards = {path.stem for path in (DOCS / "methods").glob("*.md")} - {"README"}
    assert cards == {e.name for e in registry.entries() if e.family != "task"}


@pytest.mark.parametrize("family", [family for family in registry.FAMILIES if family not in ("task", "method")])
def test_exports_are_registered(family):
    module = importlib.import_module(registry.FAMILIES[family])
    registered = {e.part.__name__ for e in registry.entries(family)}
    assert registered <= set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__


def test_top_level_names_exist_and_only_they():
    assert set(dir(learn2mix)) == set(learn2mix.__all__)
    for name in learn2mix.__all__:
        assert getattr(learn2mix, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'mixer_'"):
        learn2mix.mixer_  # noqa: B018


@pytest.mark.parametrize("entry", list(registry.entries()), ids=lambda e: f"{e.family}-{e.name}")
def test_entries_are_complete(entry):
    assert entry.summary
    assert "\n" not in entry.summary
    doc = inspect.getdoc(entry.part)
    assert doc
    assert doc.strip()


def test_public_methods_of_mixer_are_documented():
    for name, member in inspect.getmembers(learn2mix.Mixer):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_code_in_the_documentation_is_run():
    """Pages hold their code as doctests: a fenced Python block without a prompt would not be run."""
    for page in [*DOCS.glob("**/*.md"), DOCS.parent / "CONTRIBUTING.md"]:
        for block in page.read_text().split("```python\n")[1:]:
            assert block.startswith(">>> "), f"{page.name}: {block[:60]!r}"


def test_the_readme_is_what_the_stored_runs_say():
    build = load_build()
    assert build.README.read_text() == build.readme()


def test_the_page_of_benchmarks_is_what_was_measured():
    build = load_build()
    assert build.BENCHMARKS.read_text() == build.benchmarks()


def test_the_three_lines_of_the_readme_train():
    code = (DOCS.parent / "README.md").read_text().split("```python\n")[1].split("```")[0]
    labels = torch.tensor([0] * 1000 + [1] * 100)
    model = torch.nn.Linear(2, 2)
    torch.nn.init.zeros_(model.weight)  # so that both groups' losses are near ln 2 at first, whatever the seed
    torch.nn.init.zeros_(model.bias)
    given = {
        "labels": labels,
        "dataset": TensorDataset(torch.randn(1100, 2), labels),
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters()),
        "epochs": 2,
        "DataLoader": DataLoader,
        "F": torch.nn.functional,
    }
    exec(code, given)
    assert given["mixer"].epoch == 2
    assert given["mixer"].proportions[1] > 0.12  # from 0.09 towards about half, a tenth of the way twice


def test_the_page_of_results_is_what_the_stored_runs_say():
    build = load_build()
    assert build.RESULTS.read_text() == build.results_page.page()
    for line in build.RESULTS.read_text().splitlines():
        if line.startswith("!["):
            assert (DOCS / line.split("(")[1].rstrip(")")).read_bytes().startswith(b"\x89PNG")


def test_every_method_was_measured_and_its_card_says_how_it_did():
    build = load_build()
    for name, text in build.method_cards.cards().items():
        assert build.method_cards.MEASURED in text, f"no run of {name} is stored in the comparison of all methods"
        assert (build.method_cards.CARDS / f"{name}.md").read_text() == text


def test_the_stored_runs_are_small():
    stored = [path for path in (DOCS.parent / "results").rglob("*") if path.suffix in (".parquet", ".json")]
    assert sum(path.stat().st_size for path in stored) < 10e6


PAGES = sorted([*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS.parent).as_posix())
def test_links_lead_somewhere(page):
    """To a file or folder that is there, and in a page to one of its headings."""
    links = re.findall(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)", page.read_text())
    for target, anchor in links:
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}, anchor


def test_what_was_not_run_names_arms_and_seeds():
    page = load_build().results_page
    names = ("classical", "learn2mix", "natural", "balanced")
    runs = [make_run(name, seed, metric="mse") for name in names for seed in range(4)]
    (task,) = summarise(runs).tasks
    shown = Shown(Panel("mnist-reconstruction"), task, fraction=0.5)
    (line,) = page.not_run(find_exhibit("table2"), shown)
    assert line == "mnist-reconstruction: what is beyond 0.5E; more than 4 of 5 seeds; importance, curriculum"
    (line,) = page.not_run(find_exhibit("verdicts"), shown)
    assert {"one-shot", "yoked", "learn2mix-weighted", "group-dro"} <= set(line.split("; ")[-1].split(", "))
    assert "focal" not in line  # which is for classes alone
    assert page.not_run(find_exhibit("table2"), Shown(Panel("mnist-reconstruction"), None)) == ["mnist-reconstruction"]

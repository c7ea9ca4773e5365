"""The shape of the package: imports point one way, what is exported is what is named, files stay short."""

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import learn2mix
from learn2mix import registry

registry.load()
ROOT = Path(learn2mix.__file__).parent
FILES = {
    ".".join(("learn2mix", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}

# A part may import what stands in a line above its own, and its own part.
# "" is the package itself.
LAYERS = {
    "learn2mix": [
        ["checks", "index_file", "registry", "metrics"],
        ["groups", "hooks", "parameters", "replicas"],
        ["updates"],
        ["feedback", "policies", "samplers", "losses", "transforms", "diagnostics"],
        ["checkpoint", "selectors", "schedules", "posthoc"],
        ["", "mixer"],
        ["bench"],
        ["cli"],
    ],
    "learn2mix.bench": [
        ["arithmetic", "budget", "files", "provenance", "record", "search", "seeds", "step_times", "theory"],
        ["analysis", "bundle", "data"],
        ["models", "report", "store"],
        ["tasks"],
        ["training"],
        ["diagnosis", "methods"],
        ["lookup"],
        ["", "runner", "variants"],
        ["clock", "exhibits", "plan"],
        ["compare"],
        ["tuning"],
        ["tuning_folder"],
        ["reproduce"],
    ],
}

# Above 400 lines a file needs a reason, given here.
LONG_FILES: dict[str, str] = {}

PARTS = tuple(family for family in registry.FAMILIES if family not in ("task", "method"))
PUBLIC = ["learn2mix", "learn2mix.samplers", *(registry.FAMILIES[family] for family in PARTS)]


def part_of(module, package):
    """Name the part of a package that a module belongs to, None for a module of another package."""
    inside = f"{module}.".removeprefix(f"{package}.")
    return None if inside == f"{module}." else inside.split(".")[0]


def imports_of(module):
    """Give the learn2mix modules that a module imports, at its top or anywhere within."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("learn2mix"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            if node.module.startswith("learn2mix"):
                below = [f"{node.module}.{name.name}" for name in node.names]  # `from learn2mix import checkpoint`
                yield from (name if name in FILES else node.module for name in below)


@pytest.mark.parametrize(("package", "module"), [(p, m) for p in LAYERS for m in sorted(FILES) if part_of(m, p)])
def test_imports_point_one_way(package, module):
    level = {part: level for level, parts in enumerate(LAYERS[package]) for part in parts}
    part = part_of(module, package)
    if part == "__main__":
        return
    for imported in imports_of(module):
        other = part_of(imported, package)
        assert other in (part, None) or level[other] < level[part], f"{module} imports {imported}"


def test_no_modules_import_each_other():
    graph = {module: set(imports_of(module)) for module in FILES if module != "learn2mix"}
    graph = {module: imported & set(graph) for module, imported in graph.items()}
    while leaves := [module for module, imported in graph.items() if not imported]:
        for leaf in leaves:
            del graph[leaf]
        graph = {module: imported - set(leaves) for module, imported in graph.items()}
    assert not graph, f"imports go in a circle among {sorted(graph)}"


@pytest.mark.parametrize("module", sorted(FILES))
def test_files_stay_short(module):
    lines = len(FILES[module].read_text().splitlines())
    assert lines <= 400 or module in LONG_FILES, f"{module} has {lines} lines: divide it, or give a reason"


def test_folders_are_two_levels_deep():
    assert all(len(module.split(".")) <= 4 for module in FILES)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_exported_is_what_is_named(name):
    module = importlib.import_module(name)
    exported = list(module.__all__)
    assert exported == sorted(exported)
    assert len(exported) == len(set(exported))
    for member in exported:
        assert getattr(module, member) is not None
    modules = {found.name for found in pkgutil.iter_modules(module.__path__)}
    public = {member for member in vars(module) if not member.startswith("_")} - modules - {"annotations"}
    if name != "learn2mix":  # which loads its members when they are asked for
        assert public <= set(exported), "imported, but not in __all__"
    assert set(dir(module)) >= set(exported)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


@pytest.mark.parametrize("entry", [e for family in PARTS for e in registry.entries(family)], ids=lambda e: e.name)
def test_registered_parts_live_in_a_file_of_their_own_and_are_public(entry):
    module = importlib.import_module(entry.part.__module__)
    assert module.__name__.rpartition(".")[2] == entry.name.replace("-", "_")
    home = importlib.import_module(module.__name__.rpartition(".")[0])
    assert entry.part.__name__ in home.__all__
    assert entry.summary
    assert entry.summary[0].islower()
    assert ast.get_docstring(ast.parse(Path(module.__file__).read_text()))


def registers(module):
    """Tell whether a module puts something into the registry, by a decorator or by a call."""
    names = {node.id for node in ast.walk(ast.parse(FILES[module].read_text())) if isinstance(node, ast.Name)}
    return bool(names & {"add", "register"})


@pytest.mark.parametrize("package", registry.FAMILIES.values())
def test_what_registers_itself_is_imported_by_its_package(package):
    """A file that nobody imports would be there in some processes and not in others."""
    registering = {module for module in FILES if module.startswith(f"{package}.") and registers(module)}
    assert registering
    assert registering <= set(imports_of(package))


def test_registering_a_name_twice_is_refused():
    with pytest.raises(ValueError, match="policy 'learn2mix' is registered twice"):
        registry.register("learn2mix", family="policy", summary="again")(object)


CORE_ALONE = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"blocked: {name}")

sys.meta_path.insert(0, Block())
import learn2mix
from learn2mix import Mixer, losses, metrics, policies
mixer = Mixer([0, 0, 1], 2, policy=policies.Learn2Mix())
for batch in mixer.batch_sampler:
    mixer.observe([1.0, 2.0], mixer.groups_of(batch))
mixer.step()
print(sorted(EXTRAS & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_core_needs_torch_and_numpy_alone():
    """Every package of the extras is barred; torch finds out by itself what it can do without."""
    import tomllib

    groups = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    projects = {re.match(r"[\w-]+", need).group() for needs in groups.values() for need in needs} - {"learn2mix"}
    extras = {package for package, names in packages_distributions().items() if projects & set(names)}
    assert {"PIL", "rich", "sklearn"} <= extras
    code = f"EXTRAS = {extras}\n" + CORE_ALONE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_importing_the_package_loads_neither_torch_nor_the_bench():
    code = "import sys, learn2mix; print([m for m in ('torch', 'numpy', 'learn2mix.bench') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("allowed", ["", "test_skipping"])
def test_a_skip_that_is_not_declared_fails_the_run(allowed, tmp_path):
    conftest = (Path(__file__).parent / "conftest.py").read_text()
    conftest = conftest.replace("ALLOWED_SKIPS = {", f'ALLOWED_SKIPS = {{"{allowed or "no such test"}": "declared", ')
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_passing.py").write_text("def test_that_passes(): pass\n")
    (tmp_path / "test_skipping_module.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    (tmp_path / "test_skipping.py").write_text("import pytest\n\n@pytest.mark.skip\ndef test_one(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # for what conftest.py imports
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, env=env)
    told = done.stdout.partition("not in ALLOWED_SKIPS")[2]
    assert ("test_skipping.py::test_one" in told) == ("test_skipping_module.py" in told) == (not allowed), done.stdout
    assert done.returncode == (0 if allowed else 1)

"""The shape of the project, kept by tests: the map, what importing costs, file sizes, names in the public files."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import capflow_assets
from capflow_assets.definitions import STAGES, defs
from capflow_assets.graph.golden import graph_text
from capflow_assets.graph.launch import asset_edges

PACKAGE = Path(capflow_assets.__file__).parent
ROOT = PACKAGE.parent
HEAVY = (
    "sqlalchemy",
    "torch",
    "xgboost",
    "mlflow",
    "pyspark",
    "matplotlib",
    "pandera",
    "pandas",
    "sklearn",
    "scipy",
    "deltalake",
    "numpy",
)
MODULES = sorted(info.name for info in pkgutil.walk_packages([str(PACKAGE)], "capflow_assets."))
FOLDERS = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
LONGEST_FILE = 350


def python(code: str, **environment: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment, cwd=ROOT
    ).stdout


def test_the_golden_graph_is_the_graph():
    golden = (Path(__file__).parent / "graph.txt").read_text()
    assert graph_text(defs) == golden, "an edge has changed: look at it, then run `make graph`"


def test_the_cli_knows_the_same_edges_as_dagster():
    graph = defs.resolve_asset_graph()
    dagster = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert asset_edges(STAGES) == dagster


def test_every_check_is_on_an_asset_and_every_dependency_exists():
    graph = defs.resolve_asset_graph()
    assets = graph.get_all_asset_keys()
    assert {check.asset_key for check in graph.asset_check_keys} <= set(assets)
    assert all(graph.get(key).is_materializable for key in assets), "a dependency names no asset of ours"


def test_every_asset_says_what_it_is():
    for key in defs.resolve_asset_graph().get_all_asset_keys():
        node = defs.resolve_asset_graph().get(key)
        assert node.group_name == key.path[0]
        assert node.owners, key
        assert node.kinds, key
        assert len(node.description or "") > 30, key


def test_importing_any_module_works_in_an_empty_environment():
    names = [name for name in MODULES if not name.endswith("__main__")]
    python("import importlib, sys\nfor name in sys.argv[1:] or " + repr(names) + ": importlib.import_module(name)")


@pytest.mark.parametrize("module", ["capflow_assets.definitions", "capflow_assets.cli.commands"])
def test_the_code_location_loads_without_heavy_libraries(module):
    loaded = python(f"import sys, {module}\nprint(*sys.modules)").split()
    assert sorted(set(HEAVY) & set(loaded)) == []


def test_the_map_in_the_docstring_is_the_tree():
    mapped = set(re.findall(r"^    (\w+)/ ", capflow_assets.__doc__ or "", re.MULTILINE))
    assert mapped == FOLDERS
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert files <= set(re.findall(r"\w+\.py", capflow_assets.__doc__ or ""))


def test_the_map_in_the_readme_is_the_tree():
    way = (ROOT / "README.md").read_text().split("## The way of the data")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)/`", "\n".join(re.findall(r"^\| (.*?) \|", way, re.MULTILINE)))) == FOLDERS


def test_tests_lie_in_the_rooms_that_they_are_about():
    tests = Path(__file__).parent
    here = {path.name for path in tests.iterdir() if (path / "__init__.py").exists()}
    assert here - FOLDERS == {"deploy", "platform", "shapes"}, "deployments, the whole platform, shapes of customers"


def imports_of(module: str) -> set[str]:
    """The modules of the package that one imports, also inside of functions and for types alone."""
    file = PACKAGE.parent.joinpath(*module.split("."))
    source = (file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members & set(MODULES) or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(MODULES) - {module}


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc", "constants", "base"])
def test_no_file_has_a_name_that_says_nothing(name):
    assert not list(PACKAGE.rglob(f"{name}.py"))
    assert not [path for path in PACKAGE.rglob(name) if path.is_dir()]


def test_tests_that_share_something_dear_stay_in_one_process(request):
    """Where several processes share the tests, each test's id ends with its group, which hands them out."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith(f"@{Path(__file__)}"), "pytest and pytest-xdist do not fit together"


def test_no_test_imports_another_one():
    importing = re.compile(r"capflow_assets_tests(\.\w+)*\.test_\w+ import", re.ASCII)
    files = Path(__file__).parent.rglob("*.py")
    assert [str(file) for file in files if importing.search(file.read_text(encoding="utf-8"))] == []


def test_what_benches_and_doubles_run_is_no_test():
    """Names in text count as well: a bench starts processes by the names of modules."""
    files = [
        file for folder in ("bench", "capflow_assets_doubles", PACKAGE.name) for file in (ROOT / folder).rglob("*.py")
    ]
    assert [str(file) for file in files if "capflow_assets_tests" in file.read_text(encoding="utf-8")] == []


def test_no_test_or_bench_imports_a_private_name_of_the_package():
    private = []
    for folder in (Path(__file__).parent, ROOT / "bench", ROOT / "capflow_assets_doubles"):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("capflow_assets"):
                    private += [f"{file}: {alias.name}" for alias in node.names if re.match(r"_[^_]", alias.name)]
    assert private == []

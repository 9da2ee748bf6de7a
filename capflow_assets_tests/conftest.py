"""What every test may ask for: a session on the embedded engine, and one on a JVM to hold it against."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.simulation.brand import Brand, tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.engines import sail_session
from capflow_assets_doubles.homes import EACH_KIND, TestHome, all_of, common_folder, made_once
from capflow_assets_doubles.shared_jvm import shared_session
from capflow_assets_tests.remembered import remember
from capflow_assets_tests.spared import spare

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

remember()
spare()

# What takes minutes, most of them waiting, begins first where several processes share the tests.
LONG = ("platform", "spark_workspace", "plain_workspace")
# Then the files that take a minute and more, the dearest first, so that no process is left alone with one at the end.
SLOW = (
    "model_ways",
    "whole_graph",
    "leaks",
    "forgetting",
    "night_kills",
    "checking",
    "compose",
    "bad_input",
    "tenants",
    "history_kept",
    "bucket",
    "sensors",
    "services",
    "retirement",
    "fuzz",
    "parity",
    "contract",
    "locations",
    "kills",
    "killed_runs",
    "interrupts",
    "side_by_side",
    "foreign_pages",
    "page",
    "moved_homes",
    "odd_places",
    "recovery",
    "table_damage",
    "first_use",
    "real_customers",
    "next_best_action",
    "whole_way",
    "gifts",
    "postgres",
    "broken_champions",
    "row_expressions",
)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook, which comes before those of a conftest
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share something dear stay in one process; the others are handed out file by file."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    order = {name: place for place, name in enumerate((*LONG, *(f"test_{name}" for name in SLOW)))}
    items.sort(key=lambda item: min(order.get(_group(item), len(order)), order.get(item.path.stem, len(order))))


class Files:
    """Says which file begins, where several processes share the tests: dots alone tell nobody what takes so long."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self._begun: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the file of the first of its tests."""
        file = nodeid.split("::")[0].removeprefix("capflow_assets_tests/")
        if file not in self._begun:
            self._begun.add(file)
            reporter = self._plugins.getplugin("terminalreporter")
            reporter.ensure_newline()
            reporter.write_line(f"{file} begins")


def pytest_configure(config: pytest.Config) -> None:
    """Say what runs, in the process that hands the tests out."""
    if getattr(config.option, "numprocesses", None) and config.option.verbose == 0:
        config.pluginmanager.register(Files(config))


def pytest_collection_finish() -> None:
    """Have the collector look less often, and never again at what is imported: it took a twelfth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 5)


@pytest.fixture
def light_heap() -> None:
    """What is there by now costs the collector no more time: late in a round each of its looks takes seconds."""
    gc.freeze()


def _group(item: pytest.Item) -> str:
    names = getattr(item, "fixturenames", ())
    return next((name for name in LONG if name in names), str(item.path))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The embedded engine, in this process; it is also the session that code finds when it asks for the active one."""
    with sail_session() as session:
        yield session


@pytest.fixture(scope="session")
def jvm(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark on a JVM, after ``spark``, so that the embedded engine stays the active session.

    All processes that the tests are shared among have sessions on the same JVM.
    """
    with shared_session(common_folder(tmp_path_factory) / "jvm") as session:
        yield session


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home in which ``acme``, simulated and large enough for every model, was run once. Do not change it."""
    return _run_once(tmp_path_factory, tiny("acme", seed=1, users=1500, days=500))


@pytest.fixture
def acme_copy(acme: TestHome, tmp_path: Path) -> TestHome:
    """The same home, for a test that changes it: the paths that state remembers are moved along."""
    return acme.copied(tmp_path / "home")


@pytest.fixture(scope="session")
def bills_only(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home in which ``young``, which sends bills alone and those of ten weeks, was run once. Do not change it."""
    return _run_once(tmp_path_factory, tiny("young", seed=2, users=150, days=70, sends=("bills",)))


def _run_once(factory: pytest.TempPathFactory, brand: Brand) -> TestHome:
    """A home in which a customer was run."""

    def run(home: TestHome, files: Path) -> None:
        home.ok("onboard", str(write(simulate(brand), files, settings={"only_models": list(EACH_KIND)})))
        home.ok("run", brand.name, "--select", all_of(*EACH_KIND))
        _promote_all(home, brand.name)

    return made_once(factory, brand.name, run)


def _promote_all(home: TestHome, customer: str) -> None:
    """Make champions of the versions that evidence alone would not have promoted, so that every model answers."""
    status = home.status(customer)
    waiting = [model for model, row in status.items() if row["status"] in ("asks", "not promoted")]
    for model in waiting:
        home.ok("promote", customer, model)
    if waiting:
        parts = [f"{part}/{model}" for model in waiting for part in ("predictions", "health")]
        home.ok("run", customer, "--select", ",".join(parts))

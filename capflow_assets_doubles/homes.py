"""Homes for tests: `capflow` called as a person calls it, in this process, on a home of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    import pytest

# Of the recursive features few, where a test is about other things: all of them take seconds of every run.
FEW_FEATURES = {"features": {"recursive_candidates": {"depth": 1, "windows_days": [28]}}}
# Where a test is about the platform, not about what models say: one of each kind, and no more to train.
FEW_MODELS = {"only_models": ["lifetime_value", "purchase_propensity", "rfm_segments"]}
# One of each kind: an effect, an amount, a list, a chance, a segment, a series.
EACH_KIND = (
    "campaign_uplift",
    "lifetime_value",
    "next_basket",
    "purchase_propensity",
    "rfm_segments",
    "visit_forecast",
)
# How much models learn with where tests are not about what they say.
FEWEST = {"epochs": 2, "rounds": 20, "trees": 20, "trials": 2}
# Where a test deals the same bills to other users, which numbers that restart would do as well.
ANY_BILL_NUMBERS = {"checks": {"bill_numbers": {"severity": "warn"}}}
# All tables. Models are added to it by name: one that is not looked at takes a second to say that it rests.
ALL_TABLES = "raw,clean,validation,features"
STATE = ("CAPFLOW_HOME", "CAPFLOW_LAKE", "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "COLUMNS")


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class TestHome:
    """A home and the commands on it.

    Pictures of tables are a third of what a small home's run takes. A test that looks at none, of rows that others
    draw as well, does without: ``has_pictures``.
    """

    __test__ = False
    root: Path
    has_pictures: bool = True

    def capflow(self, *arguments: str) -> Said:
        """Run one command; never raises for what a person would see as an error."""
        from capflow_assets.cli.commands import main

        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        code = 0
        pictures = contextlib.nullcontext() if self.has_pictures else _without_pictures()
        with own_environment(), pictures, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([*arguments, "--home", str(self.root)])
            except SystemExit as stop:
                code = int(stop.code or 0)
        out.seek(0)
        return Said(code, out.read(), err.getvalue())

    def ok(self, *arguments: str) -> str:
        """What a command that must succeed printed."""
        said = self.capflow(*arguments)
        assert said.code == 0, said.err + said.out
        return said.out

    def rows(self, table: str, customer: str) -> list[dict[str, Any]]:
        return json.loads(self.ok("show", table, "--customer", customer, "--format", "json"))

    def copied(self, root: Path) -> TestHome:
        """This home at another place, where it may be changed."""
        shutil.copytree(self.root, root, symlinks=True)
        return replace(self, root=root)

    def report(self, customer: str, model: str, version: int | None = None) -> dict[str, Any]:
        which = ("--version", str(version)) if version else ()
        return json.loads(self.ok("explain", customer, model, "--format", "json", *which))

    def artifacts(self, model: str, version: int, customer: str = "acme") -> str:
        """Where the files of a model's version lie, whether they can be read or not."""
        from capflow_assets.stores.registry import Registry

        registry = Registry(f"sqlite:///{self.root / 'mlflow.db'}", str(self.root / "lake"))
        return registry.artifacts(customer, model, version)

    def status(self, customer: str) -> dict[str, dict[str, Any]]:
        rows = json.loads(self.ok("status", "--customer", customer, "--format", "json"))
        return {row["model"]: row for row in rows}


def small_budgets(*models: str, **more: int) -> dict[str, dict[str, dict[str, int]]]:
    """Settings by which models learn from fewer trees, epochs and trials: for tests of what becomes of an answer.

    ``more`` are further parameters, for those models that have them.
    """
    from capflow_assets.definitions import STAGES

    budgets = FEWEST | more
    fields = {name: STAGES.model(name).model.params.model_fields for name in sorted(models)}
    own = {name: {one: most for one, most in budgets.items() if one in fields[name]} for name in fields}
    return {"models": {name: settings for name, settings in own.items() if settings}}


def all_of(*models: str) -> str:
    """What ``--select`` takes for all tables, and all that there is of these models."""
    return ",".join([ALL_TABLES, *(f"*/{model}" for model in models)])


def features_of(model: str) -> str:
    """What ``--select`` takes for the feature tables that a model reads, and those that they are made of."""
    from capflow_assets.definitions import STAGES
    from capflow_assets.graph.launch import asset_edges, upstream

    read = upstream(asset_edges(STAGES), [f"models/{model}"])
    return ",".join(sorted(table for table in read if table.startswith("features/")))


def made_once(
    factory: pytest.TempPathFactory, name: str, fill: Callable[[TestHome, Path], None], *, has_pictures: bool = True
) -> TestHome:
    """A home that ``fill`` fills, the same one for all processes that the tests are shared among.

    ``fill`` is given the home, and a folder for the customers' files.
    """
    folder = common_folder(factory) / f"home-of-{name}"
    home = TestHome(folder / "home", has_pictures=has_pictures)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "ready").exists():
            fill(home, folder / "files")
            (folder / "ready").touch()
    return home


def common_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all processes that the tests are shared among."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextlib.contextmanager
def _without_pictures() -> Iterator[None]:
    """Tables are computed in this process as where no pictures are wanted."""
    from capflow_assets.graph import customer_tables

    draw = customer_tables.png
    customer_tables.png = None  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        customer_tables.png = draw


@contextlib.contextmanager
def own_environment() -> Iterator[None]:
    """The variables that `capflow` sets, and the width of the screen, are as they were before, afterwards."""
    before = {name: os.environ.get(name) for name in STATE}
    for name in STATE:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

"""What a command can refuse before an engine, Dagster or a database is opened: names and moments mistyped.

Read from the folders alone, which takes milliseconds; the deployment asks the same again (``Deployment.require``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from capflow_assets.errors import NotFoundError, nearest
from capflow_assets.expressions.as_of import parse_moment
from capflow_assets.home.places import Home

PACKAGE = Path(__file__).parents[1]
MODELS = PACKAGE / "models"
OF_MODELS = frozenset({"predictions", "answers", "health", "performance", "delivery"})
TABLE_STAGES = ("raw", "clean", "validation", "features")
MODEL_STAGES = ("models", "predictions", "health", "delivery")
OF_ALL_CUSTOMERS = "fleet/readiness"
# What a module of ``validation`` is that has a check and no table.
CHECK = "-> Finding"
# Where a day begins first: what is ahead of now there is so everywhere.
EARLIEST_ZONE = "Pacific/Kiritimati"
STAGE_AND_TABLE = re.compile(r"[a-z0-9_]+/[a-z0-9_]+", re.IGNORECASE)


def refuse_unknown(home: Home, customers: Iterable[str], model: str | None = None) -> None:
    """Refuse customers and a model that do not exist.

    Raises:
        NotFoundError: names the nearest, and those that there are.
    """
    known = sorted(file.stem for file in home.customers.glob("*.toml"))
    for customer in customers:
        if customer not in known:
            raise NotFoundError.among("customer", customer, known, do=f"capflow onboard FILE.toml (home: {home.root})")
    models = _modules(MODELS)
    if model is not None and model not in models:
        raise NotFoundError.among("model", model, models)


def asset_names() -> set[str]:
    """The assets, ``stage/name``, read off the names of the files that declare them."""
    tables = {OF_ALL_CUSTOMERS} | {
        f"{stage}/{name}" for stage in TABLE_STAGES for name in _modules(PACKAGE / stage, CHECK)
    }
    return tables | {f"{stage}/{name}" for stage in MODEL_STAGES for name in _modules(MODELS)}


def refuse_mistyped_selection(patterns: Iterable[str]) -> None:
    """Refuse a ``stage/name`` to be computed that no asset is called, and one nearly is.

    Whatever else may be said of a pattern is said by the graph.

    Raises:
        NotFoundError: names the nearest, and those that there are.
    """
    known = asset_names()
    for name in (part.strip().lstrip("+") for text in patterns for part in text.split(",")):
        if STAGE_AND_TABLE.fullmatch(name) and name not in known and nearest(name, sorted(known)):
            raise NotFoundError.among("table", name, known)


def refuse_mistyped_table(home: Home, customer: str, table: str) -> None:
    """Refuse a table that is not there and is called nearly as one that is, where the lake is a folder.

    A table that other customers may have is not mistyped: why this one lacks it, and whatever else may be said of a
    table, is for others to say.

    Raises:
        NotFoundError: names the nearest, and those that there are.
    """
    if "://" in home.lake or not STAGE_AND_TABLE.fullmatch(table) or Path(home.lake, customer, table).exists():
        return
    if _is_of_the_package(table):
        return
    logs = Path(home.lake, customer).glob("*/*/_delta_log")
    known = sorted(f"{log.parent.parent.name}/{log.parent.name}" for log in logs)
    if nearest(table, known):
        raise NotFoundError.among(f"table of {customer}", table, known, do=f"materialize it: capflow run {customer}")


def _is_of_the_package(table: str) -> bool:
    stage, _, name = table.partition("/")
    return ((MODELS if stage in OF_MODELS else PACKAGE / stage) / f"{name}.py").is_file()


def _modules(folder: Path, without: str = "") -> list[str]:
    """The names of the public modules of a folder, without those whose text has certain words."""
    files = [file for file in folder.glob("*.py") if not file.stem.startswith("_")]
    return [file.stem for file in files if not without or without not in file.read_text(encoding="utf-8")]


def refuse_moment(as_of: str | None) -> None:
    """Refuse an as-of moment that cannot be read, or that is ahead of now in every time zone.

    Raises:
        CapflowError: says what a moment looks like.
    """
    if as_of is not None:
        parse_moment(as_of, EARLIEST_ZONE)

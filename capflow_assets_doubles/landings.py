"""Landings in tests: a customer's files, a lake, and what a run of one raw table made of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.landing import watermarks
from capflow_assets.landing.rejections import REASON, RESERVED
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLES = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
KEY = b"a key of thirty-two bytes, or so"


def split(frame: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The good rows of a conformed frame with the table's columns alone, and the rejected ones with their reasons."""
    accepted = frame.where(f"{REASON} is null").drop(*RESERVED, *watermarks.COLUMNS)
    return accepted, frame.where(f"{REASON} is not null").select(*RESERVED)


def finding_of(result: TableResult, check: str) -> Any:
    """What a check found in a landing."""
    return next(finding for _, finding in result.findings if finding.check == check)


@dataclass
class Shop:
    """A customer ``shop`` whose tables come from files in a folder, with a lake beside it."""

    folder: Path
    spark: SparkSession

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"), lambda: self.spark)

    def sends(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Replace the table's file."""
        with (self.folder / f"{table}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(["" if value is None else value for value in row] for row in rows)

    def lands(
        self, table: str, columns: Mapping[str, str], *, full: bool = False, key: bytes = KEY, **declared: Any
    ) -> TableResult:
        """Land the table as a run does, with what else the TOML says of it."""
        of_table = {"source": "csv", "location": f"{table}.csv", "max_rejected_pct": 100, "columns": dict(columns)}
        head = {"name": "shop", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "base": str(self.folder)}
        text = tomlkit.dumps(head | {"tables": {table: of_table | declared}})
        customer = parse_customer(text, "shop.toml", TABLES, SOURCES)
        only = frozenset({f"raw/{table}"})
        runner = TableRunner(self.lake, STAGES, SOURCES, customer, only, full=full, key=lambda: key)
        (result,) = runner.run()
        return result

    def landed(self, table: str, **how: Any) -> TableResult:
        """Land the table, which must succeed."""
        result = self.lands(table, **how)
        assert result.status == "done", result.reason
        return result

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What lies in a table of the lake, in order of its text; nothing where there is none."""
        if not self.lake.exists("shop", table):
            return []
        return sorted(self.lake.arrow("shop", table).to_pylist(), key=repr)

    def files(self) -> set[str]:
        """Every file of the lake but the notes about the last landing, which are written anew."""
        paths = (self.folder / "lake").rglob("*")
        return {str(file) for file in paths if file.is_file() and "/landed/" not in str(file)}

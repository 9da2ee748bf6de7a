"""Which export a row came with, where a table comes in several, and which of them say which is the later.

Several files are several exports, but for those whose names tell that they are parts of one: ``part-00003-….parquet``,
``0002_part_00``, ``bills-000000000007.csv``, ``bills_2_of_5.csv``, folders such as ``store=12``. What the export of a
row is called orders it as people would order names: ``export-9`` before ``export-10``. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import EXPORT, Finding, HasFiles, Source, Table
from capflow_assets.errors import CapflowError, MappingError, listed, nearest, shortened
from capflow_assets.landing import mappings, values

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

CHECK = "overlapping_exports"
BY_NAME, BY_TIME, PARTS = "name", "modified", "none"
# Those that cleaning makes one row per key of, or one bill.
TABLES = ("bills", "line_items", "users", "items")
# Of lists, the newest is what everybody expects; bills that change are told.
LISTS = ("users", "items")
PART_NUMBERS = (
    r"(?<=[^/=]=)[^/]+(?=/)",  # the value of a partition's folder
    r"(?<![^/])part-\d+(-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?([-.]c\d+)?",  # Spark
    r"(?<![^/])\d+_part_\d+",  # Redshift
    r"(?<!\d)0000\d{8}(?!\d)",  # BigQuery; a time has no year 0
    r"(?<![^/])data_\d+_\d+_\d+",  # Snowflake
    r"(?<![^/_. -])\d+[_. -]?of[_. -]?\d+(?![^/_. -])",
    r"(?<![^/_. -])(?:part|chunk|piece|shard)[_. -]?\d+(?![^/_. -])",
)


def export_name(file: str) -> str:
    """What the export is called that a file is, or is a part of.

    >>> export_name("2024/part-00003-0b1c5d0e-8f7a-4a54-9d3c-1f0e6f1b2a3c-c000.parquet"), export_name("b_2_of_5.csv")
    ('2024/*.parquet', 'b_*.csv')
    >>> export_name("store=12/bills-2024-03.csv"), export_name("bills.csv")
    ('store=*/bills-2024-03.csv', 'bills.csv')
    """
    for pattern in PART_NUMBERS:
        file = re.sub(pattern, "*", file)
    return file


def labels(files: Mapping[str, datetime | None], by: str | None) -> dict[str, str]:
    """What the export of each file is called; empty where all are of one. Times are needed ``by`` modification alone.

    >>> labels({"march.csv": None, "april.csv": None}, None)
    {'march.csv': 'march.csv', 'april.csv': 'april.csv'}
    >>> labels({"part-0.csv": None, "part-1.csv": None}, "name"), labels({"a.csv": None, "b.csv": None}, "none")
    ({}, {})
    """
    names = {file: export_name(file) for file in files}
    if by == PARTS or len(set(names.values())) < 2:
        return {}
    if by != BY_TIME:
        return names
    newest: dict[str, str] = {}
    for file, name in names.items():
        moment = files[file]
        newest[name] = max(newest.get(name, ""), moment.strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else "")
    return {file: f"{newest[name]} {name}" for file, name in names.items()}


def labelled(frame: DataFrame, file: Expression, named: Mapping[str, str]) -> DataFrame:
    """The rows of a source with what their export is called, as ``named`` for each ``file``."""
    from pyspark.sql import functions as F

    known = frame.sparkSession.createDataFrame(list(named.items()), f"_file string, {mappings.LABEL} string")
    return frame.withColumn("_file", file).join(F.broadcast(known), "_file", "left").drop("_file")


def column(by: str | None) -> str | None:
    """The source's column that tells the export of a row, if one is to; in backquotes where it is called ``name``."""
    return None if by in (None, BY_NAME, BY_TIME, PARTS) else str(by).strip("`")


def reading(frame: DataFrame, by: str, written: values.Reading, name: str = "") -> Expression:
    """The export that the source's column ``by`` tells, as text: times by the source's formats as ISO 8601.

    Raises:
        MappingError: the source has no such column.
    """
    from pyspark.sql import functions as F

    if by not in frame.columns:
        near = nearest(by, frame.columns)
        raise MappingError(
            "exports_by is no column of the source",
            expected=f"{BY_NAME}, {BY_TIME}, {PARTS} or one of {listed(c for c in frame.columns if c[0] != '_')}",
            came=repr(shortened(by)),
            where=name,
            do=f"did you mean {near!r}?" if near else "name one of them",
        )
    source, kind = F.col(mappings.quoted(by)), frame.schema[by].dataType
    text = values.trimmed(values.text(source, kind))
    if kind.typeName() in ("double", "float", "decimal"):
        return source.try_cast("decimal(38,9)").cast("string")
    if not (kind.typeName() in ("timestamp", "timestamp_ntz") or (kind.typeName() == "string" and written.formats)):
        return text
    return F.coalesce(values.value(source, kind, "timestamp", written).cast("string"), text)


def is_overlap_possible(table: str, watermark: str | None) -> bool:
    """Whether it matters which export a row came with: with a watermark newer rows replace as it says."""
    return table in TABLES and not watermark


def key(table: Table) -> str:
    """The column of what may come in several exports: a table's key; of line items, their bill."""
    return table.key[0] if table.key else "bill_id"


def overlap(frame: DataFrame, column: str) -> DataFrame:
    """How many different values of ``column`` came in several exports (``shared``), and one of them with two."""
    from pyspark.sql import functions as F

    ends = frame.groupBy(column).agg(F.min(EXPORT).alias("one"), F.max(EXPORT).alias("other"))
    shared = ends.where("one <> other")
    return shared.agg(F.count(F.lit(1)).alias("shared"), F.min(F.struct(column, "one", "other")).alias("such"))


def finding(table: str, by: str | None, exports: int, overlap: Mapping[str, Any] | None) -> Finding:
    """Whether it is said which export is later, where bills came in several. ``found`` is what ``overlap`` gives."""
    shared = int(overlap["shared"]) if overlap else 0
    counts = {"exports": exports, "shared": shared}
    if not overlap or not shared:
        return Finding(CHECK, True, "nothing came in several exports", "warn", counts)
    what = {"bills": "bills", "line_items": "bills", "users": "users", "items": "items"}[table]
    many = f"{shared:,} {what} came in several exports"
    if by is not None:
        return Finding(CHECK, True, f"{many}; the later one holds, by {by}", "warn", counts)
    if table in LISTS:
        return Finding(CHECK, True, f"{many}; the later one holds, by the name of its file", "warn", counts)
    _, one, other = overlap["such"]
    warning = CapflowError(
        f"{many}, and nothing says which is the later: the names of the files decide",
        came=f"{overlap['such'][0]!r} in {one} and in {other}, for one",
        where=f"[tables.{table}]",
        do='say exports_by = "name", "modified" or a column that tells the export; "none" where the files are parts of '
        "one export; or, where numbers of bills come again, bill_key",
    )
    return Finding(
        CHECK, False, str(warning), "warn", counts, ({"bill_id": overlap["such"][0], "in": one, "and": other},)
    )


def problems(key: str, declared: Mapping[str, Any], source: Source | None) -> list[CapflowError]:
    """What is wrong with a table's ``exports_by`` and ``equal_lines``; ``key`` is its place in the TOML."""
    wrong: list[CapflowError] = []
    table = key.rpartition(".")[2]
    if EXPORT in declared["columns"]:
        expected, do = "another name: rows that came in several exports have that one", "choose another name"
        wrong.append(CapflowError(f"{key}.columns.{EXPORT}", expected=expected, came=EXPORT, do=do))
    if "equal_lines" in declared and table != "line_items":
        wrong.append(CapflowError(f"{key}.equal_lines", expected="it for line_items", came=table, do="take it out"))
    if "exports_by" not in declared:
        return wrong
    key, by = f"{key}.exports_by", declared["exports_by"]
    if table not in TABLES:
        wrong.append(CapflowError(key, expected=f"it for one of {listed(TABLES)}", came=table, do="take it out"))
    elif "watermark" in declared:
        do = "take one of them out: with a watermark, newer rows replace older ones already"
        wrong.append(CapflowError(key, expected="no watermark beside it", came="one", do=do))
    elif by in (BY_NAME, BY_TIME) and not isinstance(source, HasFiles):
        do = "name the column that tells when a row was exported; one that is called so goes into backquotes"
        wrong.append(CapflowError(key, expected="a column of the source, which has no files", came=repr(by), do=do))
    return wrong

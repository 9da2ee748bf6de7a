"""Columns that nobody maps cost no row, whatever is in them; the same value under a mapping rejects its row."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.rejections import REASON
from capflow_assets.raw import bills
from capflow_assets.sources import csv, json, sql
from capflow_assets.sources.reading.documents import Columns, batches_of
from capflow_assets.sources.reading.shapes import Shape, Unfit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MAPPING = {"bill_id": "id", "billed_at": "at", "amount": "total"}
AT = '"at": "2024-03-01 09:00:00"'


def reasons(frame: DataFrame, mapping: Mapping[str, str], watermark: str | None = None) -> dict[str, str | None]:
    """Why each bill cannot land; None where it can. A bill whose row is no object has no id."""
    landed = conform(frame, bills.TABLE, mapping, zone="UTC", watermark=watermark)
    return {row.bill_id or "?": row[REASON] for row in landed.select("bill_id", REASON).collect()}


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_a_column_of_a_database_that_holds_something_else(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    spark: SparkSession = request.getfixturevalue(engine)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table bills (id text, at timestamp, total real, due datetime, note text)")
        database.execute("insert into bills values ('1', '2024-03-01 09:00:00', 5.0, '2024-04-01', 'x')")
        database.execute("insert into bills values ('2', '2024-03-01 09:05:00', 7.0, 'soon', cast(x'52e9' as text))")
    database.close()
    frame = sql.read(spark, f"sqlite:///{tmp_path}/shop.db", sql.Options(table="bills"))
    assert reasons(frame, MAPPING) == {"1": None, "2": None}
    by_id = reasons(frame, MAPPING | {"user_id": "coalesce(cast(due as string), '')"})
    assert (by_id["1"], "'soon'" in str(by_id["2"])) == (None, True)
    assert "'soon'" in str(reasons(frame, MAPPING, watermark="due")["2"])
    assert "e9" in str(reasons(frame, MAPPING | {"store_id": "note"})["2"])


VALUES = [
    "NaN",
    "-Infinity",
    "1e999",
    '{"deep": NaN}',
    '1, "weight": 2',
    '"\\ud800"',
    "[" * 120 + "]" * 120,
    "9" * 5000,
]


def test_a_field_of_json_that_nobody_maps(spark: SparkSession, tmp_path: Path) -> None:
    records = [f'{{"id": "{n}", {AT}, "total": {n}, "weight": {value}}}' for n, value in enumerate(["1.5", *VALUES])]
    (tmp_path / "in.jsonl").write_text("\n".join(records), encoding="utf-8")
    frame = json.read(spark, str(tmp_path / "in.jsonl"), json.Options())
    assert reasons(frame, MAPPING) == dict.fromkeys(map(str, range(len(VALUES) + 1)))
    by_id = reasons(frame, MAPPING | {"user_id": "to_json(struct(weight))"})
    # The fourth is text of a column of several kinds, with all that was in it.
    assert sorted(place for place, reason in by_id.items() if reason is None) == ["0", "4"]


def test_what_is_mapped_or_no_record_still_rejects(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        f'{{"id": "1", {AT}, "total": 1}}\n{{"id": "2", {AT}, "total": NaN}}\n{{"id": "3", {AT}\n'
        f'{{"id": "4", {AT}, "total": 1, "total": 1}}\n',
        encoding="utf-8",
    )
    by_id = reasons(json.read(spark, str(tmp_path / "in.jsonl"), json.Options()), MAPPING)
    assert by_id.pop("1") is None
    assert [reason is not None for reason in by_id.values()] == [True, True, True]
    assert "total holds no" in str(by_id["2"])
    assert "twice" in str(by_id["4"])


def test_a_field_beside_the_one_that_is_read_inside_a_document(spark: SparkSession) -> None:
    seen = Shape()
    document: dict[str, Any] = {"id": "1", "card": {"no": "c1", "until": datetime(2030, 1, 1, tzinfo=UTC)}}
    never: dict[str, Any] = {"id": "2", "card": {"no": "c2", "until": Unfit("253402300800000 ms")}}
    for record in (document, never):
        seen.add(record)
    kinds = tuple(shape.arrow() for shape in seen.fields.values())
    columns = Columns(tuple(seen.fields), tuple(seen.fields), kinds, tuple(seen.fields.values()))
    batch = next(batches_of([(document, "a"), (never, "b")], columns, ""))
    assert [row["card"] and row["card"]["no"] for row in batch.to_pylist()] == ["c1", "c2"]
    assert batch.column("_unfit_columns").to_pylist() == [None, ["card.until"]]


def test_a_row_of_too_few_values_is_no_matter_of_one_column(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,at,total,note\n1,2024-03-01 09:00:00,5,x\n2,2024-03-01 09:00:00,5\n")
    by_id = reasons(csv.read(spark, str(tmp_path / "in.csv"), csv.Options()), MAPPING)
    assert (by_id["1"], "has 3 values, not 4" in str(by_id["2"])) == (None, True)

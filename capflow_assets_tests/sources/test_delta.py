"""A customer's own Delta tables: versions and moments, deleted rows, what is missing or strange."""

from __future__ import annotations

import json
import os
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv, delta, parquet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def read(spark: SparkSession, location: Path | str, **options: Any) -> DataFrame:
    return delta.read(spark, str(location), delta.Options(**options))


@pytest.fixture
def bills(tmp_path: Path) -> Path:
    """A table of two versions: rows 1 and 2, then 3 as well."""
    place = tmp_path / "bills"
    columns = {"no": [1, 2], "at": pa.array([AT, None], pa.timestamp("us", "UTC")), "total": [1.5, None]}
    write_deltalake(str(place), pa.table(columns | {"Läden": ["ü", "x"]}), partition_by=["no"])
    write_deltalake(
        str(place),
        pa.table({"no": [3], "at": pa.array([AT], pa.timestamp("us", "UTC")), "total": [9.0], "Läden": ["y"]}),
        mode="append",
    )
    for number in (0, 1):
        log = place / "_delta_log" / f"{number:020}.json"
        moment = datetime(2024, 5, 1 + number, tzinfo=UTC).timestamp()
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"]["timestamp"] = int(moment * 1000)
        log.write_text("\n".join(json.dumps(action) for action in actions))
        os.utime(log, (moment, moment))
    return place


def test_the_newest_rows_with_their_types(spark: SparkSession, bills: Path) -> None:
    frame = read(spark, bills)
    assert dict(frame.dtypes) == {"no": "bigint", "at": "timestamp", "total": "double", "Läden": "string"}
    assert sorted(map(tuple, frame.select("no", "total", "Läden").collect())) == [
        (1, 1.5, "ü"),
        (2, None, "x"),
        (3, 9.0, "y"),
    ]


def test_a_version_and_a_moment(spark: SparkSession, bills: Path) -> None:
    assert read(spark, bills, version=0).count() == 2
    assert read(spark, bills, timestamp="2024-05-01T12:00:00").count() == 2
    assert read(spark, bills, timestamp="2024-05-02T01:00:00+02:00").count() == 2
    assert read(spark, bills, timestamp="2024-05-02T01:00:00Z").count() == 3


@pytest.mark.parametrize("state", [{"version": 9}, {"timestamp": "2001-01-01T00:00:00"}])
def test_a_state_that_never_was(spark: SparkSession, bills: Path, state: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="no such version") as caught:
        read(spark, bills, **state)
    assert str(bills) in str(caught.value)


def test_rows_newer_than(spark: SparkSession, bills: Path) -> None:
    newer = delta.read_newer(spark, str(bills), delta.Options(), "no", 2)
    assert sorted(row.no for row in newer.collect()) == [2, 3]
    assert delta.read_newer(spark, str(bills), delta.Options(), "at", AT).count() == 2
    with pytest.raises(SourceError, match="no column 'nope'"):
        delta.read_newer(spark, str(bills), delta.Options(), "nope", 2)


def test_rows_deleted_by_a_vector_are_gone(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"n": [1, 2, 3]}))
    # A bitmap of the one row 0, as the protocol stores it inside the log.
    bitmap = struct.pack("<iQI", 1681511377, 1, 0) + struct.pack("<IIHHIH", 12346, 1, 0, 0, 16, 0)
    vector = {"storageType": "i", "pathOrInlineDv": _z85(bitmap), "sizeInBytes": len(bitmap), "cardinality": 1}
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    _changed(tmp_path / "t", {"add": {"deletionVector": vector}, "protocol": protocol})
    assert sorted(row.n for row in read(spark, tmp_path / "t").collect()) == [2, 3]


def test_a_table_that_asks_for_what_the_engine_lacks(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"n": [1]}))
    _changed(tmp_path / "t", {"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}})
    with pytest.raises(SourceError, match="cannot be read"):
        read(spark, tmp_path / "t")


@pytest.mark.parametrize("path", ["../theirs/{}", "{}", "file://{}"])
def test_files_outside_of_the_table_are_not_read(spark: SparkSession, tmp_path: Path, path: str) -> None:
    for name in ("theirs", "t"):
        write_deltalake(str(tmp_path / name), pa.table({"secret": [7]}))
    theirs = next((tmp_path / "theirs").glob("*.parquet"))
    written = path.format(theirs.name if path.startswith("..") else theirs)
    _changed(tmp_path / "t", {"add": {"path": written, "size": theirs.stat().st_size}})
    with pytest.raises(Exception, match=r"(?i)path|not found"):
        read(spark, tmp_path / "t").collect()


def test_columns_of_reserved_names_are_renamed(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"_position": ["x"], "_Corrupt_Record": ["y"], "a": [1]}))
    frame = read(spark, tmp_path / "t")
    assert (frame.columns, tuple(frame.collect()[0])) == (["_position_1", "_Corrupt_Record_2", "a"], ("x", "y", 1))
    assert delta.find_rows(str(tmp_path / "t"), delta.Options(), [{"a": "1"}]) == [None]


def test_no_table(spark: SparkSession, tmp_path: Path) -> None:
    for place in ("nope", ".", "a b"):
        with pytest.raises(SourceError, match="There is no Delta table") as caught:
            read(spark, tmp_path / place)
        assert ("beyond ASCII" in str(caught.value)) == (place == "a b")


def test_no_rows_and_many(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "none"), pa.table({"n": pa.array([], pa.int64())}))
    assert read(spark, tmp_path / "none").count() == 0
    for start in range(0, 300_000, 100_000):
        rows = pa.table({"n": range(start, start + 100_000), **{f"c{place}": [place] * 100_000 for place in range(40)}})
        write_deltalake(str(tmp_path / "many"), rows, mode="append")
    assert read(spark, tmp_path / "many").selectExpr("sum(n)", "sum(c39)").collect()[0][0] == 299_999 * 150_000


def test_other_sources_say_which_one_is_meant(spark: SparkSession, bills: Path) -> None:
    for source in (csv, parquet):
        with pytest.raises(SourceError, match='source = "delta"'):
            source.read(spark, str(bills), source.Options())  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [{"version": -1}, {"version": 1, "timestamp": "2024-01-01"}, {"path": "x"}])
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        delta.Options(**wrong)


def test_an_engine_without_delta_says_so(jvm: SparkSession, bills: Path) -> None:
    assert DeltaTable(str(bills)).version() == 1
    with pytest.raises(SourceError, match="cannot be read"):
        read(jvm, bills)


def _changed(place: Path, changes: dict[str, Any]) -> None:
    """Write other values into the actions of a table's first commit."""
    log = place / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        for kind, values in changes.items():
            if kind in action:
                action[kind].update(values)
    log.write_text("\n".join(json.dumps(action) for action in actions))


def _z85(content: bytes) -> str:
    padded = content + b"\0" * (-len(content) % 4)
    text = ""
    for start in range(0, len(padded), 4):
        number = int.from_bytes(padded[start : start + 4], "big")
        text += "".join(Z85[number // 85**power % 85] for power in range(4, -1, -1))
    return text

"""Parquet files as customers send them: pandas' nanoseconds, differing schemas, partitions, broken files."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import parquet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NANOSECONDS = 1_500_000_000_123_456_789


def written(folder: Path, name: str = "bills.parquet", **columns: Any) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file, row_group_size=2)
    return file


def read(spark: SparkSession, location: Path | str) -> DataFrame:
    return parquet.read(spark, str(location), parquet.Options())


def test_types_are_kept(spark: SparkSession, tmp_path: Path) -> None:
    at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    frame = read(
        spark,
        written(
            tmp_path,
            **{
                "Receipt No": [7, None, 9],
                "at": pa.array([at, None, at], pa.timestamp("us", "UTC")),
                "local": pa.array([at.replace(tzinfo=None), None, None], pa.timestamp("us")),
            },
        ),
    )
    assert frame.dtypes == [("Receipt No", "bigint"), ("at", "timestamp"), ("local", "timestamp_ntz")]
    assert frame.count() == 3


def test_nanoseconds_are_read(spark: SparkSession, tmp_path: Path) -> None:
    stamps = [NANOSECONDS, None, NANOSECONDS]
    file = written(
        tmp_path,
        n=[1, 2, 3],
        local=pa.array(stamps, pa.timestamp("ns")),
        at=pa.array(stamps, pa.timestamp("ns", "Europe/Berlin")),
        nested=pa.array([{"t": NANOSECONDS}, None, None], pa.struct([("t", pa.timestamp("ns"))])),
        kind=pa.array(["a", "b", None]).dictionary_encode(),
    )
    frame = read(spark, file)
    assert frame.dtypes == [
        ("n", "bigint"),
        ("local", "timestamp_ntz"),
        ("at", "timestamp"),
        ("nested", "struct<t:timestamp_ntz>"),
        ("kind", "string"),
        ("_position", "string"),
    ]
    shown = frame.orderBy("n").selectExpr("cast(local as string)", "cast(at as string)", "kind").collect()
    assert tuple(shown[0]) == ("2017-07-14 02:40:00.123456", "2017-07-14 02:40:00.123456", "a")
    assert tuple(shown[1]) == (None, None, "b")


def test_files_of_different_schemas(spark: SparkSession, tmp_path: Path) -> None:
    written(tmp_path, "in/1.parquet", a=[1], b=["x"])
    written(tmp_path, "in/deep/2.parquet", b=["y"], a=[1.5], c=[True])
    frame = read(spark, tmp_path / "in")
    assert frame.dtypes == [("a", "double"), ("b", "string"), ("c", "boolean"), ("_position", "string")]
    expected = [(1.0, "x", None, "1.parquet:1"), (1.5, "y", True, "deep/2.parquet:1")]
    assert sorted(map(tuple, frame.collect()), key=str) == expected
    written(tmp_path, "in/3.parquet", a=["text"])
    mixed = read(spark, tmp_path / "in")
    assert mixed.dtypes[0] == ("a", "string")
    assert sorted(row.a for row in mixed.collect()) == ["1", "1.5", "text"]


def test_types_that_engines_have_not_cost_no_other_column(spark: SparkSession, tmp_path: Path) -> None:
    odd = {
        "wide": pa.array([10**50, None], pa.decimal256(60, 0)),
        "pairs": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        "large": pa.array(["x", None], pa.large_string()),
        "day": pa.array([dt.date(2024, 3, 1), None], pa.date64()),
    }
    records = read(spark, written(tmp_path, n=[1, 2], **odd)).orderBy("n").collect()
    assert [row.n for row in records] == [1, 2]
    assert (records[0].wide, records[0].large, str(records[0].day)) == (str(10**50), "x", "2024-03-01")
    written(tmp_path, "in/1.parquet", n=[1], note=[{"a": 1}])
    written(tmp_path, "in/2.parquet", n=[2], note=["plain"])
    assert sorted(row.note for row in read(spark, tmp_path / "in").collect()) == ["plain", '{"a": 1}']


def test_positions_are_the_rows_of_the_file(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, n=[1, 2, 3, 4, 5], t=pa.array([NANOSECONDS] * 5, pa.timestamp("ns")))
    positions = {row.n: row._position for row in read(spark, file).collect()}
    assert positions == {number: f"bills.parquet:{number}" for number in range(1, 6)}


def test_columns_of_reserved_names_are_renamed(spark: SparkSession, tmp_path: Path) -> None:
    plain = read(spark, written(tmp_path, _position=[1], b=[2]))
    assert (plain.columns, tuple(plain.collect()[0])) == (["_position_1", "b"], (1, 2))
    stamps = pa.array([NANOSECONDS], pa.timestamp("ns"))
    by_workers = read(spark, written(tmp_path, "x.parquet", t=stamps, _position=[1]))
    assert by_workers.columns == ["t", "_position_2", "_position"]
    assert by_workers.collect()[0]["_position_2"] == 1


def test_folders_partitions_globs_and_odd_names(spark: SparkSession, tmp_path: Path) -> None:
    written(tmp_path, "plain/deep/1.parquet", a=[1])
    written(tmp_path, "plain/2.parquet", a=[2])
    written(tmp_path, "plain/_tmp/3.parquet", a=[3])
    assert sorted(row.a for row in read(spark, tmp_path / "plain").collect()) == [1, 2]
    assert [row.a for row in read(spark, tmp_path / "plain" / "*.parquet").collect()] == [2]
    written(tmp_path, "parted/day=2020-01-02/1.parquet", a=[1])
    assert set(read(spark, tmp_path / "parted").columns) == {"a", "day"}
    assert read(spark, written(tmp_path, "a b [1] 50%.parquet", a=[4])).collect()[0].a == 4


def test_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, a=pa.array([], pa.int64()), t=pa.array([], pa.timestamp("ns")))
    assert read(spark, file).count() == 0


@pytest.mark.parametrize("content", [b"PAR1 and not much more", b"a,b\n1,2\n"])
def test_a_broken_file(spark: SparkSession, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(spark, tmp_path)


def test_a_file_cut_short(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, a=list(range(1000)))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(spark, file)


def test_nothing_there_and_a_delta_table(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There are no files"):
        read(spark, tmp_path / "nope.parquet")
    with pytest.raises(SourceError, match="There are no files"):
        read(spark, tmp_path)
    written(tmp_path, "t/1.parquet", a=[1])
    (tmp_path / "t" / "_delta_log").mkdir()
    with pytest.raises(SourceError, match="Delta table"):
        read(spark, tmp_path / "t")


def test_find_rows(tmp_path: Path) -> None:
    written(
        tmp_path,
        "in/1.parquet",
        n=[1, 2, 2],
        d=[1.5, None, -3.0],
        t=pa.array([NANOSECONDS, None, None], pa.timestamp("ns")),
    )
    written(tmp_path, "in/2.parquet", n=[2], d=[1e20], t=pa.array([None], pa.timestamp("ns")), b=[True])
    wanted: list[dict[str, str | None]] = [
        {"n": "2", "d": "-3"},
        {"t": "2017-07-14 02:40:00.123456"},
        {"d": "1.0E20", "n": "2"},
        {"b": "true"},
        {"n": "x"},
        {"n": "2", "d": None},
    ]
    numbers = parquet.find_rows(str(tmp_path / "in"), parquet.Options(), wanted)
    assert numbers == [3, 1, 4, 4, None, 2]

"""The file's name and the values of folders called ``key=value`` as columns, of every kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv, json, parquet
from capflow_assets_tests.sources.archives import zipped

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STORES = {"7": "store=7", "A & B": "store=A%20%26%20B", None: "store=__HIVE_DEFAULT_PARTITION__"}


def contents(kind: str, folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    if kind == "csv":
        (folder / "x.csv").write_text(f"id,total\n{number},5\n")
    elif kind == "json":
        (folder / "x.json").write_text(f'{{"id": {number}, "total": 5}}\n')
    else:
        pq.write_table(pa.table({"id": [number], "total": [5]}), folder / "x.parquet")


def rows_by_number(spark: SparkSession, kind: str, location: str, **options: Any) -> dict[Any, Any]:
    source = {"csv": csv, "json": json, "parquet": parquet}[kind]
    frame = source.read(spark, location, source.Options(**options))
    return {int(row.id): row for row in frame.collect()}


@pytest.mark.parametrize(
    ("engine", "kind"), [("spark", "csv"), ("spark", "json"), ("spark", "parquet"), ("jvm", "parquet")]
)
def test_the_values_of_folders(engine: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    spark: SparkSession = request.getfixturevalue(engine)
    for number, folder in enumerate(STORES.values()):
        contents(kind, tmp_path / "in" / folder, number)
    expected = dict(enumerate(STORES))
    for location in (f"{tmp_path}/in/store=*/*.{kind}", f"{tmp_path}/in"):
        rows = rows_by_number(spark, kind, location)
        assert {number: row.store for number, row in rows.items()} == expected
    rows = rows_by_number(spark, kind, f"{tmp_path}/in/store=*/*.{kind}", file_column="file")
    assert rows[0].file == f"store=7/x.{kind}"
    assert "store" not in rows_by_number(spark, kind, f"{tmp_path}/in", folder_columns=False)[0]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_folder_and_a_column_of_one_name(spark: SparkSession, kind: str, tmp_path: Path) -> None:
    contents(kind, tmp_path / "Total=9", 1)
    with pytest.raises(SourceError, match="a column of one name") as caught:
        rows_by_number(spark, kind, f"{tmp_path}/*/*.{kind}")
    assert "folder_columns = false" in str(caught.value)
    assert int(rows_by_number(spark, kind, f"{tmp_path}/*/*.{kind}", folder_columns=False)[1].total) == 5


def test_folders_in_a_zip_and_those_of_some_files_alone(spark: SparkSession, tmp_path: Path) -> None:
    members = {"store=7/a.csv": b"id,total\n1,5\n", "b.csv": b"id,total\n2,5\n"}
    (tmp_path / "in.zip").write_bytes(zipped(members))
    rows = rows_by_number(spark, "csv", str(tmp_path / "in.zip"), file_column="file")
    assert {number: (row.store, row.file) for number, row in rows.items()} == {
        1: ("7", "in.zip!store=7/a.csv"),
        2: (None, "in.zip!b.csv"),
    }


def test_a_folder_of_plain_values_is_read_by_the_engine(spark: SparkSession, tmp_path: Path) -> None:
    for number in (1, 2):
        contents("parquet", tmp_path / "in" / f"store={number}", number)
    rows = rows_by_number(spark, "parquet", f"{tmp_path}/in")
    assert {number: int(row.store) for number, row in rows.items()} == {1: 1, 2: 2}
    assert "_position" not in rows[1]


def test_a_folder_that_the_location_names_is_no_column(spark: SparkSession, tmp_path: Path) -> None:
    contents("csv", tmp_path / "store=7", 1)
    assert "store" not in rows_by_number(spark, "csv", f"{tmp_path}/store=7/x.csv")[1]

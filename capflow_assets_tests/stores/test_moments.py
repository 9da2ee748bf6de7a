"""A table of several moments: one is replaced or removed, and no file of the others is touched."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import moments, partition_of, remove_moments, replace_moment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = "answers/churn"
FIRST = datetime(2024, 6, 30, 21, 59, 59, 999999, tzinfo=UTC)
SECOND = datetime(2024, 7, 1, tzinfo=UTC)


def lake_in(folder: Path) -> Lake:
    return Lake(str(folder), lambda: None)  # type: ignore[arg-type, return-value]


def rows(**columns: list[object]) -> pa.RecordBatchReader:
    table = pa.table(columns)
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def stored(lake: Lake) -> dict[str, dict[str, object]]:
    """The scores by moment and user."""
    by_moment: dict[str, dict[str, object]] = {}
    for row in lake.arrow("acme", TABLE).to_pylist():
        by_moment.setdefault(row["moment"], {})[row["user_id"]] = row["score"]
    return by_moment


def files(lake: Lake) -> dict[str, int]:
    """The data files that the table names, each with the time that it was last written."""
    return {file: Path(file).stat().st_mtime_ns for file in lake.delta("acme", TABLE).file_uris()}


def test_a_moment_replaces_itself_and_leaves_the_others_files_alone(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    replace_moment(lake, "acme", TABLE, FIRST, rows(user_id=["a", "b"], score=[0.1, 0.2]))
    first = files(lake)
    replace_moment(lake, "acme", TABLE, SECOND, rows(user_id=["a"], score=[0.9]))
    version = replace_moment(lake, "acme", TABLE, SECOND, rows(user_id=["c"], score=[0.3]))
    assert version == 2
    assert moments(lake, "acme", TABLE) == [FIRST, SECOND]
    assert stored(lake) == {partition_of(FIRST): {"a": 0.1, "b": 0.2}, partition_of(SECOND): {"c": 0.3}}
    assert first.items() <= files(lake).items()


def test_removed_moments_are_gone_and_the_others_files_stay(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    for day in range(3):
        replace_moment(lake, "acme", TABLE, SECOND + timedelta(days=day), rows(user_id=["a"], score=[float(day)]))
    before = files(lake)
    remove_moments(lake, "acme", TABLE, [SECOND, SECOND + timedelta(days=1)])
    assert moments(lake, "acme", TABLE) == [SECOND + timedelta(days=2)]
    assert stored(lake) == {partition_of(SECOND + timedelta(days=2)): {"a": 2.0}}
    assert files(lake).items() <= before.items()
    version = lake.version("acme", TABLE)
    remove_moments(lake, "acme", TABLE, [])
    assert lake.version("acme", TABLE) == version


def test_there_are_no_moments_of_no_table(tmp_path: Path) -> None:
    assert moments(lake_in(tmp_path), "acme", TABLE) == []


def test_a_moment_in_another_zone_is_the_same_moment(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    replace_moment(lake, "acme", TABLE, SECOND, rows(user_id=["a"], score=[0.1]))
    local = datetime.fromisoformat("2024-07-01T05:30:00+05:30")
    replace_moment(lake, "acme", TABLE, local, rows(user_id=["a"], score=[0.2]))
    assert stored(lake) == {partition_of(SECOND): {"a": 0.2}}


def test_a_new_column_is_null_before_and_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    replace_moment(lake, "acme", TABLE, FIRST, rows(user_id=["a"], score=[0.1]))
    replace_moment(lake, "acme", TABLE, SECOND, rows(user_id=["a"], score=[0.2], amount=[7.0]))
    replace_moment(lake, "acme", TABLE, SECOND + timedelta(days=1), rows(user_id=["a"], score=[0.3]))
    amounts = [(row["score"], row["amount"]) for row in lake.arrow("acme", TABLE).to_pylist()]
    assert sorted(amounts) == [(0.1, None), (0.2, 7.0), (0.3, None)]
    with pytest.raises(CapflowError, match="score string in the place of double"):
        replace_moment(lake, "acme", TABLE, SECOND, rows(user_id=["a"], score=["much"]))
    assert len(moments(lake, "acme", TABLE)) == 3


def test_the_engine_reads_the_moments_as_they_were_written(tmp_path: Path, spark: SparkSession) -> None:
    lake = Lake(str(tmp_path), lambda: spark)
    as_of = pa.array([FIRST, FIRST], pa.timestamp("us", "UTC"))
    replace_moment(lake, "acme", TABLE, FIRST, rows(user_id=["a", None], score=[0.1, None], as_of=as_of))
    frame = lake.table("acme", TABLE).selectExpr("user_id", "score", "unix_micros(as_of) as micros", "moment")
    micros = round((FIRST - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    assert sorted(map(tuple, frame.collect()), key=str) == [
        ("a", 0.1, micros, partition_of(FIRST)),
        (None, None, micros, partition_of(FIRST)),
    ]


MILLIONS = """
import resource, sys
from datetime import UTC, datetime
import pyarrow as pa
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import moments, replace_moment
lake, moment = Lake(sys.argv[1], lambda: None), datetime(2024, 1, 1, tzinfo=UTC)
schema = pa.schema({"user_id": pa.string(), "score": pa.float64()})
def batches(count):
    for start in range(0, count, 50_000):
        users = pa.array([f"user-of-a-long-name-{number:012}" for number in range(start, start + 50_000)])
        values = pa.array(range(start, start + 50_000)).cast(pa.float64())
        yield pa.RecordBatch.from_arrays([users, values], schema=schema)
def peak(count):
    replace_moment(lake, "acme", "answers/churn", moment, pa.RecordBatchReader.from_batches(schema, batches(count)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(peak(100_000), peak(2_000_000), lake.rows("acme", "answers/churn"))
"""


def test_two_million_rows_pass_without_being_held(tmp_path: Path) -> None:
    """They take 92 MB as Arrow holds them; kept in batches they cost a part of that beyond what a few rows cost."""
    command = [sys.executable, "-c", MILLIONS, str(tmp_path)]
    small, large, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(count) == 2_000_000
    assert float(large) - float(small) < 92

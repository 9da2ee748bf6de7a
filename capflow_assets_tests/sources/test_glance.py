from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.landing import conform
from capflow_assets.landing.values import Reading, value
from capflow_assets.raw.bills import TABLE
from capflow_assets.sources import csv
from capflow_assets.sources._glance import instants
from capflow_assets_tests.engines import rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ZONES = ("UTC", "Europe/Madrid", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")
# Hours that a clock in Madrid shows twice and never, days that are none, ends of what is a time, forms that are none.
ODD = (
    "2024-10-27T02:30:00",
    "2024-03-31T02:30",
    "2023-02-29",
    "2024-02-30",
    "1899-12-31",
    "1900-01-01",
    "2199-12-31",
    "2200-01-01",
    "0001-01-01",
    "9999-12-31",
    "2038-07-01",
    "1915-07-01",
    "2024-06-30T24:00",
    "2024-06-30T23:59:60",
    "2024-06-30T10",
    "2024-06-30T1015",
    "2024-06-30Z",
    "2024-06-30T10:15Z",
    "2024-06-30T10:15:00.1234567",
    "2024-06-30T10:15:00.123456000",
    "2024-06-30T10:15:00.",
    "2024-6-30",
    "20240630",
    "1719741600",
    "today",
)
FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f000")
MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001  (local times)
TEXTS = st.builds(lambda moment, form: moment.strftime(form), MOMENTS, st.sampled_from(FORMS))
ANY = st.one_of(
    TEXTS,
    TEXTS,
    TEXTS,
    st.none(),
    st.sampled_from((*ODD, "2024-06-30 25:00", "", " 2024-06-30", "2024-06-30 10:15 ", "-")),
)


def by_rules(spark: SparkSession, texts: list[str | None], zone: str) -> list[datetime | None]:
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    frame = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    found = frame.select("n", value(F.col("text"), StringType(), "timestamp", Reading(zone)).alias("at")).toArrow()
    return [row["at"] for row in sorted(found.to_pylist(), key=lambda row: row["n"])]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=40) | st.lists(ANY, min_size=1, max_size=3), zone=st.sampled_from(ZONES)
)
def test_what_is_seen_is_what_the_rules_say(spark: SparkSession, texts: list[str | None], zone: str) -> None:
    seen = instants(pa.chunked_array([texts], pa.string()), zone)
    told = zip(seen.to_pylist() if seen else [None] * len(texts), by_rules(spark, texts, zone), strict=True)
    assert [pair for pair in told if pair[0] is not None and pair[0] != pair[1]] == []


@pytest.mark.parametrize("odd", ODD)
def test_odd_times_are_left_to_the_rules_or_read_alike(spark: SparkSession, odd: str) -> None:
    seen = instants(pa.chunked_array([[odd]]), "Europe/Madrid")
    found = None if seen is None else seen[0].as_py()
    assert found is None or [found] == by_rules(spark, [odd], "Europe/Madrid")


def test_plain_times_are_seen() -> None:
    texts = ["2024-06-30", "2024-06-30 10:15", None, "2024-12-31T23:59:59.5"]
    seen = instants(pa.chunked_array([texts]), "Europe/Madrid")
    assert seen is not None
    assert seen.to_pylist() == [
        datetime(2024, 6, 29, 22, tzinfo=UTC),
        datetime(2024, 6, 30, 8, 15, tzinfo=UTC),
        None,
        datetime(2024, 12, 31, 22, 59, 59, 500_000, tzinfo=UTC),
    ]


ROWS = (
    *(f"b{number},2024-10-27 {number % 24:02}:30:00,{number}" for number in range(48)),
    "late,2024-03-31 02:30,1",
)


@pytest.mark.parametrize("more", [(), ("odd,soon,1", "never,,1")])
def test_rows_land_alike_with_and_without_a_glance(spark: SparkSession, tmp_path: Path, more: tuple[str, ...]) -> None:
    """``id`` is a time as well as text: what is told of a column as a time is no text's business."""
    file = tmp_path / "bills.csv"
    file.write_text("\n".join(("id,paid_at,total", *ROWS, *more)) + "\n")
    mapping = {"bill_id": "paid_at", "billed_at": "paid_at", "amount": "total"}

    def landed(frame: Any, looked_at: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        return rows_of(conform(frame, TABLE, mapping, zone="Europe/Madrid", looked_at=looked_at))

    plain = csv.read(spark, str(file), csv.Options())
    seen, looked_at = csv.read_at_a_glance(spark, str(file), csv.Options(), {"paid_at", "no_such"}, "Europe/Madrid")
    assert looked_at == ("paid_at",)
    assert [name for name in seen.columns if name not in plain.columns] == ["_seen_paid_at"]
    assert (seen.filter("_seen_paid_at is not null").count() > 0) == (not more)
    assert landed(seen, looked_at) == landed(plain)
    assert len(landed(plain)) == len(ROWS) + len(more)


def test_no_glance_where_forms_are_declared_or_the_name_is_taken(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "bills.csv"
    file.write_text("id,paid_at\n1,2024-06-30\n")
    options = csv.Options(date_format="yyyy-dd-MM")
    plain, looked_at = csv.read_at_a_glance(spark, str(file), options, {"paid_at"}, "UTC")
    assert ("_seen_paid_at" in plain.columns, looked_at) == (False, ())
    for name in ("_seen_paid_at", "_SEEN_PAID_AT"):
        file.write_text(f"{name},paid_at\n1999-01-01,2024-06-30\n")
        taken, looked_at = csv.read_at_a_glance(spark, str(file), csv.Options(), {"paid_at"}, "UTC")
        assert looked_at == ()
        # The customer's own column is one like any other, and nobody's word for what another one says.
        mapping = {"bill_id": name, "billed_at": "paid_at", "amount": "1"}
        made = conform(taken, TABLE, mapping, zone="UTC", looked_at=looked_at).select("bill_id", "billed_at")
        assert made.toArrow().to_pylist() == [{"bill_id": "1999-01-01", "billed_at": datetime(2024, 6, 30, tzinfo=UTC)}]

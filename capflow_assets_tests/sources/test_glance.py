from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.expressions import ids
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.values import NOTHING_SEEN, Reading, value
from capflow_assets.raw.bills import TABLE
from capflow_assets.sources import csv
from capflow_assets.sources.csv.glance import identifiers, instants, numbers
from capflow_assets_doubles.engines import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def by_rules(spark: SparkSession, texts: list[str | None], zone: str, kind: str = "timestamp") -> list[Any]:
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    frame = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    table = frame.select("n", value(F.col("text"), StringType(), kind, Reading(zone)).alias("at")).toArrow()
    return [row["at"] for row in sorted(table.to_pylist(), key=lambda row: row["n"])]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=40) | st.lists(ANY, min_size=1, max_size=3), zone=st.sampled_from(ZONES)
)
def test_what_is_seen_is_what_the_rules_say(spark: SparkSession, texts: list[str | None], zone: str) -> None:
    seen = instants(pa.chunked_array([texts], pa.string()), zone)
    pairs = zip(seen.to_pylist() if seen else [None] * len(texts), by_rules(spark, texts, zone), strict=True)
    assert [pair for pair in pairs if pair[0] is not None and pair[0] != pair[1]] == []


@pytest.mark.parametrize("odd", ODD)
def test_odd_times_are_left_to_the_rules_or_read_alike(spark: SparkSession, odd: str) -> None:
    seen = instants(pa.chunked_array([[odd]]), "Europe/Madrid")
    moment = None if seen is None else seen[0].as_py()
    assert moment is None or [moment] == by_rules(spark, [odd], "Europe/Madrid")


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


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.from_regex(r"[+-]?[0-9]{0,3}[.]?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(("1d", "1f", "0x1F", "1_000", "1,5", " 1", "1 ", "\t1", "--1", ".", "", "1e", "Infinity", "-nan")),
    st.none(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=12))
def test_the_numbers_that_are_seen_are_those_of_the_rules(spark: SparkSession, texts: list[str | None]) -> None:
    alone = [numbers(pa.chunked_array([[text]], pa.string())) for text in texts]
    seen = [column[0].as_py() for column in alone]
    pairs = zip(seen, by_rules(spark, texts, "UTC", "double"), strict=True)
    assert [pair for pair in pairs if pair[0] is not None and repr(pair[0]) != repr(pair[1])] == []
    assert numbers(pa.chunked_array([texts], pa.string())).to_pylist() == seen


def test_plain_numbers_are_seen() -> None:
    seen = numbers(pa.chunked_array([["0", "-1.50", "1e3", None, ".5"]]))
    assert seen.to_pylist() == [0.0, -1.5, 1000.0, None, 0.5]


ID_SIGNS = st.text(st.sampled_from("aZ09-~! \t\x7f\xa0\xe9\u0301\u200b"), max_size=6)
IDS = st.lists(st.none() | st.text(st.sampled_from("aZ09-~! "), max_size=6) | ID_SIGNS, max_size=8)


@settings(max_examples=300, deadline=None)
@given(texts=IDS, start=st.integers(0, 3), more=IDS)
def test_the_ids_that_are_seen_are_their_normal_form(
    texts: list[str | None], start: int, more: list[str | None]
) -> None:
    chunks = [pa.array(texts, pa.string()).slice(start), pa.array(more, pa.string())]
    seen = identifiers(pa.chunked_array(chunks))
    expected = [ids.normal(text) or None for text in (*texts[start:], *more)]
    is_plain = all(
        text is None or (text.isascii() and all(sign.isprintable() for sign in text)) for text in texts[start:] + more
    )
    assert (seen is not None) == is_plain
    if seen is not None:
        pairs = zip(seen.to_pylist(), expected, [*texts[start:], *more], strict=True)
        assert [pair for pair in pairs if pair[0] != (pair[1] if pair[1] == pair[2] else None)] == []


ROWS = (
    *(f"b{number},2024-10-27 {number % 24:02}:30:00,{number}" for number in range(48)),
    "late,2024-03-31 02:30,1",
)


@pytest.mark.parametrize("more", [(), ("odd,soon,1", "never,,1"), ("odd,soon,1", "never,,many")])
def test_rows_land_alike_with_and_without_a_glance(spark: SparkSession, tmp_path: Path, more: tuple[str, ...]) -> None:
    """``id`` is a time as well as text: what is known of a column as a time does not hold of it as text."""
    file = tmp_path / "bills.csv"
    file.write_text("\n".join(("id,paid_at,total", *ROWS, *more)) + "\n")
    mapping = {"bill_id": "paid_at", "billed_at": "paid_at", "amount": "total"}

    def landed(frame: Any, looked_at: Mapping[str, str] = NOTHING_SEEN) -> list[tuple[Any, ...]]:
        return rows_of(conform(frame, TABLE, mapping, zone="Europe/Madrid", looked_at=looked_at))

    plain = csv.read(spark, str(file), csv.Options())
    kinds = {"paid_at": "timestamp", "no_such": "timestamp", "total": "double"}
    seen, looked_at = csv.read_at_a_glance(spark, str(file), csv.Options(), kinds, "Europe/Madrid", mapping.values())
    assert looked_at == {"paid_at": "timestamp", "total": "double"}
    assert [name for name in seen.columns if name not in plain.columns] == ["_seen_paid_at", "_seen_total"]
    in_doubt = sum(text.split(",")[1][:13] in {"2024-10-27 02", "2024-03-31 02"} for text in ROWS)
    assert seen.filter("_seen_paid_at is not null").count() == len(ROWS) - in_doubt
    assert seen.filter("_seen_total is not null").count() == len(ROWS) + len(more) - ("never,,many" in more)
    assert landed(seen, looked_at) == landed(plain)
    assert len(landed(plain)) == len(ROWS) + len(more)


@pytest.mark.parametrize("note", ["plain", '"a ""b"""', 'a"b', '"over', "x,more"])
@pytest.mark.parametrize("item", ["item", "ITEM", "concat(`item`, '')", "concat(Item, no_te)", "to_json(struct(*))"])
def test_columns_that_no_mapping_means_change_nothing(
    spark: SparkSession, tmp_path: Path, note: str, item: str
) -> None:
    file = tmp_path / "bills.csv"
    rows = [f"b{number},i{number},{note if number == 1 else 'n'},-,1" for number in range(3)]
    file.write_bytes("\n".join(("id,item,note,no_te,total", *rows, "")).encode("latin-1"))
    mapping = {"bill_id": "id", "user_id": item, "billed_at": "date'2024-06-30'", "amount": "total"}
    plain = csv.read(spark, str(file), csv.Options())
    seen, looked_at = csv.read_at_a_glance(spark, str(file), csv.Options(), {}, "UTC", mapping.values())
    results = [rows_of(conform(frame, TABLE, mapping, zone="UTC", looked_at=looked_at)) for frame in (plain, seen)]
    assert results[0] == results[1]
    assert seen.columns == plain.columns


def test_no_glance_where_forms_are_declared_or_the_name_is_taken(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "bills.csv"
    file.write_text("id,paid_at\n1,2024-06-30\n")
    for kind, options in (
        ("timestamp", csv.Options(date_format="yyyy-dd-MM")),
        ("timestamp", csv.Options(timestamp_format="yyyy-dd-MM HH:mm")),
        ("double", csv.Options(decimal_comma=True)),
    ):
        plain, looked_at = csv.read_at_a_glance(spark, str(file), options, {"paid_at": kind}, "UTC", ["paid_at"])
        assert ("_seen_paid_at" in plain.columns, looked_at) == (False, {})
    for name in ("_seen_paid_at", "_SEEN_PAID_AT"):
        file.write_text(f"{name},paid_at\n1999-01-01,2024-06-30\n")
        taken, looked_at = csv.read_at_a_glance(
            spark, str(file), csv.Options(), {"paid_at": "timestamp"}, "UTC", [name, "paid_at"]
        )
        assert looked_at == {}
        # The customer's own column is one like any other, and nobody's word for what another one says.
        mapping = {"bill_id": name, "billed_at": "paid_at", "amount": "1"}
        landed = conform(taken, TABLE, mapping, zone="UTC", looked_at=looked_at).select("bill_id", "billed_at")
        assert landed.toArrow().to_pylist() == [
            {"bill_id": "1999-01-01", "billed_at": datetime(2024, 6, 30, tzinfo=UTC)}
        ]

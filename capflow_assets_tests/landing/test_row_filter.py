"""`where` on a table: which rows of a source land at all, and how many it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capflow_assets.errors import CustomerError, MappingError
from capflow_assets.landing import row_filter
from capflow_assets.tables.table_result import TableResult
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = ("id", "at", "total", "Status", "changed")
MAPPING = {"bill_id": "id", "billed_at": "at", "amount": "total"}
AT = "2024-01-01 10:00:00"
# One is paid and good, one paid and unreadable, two are not paid and unreadable, of which one says nothing.
ROWS = [(1, AT, 5, "Paid", 1), (2, AT, "x", "Open", 1), (3, AT, "x", None, 1), (4, AT, "y", "Paid", 1)]
PAID = "Status = 'Paid'"


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


def landed_message(result: TableResult) -> str:
    return next(finding.message for _, finding in result.findings if finding.check == "landed")


def ids(shop: Shop) -> list[str]:
    return [row["bill_id"] for row in shop.rows("raw/bills")]


def test_rows_that_are_left_out_are_counted_and_not_rejected(shop: Shop) -> None:
    shop.sends("bills", COLUMNS, ROWS)
    result = shop.landed("bills", columns=MAPPING, where=PAID)
    assert dict(result.counts) == {"came": 2, "rejected": 1, "left_out": 2}
    assert "2 more were left out by where = \"Status = 'Paid'\" (it is null for 1 of them)" in landed_message(result)
    assert ids(shop) == ["1"]
    assert [row["source_position"] for row in shop.rows("raw/bills_rejected")] == ["bills.csv:5"]


def test_without_a_where_nothing_is_left_out(shop: Shop) -> None:
    shop.sends("bills", COLUMNS, ROWS)
    assert dict(shop.landed("bills", columns=MAPPING).counts) == {"came": 4, "rejected": 3}


def test_a_where_that_leaves_out_everything_keeps_the_last_good_version(shop: Shop) -> None:
    shop.sends("bills", COLUMNS, ROWS)
    shop.landed("bills", columns=MAPPING, where=PAID)
    result = shop.lands("bills", MAPPING, where="Status = 'paid'")
    assert result.status == "failed"
    assert "where leaves out every row of the source of bills" in result.reason
    assert "4 rows were left out" in result.reason
    assert ids(shop) == ["1"]


def test_a_line_that_the_source_cannot_read_is_rejected_whatever_it_says(shop: Shop) -> None:
    (shop.folder / "bills.csv").write_text(f"id,at,total,Status\n1,{AT},5,Paid\n2,{AT}\n3,{AT},5,Open\n")
    result = shop.landed("bills", columns=MAPPING, where=PAID)
    assert dict(result.counts) == {"came": 2, "rejected": 1, "left_out": 1}


def test_a_column_that_only_the_where_asks_is_read(shop: Shop) -> None:
    """Also where the reader brings only the columns that are used."""
    rows = [(n, AT, "5", "Paid" if n % 3 else "Open", n) for n in range(1, 31)]
    shop.sends("bills", COLUMNS, rows)
    result = shop.landed("bills", columns=MAPPING, where="lower(`Status`) = 'paid' and cast(changed as int) <= 15")
    assert dict(result.counts) == {"came": 10, "left_out": 20}


def test_a_typed_source_and_a_truth_value_of_its_own(shop: Shop) -> None:
    table = pa.table({"id": ["1", "2", "3"], "at": [AT] * 3, "total": [1.0, 2.0, 3.0], "paid": [True, None, False]})
    pq.write_table(table, shop.folder / "bills.parquet")
    kept = shop.landed("bills", columns=MAPPING, where="paid", source="parquet", location="bills.parquet")
    assert dict(kept.counts) == {"came": 1, "left_out": 2}


def test_a_bill_without_an_id_gets_one_by_the_rows_that_land(shop: Shop) -> None:
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Paid", 1), (1, AT, 5, "Open", 1), (1, AT, 5, "Paid", 1)])
    without_id = {name: text for name, text in MAPPING.items() if name != "bill_id"}
    shop.landed("bills", columns=without_id, where=PAID)
    assert sorted(bill.rpartition("-")[2] for bill in ids(shop)) == ["1", "2"]


def test_personal_columns_may_be_asked_and_are_hashed_all_the_same(shop: Shop) -> None:
    shop.sends("users", ("card", "mail"), [("U1", "ann@example.com"), ("U2", "test@example.com")])
    result = shop.landed("users", columns={"user_id": "card", "email": "mail"}, where="mail not like 'test@%'")
    assert dict(result.counts) == {"came": 1, "left_out": 1}
    (row,) = shop.rows("raw/users")
    assert row["user_id"] == "U1"
    assert "@" not in row["email"]


def test_newer_rows_that_are_left_out_take_away_what_landed_under_their_key(shop: Shop) -> None:
    """As if everything had been read: a bill that was paid and is cancelled now is gone."""
    how: dict[str, Any] = {"columns": MAPPING, "where": PAID, "watermark": "changed"}
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Paid", 1), (2, AT, 6, "Paid", 1), (3, AT, "x", "Paid", 1)])
    assert dict(shop.landed("bills", **how).counts) == {"came": 3, "rejected": 1}
    newer = [(2, AT, 6, "Void", 2), (3, AT, 7, "Void", 2), (4, AT, 8, "Paid", 2), (5, AT, 9, "Open", 3)]
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Paid", 1), *newer])
    result = shop.landed("bills", **how)
    assert result.how.startswith("rows since")
    assert dict(result.counts) == {"came": 2, "left_out": 3}
    assert ids(shop) == ["1", "4"]
    assert shop.rows("raw/bills_rejected") == []
    assert shop.landed("bills", **how).how == "rows since 3.000000000; nothing has changed"
    shop.landed("bills", full=True, **how)
    assert ids(shop) == ["1", "4"]


def test_newer_rows_may_all_be_left_out(shop: Shop) -> None:
    how: dict[str, Any] = {"columns": MAPPING, "where": PAID, "watermark": "changed"}
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Paid", 1)])
    shop.landed("bills", **how)
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Void", 2)])
    assert dict(shop.landed("bills", **how).counts) == {"came": 0, "left_out": 1}
    assert ids(shop) == []


def test_another_where_reads_everything_again(shop: Shop) -> None:
    shop.sends("bills", COLUMNS, [(1, AT, 5, "Paid", 1), (2, AT, 6, "Open", 1)])
    shop.landed("bills", columns=MAPPING, where=PAID, watermark="changed")
    result = shop.landed("bills", columns=MAPPING, where="Status <> 'Void'", watermark="changed")
    assert "another way" in result.how
    assert ids(shop) == ["1", "2"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("Status", ["no truth value", "string", "`Status` = 'true'"]),
        ("upper(Status)", ["no truth value", "string"]),
        ("Stats = 'Paid'", ["did you mean 'Status'?"]),
        ("exists (select 1 from secrets)", ["where ="]),
        ("count(*) > 1", ["sums up many rows"]),
    ],
)
def test_what_is_no_where(spark: SparkSession, where: str, words: list[str]) -> None:
    frame = spark.createDataFrame([("1", "Paid")], "id string, Status string")
    with pytest.raises(MappingError) as caught:
        row_filter.divided(frame, where, "[tables.bills]")
    assert [word for word in words if word not in str(caught.value)] == []


def test_both_engines_leave_out_the_same(spark: SparkSession, jvm: SparkSession) -> None:
    rows = [("1", "Paid", 1.0), ("2", None, 2.0), ("3", "Open", None), ("4", "Paid", -1.0)]
    kept = []
    for engine in (spark, jvm):
        frame = engine.createDataFrame(rows, "id string, Status string, total double")
        stays, left, is_null = row_filter.divided(frame, "Status = 'Paid' and total > 0")
        counted = row_filter.counted("", left, is_null)
        kept.append(([row.id for row in stays.collect()], counted.rows, counted.unknown))
    assert kept == [(["1"], 3, 1)] * 2  # false and null is false


def test_onboarding_refuses_what_no_where_may_be(tmp_path: Path) -> None:
    from capflow_assets.customers.customer import parse_customer
    from capflow_assets.definitions import SOURCES
    from capflow_assets_doubles.landings import TABLES

    text = f"""
        name = "shop"\nvertical = "x"\ncurrency = "EUR"\ntime_zone = "UTC"\nbase = "{tmp_path}"
        [tables.bills]\nsource = "csv"\nlocation = "bills.csv"\nwhere = "uuid() > 'a'"
        columns = {{ bill_id = "id", billed_at = "at", amount = "total" }}
    """
    with pytest.raises(CustomerError, match=r"tables\.bills\.where"):
        parse_customer(text, "shop.toml", TABLES, SOURCES, known_params={})

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.bills import TABLE, bills
from capflow_assets.clean.line_items import TABLE as CLEAN_LINES
from capflow_assets.errors import TableError
from capflow_assets.raw.bills import TABLE as RAW
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MADRID = "Europe/Madrid"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2024, 6, 1, 13, tzinfo=UTC)


def bill(number: str | None, amount: float | None = 10.0, at: datetime | None = NOON, **more: object) -> dict:
    return {"bill_id": number, "amount": amount, "billed_at": at, **more}


def test_every_bill_is_kept_and_conformed(spark: SparkSession) -> None:
    raw = frame_of(spark, RAW, [bill(" b1 ", user_id=" "), bill("b2", -4.0, user_id="ana "), bill("b3", 0.0)])
    table = bills(raw, zone=MADRID)
    assert table.columns == [*TABLE.names, "removed_because"]
    assert rows_of(
        table, "bill_id", "user_id", "amount", "is_return", "is_anonymous", "line_items", "removed_because"
    ) == [
        ("b1", None, 10.0, False, True, None, None),
        ("b2", "ana", -4.0, True, False, None, None),
        ("b3", None, 0.0, False, True, None, None),
    ]


def test_the_day_is_the_customers(spark: SparkSession) -> None:
    """22:30 UTC is half past midnight in Madrid in summer time and half past eleven in the evening in winter time."""
    times = {
        "before spring": datetime(2024, 3, 30, 22, 30, tzinfo=UTC),
        "in spring": datetime(2024, 3, 31, 22, 30, tzinfo=UTC),
        "before autumn": datetime(2024, 10, 26, 22, 30, tzinfo=UTC),
        "in autumn": datetime(2024, 10, 27, 22, 30, tzinfo=UTC),
        "leap day": datetime(2024, 2, 28, 23, 0, tzinfo=UTC),
    }
    table = bills(frame_of(spark, RAW, [bill(name, at=at) for name, at in times.items()]), zone=MADRID)
    assert dict(rows_of(table, "bill_id", "billed_on")) == {
        "before spring": date(2024, 3, 30),
        "in spring": date(2024, 4, 1),
        "before autumn": date(2024, 10, 27),
        "in autumn": date(2024, 10, 27),
        "leap day": date(2024, 2, 29),
    }


def test_copies_and_corrections_leave_one_bill(spark: SparkSession) -> None:
    raw = [
        bill("same", 5.0),
        bill("same", 5.0),
        bill("same", 5.0),
        bill("corrected", 5.0, NOON),
        bill("corrected", 7.0, LATER),
        bill("fuller", 5.0),
        bill("fuller", 5.0, user_id="ana"),
    ]
    for order in (raw, raw[::-1]):
        table = bills(frame_of(spark, RAW, order), zone=MADRID)
        assert rows_of(table, "bill_id", "amount", "user_id", "removed_because") == [
            ("corrected", 5.0, None, None),
            ("corrected", 7.0, None, "conflicting_duplicate"),
            ("fuller", 5.0, "ana", None),
            ("fuller", 5.0, None, "conflicting_duplicate"),
            ("same", 5.0, None, "duplicate"),
            ("same", 5.0, None, "duplicate"),
            ("same", 5.0, None, None),
        ]


def test_what_no_bill_can_lack_is_set_aside_and_hides_no_good_bill(spark: SparkSession) -> None:
    raw = [
        bill("b1", 3.0),
        bill("b1", None, LATER),
        bill("b2", at=None),
        bill(" "),
        bill(None),
        bill("b3", float("nan")),
    ]
    table = bills(frame_of(spark, RAW, raw), zone=MADRID)
    assert rows_of(table, "bill_id", "removed_because") == [
        ("b1", "no_amount"),
        ("b1", None),
        ("b2", "no_time"),
        ("b3", "no_amount"),
        (None, "no_bill_id"),
        (None, "no_bill_id"),
    ]


def line(number: str, amount: float | None, at: datetime = NOON, **more: object) -> dict:
    return {"bill_id": number, "amount": amount, "billed_at": at, "quantity": 1.0, **more}


def test_bills_are_summed_from_lines_where_none_are_sent(spark: SparkSession) -> None:
    lines = [
        line("b1", 0.1, LATER, user_id="ana", discount=0.5),
        line("b1", 0.2, NOON, user_id="ana", store_id="s1"),
        line("b1", -0.1, LATER, quantity=-1.0),
        line("b2", -3.0),
    ]
    table = bills(line_items=frame_of(spark, CLEAN_LINES, lines), zone=MADRID)
    names = ("bill_id", "user_id", "store_id", "billed_at", "amount", "discount", "quantity", "line_items", "is_return")
    assert rows_of(table, *names, "removed_because") == [
        ("b1", "ana", "s1", "2024-06-01 12:00:00", 0.2, 0.5, 1.0, 3, False, None),
        ("b2", None, None, "2024-06-01 12:00:00", -3.0, None, 1.0, 1, True, None),
    ]


def test_lines_count_and_fill_in_but_do_not_overrule_bills(spark: SparkSession) -> None:
    raw = frame_of(spark, RAW, [bill("b1", 9.0, discount=1.0), bill("b2", 4.0)])
    lines = frame_of(
        spark, CLEAN_LINES, [line("b1", 2.0, user_id="ana", discount=7.0), line("b1", 3.0), line("b9", 1.0)]
    )
    table = bills(raw, lines, zone=MADRID)
    assert rows_of(table, "bill_id", "user_id", "amount", "discount", "quantity", "line_items") == [
        ("b1", "ana", 9.0, 1.0, 2.0, 2),
        ("b2", None, 4.0, None, None, 0),
    ]


def test_an_amount_that_a_bill_lacks_is_the_sum_of_its_lines(spark: SparkSession) -> None:
    """2.10 + 3.20 − 1.00 = 4.30 for b1; b2 has an amount of its own; b3 has no lines, and b4 none with a number."""
    raw = [bill("b1", None), bill("b2", 9.0), bill("b3", None), bill("b4", None), bill("b5", None, at=None)]
    lines = [line("b1", 2.1), line("b1", 3.2), line("b1", -1.0), line("b2", 2.0), line("b4", None), line("b5", 1.0)]
    table = bills(frame_of(spark, RAW, raw), frame_of(spark, CLEAN_LINES, lines), zone=MADRID)
    assert rows_of(table, "bill_id", "amount", "line_items", "removed_because") == [
        ("b1", 4.3, 3, None),
        ("b2", 9.0, 1, None),
        ("b3", None, 0, "no_amount"),
        ("b4", None, 1, "no_amount"),
        ("b5", 1.0, 1, "no_time"),
    ]


def test_a_bill_without_an_amount_hides_none_that_has_one(spark: SparkSession) -> None:
    """Without lines the earlier row says nothing, and the later one is the bill; with lines it is the earlier one."""
    raw = frame_of(spark, RAW, [bill("b1", None, NOON), bill("b1", 3.0, LATER)])
    no_lines, lines = frame_of(spark, CLEAN_LINES, [line("b9", 1.0)]), frame_of(spark, CLEAN_LINES, [line("b1", 2.0)])
    for table in (bills(raw, zone=MADRID), bills(raw, no_lines, zone=MADRID)):
        assert rows_of(table, "billed_at", "amount", "removed_because") == [
            ("2024-06-01 12:00:00", None, "no_amount"),
            ("2024-06-01 13:00:00", 3.0, None),
        ]
    assert rows_of(bills(raw, lines, zone=MADRID), "billed_at", "amount", "removed_because") == [
        ("2024-06-01 12:00:00", 2.0, None),
        ("2024-06-01 13:00:00", 3.0, "conflicting_duplicate"),
    ]


def test_no_rows_and_no_inputs(spark: SparkSession) -> None:
    empty = frame_of(spark, RAW, [])
    no_lines = frame_of(spark, CLEAN_LINES, [])
    for table in (bills(empty, zone=MADRID), bills(empty, no_lines, zone=MADRID), bills(None, no_lines, zone=MADRID)):
        assert rows_of(table) == []
        assert dict(table.dtypes).items() >= {column.name: column.type for column in TABLE.columns}.items()
    with pytest.raises(TableError, match="raw/bills or clean/line_items"):
        bills(zone=MADRID)

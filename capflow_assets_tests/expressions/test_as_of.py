"""The as-of moment as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.errors import CapflowError, TableError
from capflow_assets.expressions.as_of import as_of_moment, newest, parse_moment


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2024-03-31", "Europe/London", "2024-03-31T22:59:59.999999+00:00"),
        ("2024-10-27", "Europe/London", "2024-10-27T23:59:59.999999+00:00"),
        ("2024-01-01", "America/New_York", "2024-01-02T04:59:59.999999+00:00"),
        ("2024-01-01T12:00:00+02:00", "America/New_York", "2024-01-01T10:00:00+00:00"),
        ("2024-01-01 12:00", "Asia/Tokyo", "2024-01-01T03:00:00+00:00"),
        # 2:30 comes twice on the one day and never on the other; at 23:00 the next day begins.
        ("2024-10-27 02:30", "Europe/Madrid", "2024-10-27T01:30:00+00:00"),
        ("2024-03-31 02:30", "Europe/Madrid", "2024-03-31T00:59:59.999999+00:00"),
        ("2024-03-30", "America/Nuuk", "2024-03-31T00:59:59.999999+00:00"),
    ],
)
def test_a_moment_is_read_in_the_customers_zone(text, zone, moment):
    assert parse_moment(text, zone).isoformat() == moment


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "31.12.2024", ""])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(CapflowError, match=r"expected|Expected"):
        parse_moment(text, "UTC")


def test_a_mistyped_year_does_not_move_the_newest_moment(spark):
    bills = spark.sql("select timestamp '2023-05-01 10:00:00.25' as billed_at union all select timestamp '2203-05-01'")
    assert newest(bills).isoformat() == "2023-05-01T10:00:00.250000+00:00"


def test_a_moment_before_the_first_bill_is_refused(spark):
    bills = spark.sql("select timestamp '2023-05-01 10:00:00' as billed_at")
    with pytest.raises(TableError, match="up to 2023-04-30"):
        as_of_moment(bills, parse_moment("2023-04-30", "UTC"))
    later = parse_moment("2023-05-02", "UTC")
    assert as_of_moment(bills, later) == later


def test_a_moment_that_has_not_passed_is_that_of_the_newest_bill(spark):
    """At eleven o'clock the day is not over: its end says no more than the newest bill that is known does."""
    bills = spark.sql(
        "select timestamp '2024-06-29 18:00:00' as billed_at union all select timestamp '2024-06-30 10:00:00' "
        "union all select timestamp '2024-06-30 12:00:00'"
    )
    now = datetime(2024, 6, 30, 11, tzinfo=UTC)
    today, yesterday = (parse_moment(day, "Europe/Madrid", now) for day in ("2024-06-30", "2024-06-29"))
    assert as_of_moment(bills, today, now).isoformat() == "2024-06-30T10:00:00+00:00"
    assert as_of_moment(bills, None, now) == as_of_moment(bills, today, now)
    assert as_of_moment(bills, yesterday, now) == yesterday
    assert as_of_moment(bills, now, now) == now
    tomorrow = now + timedelta(days=1)
    assert as_of_moment(bills, today, tomorrow) == today, "once it has passed, it is what it says"


def test_no_bills_have_no_newest_moment(spark):
    with pytest.raises(TableError, match="There is no bill"):
        newest(spark.sql("select timestamp '2023-05-01' as billed_at where false"))

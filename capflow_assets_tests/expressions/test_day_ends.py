"""A day is as of its last local moment, in every zone."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from capflow_assets.blueprint.calls import call
from capflow_assets.definitions import STAGES
from capflow_assets.expressions.days import end_of_day
from capflow_assets.features.rfm import rfm
from capflow_assets_tests.blueprint import stage_packages

packages = stage_packages.packages


MIDNIGHTS = [
    ("Europe/London", date(2024, 3, 31), 23),
    ("Europe/London", date(2024, 10, 27), 25),
    ("America/New_York", date(2024, 3, 10), 23),
    ("America/New_York", date(2024, 11, 3), 25),
    ("America/Santiago", date(2024, 4, 6), 25),  # the clock goes back at midnight
    ("America/Santiago", date(2024, 9, 8), 23),  # the day has no midnight
    ("Asia/Beirut", date(2024, 3, 31), 23),
    ("America/Havana", date(2024, 11, 3), 25),  # midnight comes twice
    ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
    ("Asia/Kathmandu", date(2024, 5, 5), 24),
    ("Pacific/Kiritimati", date(2024, 5, 5), 24),
    ("Pacific/Pago_Pago", date(2024, 5, 5), 24),
]


@pytest.mark.parametrize(("zone", "day", "hours"), MIDNIGHTS)
def test_a_day_is_as_of_its_last_local_moment(zone, day, hours):
    tick = timedelta(microseconds=1)
    begin, end = end_of_day(day - timedelta(days=1), zone) + tick, end_of_day(day, zone)
    assert (end + tick - begin) / timedelta(hours=1) == hours
    for moment, local in (
        (begin, day),
        (end, day),
        (begin - tick, day - timedelta(days=1)),
        (end + tick, day + timedelta(days=1)),
    ):
        assert moment.astimezone(ZoneInfo(zone)).date() == local


def test_bills_of_the_last_local_moment_are_in_and_those_of_the_next_are_not(spark, packages, tmp_path):
    """Cleaning's local days and the as-of moment agree on where a day ends, in every zone."""
    tick = timedelta(microseconds=1)
    clean = STAGES.tables["clean/bills"]
    for zone, day, _ in MIDNIGHTS:
        end = end_of_day(day, zone)
        rows = [("1", "ann", end, 1.0), ("2", "ann", end + tick, 2.0), ("3", "bob", end + tick, 3.0)]
        sent = spark.createDataFrame(rows, "bill_id string, user_id string, billed_at timestamp, amount double")
        sent = sent.selectExpr("*", *(f"cast(null as {kind}) {name}" for name, kind in UNSENT.items()))
        bills = call(clean, {"raw_bills": sent}, {"zone": zone})
        days = {row.bill_id: row.billed_on for row in bills.collect()}
        assert days == {"1": day, "2": day + timedelta(days=1), "3": day + timedelta(days=1)}, zone
        features = [(row.user_id, row.bills, row.recency_days) for row in rfm(bills, end, zone).collect()]
        assert features == [("ann", 1, 0)], zone


UNSENT = {"store_id": "string", "discount": "double", "quantity": "double"}

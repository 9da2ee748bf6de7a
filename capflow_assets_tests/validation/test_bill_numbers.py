"""Bills whose lines are of several users, stores or days: counted by hand, and what is legitimate passes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.contract import Finding
from capflow_assets.raw.line_items import TABLE as RAW
from capflow_assets.validation.bill_numbers import bill_numbers
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START = datetime(2024, 3, 1, 9, tzinfo=UTC)


def line(bill: str, hours: float = 0, user: str | None = "c1", store: str | None = "A") -> dict[str, Any]:
    return {"bill_id": bill, "user_id": user, "store_id": store, "billed_at": START + timedelta(hours=hours)}


def finding_on(spark: SparkSession, rows: Iterable[dict[str, Any]], **thresholds: float) -> Finding:
    return bill_numbers(frame_of(spark, LINES, []), frame_of(spark, RAW, rows), **thresholds)


def test_numbers_that_restart_are_found_and_the_remedy_is_named(spark: SparkSession) -> None:
    finding = finding_on(
        spark, [line("1"), line("1", 0.1, "c2", "B"), line("1", 24, "c3"), line("1", 48, "c4"), line("2")]
    )
    assert not finding.passed
    assert finding.found == {"bills": 2, "several_users": 1, "several_stores": 1, "several_days": 1}
    assert "1 (50.00 %) of several users, 1 (50.00 %) of several stores, 1 (50.00 %) of several days" in finding.message
    assert 'bill_key = ["store", "day", "bill"]' in finding.message
    assert finding.sample == ({"bill_id": "1", "lines": 4},)


def test_the_key_that_is_proposed_is_of_what_differs(spark: SparkSession) -> None:
    assert 'bill_key = ["store", "bill"]' in finding_on(spark, [line("1"), line("1", store="B")]).message
    assert 'bill_key = ["day", "bill"]' in finding_on(spark, [line("1"), line("1", 25)]).message
    assert (
        'bill_key = ["TILL", "bill"], TILL the source column'
        in finding_on(spark, [line("1"), line("1", 0, "c2")]).message
    )


def test_a_night_shift_a_family_and_blanks_are_one_bill(spark: SparkSession) -> None:
    over_midnight = [line("1", 14), line("1", 18)]
    family = [line("2", user=None), line("2", user=" "), line("2", user=" c1 "), line("2", user="c1", store=None)]
    anonymous = [line("3", user=None, store=None), line("3", user=None, store=None)]
    nobodys = [line(" ", user="c1"), line(" ", user="c2")]
    finding = finding_on(spark, [*over_midnight, *family, *anonymous, *nobodys])
    assert finding.passed
    assert finding.found == {"bills": 3, "several_users": 0, "several_stores": 0, "several_days": 0}


def test_a_few_in_a_hundred_pass_and_a_marketplace_may_have_more(spark: SparkSession) -> None:
    others = [line(f"b{n}") for n in range(99)]
    assert finding_on(spark, [*others, line("x"), line("x", user="c2")]).passed
    orders = [line(f"o{n}", store=store) for n in range(10) for store in "AB"]
    assert not finding_on(spark, orders).passed
    assert finding_on(spark, orders, at_most_stores_pct=100).passed
    assert finding_on(spark, []).passed

"""Ways to write times and numbers that a source may declare, and the option that is named where none was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from capflow_assets.contract import Column, Table
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.suggestions import option_for
from capflow_assets.landing.time_zones import known_zone, known_zones
from capflow_assets.sources import csv, excel
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BAD = "rejected"
Case = tuple[str, dict[str, Any], str, list[Any], list[Any]]


def at(format: str) -> dict[str, Any]:
    return {"timestamp_format": format}


def like(**how: Any) -> dict[str, Any]:
    return {"numbers": NumberFormat(**how)}


# The zone is Berlin's: an hour ahead of UTC in winter, two in summer.
CASES: list[Case] = [
    ("string", at("M/d/yy h:mm a"), "timestamp",
     ["3/1/24 6:05 PM", "12/31/68 12:00 am", "1/2/69 12:30 p.m.", "2/30/24 1:00 PM", "3/1/24 13:00 PM",
      "3/1/2024 6:05 PM"],
     ["2024-03-01 17:05:00", "2068-12-30 23:00:00", "1969-01-02 11:30:00", BAD, BAD, BAD]),
    ("string", {"date_format": "d MMMM yyyy"}, "date", ["1 march 2024", "15 SEPTEMBER 2024", "3 mar 2024"],
     ["2024-03-01", "2024-09-15", BAD]),
    ("string", {"date_format": "d-MMM-yy"}, "date", ["01-MAR-24", "15-sept-24", "1-xxx-24"],
     ["2024-03-01", "2024-09-15", BAD]),
    ("string", at("yyyy-MM-dd HH:mm:ss XX"), "timestamp",
     ["2024-03-01 10:00:00 +0500", "2024-03-01 10:00:00 Z", "2024-03-01 10:00:00 -0330", "2024-03-01 10:00:00"],
     ["2024-03-01 05:00:00", "2024-03-01 10:00:00", "2024-03-01 13:30:00", BAD]),
    ("string", at("yyyy-MM-dd HH:mm:ss.S z"), "timestamp",
     ["2024-03-01 10:00:00.5 EST", "2024-07-01 10:00:00.5 CEST", "2024-07-01 10:00:00.5 IST"],
     ["2024-03-01 15:00:00.5", "2024-07-01 08:00:00.5", BAD]),
    ("string", at("yyyy-MM-dd HH:mm VV"), "timestamp",
     ["2024-07-01 10:00 America/New_York", "2024-01-01 10:00 Asia/Kolkata", "2024-07-01 10:00 Mars/Base"],
     ["2024-07-01 14:00:00", "2024-01-01 04:30:00", BAD]),
    ("string", at("epoch_s"), "timestamp", ["1709287200", "1709287200.25", " 0 ", "-1", "x", "1709287200000", ""],
     ["2024-03-01 10:00:00", "2024-03-01 10:00:00.25", "1970-01-01 00:00:00", "1969-12-31 23:59:59", BAD, BAD, None]),
    ("bigint", at("epoch_ms"), "timestamp", [1709287200123, None], ["2024-03-01 10:00:00.123", None]),
    ("double", at("epoch_s"), "timestamp", [1709287200.5], ["2024-03-01 10:00:00.5"]),
    ("string", {"date_format": "epoch_ms"}, "date", ["1709335800000"], ["2024-03-02"]),
    ("string", at("excel_days"), "timestamp", ["45352.75", "45352", "45352.420138888891", "0", "999999"],
     ["2024-03-01 17:00:00", "2024-02-29 23:00:00", "2024-03-01 09:05:00", BAD, BAD]),
    ("bigint", {"date_format": "excel_days"}, "date", [45352], ["2024-03-01"]),
    ("string", like(thousands=","), "double",
     ["1,234.50", "12,34,567", "12", "-1,000", "1,00", "1e3", ".5", "\u00a05 ", "\u22125"],
     ["1234.5", "1234567.0", "12.0", "-1000.0", BAD, "1000.0", "0.5", "5.0", "-5.0"]),
    ("string", like(thousands=",", currency_sign="$", negative="parentheses"), "double",
     ["$1,234.50", "$ 5", "-$5", "$-5", "5 $", "(12.00)", "($12.00)", "€5", "12.00-", "(5"],
     ["1234.5", "5.0", "-5.0", "-5.0", "5.0", "-12.0", "-12.0", BAD, BAD, BAD]),
    ("string", like(currency_sign=True), "double", ["€5", "5 €", "-£1.5", "EUR 5"], ["5.0", "5.0", "-1.5", BAD]),
    ("string", like(currency_sign="Rs.", thousands=","), "double", ["Rs. 1,500.00", "Rs.5"], ["1500.0", "5.0"]),
    ("string", like(negative="trailing_minus", decimal_comma=True), "double",
     ["12,50-", "1.234,5", "-5", "(3,5)"], ["-12.5", "1234.5", "-5.0", BAD]),
    ("string", like(decimal_comma=True, thousands=" "), "double", ["1 234,50", "1\u202f234", "1.234"],
     ["1234.5", "1234.0", BAD]),
    ("string", like(thousands="'"), "double", ["1'234.50", "1’234"], ["1234.5", "1234.0"]),
    ("string", like(thousands=",", negative="parentheses"), "int", ["1,234", "(5)"], ["1234", "-5"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cases"),
    [("spark", CASES), ("jvm", CASES[:1] + CASES[13:14]), pytest.param("jvm", CASES, marks=pytest.mark.long)],
)
def test_declared_ways_to_write(name: str, cases: list[Case], request: pytest.FixtureRequest) -> None:
    from pyspark.sql import functions as F

    session: SparkSession = request.getfixturevalue(name)
    for kind, how, to, values, expected in cases:
        frame = session.createDataFrame(list(enumerate(values)), f"i int, v {kind}").coalesce(1)
        table = Table("row", (Column("value", to, ""), Column("i", "int", "")))
        rows = conform(frame, table, {"value": "v", "i": "i"}, zone="Europe/Berlin", **how).orderBy("i")
        pairs = rows.select(F.col("value").cast("string"), F.col("rejected_because")).collect()
        assert [BAD if because else value for value, because in pairs] == expected, (how, values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thousands": "."}, "decimal_comma = true"),
        ({"thousands": ",", "decimal_comma": True}, 'thousands = "."'),
        ({"thousands": "x"}, "one of"),
        ({"currency_sign": "5"}, "without digits"),
        ({"negative": "red"}, "parentheses"),
        ({"timestamp_format": "MM/dd HH:mm"}, "needs the year"),
        ({"timestamp_format": "epoch"}, "epoch_s epoch_ms excel_days"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], words: str) -> None:
    for source in (csv, excel):
        with pytest.raises(ValidationError, match=words):
            source.Options.model_validate(options)


@pytest.mark.parametrize(
    ("reason", "option"),
    [
        ("amount: '1,234.50' is not a double", """thousands = "," reads '1,234.50'"""),
        ("amount: '1,234' is not a double", """thousands = "," or decimal_comma = true reads '1,234'"""),
        ("amount: '(12.00)' is not a double", """negative = "parentheses" reads '(12.00)'"""),
        ("quantity: '12-' is not a number", """negative = "trailing_minus" reads '12-'"""),
        ("amount: '€ 5' is not a double", "currency_sign = true reads '€ 5'"),
        ("amount: 'CHF 5' is not a double", """currency_sign = "CHF" reads 'CHF 5'"""),
        ("amount: 'free' is not a double", ""),
        ("item_id is empty", ""),
        ("t: '03/04/2024' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199",
         """timestamp_format = "d/M/yyyy" or timestamp_format = "M/d/yyyy" reads '03/04/2024'"""),
        ("t: '1709287200' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199",
         """timestamp_format = "epoch_s" reads '1709287200'"""),
        ("d: '14 March 2024' is not a date written as yyyy-MM-dd, years 1900 to 2199",
         """date_format = "d MMMM yyyy" reads '14 March 2024'"""),
    ],
)  # fmt: skip
def test_the_option_that_would_read_a_value(reason: str, option: str) -> None:
    assert option_for(reason) == option


def test_a_shop_is_told_the_option_and_lands_with_it(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(tmp_path, spark)
    shop.sends(
        "bills", ["No", "Day", "Total"], [("1", "3/14/24 6:05 pm", "$1,234.50"), ("2", "3/15/24 9:00 AM", "(5)")]
    )
    columns = {"bill_id": "No", "billed_at": "Day", "amount": "Total"}
    refused = shop.lands("bills", columns, max_rejected_pct=0)
    assert 'timestamp_format = "M/d/yy h:mm a"' in refused.reason
    options = {
        "timestamp_format": "M/d/yy h:mm a", "thousands": ",", "currency_sign": True, "negative": "parentheses",
    }  # fmt: skip
    shop.landed("bills", columns=columns, max_rejected_pct=0, options=options)
    rows = [(row["bill_id"], f"{row['billed_at']:%Y-%m-%d %H:%M}", row["amount"]) for row in shop.rows("raw/bills")]
    assert rows == [("1", "2024-03-14 18:05", 1234.5), ("2", "2024-03-15 09:00", -5.0)]


def test_every_zone_that_may_be_declared_is_known_to_both_engines(spark: SparkSession, jvm: SparkSession) -> None:
    from pyspark.sql import functions as F

    zones = sorted(known_zones())
    for session in (spark, jvm):
        frame = session.createDataFrame([(zone,) for zone in zones], "zone string")
        shown = frame.select(
            F.to_utc_timestamp(F.lit("2024-07-01 12:00:00").cast("timestamp"), F.col("zone")).alias("v")
        )
        assert shown.where("v is null").count() == 0
    assert {"Etc/GMT+5", "EST5EDT", "Europe/Kyiv", "UTC", "Australia/Lord_Howe"} <= set(zones)


@pytest.mark.parametrize("zone", ["localtime", "Factory", "posixrules", "ROC", "europe/berlin", "right/UTC", "+02:00"])
def test_zones_that_an_engine_does_not_know(zone: str) -> None:
    with pytest.raises(ValueError, match="an IANA time zone"):
        known_zone(zone)

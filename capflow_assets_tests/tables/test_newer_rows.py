"""Where newer rows come from: the stores that find them, what a TOML may say of them, and what a run reports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES
from capflow_assets.errors import CustomerError
from capflow_assets_doubles.landings import TABLES, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
from capflow_assets_tests.tables.incremental_bills import COLUMNS, LINES, NAMES, NEWER, amounts, bill


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


# -- stores that find newer rows by themselves -----------------------------------------------------------------------


def test_a_store_that_can_is_asked_for_newer_rows(shop: Shop, spark: SparkSession) -> None:
    place = str(shop.folder / "theirs")

    def stored(rows: list[tuple[object, ...]]) -> None:
        schema = "no string, card string, at timestamp, total double, changed timestamp"
        spark.createDataFrame(rows, schema).write.format("delta").mode("overwrite").save(place)  # type: ignore[call-overload]

    def at(day: int) -> datetime:
        return datetime(2024, 5, day, tzinfo=UTC)

    how = NEWER | {"source": "delta", "location": "theirs"}
    stored([("1", "u", at(1), 1.0, at(1)), ("2", "u", at(1), 2.0, at(2))])
    shop.landed("bills", **how)
    stored([("2", "u", at(1), 7.0, at(2)), ("3", "u", at(1), 3.0, at(3))])
    result = shop.landed("bills", **how)
    assert (result.how, result.counts) == ("rows since 2024-05-02 00:00:00", {"came": 2})
    assert amounts(shop) == {"1": 1, "2": 7, "3": 3}


# -- what the TOML may say -------------------------------------------------------------------------------------------

HEAD = 'name = "shop"\nvertical = "x"\ncurrency = "EUR"\ntime_zone = "UTC"\nbase = "/x"\n'


@pytest.mark.parametrize(
    ("table", "more", "words"),
    [
        ("line_items", 'watermark = "changed"', ["tables.line_items.merge_on.", "no key of its own", "merge_on = ["]),
        ("bills", 'merge_on = ["bill_id"]', ["tables.bills.merge_on.", "a watermark beside it"]),
        ("bills", 'watermark = "c"\nmerge_on = ["bil_id"]', ["tables.bills.merge_on.", "did you mean 'bill_id'?"]),
        ("bills", 'watermark = "c"\nmerge_on = "bill_id"', ["tables.bills.merge_on."]),
        ("bills", "watermark = 3", ["tables.bills.watermark.", "Came: 3"]),
    ],
)
def test_what_is_wrong_about_merging(table: str, more: str, words: list[str]) -> None:
    columns = LINES if table == "line_items" else COLUMNS
    text = HEAD + f'[tables.{table}]\nsource = "csv"\nlocation = "x"\n{more}\n[tables.{table}.columns]\n'
    text += "".join(f'{name} = "{source}"\n' for name, source in columns.items())
    with pytest.raises(CustomerError) as caught:
        parse_customer(text, "shop.toml", TABLES, SOURCES)
    for word in words:
        assert word in str(caught.value)


def test_an_id_that_landing_makes_is_no_key_to_merge_on() -> None:
    text = HEAD + '[tables.bills]\nsource = "csv"\nlocation = "x"\nwatermark = "c"\n'
    text += '[tables.bills.columns]\nbilled_at = "at"\namount = "total"\n'
    with pytest.raises(CustomerError, match="bill_id to be mapped"):
        parse_customer(text, "shop.toml", TABLES, SOURCES)


def test_a_watermark_that_the_source_does_not_have(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1)])
    result = shop.lands("bills", columns=COLUMNS, watermark="chaged")
    assert "The watermark is no column of the source" in result.reason
    assert "did you mean 'changed'?" in result.reason


# -- from the terminal -----------------------------------------------------------------------------------------------


def test_a_run_says_what_it_landed_and_full_lands_everything(tmp_path: Path) -> None:
    import dagster as dg

    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.home.places import Home
    from capflow_assets_doubles.homes import TestHome, own_environment

    def landed() -> dict[str, Any]:
        with own_environment(), dagster_instance(Home.of(home.root)) as instance:
            (record,) = instance.fetch_materializations(dg.AssetKey(["raw", "bills"]), limit=1).records
            assert record.asset_materialization is not None
            return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def sends(*rows: tuple[object, ...]) -> None:
        text = "\n".join(",".join(map(str, row)) for row in (NAMES, *rows))
        (tmp_path / "bills.csv").write_text(text + "\n")

    toml = HEAD.replace("/x", str(tmp_path)) + '[tables.bills]\nsource = "csv"\nlocation = "bills.csv"\n'
    toml += 'watermark = "changed"\n[tables.bills.columns]\n'
    (tmp_path / "shop.toml").write_text(toml + "".join(f'{name} = "{source}"\n' for name, source in COLUMNS.items()))
    home = TestHome(tmp_path / "home")
    sends(bill(1, 1, 1), bill(2, 2, 2))
    home.ok("onboard", str(tmp_path / "shop.toml"))
    home.ok("run", "shop", "--select", "raw/bills")
    assert (landed()["landed"], landed()["version"]) == ("everything, since nothing had landed", 0)
    sends(bill(3, 3, 3))
    home.ok("run", "shop", "--select", "raw/bills")
    assert (landed()["landed"], landed()["dagster/row_count"]) == ("rows since 2.000000000", 3)
    home.ok("run", "shop", "--select", "raw/bills", "--full")
    assert (landed()["landed"], landed()["dagster/row_count"]) == ("everything, as asked", 1)
    home.ok("run", "shop", "--select", "raw/bills", "--full")
    assert (landed()["landed"], landed()["version"]) == ("everything, as asked; nothing has changed", 2)


def test_a_database_is_asked_for_newer_rows(shop: Shop) -> None:
    import sqlite3
    from contextlib import closing

    file = shop.folder / "shop.db"

    def runs(*statements: str) -> None:
        with closing(sqlite3.connect(file)) as database, database:
            for statement in statements:
                database.execute(statement)

    how = NEWER | {"source": "sql", "location": f"sqlite:///{file}", "options": {"table": "bills"}}
    columns = "no text primary key, card text, at text, total double, changed bigint"
    runs(f"create table bills ({columns})", "insert into bills values ('1', 'u', '2024-05-02', 1, 1)")
    shop.landed("bills", **how)
    runs(
        "insert into bills values ('2', 'u', '2024-05-02', 2, 2)",
        "update bills set total = 7, changed = 3 where no = 1",
    )
    result = shop.landed("bills", **how)
    assert result.counts == {"came": 2}
    assert amounts(shop) == {"1": 7, "2": 2}
    runs("insert into bills values ('3', 'u', 'never', 2, 4)")
    shop.landed("bills", **how)
    (row,) = shop.rows("raw/bills_rejected")
    assert row["source_position"] == "bills no=3"
    assert shop.landed("bills", **how).version == 1

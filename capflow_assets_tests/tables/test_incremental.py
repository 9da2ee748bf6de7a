"""Landing again: the same data changes nothing, newer rows replace and add, and nothing is lost on the way."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES
from capflow_assets.errors import CustomerError
from capflow_assets.landing.watermarks import Watermark
from capflow_assets.stores.fingerprints import Fingerprint, fingerprint
from capflow_assets.stores.last_landing import read_landed
from capflow_assets_tests.landings import TABLES, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMES = ("no", "card", "at", "total", "changed")
COLUMNS = {"bill_id": "no", "user_id": "card", "billed_at": "at", "amount": "total"}
NEWER: dict[str, Any] = {"columns": COLUMNS, "watermark": "changed"}
LINES = {"bill_id": "no", "item_id": "item", "quantity": "qty", "amount": "total"}


def bill(number: object, amount: object = 1.5, changed: object = 1) -> tuple[object, ...]:
    return number, f"u{number}", "2024-05-02 10:00:00", amount, changed


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


def amounts(shop: Shop) -> dict[str, float]:
    return {row["bill_id"]: row["amount"] for row in shop.rows("raw/bills")}


# -- the same again --------------------------------------------------------------------------------------------------


def test_the_same_rows_again_in_another_order_change_nothing(shop: Shop) -> None:
    rows = [bill(n, "x" if n == 3 else n) for n in range(9)]
    shop.sends("bills", NAMES, rows)
    first = shop.landed("bills", columns=COLUMNS)
    assert (first.version, first.rows, first.how) == (0, 8, "everything")
    files = shop.files()
    shop.sends("bills", NAMES, rows)
    again = shop.landed("bills", columns=COLUMNS)
    assert (again.version, again.rows, again.how) == (0, 8, "everything; nothing has changed")
    assert shop.files() == files
    good = [row for row in rows if row[0] != 3]
    shop.sends("bills", NAMES, [rows[3], *good[::-1]])
    turned = shop.landed("bills", columns=COLUMNS)
    assert turned.version == 0
    # The rejected row stands elsewhere now.
    assert [row["source_position"] for row in shop.rows("raw/bills_rejected")] == ["bills.csv:2"]


@pytest.mark.parametrize(
    "other",
    [
        [bill(1), bill(1)],
        [bill(1), bill(3)],
        [bill(1, 1.25), bill(2)],
        [(1, None, "2024-05-02 10:00:00", 1.5, 1), bill(2)],
        [bill(1)],
        [(1, "u2", "2024-05-02 10:00:00", 1.5, 1), (2, "u1", "2024-05-02 10:00:00", 1.5, 1)],
    ],
)
def test_other_rows_are_another_version(shop: Shop, other: list[tuple[object, ...]]) -> None:
    shop.sends("bills", NAMES, [bill(1), bill(2)])
    shop.landed("bills", columns=COLUMNS)
    shop.sends("bills", NAMES, other)
    assert shop.landed("bills", columns=COLUMNS).version == 1
    assert len(shop.rows("raw/bills")) == len(other)


def test_a_value_that_moves_to_the_next_column_is_another_row(shop: Shop) -> None:
    columns = {"item_id": "a", "name": "b", "description": "c"}
    shop.sends("items", "abc", [("1", "x", None)])
    shop.landed("items", columns=columns)
    shop.sends("items", "abc", [("1", None, "x")])
    assert shop.landed("items", columns=columns).version == 1


def test_a_table_that_others_changed_is_landed_again(shop: Shop) -> None:
    from deltalake import DeltaTable

    shop.sends("bills", NAMES, [bill(1), bill(2)])
    shop.landed("bills", **NEWER)
    DeltaTable(shop.lake.path("shop", "raw/bills")).delete("bill_id = '1'")
    result = shop.landed("bills", **NEWER)
    assert result.how == "everything, since the table was changed by others"
    assert sorted(amounts(shop)) == ["1", "2"]


def test_a_bill_id_that_landing_makes_is_the_same_again(shop: Shop) -> None:
    columns = {name: source for name, source in COLUMNS.items() if name != "bill_id"}
    rows = [bill(1), bill(1), bill(2)]
    shop.sends("bills", NAMES, rows)
    assert shop.landed("bills", columns=columns).rows == 3
    shop.sends("bills", NAMES, rows[::-1])
    assert shop.landed("bills", columns=columns).version == 0


# -- newer rows ------------------------------------------------------------------------------------------------------


def test_newer_rows_are_added_and_corrected_ones_replace(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, 2)])
    assert shop.landed("bills", **NEWER).how == "everything, since nothing had landed"
    # What is older than the newest that landed is not looked at: the source lost a row, and nobody sees it.
    shop.sends("bills", NAMES, [bill(2, 2, 2), bill(3, 3, 3)])
    added = shop.landed("bills", **NEWER)
    assert (added.version, added.how, added.counts) == (1, "rows since 2.000000000", {"came": 2})
    assert amounts(shop) == {"1": 1, "2": 2, "3": 3}
    late = ("0", "u0", "1999-01-01 00:00:00", 9, 4)
    shop.sends("bills", NAMES, [bill(3, 3, 3), bill(1, 100, 4), late])
    assert shop.landed("bills", **NEWER).version == 2
    assert amounts(shop) == {"0": 9, "1": 100, "2": 2, "3": 3}
    files = shop.files()
    unchanged = shop.landed("bills", **NEWER)
    assert (unchanged.version, unchanged.how) == (2, "rows since 4.000000000; nothing has changed")
    assert shop.files() == files
    full = shop.landed("bills", **NEWER, full=True)
    assert full.how == "everything, as asked"
    assert amounts(shop) == {"0": 9, "1": 100, "3": 3}


def test_a_row_of_the_same_moment_that_comes_later_is_not_missed(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, 1, 5)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(1, 1, 5), bill(2, 2, 5)])
    assert shop.landed("bills", **NEWER).version == 1
    assert amounts(shop) == {"1": 1, "2": 2}


def test_only_what_is_new_is_written(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(n, n, n) for n in range(1000)])
    shop.landed("bills", **NEWER)
    before = {file for file in shop.files() if "raw/bills/" in file and file.endswith(".parquet")}
    shop.sends("bills", NAMES, [bill(n, n, n) for n in range(1003)])
    shop.landed("bills", **NEWER)
    assert len(amounts(shop)) == 1003
    after = {file for file in shop.files() if "raw/bills/" in file and file.endswith(".parquet")}
    assert before < after
    import pyarrow.parquet as pq

    assert sum(pq.read_metadata(file).num_rows for file in after - before) == 3


@pytest.mark.parametrize(
    ("values", "kind", "newest"),
    [
        (["2024-01-09", "2024-01-10 08:00:00+02:00", "2024-01-10 07:00:00"], "time", "2024-01-10 07:00:00"),
        (["9", "10", "-3.5"], "number", "10.000000000"),
        (["a9", "a10", "B"], "text", "a9"),
        (["2024-01-01", "x"], "text", "x"),
    ],
)
def test_how_a_watermark_in_text_compares(shop: Shop, values: list[str], kind: str, newest: str) -> None:
    shop.sends("bills", NAMES, [bill(n, 1, value) for n, value in enumerate(values)])
    shop.landed("bills", **NEWER)
    landed = read_landed(shop.lake, "shop", "bills")
    assert landed is not None
    assert landed.watermark == Watermark(kind, newest, "string")  # type: ignore[arg-type]


def test_days_of_a_declared_format_compare_as_days(shop: Shop) -> None:
    options = {"date_format": "dd.MM.yyyy", "timestamp_format": "yyyy-MM-dd HH:mm:ss"}
    shop.sends("bills", NAMES, [bill(1, 1, "31.01.2024"), bill(2, 2, "01.02.2024")])
    shop.landed("bills", **NEWER, options=options)
    shop.sends("bills", NAMES, [bill(1, 9, "31.01.2024"), bill(3, 3, "02.02.2024")])
    assert shop.landed("bills", **NEWER, options=options).how == "rows since 2024-02-01 00:00:00"
    assert amounts(shop) == {"1": 1, "2": 2, "3": 3}


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"columns": COLUMNS | {"amount": "try_cast(total as double) * 2"}}, "in another way"),
        ({"options": {"null_values": ["-"]}}, "in another way"),
        ({"merge_on": ["bill_id", "user_id"]}, "in another way"),
        ({"watermark": "no"}, "in another way"),
    ],
)
def test_another_way_of_reading_reads_everything(shop: Shop, other: dict[str, Any], says: str) -> None:
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, 2)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(1, 7, 1), bill(2, 2, 2)])
    assert says in shop.landed("bills", **NEWER | other).how
    assert amounts(shop)["1"] in (7, 14)


def test_lines_are_merged_by_the_columns_that_are_named(shop: Shop) -> None:
    names = ("no", "item", "qty", "total", "changed")
    how: dict[str, Any] = {"columns": LINES, "watermark": "changed", "merge_on": ["bill_id"]}
    shop.sends("line_items", names, [(1, "a", 1, 1, 1), (1, "b", 1, 1, 1), (2, "a", 1, 1, 1)])
    shop.landed("line_items", **how)
    # The whole bill comes again, with one row less.
    shop.sends("line_items", names, [(1, "a", 5, 5, 2)])
    shop.landed("line_items", **how)
    found = [(row["bill_id"], row["item_id"], row["quantity"]) for row in shop.rows("raw/line_items")]
    assert sorted(found) == [("1", "a", 5), ("2", "a", 1)]


def test_a_row_without_a_watermark_lands_when_everything_is_read(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, None)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, None), bill(3, 3, None)])
    shop.landed("bills", **NEWER)
    assert sorted(amounts(shop)) == ["1", "2"]
    shop.landed("bills", **NEWER, full=True)
    assert sorted(amounts(shop)) == ["1", "2", "3"]


# -- batches that are refused, and rows ------------------------------------------------------------------------------


def test_a_batch_of_too_many_bad_rows_changes_nothing_and_comes_again(shop: Shop) -> None:
    how = NEWER | {"max_rejected_pct": 40}
    shop.sends("bills", NAMES, [bill(1, 1, 1)])
    shop.landed("bills", **how)
    shop.sends("bills", NAMES, [bill(2, "x", 2), bill(3, 3, 3)])
    refused = shop.lands("bills", **how)
    assert refused.status == "failed"
    assert "1 of 2 rows of bills were rejected (50.0 %)" in refused.reason
    assert "bills.csv:2: amount: 'x' is not a double" in refused.reason
    assert amounts(shop) == {"1": 1}
    shop.sends("bills", NAMES, [bill(2, 2, 2), bill(3, 3, 3)])
    assert shop.landed("bills", **how).how == "rows since 1.000000000"
    assert amounts(shop) == {"1": 1, "2": 2, "3": 3}
    assert shop.rows("raw/bills_rejected") == []


def test_a_rejected_row_stays_in_quarantine_until_it_is_corrected(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, "x", 1), bill(2, 2, 2), bill("", 3, 2)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(3, 3, 3), bill(4, "y", 3)])
    shop.landed("bills", **NEWER)
    told = [row["rejected_because"] for row in shop.rows("raw/bills_rejected")]
    assert told == ["amount: 'x' is not a double", "amount: 'y' is not a double", "bill_id is empty"]
    shop.sends("bills", NAMES, [bill(1, 1, 4), bill(3, "z", 5)])
    shop.landed("bills", **NEWER)
    # A landed row that is sent again as a bad one is no longer good.
    assert amounts(shop) == {"1": 1, "2": 2}
    told = [row["rejected_because"] for row in shop.rows("raw/bills_rejected")]
    assert told == ["amount: 'y' is not a double", "amount: 'z' is not a double", "bill_id is empty"]


STEPS = st.lists(
    st.dictionaries(
        keys=st.integers(0, 6), values=st.sampled_from([1, 2, 3, "x"]), max_size=4
    ),
    min_size=1,
    max_size=5,
)  # fmt: skip


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, repeats=st.booleans())
def test_any_sequence_of_landings_is_one_landing_of_the_last_state(
    steps: list[dict[int, object]], repeats: bool, tmp_path: Path, spark: SparkSession
) -> None:
    """Rows are added, corrected, spoilt and mended; some come in the second of the last landing, and old ones again."""
    folders = [tmp_path / "one", tmp_path / "many"]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    one, many = (Shop(folder, spark) for folder in folders)
    state: dict[int, tuple[object, ...]] = {99: bill(99, 9, 0)}
    log = [state[99]]
    for number, step in enumerate(steps):
        changed = {key: bill(key, value, (number + 1) // 2) for key, value in step.items()}
        # A source that keeps one row a bill, or one that appends every change.
        fresh = [row for key, row in changed.items() if state.get(key) != row and _is_newer(state.get(key), row)]
        log += fresh
        state |= {int(str(row[0])): row for row in fresh}
        many.sends("bills", NAMES, log if repeats else state.values())
        many.landed("bills", **NEWER)
        if not number:  # all of it once more, which hashes what lies there
            many.landed("bills", full=True, **NEWER)
    one.sends("bills", NAMES, log if repeats else state.values())
    one.landed("bills", **NEWER)
    assert many.rows("raw/bills") == one.rows("raw/bills")
    rejected = [
        sorted((row["rejected_because"], row["source_row"]) for row in shop.rows("raw/bills_rejected"))
        for shop in (many, one)
    ]
    assert rejected[0] == rejected[1]
    many_landed, one_landed = (read_landed(shop.lake, "shop", "bills") for shop in (many, one))
    assert many_landed is not None
    assert one_landed is not None
    assert many_landed.watermark == one_landed.watermark
    assert many_landed.fingerprint == fingerprint(many.lake.table("shop", "raw/bills"))
    assert one_landed.fingerprint == Fingerprint(len(one.rows("raw/bills")))


def _is_newer(before: tuple[object, ...] | None, row: tuple[object, ...]) -> bool:
    return before is None or int(str(row[4])) > int(str(before[4]))


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
    from capflow_assets_tests.homes import TestHome, own_environment

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

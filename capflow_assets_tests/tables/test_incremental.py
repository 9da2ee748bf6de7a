"""Landing again: the same data changes nothing, newer rows replace and add, and nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.landing.watermarks import Watermark
from capflow_assets.stores.last_landing import read_landed
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
from capflow_assets_tests.tables.incremental_bills import COLUMNS, LINES, NAMES, NEWER, amounts, bill


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


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
    rows = [(row["bill_id"], row["item_id"], row["quantity"]) for row in shop.rows("raw/line_items")]
    assert sorted(rows) == [("1", "a", 5), ("2", "a", 1)]


def test_a_row_without_a_watermark_lands_when_everything_is_read(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, None)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(1, 1, 1), bill(2, 2, None), bill(3, 3, None)])
    shop.landed("bills", **NEWER)
    assert sorted(amounts(shop)) == ["1", "2"]
    shop.landed("bills", **NEWER, full=True)
    assert sorted(amounts(shop)) == ["1", "2", "3"]

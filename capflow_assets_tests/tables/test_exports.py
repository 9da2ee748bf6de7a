"""Customers whose exports overlap, from their files to bills: the smallest cases, with the right sums beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import tomlkit

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CustomerError
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
HEAD = {"name": "shop", "vertical": "fashion", "currency": "EUR", "time_zone": "UTC"}
BILLS = {"bill_id": "bill", "user_id": "user", "billed_at": "time", "amount": "total"}
LINES = {"bill_id": "bill", "billed_at": "time", "item_id": "item", "quantity": "pieces", "amount": "total"}
TIME = "2024-03-01 09:00:00"


class Shop:
    """A customer with one raw table, of files in a folder, and a lake."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.folder, self.spark = folder, spark
        self.lake = Lake(str(folder / "lake"), lambda: spark)

    def sends(self, **files: str) -> None:
        """Write files by name; ``__`` is a folder's end, and rows are parted by blanks."""
        for name, rows in files.items():
            path = self.folder / "in" / (name.replace("__", "/") + ".csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(rows.split()).replace("@", TIME) + "\n", encoding="utf-8")

    def runs(self, table: str, columns: Mapping[str, str], **declared: Any) -> dict[str, TableResult]:
        """Land and clean the table, which must succeed."""
        results = self.results(table, columns, **declared)
        assert {result.status for result in results.values()} <= {"done", "absent"}, results
        return results

    def results(self, table: str, columns: Mapping[str, str], **declared: Any) -> dict[str, TableResult]:
        source = {"source": "csv", "location": "in", "columns": dict(columns)} | declared
        text = tomlkit.dumps(HEAD | {"base": str(self.folder), "tables": {table: source}})
        customer = parse_customer(text, "shop.toml", RAW, SOURCES)
        stages = STAGES.of_customer(customer.tables, {}, {})
        cleaned = {f"clean/{table}", "clean/bills"} & {"clean/bills", "clean/line_items", "clean/users"}
        selected = frozenset({f"raw/{table}", *cleaned})
        return {result.key: result for result in TableRunner(self.lake, stages, SOURCES, customer, selected).run()}

    def rows(self, table: str, *names: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row[name] for name in names) for row in self.lake.arrow("shop", table).to_pylist())

    def is_export_kept(self, table: str) -> bool:
        return "source_export" in self.lake.arrow("shop", f"raw/{table}").column_names


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


def overlap(results: Mapping[str, TableResult], table: str) -> Any:
    return next(finding for _, finding in results[f"raw/{table}"].findings if finding.check == "overlapping_exports")


def test_equal_lines_of_one_export_are_as_many_purchases(shop: Shop) -> None:
    """Three scans of 1.10 and one of 2.00 are 5.30; dropped, where the TOML asks for it, 3.10."""
    shop.sends(till="bill,time,item,pieces,total t1,@,milk,1,1.10 t1,@,milk,1,1.10 t1,@,milk,1,1.10 t1,@,bread,1,2.00")
    results = shop.runs("line_items", LINES)
    assert shop.rows("clean/bills", "bill_id", "amount", "quantity", "line_items") == [("t1", 5.3, 4.0, 4)]
    assert results["clean/line_items"].counts["flagged: repeated"] == 2
    assert overlap(results, "line_items").passed
    results = shop.runs("line_items", LINES, equal_lines="drop")
    assert shop.rows("clean/bills", "amount", "line_items") == [(3.1, 2)]
    assert results["clean/line_items"].counts["removed: duplicate"] == 2


def test_a_line_number_identifies_a_line_that_was_sent_twice(shop: Shop) -> None:
    shop.sends(till="bill,time,no,item,pieces,total t1,@,1,milk,1,1.10 t1,@,1,milk,1,1.10 t1,@,2,milk,1,1.10")
    results = shop.runs("line_items", LINES | {"line_no": "no"})
    assert shop.rows("clean/bills", "amount") == [(2.2,)]
    assert results["clean/line_items"].counts["removed: duplicate"] == 1


def test_an_export_under_two_names_counts_once(shop: Shop) -> None:
    export = "bill,time,item,pieces,total t1,@,milk,1,1.10 t1,@,milk,1,1.10 t1,@,milk,1,1.10 t1,@,bread,1,2.00"
    shop.sends(till=export, copy_of_till=export)
    results = shop.runs("line_items", LINES)
    assert shop.rows("clean/bills", "amount", "line_items") == [(5.3, 4)]
    assert results["clean/line_items"].counts["removed: repeated_export"] == 4


@pytest.mark.parametrize(("march", "april"), [("2024-03", "2024-04"), ("week-9", "week-10")])
def test_the_later_file_holds_by_its_name(shop: Shop, march: str, april: str) -> None:
    """Lines edited from `2,10` to `1,5`: 5 and one piece, not 15 and 3. One that April lacks was taken out."""
    lines = {march: "bill,time,item,pieces,total t1,@,milk,2,10 t1,@,bread,1,2", april: "bill,time,item,pieces,total"}
    lines[april] += " t1,@,milk,1,5 t2,@,milk,1,5"
    shop.sends(**lines)
    results = shop.runs("line_items", LINES, exports_by="name")
    assert shop.rows("clean/bills", "bill_id", "amount", "quantity") == [("t1", 5.0, 1.0), ("t2", 5.0, 1.0)]
    assert results["clean/line_items"].counts["removed: earlier_export"] == 2
    assert overlap(results, "line_items").passed
    assert overlap(results, "line_items").found == {"exports": 2, "shared": 1}


def test_where_nothing_says_which_is_later_names_decide_and_it_is_reported(shop: Shop) -> None:
    """Bill 1 of 10 in March and 4 in April: 4."""
    shop.sends(**{"2024-03": "bill,time,user,total 1,@,c1,10 2,@,c2,3", "2024-04": "bill,time,user,total 1,@,c1,4"})
    results = shop.runs("bills", BILLS)
    assert shop.rows("clean/bills", "bill_id", "amount") == [("1", 4.0), ("2", 3.0)]
    finding = overlap(results, "bills")
    assert not finding.passed
    assert "1 bills came in several exports" in finding.message
    assert "'1' in 2024-03.csv and in 2024-04.csv" in finding.message
    assert 'exports_by = "name"' in finding.message


def test_the_time_of_a_file_or_a_column_says_which_is_later(shop: Shop) -> None:
    shop.sends(a="bill,time,user,total,sent 1,@,c1,4,05.04.2024", b="bill,time,user,total,sent 1,@,c1,10,31.03.2024")
    os.utime(shop.folder / "in" / "b.csv", (1_700_000_000, 1_700_000_000))
    os.utime(shop.folder / "in" / "a.csv", (1_700_000_060, 1_700_000_060))
    for by, held in (("name", 10.0), ("modified", 4.0), ("sent", 4.0)):
        options = {"date_format": "dd.MM.yyyy", "timestamp_format": "yyyy-MM-dd HH:mm:ss"}
        shop.runs("bills", BILLS, exports_by=by, options=options)
        assert shop.rows("clean/bills", "amount") == [(held,)], by
    (failed,) = (
        result for result in shop.results("bills", BILLS, exports_by="sant").values() if result.status == "failed"
    )
    assert "did you mean 'sent'" in failed.reason


def test_parts_of_one_export_are_one(shop: Shop) -> None:
    """A bill of two parts is whole, equal scans in both included; the folder of the next month is a later export."""
    head = "bill,time,item,pieces,total"
    shop.sends(
        march__part_00000=f"{head} t1,@,milk,1,1.10",
        **{"march__part-00001": f"{head} t1,@,milk,1,1.10 t1,@,bread,1,2.00"},
    )
    (shop.folder / "in" / "march" / "part_00000.csv").rename(shop.folder / "in" / "march" / "part-00000.csv")
    shop.runs("line_items", LINES)
    assert shop.rows("clean/bills", "amount") == [(4.2,)]
    assert not shop.is_export_kept("line_items")
    shop.sends(**{"later__bills-000000000000": f"{head} t1,@,milk,1,9.00"})
    shop.runs("line_items", LINES, exports_by="none")
    assert shop.rows("clean/bills", "amount") == [(13.2,)]


def test_exports_that_share_nothing_land_as_they_did(shop: Shop) -> None:
    shop.sends(**{"2024-03": "bill,time,user,total 1,@,c1,10 1,@,c1,10", "2024-04": "bill,time,user,total 2,@,c1,4"})
    results = shop.runs("bills", BILLS)
    assert not shop.is_export_kept("bills")
    assert overlap(results, "bills").passed
    assert results["clean/bills"].counts == {"removed: duplicate": 1}
    assert shop.runs("bills", BILLS)["raw/bills"].how == "everything; nothing has changed"


def test_the_head_of_a_bill_on_each_of_its_lines_is_one_bill_and_stops_nothing(shop: Shop) -> None:
    shop.sends(lines="bill,time,user,total,item 1,@,c1,10,pen 1,@,c1,10,cup 1,@,c1,10,ink 2,@,c2,4,pen")
    results = shop.runs("bills", BILLS)
    assert shop.rows("clean/bills", "bill_id", "amount") == [("1", 10.0), ("2", 4.0)]
    assert results["clean/bills"].counts == {"removed: duplicate": 2}


def test_a_list_of_users_is_the_newest(shop: Shop) -> None:
    shop.sends(**{"2024-03": "user,tier ana,gold bea,tin", "2024-04": "user,tier ana, cem,gold"})
    results = shop.runs("users", {"user_id": "user", "tier": "tier"})
    assert sorted(shop.rows("clean/users", "user_id", "tier")) == [("ana", None), ("bea", "tin"), ("cem", "gold")]
    assert "source_export" not in shop.lake.arrow("shop", "clean/users").column_names
    assert overlap(results, "users").passed
    assert "the later one holds" in overlap(results, "users").message


@pytest.mark.parametrize("kind", ["parquet", "nanoseconds", "json", "document", "excel"])
def test_whatever_the_files_are(shop: Shop, kind: str) -> None:
    """The same two exports in other formats, one of which the engine reads by itself."""
    folder = shop.folder / "in it"
    folder.mkdir()
    for name, total in (("my march! 1", 10.0), ("my march! 2", 4.0)):
        frame = pd.DataFrame({"bill": ["1"], "user": ["c1"], "time": [TIME], "total": [total]})
        if kind == "excel":
            frame.to_excel(folder / f"{name}.xlsx", index=False)
        elif kind in ("json", "document"):
            frame.to_json(folder / f"{name}.json", orient="records", lines=kind == "json")
        else:
            frame = frame.assign(at=pd.Timestamp(TIME)) if kind == "nanoseconds" else frame
            folder = folder.rename(shop.folder / "in") if folder.name == "in it" else folder
            frame.to_parquet(folder / f"{name.replace(' ', '-').replace('!', '')}.parquet", index=False)
    source = {"nanoseconds": "parquet", "document": "json"}.get(kind, kind)
    results = shop.runs("bills", BILLS, source=source, location=folder.name)
    assert shop.rows("clean/bills", "amount") == [(4.0,)]
    assert overlap(results, "bills").found == {"exports": 2, "shared": 1}


def test_a_bill_that_a_later_export_has_otherwise_than_where_asks_is_taken_out(shop: Shop) -> None:
    """Paid in March, refunded in April: no purchase. One whose newest rows are asked for stays, whatever was before."""
    shop.sends(
        **{
            "9": "bill,user,time,total,is 1,a,@,10,paid 2,b,@,3,paid 4,d,@,6,open",
            "10": "bill,user,time,total,is 1,a,@,10,back 3,c,@,7,paid 4,d,@,6,paid 5,e,@,1,back",
        }
    )
    where = {"where": "`is` = 'paid'"}
    results = shop.runs("bills", BILLS, exports_by="name", **where)
    assert shop.rows("clean/bills", "bill_id", "amount") == [("2", 3.0), ("3", 7.0), ("4", 6.0)]
    assert dict(results["raw/bills"].counts) == {"came": 3, "left_out": 4}
    # Files that are parts of one export do not speak of one another.
    shop.runs("bills", BILLS, exports_by="none", **where)
    assert [bill for (bill,) in shop.rows("clean/bills", "bill_id")] == ["1", "2", "3", "4"]


def test_a_later_bill_of_which_where_takes_some_lines_is_what_it_leaves(shop: Shop) -> None:
    head = "bill,time,item,pieces,total"
    shop.sends(
        **{"1": f"{head} 1,@,pen,2,10 1,@,post,1,4 2,@,pen,1,5", "2": f"{head} 1,@,pen,1,5 1,@,post,1,4 2,@,post,1,4"}
    )
    shop.runs("line_items", LINES, exports_by="name", where="item <> 'post'")
    assert shop.rows("clean/line_items", "bill_id", "item_id", "quantity", "amount") == [("1", "pen", 1.0, 5.0)]


def test_what_cannot_be_declared_is_reported_with_the_rest() -> None:
    table = {"source": "csv", "location": "x.csv", "columns": {"store_id": "s"}, "exports_by": "name"}
    of_bills = {"source": "csv", "location": "x.csv", "columns": BILLS, "equal_lines": "drop"}
    lines = {"source": "csv", "location": "x.csv", "columns": LINES, "exports_by": "name", "watermark": "w"}
    rows = {"source": "sql", "location": "sqlite:///x", "columns": {"user_id": "u"}, "exports_by": "modified"}
    rows |= {"options": {"table": "users"}}
    tables = {"stores": table, "bills": of_bills, "line_items": lines | {"merge_on": ["bill_id"]}, "users": rows}
    with pytest.raises(CustomerError) as raised:
        parse_customer(tomlkit.dumps(HEAD | {"tables": tables}), "shop.toml", RAW, SOURCES)
    said = str(raised.value)
    assert "shop.toml has 4 problems" in said
    for key in ("stores.exports_by", "bills.equal_lines", "line_items.exports_by", "users.exports_by"):
        assert f"tables.{key}." in said

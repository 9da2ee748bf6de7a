"""What cleaning removes is limited, and reported by the run, its checks, the status and the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.removals import removals
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.landings import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CLEAN = frozenset(
    {*(f"raw/{name}" for name in TABLES), *(f"clean/{n}" for n in ("bills", "line_items", "users", "items"))}
)
BILLS = {"bill_id": "receipt", "user_id": "card", "store_id": "store", "billed_at": "time", "amount": "total"}
LINES = BILLS | {"item_id": "item", "quantity": "pieces"}
HEAD = {"vertical": "fashion", "currency": "EUR", "time_zone": "UTC"}


def ran(folder: Path, spark: SparkSession, tables: dict[str, Any], **more: Any) -> dict[str, TableResult]:
    """What became of each table that is not absent; a table's ``rows`` are its file."""
    declared = {}
    for name, given in tables.items():
        rows = given["rows"]
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
        how = {key: value for key, value in given.items() if key != "rows"}
        declared[name] = {"source": "csv", "location": f"{name}.csv"} | how
    text = tomlkit.dumps({"name": "shop", **HEAD, "base": str(folder), "tables": declared, **more})
    customer = parse_customer(text, "shop.toml", TABLES, SOURCES)
    runner = TableRunner(Lake(str(folder / "lake"), lambda: spark), STAGES, SOURCES, customer, CLEAN)
    return {result.key: result for result in runner.run() if result.status != "absent"}


def bills(*rows: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """Bills of number, user and amount, each at its own minute."""
    lines = [f"2024-03-01 09:{n:02}:00,A,{number},{user},{total}" for n, (number, user, total) in enumerate(rows)]
    return {"columns": BILLS, "rows": ["time,store,receipt,card,total", *lines], **more}


def checked(result: TableResult, name: str = "removed") -> tuple[bool, str, dict[str, Any]]:
    """Whether a check of a table passed, its severity and its figures."""
    (finding,) = (finding for table, finding in result.findings if (table, finding.check) == (result.key, name))
    return finding.passed, finding.severity, dict(finding.found)


def test_bills_whose_numbers_restart_fail_their_table_and_the_last_good_one_stays(
    tmp_path: Path, spark: SparkSession
) -> None:
    good = ran(tmp_path, spark, {"bills": bills(*((str(n), f"c{n}", "5") for n in range(20)))})
    assert (good["clean/bills"].status, checked(good["clean/bills"])[:2]) == ("done", (True, "warn"))
    restarted = ran(tmp_path, spark, {"bills": bills(*((str(n % 8), f"c{n}", "5") for n in range(20)))})
    result = restarted["clean/bills"]
    assert (result.status, restarted["clean/users"].status) == ("failed", "blocked")
    for words in (
        "12 of 20 rows of clean/bills were removed in cleaning (60.0 %); the last good version stays",
        "at most 5 % (max_removed_pct)",
        "conflicting_duplicate 12",
        'bill_key = ["store", "day", "bill"] under [tables.bills]',
        "capflow show clean/bills_removed --customer shop",
    ):
        assert words in result.reason
    assert checked(result)[:2] == (False, "block")
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    assert (lake.rows("shop", "clean/bills"), lake.rows("shop", "clean/bills_removed")) == (20, 12)
    assert removals(lake, "shop")["clean/bills"].is_beyond


def test_a_few_are_reported_and_the_limit_is_the_customers(tmp_path: Path, spark: SparkSession) -> None:
    """One of 20 is 5 %, which is allowed; two are 10 %."""
    rows = [(str(n), f"c{n}", "5") for n in range(18)]
    one, two = [*rows, ("18", "x", "5"), ("1", "x", "7")], [*rows, ("0", "x", "7"), ("1", "x", "7")]
    result = ran(tmp_path, spark, {"bills": bills(*one)})["clean/bills"]
    assert (result.status, result.rows, result.counts) == ("done", 19, {"removed: conflicting_duplicate": 1})
    assert checked(result) == (
        False,
        "warn",
        {"rows": 20, "removed": 1, "counted": 1, "removed: conflicting_duplicate": 1, "at_most_share_pct": 0.0},
    )
    assert ran(tmp_path, spark, {"bills": bills(*two)})["clean/bills"].status == "failed"
    assert ran(tmp_path, spark, {"bills": bills(*two, max_removed_pct=10)})["clean/bills"].status == "done"
    checks = {"removed": {"at_most_share_pct": 5}}
    assert checked(ran(tmp_path, spark, {"bills": bills(*one)}, checks=checks)["clean/bills"])[0]
    checks = {"removed": {"severity": "block"}}
    blocked = ran(tmp_path, spark, {"bills": bills(*one)}, checks=checks)["clean/bills"]
    assert (blocked.status, "removed blocks" in blocked.reason) == ("failed", True)


def test_lists_of_items_and_users_that_are_made_of_lines_are_no_loss(tmp_path: Path, spark: SparkSession) -> None:
    """A hundred lines name two items and four users; one name of an item differs."""
    rows = [f"2024-03-01 09:00:00,A,{n},c{n % 4},i{n % 2},1,5,{'Tea' if n else 'TEA'}" for n in range(100)]
    sent = ["time,store,receipt,card,item,pieces,total,name", *rows]
    tables = {
        "line_items": {"columns": LINES, "rows": sent},
        "items": {"columns": {"item_id": "item", "name": "name"}, "rows": sent},
        "users": {"columns": {"user_id": "card"}, "rows": sent},
    }
    results = ran(tmp_path, spark, tables)
    assert {result.status for result in results.values()} == {"done"}
    assert results["clean/items"].counts["removed: duplicate"] == 97
    assert checked(results["clean/items"])[2]["counted"] == 1
    assert checked(results["clean/users"])[:1] == (True,)
    assert checked(results["clean/users"])[2]["removed: duplicate"] == 96


def test_the_issues_four_lines_are_refused_and_four_bills_with_a_key(tmp_path: Path, spark: SparkSession) -> None:
    rows = [
        "time,store,receipt,card,item,pieces,total",
        "2024-03-01 09:00:00,A,1,c1,pen,1,5",
        "2024-03-01 09:05:00,B,1,c2,cup,1,7",
        "2024-03-02 09:00:00,A,1,c3,pen,1,5",
        "2024-03-03 09:00:00,A,1,c4,pen,2,10",
    ]
    merged = ran(tmp_path, spark, {"line_items": {"columns": LINES, "rows": rows}})["clean/line_items"]
    assert merged.status == "failed"
    assert "1 (100.00 %) of several users" in merged.reason
    assert checked(merged, "bill_numbers")[:2] == (False, "block")
    key = {"bill_key": ["store", "day", "bill"], "columns": LINES, "rows": rows}
    results = ran(tmp_path, spark, {"line_items": key})
    assert {result.status for result in results.values()} == {"done"}
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    bill_rows = lake.arrow("shop", "clean/bills").to_pylist()
    assert sorted((row["bill_id"], row["user_id"], row["amount"]) for row in bill_rows) == [
        ("A|2024-03-01|1", "c1", 5.0),
        ("A|2024-03-02|1", "c3", 5.0),
        ("A|2024-03-03|1", "c4", 10.0),
        ("B|2024-03-01|1", "c2", 7.0),
    ]
    assert lake.rows("shop", "clean/users") == 4


def test_lines_that_share_numbers_block_though_none_is_removed(tmp_path: Path, spark: SparkSession) -> None:
    rows = [f"2024-03-01 09:0{n}:00,A,{n % 2},c{n},i{n},1,5" for n in range(4)]
    sent = {"line_items": {"columns": LINES, "rows": ["time,store,receipt,card,item,pieces,total", *rows]}}
    refused = ran(tmp_path, spark, sent)["clean/line_items"]
    assert (refused.status, "bill_numbers blocks" in refused.reason) == ("failed", True)
    checks = {"bill_numbers": {"severity": "warn"}}
    warned = ran(tmp_path, spark, sent, checks=checks)["clean/line_items"]
    assert (warned.status, checked(warned, "bill_numbers")[:2]) == ("done", (False, "warn"))


def test_bills_and_lines_of_one_key_meet_and_lines_fill_in_the_amount(tmp_path: Path, spark: SparkSession) -> None:
    """Numbers restart by store; the head of B lacks its amount, which is 3 + 4 of its lines."""
    key = ["store", "bill"]
    lines = ["A,1,pen,1,5", "B,1,pen,1,3", "B,1,cup,1,4"]
    columns = {"bill_id": "receipt", "store_id": "store", "item_id": "item", "quantity": "pieces", "amount": "total"}
    heads = ["time,store,receipt,card,total", "2024-03-01 09:00:00,A,1,c1,6", "2024-03-02 09:00:00,B,1,c2,"]
    tables = {
        "bills": {"columns": BILLS, "rows": heads, "bill_key": key},
        "line_items": {"columns": columns, "rows": ["store,receipt,item,pieces,total", *lines], "bill_key": key},
    }
    results = ran(tmp_path, spark, tables)
    assert {result.status for result in results.values()} == {"done"}
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    bill_rows = lake.arrow("shop", "clean/bills").to_pylist()
    assert sorted((row["bill_id"], row["user_id"], row["amount"], row["line_items"]) for row in bill_rows) == [
        ("A|1", "c1", 6.0, 1),
        ("B|1", "c2", 7.0, 2),
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``shop``: 2,880 bills, eight a day in each of three stores, of which two were sent twice."""
    folder = tmp_path_factory.mktemp("removals")
    write(folder, restarting=False)
    columns = ", ".join(f'{name} = "{text}"' for name, text in BILLS.items())
    head = "\n".join(f'{name} = "{value}"' for name, value in ({"name": "shop"} | HEAD).items())
    table = f'[tables.bills]\nsource = "csv"\nlocation = "bills.csv"\ncolumns = {{ {columns} }}'
    (folder / "shop.toml").write_text(f"{head}\n{table}\n")
    home = TestHome(folder / "home")
    home.ok("onboard", str(folder / "shop.toml"))
    return home


def write(folder: Path, *, restarting: bool) -> None:
    rows = ["time,store,receipt,card,total"]
    for n in range(2_880):
        day, store, number = n // 24, "ABC"[n // 8 % 3], n % 8 + 1
        at = datetime(2024, 1, 1, 9, tzinfo=UTC) + timedelta(days=day, minutes=number)
        rows.append(f"{at:%Y-%m-%d %H:%M:%S},{store},{number if restarting else n},u{n % 90},5")
    (folder / "bills.csv").write_text("\n".join([*rows, *rows[1:3]]) + "\n")


def test_the_run_the_status_and_the_page_tell_what_was_removed(home: TestHome) -> None:
    shown = "raw/bills,clean,validation/report,validation/kpis,validation/distributions,validation/retention"
    said = home.capflow("run", "shop", "--select", shown)
    harmless = " (copies and what a later export replaced: nothing is lost)"
    words = f"2 of 2,882 rows were removed in cleaning: duplicate 2{harmless}"
    assert said.code == 0, said.err
    output = "".join(said.err.split("\n"))
    assert output.count(words) == 1
    assert "capflow show clean/bills_removed --customer shop" in output
    assert f"shop clean/bills: {words}" in home.ok("status")
    assert {row["removed"] for row in home.status("shop").values()} == {f"clean/bills: {words}"}
    page = home.root.parent / "page.html"
    home.ok("report", "shop", "--output", str(page))
    assert f"<p>clean/bills: {words}</p>" in page.read_text()

    write(home.root.parent, restarting=True)
    said = home.capflow("run", "shop", "--select", shown)
    assert said.code == 1
    assert "2,872 of 2,882 rows of clean/bills were removed in cleaning (99.7 %)" in said.err
    beyond = "2,874 of 2,882 rows were removed in cleaning: conflicting_duplicate 2,872, duplicate 2, more than 5 %"
    assert f"clean/bills: {beyond}: the table was not written, the last good version stays" in home.ok("status")
    assert len(home.rows("clean/bills", "shop")) == 2_880
    home.ok("report", "shop", "--output", str(page))
    assert beyond in page.read_text()

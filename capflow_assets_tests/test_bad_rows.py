"""Rows that cannot be read are set aside and named, and cost nothing but themselves."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import Said, TestHome, own_environment
from capflow_assets_tests.sent import COLUMNS, EVIL, GOOD, HEADER, ROWS, Sent, bills, spoilt


def ran(folder: Path, sent: Sent) -> tuple[TestHome, Said]:
    home = TestHome(folder / "home")
    home.ok("onboard", str(sent.into(folder / "files")))
    said = home.capflow("run", "bad", "--select", "raw/bills,clean/bills")
    assert said.code == 0, said.err
    return home, said


def landed(home: TestHome) -> str:
    """What the check of the landing says in Dagster."""
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["raw", "bills"]), "landed")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return record.event.dagster_event.asset_check_evaluation_data.description


def test_a_row_of_a_wrong_type_is_set_aside_and_named(tmp_path):
    home, said = ran(tmp_path, Sent(files=bills(*spoilt(17))))
    assert "1 of 100 rows cannot be read and were set aside" in said.err
    assert "capflow show raw/bills_rejected --customer bad" in said.err
    assert "1 of 100 rows were rejected" in landed(home)
    assert "bills.csv:18: amount: 'twelve' is not a double" in landed(home)
    (row,) = home.rows("raw/bills_rejected", "bad")
    assert row["rejected_because"] == "amount: 'twelve' is not a double"
    assert json.loads(row["source_row"])["bill_id"] == "17"
    assert "twelve" in home.ok("show", "raw/bills_rejected", "--customer", "bad")
    assert {row["bill_id"] for row in home.rows("raw/bills", "bad")} == {str(n) for n in range(1, 101)} - {"17"}


def test_five_per_cent_may_be_bad_and_are_forgotten_once_they_are_mended(tmp_path):
    home, _ = ran(tmp_path, Sent(files=bills(*spoilt(1, 2, 3, 4, 5))))
    assert len(home.rows("raw/bills_rejected", "bad")) == 5
    (tmp_path / "files" / "bills.csv").write_text(GOOD)
    said = home.capflow("run", "bad", "--select", "raw/bills")
    assert said.code == 0
    assert "set aside" not in said.err
    assert home.rows("raw/bills_rejected", "bad") == []
    assert len(home.rows("raw/bills", "bad")) == 100


def test_names_and_values_that_are_code_are_only_text(tmp_path):
    rows = [*ROWS, f'101,"{EVIL}",2024-01-01 10:00:00,5', '102,"[red]<b>",2024-01-01 10:00:00,5']
    sent = Sent(files=bills(*rows, header=HEADER.replace("user_id", f'"{EVIL}"')), columns=COLUMNS | {"user_id": EVIL})
    home, _ = ran(tmp_path, sent)
    users = {row["bill_id"]: row["user_id"] for row in home.rows("clean/bills", "bad")}
    assert len(users) == 102
    assert (users["101"], users["102"]) == (EVIL, "[red]<b>")
    shown = home.ok("show", "clean/bills", "--customer", "bad", "--limit", "200")
    assert "[red]<b>" in shown


def test_nul_bytes_and_huge_values_cost_their_own_row_at_most(tmp_path):
    huge = "x" * 2_000_000
    rows = [
        *ROWS,
        "101,a\0b,2024-01-01 10:00:00,5",
        f"102,{huge},2024-01-01 10:00:00,5",
        "103,u,2024-01-01 10:00:00,5\0005",
    ]
    home, _ = ran(tmp_path, Sent(files=bills(*rows, f"104,u,2024-01-01 10:00:00,{huge}")))
    users = {row["bill_id"]: row["user_id"] for row in home.rows("raw/bills", "bad")}
    assert (users["101"], users["102"]) == ("a\0b", huge)
    reasons = {
        json.loads(row["source_row"])["bill_id"]: row["rejected_because"]
        for row in home.rows("raw/bills_rejected", "bad")
    }
    assert set(reasons) == {"103", "104"}
    assert max(map(len, reasons.values())) < 200
    assert len(landed(home)) < 1000


def test_a_column_that_is_there_twice_is_not_mixed_up(tmp_path):
    rows = [f"{row},{-n}" for n, row in enumerate(ROWS, 1)]
    home, _ = ran(tmp_path, Sent(files=bills(*rows, header=HEADER.strip() + ",amount\n")))
    assert {row["bill_id"]: row["amount"] for row in home.rows("raw/bills", "bad")} == {
        str(n): n + 0.5 for n in range(1, 101)
    }


def test_utf_16_that_is_declared_is_read(tmp_path):
    rows = [*ROWS, "101,Jürgen,2024-01-01 10:00:00,5"]
    text = (HEADER + "\n".join(rows)).encode("utf-16")
    home, _ = ran(tmp_path, Sent(files={"bills.csv": text}, options={"encoding": "utf-16"}))
    assert "Jürgen" in {row["user_id"] for row in home.rows("raw/bills", "bad")}

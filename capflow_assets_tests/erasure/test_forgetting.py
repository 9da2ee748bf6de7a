"""A user is forgotten: nothing of them is left anywhere, and everything of the others is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from deltalake import DeltaTable

from capflow_assets.erasure import forgetting
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.graph.records import DagsterRecords
from capflow_assets.home.keys import customer_key
from capflow_assets.tables import suppression
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.erasure.shops import (
    BROKEN,
    FEW,
    SHARED,
    USER,
    bytes_below,
    files_of,
    holding,
    lake_of,
    opened,
    receipts,
    rows_of,
)


def test_the_search_finds_the_id_wherever_it_may_hide(shops):
    paths = " ".join(holding(shops.root))
    places = ("raw/bills", "raw/bills_rejected", "clean/bills", "features/rfm", "predictions/rfm_segments")
    for place in (*places, "answers/rfm_segments"):
        assert f"lake/shop/{place}/" in paths
    assert "/dagster/" in paths


def test_every_training_has_left_its_picture_and_its_card(shops):
    """The shop's model was trained twice; all of it goes with a user's erasure, as pictures do."""
    kept = {file.name for file in (shops.root / "lake" / "shop" / "plots").glob("models.*")}
    assert kept == {f"models.rfm_segments.v{version}.{name}" for version in (1, 2) for name in ("holdout.png", "json")}
    shown = shops.report("shop", "rfm_segments", 1)["plots"]
    assert [Path(place).name for place in shown] == ["holdout.png"]
    assert all(Path(place).read_bytes().startswith(b"\x89PNG") for place in shown)


def test_forgetting_leaves_no_trace_of_the_user_and_all_of_the_others(shops, forgotten):
    own, out = forgotten.home, forgotten.said
    before, neighbour = rows_of(lake_of(shops), "shop"), bytes_below(shops.root / "lake" / "shop2")
    bills = {json.loads(row)["bill_id"] for row in before["raw/bills"] if json.loads(row)["user_id"] == USER}
    after = rows_of(lake_of(own), "shop")
    for table, rows in before.items():
        gone = Counter({row: count for row, count in rows.items() if is_theirs(json.loads(row), bills - {SHARED})})
        assert after[table] == rows - gone, table
        if table.startswith(("raw/bills", "raw/line_items", "predictions/", "answers/")) or table == "clean/bills":
            assert gone, table
    assert holding(own.root / "lake" / "shop") == []
    assert bytes_below(own.root / "lake" / "shop2") == neighbour
    assert USER not in out
    assert not list((own.root / "lake" / "shop").glob("plots/*"))
    assert not list((own.root / "lake" / "shop").glob("pages/*"))
    [receipt] = receipts(own)
    assert receipt["reason"] == "a letter"
    assert receipt["was_known"] is True
    assert receipt["rows_removed"] == {
        table: count for table in before if (count := before[table].total() - after[table].total())
    }
    assert receipt["models_marked"] == {"rfm_segments": [1, 2]}
    assert set(receipt["recomputed_at_the_next_run"]) >= {"validation/report", "features/rfm"}
    assert receipt["user_digest"][:12] in out


def is_theirs(row: dict[str, Any], bills: set[str]) -> bool:
    if row.get("source_row"):
        source = json.loads(row["source_row"])
        return (source.get("user_id") or "").strip() == USER or (
            "item_id" in source and source["bill_id"] in bills | {BROKEN}
        )
    owner = (row.get("user_id") or "").strip()
    return owner == USER or (not owner and row.get("bill_id") in bills | {BROKEN})


def test_older_versions_cannot_be_read(forgotten):
    tables = ("raw/bills", "raw/bills_rejected", "clean/bills", "features/rfm", "predictions/rfm_segments")
    for table in (*tables, "answers/rfm_segments"):
        path = lake_of(forgotten.home).path("shop", table)
        newest = DeltaTable(path).version()
        assert newest > 0, table
        for version in range(newest):
            with pytest.raises(Exception, match=r"(?i)version|log|not found|no such"):
                DeltaTable(path, version=version).to_pyarrow_table()


def test_dagsters_records_stay_without_the_id(forgotten):
    key = dg.AssetKey(["raw", "bills"])

    def metadata_of(name: str) -> dict[str, Any]:
        with opened(forgotten.home) as (_, instance):
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[name])
            event = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
            return {label: value.value for label, value in event.metadata.items()}

    assert metadata_of("shop")["sample"] == [{"user_id": "(forgotten)"}]
    assert metadata_of("shop")["note"] == f"(forgotten) came; {USER}s did not"
    assert metadata_of("shop2")["sample"] == [{"user_id": USER}]
    assert receipts(forgotten.home)[0]["records_redacted"]["events"] >= 1
    forgotten.home.ok("status")


def test_the_engine_reads_and_writes_on_where_history_was_taken_away(own):
    own.ok("forget", "shop", USER, "--yes", "--rerun")
    rows = own.rows("features/rfm", "shop")
    assert rows
    assert USER not in {row["user_id"] for row in rows}
    assert own.rows("predictions/rfm_segments", "shop")
    assert holding(own.root / "lake" / "shop") == []
    kpis = [row for row in own.rows("validation/kpis", "shop") if row["measure"] == "bills" and row["store_id"] is None]
    assert sum(row["value"] for row in kpis) == len(own.rows("clean/bills", "shop"))


def test_a_forgotten_user_does_not_land_again(erased):
    erased.ok("run", "shop", "--select", FEW)
    erased.ok("run", "shop", "--select", "raw", "--full")
    assert "forgotten" in erased.ok("show", "raw/bills", "--customer", "shop")
    assert holding(erased.root / "lake" / "shop") == []
    owners = {row["bill_id"]: row["user_id"] for row in erased.rows("raw/bills", "shop")}
    assert owners[SHARED] == "somebody"
    assert BROKEN not in {row["bill_id"] for row in erased.rows("raw/line_items", "shop")}
    assert SHARED in {row["bill_id"] for row in erased.rows("raw/line_items", "shop")}


def test_forgetting_again_changes_nothing(erased):
    folder = erased.root / "lake" / "shop"
    before = {name: content for name, content in bytes_below(folder).items() if not name.startswith("receipts")}
    out = erased.ok("forget", "shop", USER, "--yes")
    assert {name: content for name, content in bytes_below(folder).items() if name in before} == before
    assert "nobody of that id was known" in out
    _, second = receipts(erased)
    assert (second["rows_removed"], second["files_removed"], second["models_marked"]) == ({}, 0, {})


def test_of_an_unknown_user_nothing_is_touched(own):
    """Neither history nor pictures, nor the list of those who do not land: it may be a slip of the pen."""
    before = bytes_below(own.root / "lake" / "shop")
    said = own.capflow("forget", "shop", "nobody-9", "--yes")
    assert (said.code, said.out) == (0, "")
    assert "knows no user 'nobody-9'" in said.err
    assert str(own.root) in said.err
    assert bytes_below(own.root / "lake" / "shop") == before
    mixed = own.capflow("forget", "shop", "nobody-9", USER, "--yes")
    assert "knows no user 'nobody-9'" in mixed.err
    assert len(receipts(own)) == 1
    assert holding(own.root / "lake" / "shop") == []


def test_a_user_of_older_versions_alone_is_no_stranger(own):
    with opened(own) as (deployed, _):
        lake = lake_of(own)
        for name in UserRows(lake, deployed.stages, deployed.customer("shop")).tables():
            DeltaTable(lake.path("shop", name)).delete()  # gone from the newest version, and in the files
    assert holding(own.root / "lake" / "shop") != []
    own.ok("forget", "shop", USER, "--yes")
    assert holding(own.root / "lake" / "shop") == []


def test_an_unknown_user_may_be_kept_out(own):
    before = rows_of(lake_of(own), "shop")
    out = own.ok("forget", "shop", "nobody-9", "nobody-8", "--yes", "--keep-out")
    assert out.count("nobody of that id was known") == 2
    assert rows_of(lake_of(own), "shop") == before
    assert all(receipt["rows_removed"] == {} for receipt in receipts(own))
    with opened(own) as (deployed, _):
        key = customer_key(deployed.home, "shop")
        suppressed = suppression.forgotten(deployed.lake, "shop")
    assert suppressed is not None
    assert suppressed.users == {
        suppression.digest(key, "user", "nobody-9"),
        suppression.digest(key, "user", "nobody-8"),
    }


def test_what_is_broken_off_is_finished_by_beginning_again(own, forgotten, monkeypatch):
    stopped: list[str] = []
    delete = UserRows.delete_where

    def stop_at_clean_bills(self: UserRows, name: str, *rest: Any) -> int:
        if name == "clean/bills" and not stopped:
            stopped.append(name)
            raise KeyboardInterrupt
        return delete(self, name, *rest)

    monkeypatch.setattr(UserRows, "delete_where", stop_at_clean_bills)
    with opened(own) as (deployed, instance), pytest.raises(KeyboardInterrupt):
        forgetting.forget(deployed, DagsterRecords(instance), "shop", [USER], "a letter")
    assert stopped
    own.ok("forget", "shop", USER, "--yes")
    assert rows_of(lake_of(own), "shop") == rows_of(lake_of(forgotten.home), "shop")
    assert holding(own.root / "lake" / "shop") == []


def test_a_person_is_asked_first(own):
    before = bytes_below(own.root / "lake")
    assert own.capflow("forget", "shop", USER).code == 1
    assert own.capflow("retire", "shop").code == 1
    assert bytes_below(own.root / "lake") == before


def test_a_run_that_has_not_ended_is_waited_for(own):
    with opened(own) as (_, instance):
        tags = {"dagster/partition": "shop"}
        instance.add_run(dg.DagsterRun("night", "1" * 36, status=dg.DagsterRunStatus.STARTED, tags=tags))
    said = own.capflow("forget", "shop", USER, "--yes")
    assert said.code == 1
    assert "11111111" in said.err
    own.ok("forget", "shop", USER, "--yes", "--anyway")
    own.ok("forget", "shop2", "nobody", "--yes")


def test_marked_versions_say_so(erased):
    erased.ok("forget", "shop", "nobody-9", "--yes", "--keep-out")
    with opened(erased) as (deployed, _):
        assert deployed.registry.forgotten("shop", "rfm_segments", 1) == 1
        assert deployed.registry.forgotten("shop2", "rfm_segments", 1) == 0


def test_an_expression_tells_whose_a_rejected_row_is(tmp_path, spark):
    folder = tmp_path / "files"
    toml = files_of(folder, "shop")
    toml.write_text(toml.read_text().replace('user_id = "user_id"', "user_id = \"concat('web:', user_id)\"", 1))
    home = TestHome(tmp_path / "home")
    home.ok("onboard", str(toml))
    home.ok("run", "shop", "--select", "raw/bills")
    assert len(home.rows("raw/bills_rejected", "shop")) == 1
    home.ok("forget", "shop", f"web:{USER}", "--yes")
    assert home.rows("raw/bills_rejected", "shop") == []


def test_while_the_store_of_online_answers_is_down_the_receipt_says_what_remains(own):
    (own.root / "capflow.toml").write_text(
        '[serving.store]\nkind = "redis"\nhost = "127.0.0.1"\nport = 1\ntls = false\ntimeout_ms = 200\n'
    )
    own.ok("forget", "shop", USER, "--yes", "--reason", "a letter")
    [receipt] = receipts(own)
    (remaining,) = [words for words in receipt["remains"] if "online answers" in words]
    assert "until the tables are published again" in remaining
    assert "online answers" not in receipt["rows_removed"]

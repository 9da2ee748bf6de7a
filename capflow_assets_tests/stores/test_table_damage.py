"""Damaged tables are named, and a run makes them anew with the rows that an undamaged one has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.doctor import Case, Result, examine
from capflow_assets.errors import TableError
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.table_damage import damage
from capflow_assets.tables.suppression import SUPPRESSION, digest, remember
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.landings import KEY, Shop

COLUMNS = {"user_id": "id", "registered_at": "at", "city": "city"}
HEADER = ("id", "at", "city")
ROWS = [(f"u{place}", f"2024-01-{1 + place % 28:02d} 10:00:00", f"c{place % 3}") for place in range(40)]
LATE = ("u99", "2024-02-02 10:00:00", "c9")
BAD = ("", "2024-01-05 10:00:00", "c1")
NEWER = {"watermark": "at", "merge_on": ["user_id"]}


def newest_file(table: Path) -> Path:
    return Path(min(DeltaTable(table).file_uris()).removeprefix("file://"))


def last_entry(table: Path) -> Path:
    return max((table / "_delta_log").glob("*.json"))


def delete_a_file(table: Path) -> None:
    newest_file(table).unlink()


def cut_a_file_short(table: Path) -> None:
    file = newest_file(table)
    file.write_bytes(file.read_bytes()[:-100])


def garble_a_file(table: Path) -> None:
    file = newest_file(table)
    file.write_bytes(b"\xff" * (file.stat().st_size + 1))


def garble_the_log(table: Path) -> None:
    last_entry(table).write_text('{"add": garb')


def lose_the_first_entry(table: Path) -> None:
    min((table / "_delta_log").glob("*.json")).unlink()


def lose_the_schema(table: Path) -> None:
    entry = min((table / "_delta_log").glob("*.json"))
    entry.write_text(entry.read_text().replace("schemaString", "nothing"))


def put_a_file_for_the_log(table: Path) -> None:
    shutil.rmtree(table / "_delta_log")
    (table / "_delta_log").write_text("no log")


def empty_the_log(table: Path) -> None:
    for entry in (table / "_delta_log").iterdir():
        entry.unlink()


NAMED = (
    delete_a_file,
    cut_a_file_short,
    garble_a_file,
    garble_the_log,
    lose_the_first_entry,
    lose_the_schema,
    put_a_file_for_the_log,
)


@pytest.fixture
def shop(tmp_path, spark) -> Shop:
    return Shop(tmp_path, spark)


def filled(shop: Shop, **how: object) -> list[dict[str, object]]:
    """Two landings of users, and what lies there then."""
    shop.sends("users", HEADER, ROWS)
    shop.landed("users", columns=COLUMNS, **how)
    shop.sends("users", HEADER, [*ROWS, LATE])
    shop.landed("users", columns=COLUMNS, **how)
    return shop.rows("raw/users")


@pytest.mark.parametrize("harm", NAMED)
def test_a_damaged_raw_table_that_takes_newer_rows_is_named_and_made_anew_when_asked(
    shop: Shop, harm: Callable[[Path], None]
):
    rows = filled(shop, **NEWER)
    harm(shop.folder / "lake/shop/raw/users")
    result = shop.lands("users", columns=COLUMNS, **NEWER)
    assert result.status == "failed"
    assert "raw/users of shop is damaged" in result.reason
    assert "capflow run shop --full" in result.reason
    assert "source of users cannot be read" not in result.reason
    done = shop.landed("users", columns=COLUMNS, full=True, **NEWER)
    assert done.how.startswith("everything, since the table was damaged: ")
    assert shop.rows("raw/users") == rows
    assert not damage(shop.lake.path("shop", "raw/users"))
    assert "nothing has changed" in shop.landed("users", columns=COLUMNS, **NEWER).how


@pytest.mark.parametrize("harm", NAMED)
def test_a_damaged_raw_table_that_is_read_in_full_anyway_is_made_anew_by_any_run(
    shop: Shop, harm: Callable[[Path], None]
):
    rows = filled(shop)
    harm(shop.folder / "lake/shop/raw/users")
    assert shop.landed("users", columns=COLUMNS).how.startswith("everything, since the table was damaged: ")
    assert shop.rows("raw/users") == rows


@pytest.mark.parametrize("how", [{}, NEWER], ids=["everything", "newer rows"])
def test_a_file_of_the_same_length_with_other_bytes_is_found_by_reading_it(shop: Shop, how: dict[str, object]):
    rows = filled(shop, **how)
    file = newest_file(shop.folder / "lake/shop/raw/users")
    content = file.read_bytes()
    file.write_bytes(content[:4] + b"\xff" * (len(content) // 3) + content[4 + len(content) // 3 :])
    shop.landed("users", columns=COLUMNS, full=True, **how)
    assert shop.rows("raw/users") == rows


def test_a_log_without_an_entry_is_as_no_table_but_the_run_says_that_there_was_one(shop: Shop):
    rows = filled(shop, **NEWER)
    empty_the_log(shop.folder / "lake/shop/raw/users")
    assert shop.landed("users", columns=COLUMNS, **NEWER).how == "everything, since the table that had landed is gone"
    assert shop.rows("raw/users") == rows


@pytest.mark.parametrize("harm", [delete_a_file, garble_the_log])
def test_damaged_rejected_rows_are_kept_anew_when_everything_is_read(shop: Shop, harm: Callable[[Path], None]):
    shop.sends("users", HEADER, [*ROWS, BAD])
    shop.landed("users", columns=COLUMNS, **NEWER)
    kept = shop.rows("raw/users_rejected")
    assert len(kept) == 1
    harm(shop.folder / "lake/shop/raw/users_rejected")
    shop.sends("users", HEADER, [*ROWS, BAD, LATE])
    result = shop.lands("users", columns=COLUMNS, **NEWER)
    assert "raw/users_rejected of shop is damaged" in result.reason
    shop.landed("users", columns=COLUMNS, full=True, **NEWER)
    assert shop.rows("raw/users_rejected") == kept


@pytest.mark.parametrize("harm", [*NAMED, empty_the_log])
def test_nothing_lands_while_the_list_of_forgotten_users_is_damaged(shop: Shop, harm: Callable[[Path], None]):
    filled(shop, **NEWER)
    remember(shop.lake, "shop", "user", [digest(KEY, "user", "u99")])
    shop.landed("users", columns=COLUMNS, full=True, **NEWER)
    rows = shop.rows("raw/users")
    assert "u99" not in {row["user_id"] for row in rows}
    harm(shop.folder / "lake/shop" / SUPPRESSION)
    result = shop.lands("users", columns=COLUMNS, full=True, **NEWER)
    assert (result.status, f"{SUPPRESSION} of shop is damaged" in result.reason) == ("failed", True), result.reason
    assert "from a backup" in result.reason
    assert shop.rows("raw/users") == rows


def test_forgotten_users_stay_away_when_a_damaged_table_is_made_anew(shop: Shop):
    filled(shop)
    remember(shop.lake, "shop", "user", [digest(KEY, "user", "u99")])
    garble_the_log(shop.folder / "lake/shop/raw/users")
    shop.landed("users", columns=COLUMNS, full=True)
    assert {row["user_id"] for row in shop.rows("raw/users")} == {user for user, _, _ in ROWS}


def test_a_sound_table_and_none_at_all_are_not_damaged(shop: Shop):
    path = shop.lake.path("shop", "raw/users")
    assert damage(path) == ""
    filled(shop)
    assert damage(path, is_read=True) == ""
    DeltaTable(path).create_checkpoint()
    min((Path(path) / "_delta_log").glob("*.json")).unlink()
    assert damage(path, is_read=True) == ""


def test_a_history_that_is_damaged_is_named_and_not_replaced(spark, tmp_path):
    lake = Lake(str(tmp_path), lambda: spark)
    rows = spark.createDataFrame([(1, "a"), (2, "b")], "id int, name string")
    lake.replace(rows, "shop", "health/churn", "id = 1")
    delete_a_file(tmp_path / "shop/health/churn")
    with pytest.raises(TableError, match="health/churn of shop is damaged") as caught:
        lake.replace(rows, "shop", "health/churn", "id = 1")
    assert "from a backup" in str(caught.value)


def garble_the_middle(table: Path) -> None:
    file = newest_file(table)
    content = file.read_bytes()
    file.write_bytes(content[:10] + b"\xff" * (len(content) // 3) + content[10 + len(content) // 3 :])


@pytest.mark.parametrize("harm", [delete_a_file, cut_a_file_short, garble_a_file, garble_the_middle, garble_the_log])
def test_a_damaged_table_that_is_shown_is_named(bills_only: TestHome, tmp_path, harm: Callable[[Path], None]):
    home = bills_only.copied(tmp_path / "home")
    harm(home.root / "lake/young/raw/bills")
    said = home.capflow("show", "raw/bills", "-c", "young", "-f", "csv")
    assert said.code == 1
    assert "raw/bills of young is damaged" in said.err
    assert "capflow run young --full" in said.err


def examined(home: TestHome) -> list[Result]:
    """What the doctor finds of the customer's tables."""
    place = Home.of(home.root, {})
    return list(examine(Case(place, lambda: deployment(STAGES, SOURCES, home=place), "young"), pattern="lake.tables"))


DERIVED = {
    "raw/bills": garble_the_log,
    "clean/bills": lose_the_first_entry,
    "features/rfm": delete_a_file,
    "features/rhythm": garble_the_log,
    "features/catalogue": cut_a_file_short,
    "validation/report": garble_the_log,
}


def said_of(home: TestHome, table: str) -> list[str]:
    """A table's rows, but for which version of a table they are about, and in what order numbers were added up."""
    rows = [
        {name: value for name, value in row.items() if name != "table_version"} for row in home.rows(table, "young")
    ]
    return sorted(repr({name: _rounded(value) for name, value in row.items()}) for row in rows)


def _rounded(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) else value


def test_a_run_makes_every_damaged_table_of_a_customer_anew_and_the_doctor_names_them_before(
    bills_only: TestHome, tmp_path
):
    home = bills_only.copied(tmp_path / "home")
    lake = home.root / "lake" / "young"
    tables = [table for table in DERIVED if (lake / table / "_delta_log").is_dir()]
    assert {"raw/bills", "clean/bills", "features/rfm"} <= set(tables)
    before = {table: said_of(home, table) for table in tables}
    for table in tables:
        DERIVED[table](lake / table)
    results = examined(home)
    assert {result.found.split(" of ")[0] for result in results} == set(tables)
    assert {result.state for result in results} == {"broken"}
    chosen = [part for stage in ("raw", "clean", "features", "validation") for part in ("--select", f"{stage}/*")]
    home.ok("run", "young", "--full", *chosen)
    for table in tables:
        assert said_of(home, table) == before[table], table
    (sound,) = examined(home)
    assert sound.state == "ok", sound

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.simulation.brand import BOOTS, CAFE, tiny
from capflow_assets.simulation.files import write, write_truth
from capflow_assets.simulation.shape import Shape
from capflow_assets.simulation.world import World, simulate

UPTO = datetime(2024, 7, 15, tzinfo=UTC)


@lru_cache
def world(**dials: object) -> World:
    return simulate(tiny("shop", seed=2, time_zone="Europe/London", **dials))


@lru_cache
def boots() -> World:
    return simulate(tiny("shop", seed=2, time_zone="Europe/London", shape=BOOTS.shape, wrong_types=7, duplicates_pct=2))


def test_the_toml_tells_how_to_read_every_file(tmp_path: Path) -> None:
    path = write(boots(), tmp_path)
    declared = tomllib.loads(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "shop.toml"
    assert {key: declared[key] for key in ("name", "vertical", "currency", "time_zone")} == {
        "name": "shop",
        "vertical": "footwear",
        "currency": "EUR",
        "time_zone": "Europe/London",
    }
    assert set(declared["tables"]) == set(boots().tables)
    for name, table in declared["tables"].items():
        frame = pd.read_csv(tmp_path / table["location"], sep=table["options"]["delimiter"], dtype=str)
        sources = [BOOTS.shape.name(name, column) for column in table["columns"]]
        assert list(frame.columns) == sources
        assert list(table["columns"]) == list(boots().tables[name].columns)
    assert declared["tables"]["bills"]["columns"]["bill_id"] == "Receipt No"
    assert declared["tables"]["messages"]["columns"]["is_control"] == "`Held out` = 'Y'"


def test_csv_holds_local_times_and_the_wrong_types_asked_for(tmp_path: Path) -> None:
    write(boots(), tmp_path)
    bills = pd.read_csv(tmp_path / "bills.csv", sep=";", dtype=str, keep_default_na=False)
    assert len(bills) == len(boots().bills) + round(0.02 * len(boots().bills))
    assert ((bills["Total"] == "n/a").sum(), (bills["Date"] == "unknown").sum()) == (4, 3)
    right = bills[(bills["Total"] != "n/a") & (bills["Date"] != "unknown")].drop_duplicates()
    truth = boots().bills.set_index("bill_id").loc[right["Receipt No"]]
    read = pd.to_datetime(right["Date"], format="%d/%m/%Y %H:%M").dt.tz_localize("Europe/London").dt.tz_convert("UTC")
    assert (read.to_numpy() == truth["billed_at"].dt.tz_convert("UTC").to_numpy()).all()
    assert (right["Total"].astype(float).to_numpy() == truth["amount"].to_numpy()).all()
    assert (right["Card"] == "").sum() == truth["user_id"].isna().sum() > 0


def test_parquet_comes_by_month_in_microseconds_of_utc(tmp_path: Path) -> None:
    cafe = world()
    declared = tomllib.loads(write(cafe, tmp_path, CAFE.shape).read_text(encoding="utf-8"))["tables"]["bills"]
    assert (declared["source"], declared["location"], "options" in declared) == ("parquet", "bills", False)
    parts = sorted((tmp_path / "bills").glob("*.parquet"))
    assert [part.stem for part in parts[:2]] == ["2024-01", "2024-02"]
    assert len({str(pq.read_schema(part)) for part in parts}) == 1
    assert str(pq.read_schema(parts[0]).field("ts").type) == "timestamp[us, tz=UTC]"
    read = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    assert read["ticket"].tolist() == cafe.bills["bill_id"].tolist()
    assert (read["ts"] == cafe.bills["billed_at"]).all()


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write(boots(), folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


@pytest.mark.parametrize("shape", [BOOTS.shape, CAFE.shape])
def test_landing_again_replaces_what_was_there(tmp_path: Path, shape: Shape) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    write(world(), once, shape, UPTO)
    write(world(), twice, shape)
    write(world(), twice, shape, UPTO)
    files = {path.relative_to(once): path.read_bytes() for path in once.rglob("*") if path.is_file()}
    assert files == {path.relative_to(twice): path.read_bytes() for path in twice.rglob("*") if path.is_file()}


def test_before_the_first_bill_the_files_are_there_and_empty(tmp_path: Path) -> None:
    path = write(world(), tmp_path, CAFE.shape, datetime(2020, 1, 1, tzinfo=UTC))
    assert set(tomllib.loads(path.read_text(encoding="utf-8"))["tables"]) == set(world().tables)
    assert pd.read_parquet(tmp_path / "bills" / "empty.parquet").empty


def test_a_headerless_file_is_declared_with_its_names(tmp_path: Path) -> None:
    shape = Shape(header=False, delimiter="|", encoding="latin-1")
    declared = tomllib.loads(write(world(), tmp_path, shape).read_text(encoding="utf-8"))["tables"]["stores"]
    assert declared["options"]["names"] == ["store_id", "name", "city", "region", "latitude", "longitude"]
    frame = pd.read_csv(tmp_path / "stores.csv", sep="|", header=None)
    assert frame.shape == (3, 6)


def test_tables_that_are_not_sent_or_not_there_are_left_out(tmp_path: Path) -> None:
    bare = world(sends=("bills", "campaigns"), campaigns=0)
    declared = tomllib.loads(write(bare, tmp_path).read_text(encoding="utf-8"))
    assert set(declared["tables"]) == {"bills"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bills.csv", "shop.toml"]


def test_settings_end_up_in_the_toml(tmp_path: Path) -> None:
    settings = {"models": {"purchase_propensity": {"horizon_days": 30}}, "retraining": {"psi": 0.25}}
    declared = tomllib.loads(write(world(), tmp_path, settings=settings).read_text(encoding="utf-8"))
    assert declared["models"]["purchase_propensity"]["horizon_days"] == 30
    assert declared["retraining"] == {"psi": 0.25}


def test_the_truth_has_a_folder_of_its_own(tmp_path: Path) -> None:
    customer = write(world(), tmp_path / "customers" / "shop").parent
    truth = write_truth(world(), tmp_path / "truth" / "shop")
    users = pd.read_parquet(truth / "users.parquet")
    pd.testing.assert_frame_equal(users, world().truth.users)
    contents = "".join(path.read_text(encoding="utf-8") for path in customer.iterdir())
    for secret in ("rate_per_week", "dropout_chance", "dropped_at", "taste_", "uplift", "price_sensitivity"):
        assert secret not in contents
    future = world().truth.future_bills["bill_id"]
    assert not any(bill_id in contents for bill_id in future)


def test_truth_and_customer_never_share_a_folder(tmp_path: Path) -> None:
    write(world(), tmp_path / "shop")
    for folder in (tmp_path / "shop", tmp_path / "shop" / "truth"):
        with pytest.raises(CapflowError, match="would share a folder"):
            write_truth(world(), folder)
    write_truth(world(), tmp_path / "other" / "truth")
    for folder in (tmp_path / "other", tmp_path / "other" / "truth", tmp_path / "other" / "truth" / "shop"):
        with pytest.raises(CapflowError, match="would share a folder"):
            write(world(), folder)


def test_a_moment_without_a_zone_and_wrong_types_in_parquet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CapflowError, match="has no zone"):
        write(world(), tmp_path, upto=datetime(2024, 7, 15))  # noqa: DTZ001
    with pytest.raises(CapflowError, match="Wrong types need files that hold text"):
        write(boots(), tmp_path, CAFE.shape)

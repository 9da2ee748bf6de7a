"""A customer is retired: nothing of it is left anywhere, and everything of the others is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import dagster as dg

from capflow_assets_tests.erasure.shops import FEW, USER, bytes_below, files_of, lake_of, opened


def test_a_retired_customer_is_gone_and_its_namesake_stays(own):
    lake, neighbour = lake_of(own), bytes_below(own.root / "lake" / "shop2")
    own.ok("forget", "shop", "nobody", "--yes")
    status = own.status("shop2")
    out = own.ok("retire", "shop", "--yes", "--reason", "contract ended")
    assert "retired shop" in out
    assert not Path(lake.prefix("shop")).exists()
    assert bytes_below(own.root / "lake" / "shop2") == neighbour
    assert own.status("shop2") == status
    assert own.rows("predictions/rfm_segments", "shop2")
    assert not (own.root / "customers" / "shop.toml").exists()
    assert not (own.root / "keys" / "shop").exists()
    [receipt] = [json.loads(file.read_text()) for file in (own.root / "receipts").iterdir()]
    assert receipt["models"] == ["rfm_segments"]
    assert receipt["reason"] == "contract ended"
    with contextlib.closing(sqlite3.connect(own.root / "mlflow.db")) as database:
        assert database.execute("select name from registered_models").fetchall() == [("shop2.rfm_segments",)]
        assert {name for (name,) in database.execute("select name from experiments")} == {
            "Default",
            "shop2.rfm_segments",
        }
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        assert database.execute("select count(*) from logged_models").fetchone() == (0,)
        assert database.execute("select count(*) from model_versions").fetchone() == (1,)
    assert b"shop.rfm_segments" not in (own.root / "mlflow.db").read_bytes()
    with opened(own) as (_, instance):
        assert instance.get_dynamic_partitions("customer") == ["shop2"]
        assert {run.tags["dagster/partition"] for run in instance.get_runs()} == {"shop2"}
        for name, count in (("shop", 0), ("shop2", 2)):
            wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["raw", "bills"]), asset_partitions=[name])
            assert len(instance.fetch_materializations(wanted, limit=9).records) == count
        assert instance.get_materialized_partitions(dg.AssetKey(["clean", "bills"])) == {"shop2"}
        last = instance.get_latest_materialization_event(dg.AssetKey(["raw", "bills"]))
        assert last is not None
        assert last.asset_materialization.partition == "shop2"
    said = own.capflow("retire", "shop", "--yes")
    assert said.code == 1
    assert "There is no customer 'shop'" in said.err
    assert "shop2" in said.err


def test_a_retired_customer_is_not_onboarded_by_the_sensor(own):
    from capflow_assets.graph.onboarding import onboarding_sensor

    own.ok("retire", "shop", "--yes")
    with opened(own) as (deployed, instance):
        context = dg.build_sensor_context(instance=instance)
        result = onboarding_sensor(lambda: deployed, deployed.stages)(context)
        assert isinstance(result, dg.SensorResult)
        assert not result.dynamic_partitions_requests


def test_a_retired_customer_may_come_again(own):
    own.ok("retire", "shop", "--yes")
    own.ok("onboard", str(files_of(own.root.parent / "again", "shop")))
    own.ok("run", "shop", "--select", FEW)
    assert own.status("shop")["rfm_segments"]["champion"] == 1
    assert USER in {row["user_id"] for row in own.rows("clean/bills", "shop")}


def test_a_customer_that_is_only_partly_there_can_be_retired(own):
    (own.root / "customers" / "shop.toml").unlink()
    own.ok("retire", "shop", "--yes")
    assert not (own.root / "lake" / "shop").exists()

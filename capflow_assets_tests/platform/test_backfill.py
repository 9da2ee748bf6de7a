"""One backfill of everything for three customers, one of them broken: two complete; it is said why one did not."""

from __future__ import annotations

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.life.verdicts import FLEET
from capflow_assets_tests.platform.conftest import (
    ASSETS,
    BROKEN,
    CUSTOMERS,
    GOOD,
    MODELS,
    OTHERS,
    SENDS,
    Backfilled,
    downstream,
)

# What the broken customer cannot have: all that is made of its bills, but for what it has not in any case.
LOST = downstream("raw/bills") - STAGES.absent(SENDS).keys() - OTHERS
# Bills and users alone make these ready; the others say what they lack.
OF_BILLS = ("lifetime_value", "rfm_segments")


def counts(backfill):
    """How often each asset was materialized, and how often it failed; the fleet's one picture at most once."""
    statuses = backfill["assetBackfillData"]["assetBackfillStatuses"]
    return {"/".join(status["assetKey"]["path"]): counted(status) for status in statuses}


def counted(status):
    if "materialized" in status:
        return int(status["materialized"]), int(status["failed"])
    return status["numPartitionsMaterialized"], status["numPartitionsFailed"]


def runs_of(backfill, asset):
    return [run for run in backfill["runs"] if {"path": asset.split("/")} in run["assetSelection"]]


def customers_of(run):
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    if "dagster/partition" in tags:
        return [tags["dagster/partition"]]
    first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return list(CUSTOMERS[CUSTOMERS.index(first) : CUSTOMERS.index(last) + 1])


def test_what_a_missing_table_takes_with_it_is_known():
    assert {"clean/bills", "features/rfm", "models/lifetime_value", "health/lifetime_value"} <= LOST
    assert not {"raw/users", "raw/line_items", "clean/line_items"} & LOST


def test_the_backfill_ends_and_marks_exactly_the_broken_customer(backfilled: Backfilled):
    assert backfilled.result["status"] == "COMPLETED_FAILED"
    expected = {asset: (2, 1) if asset in LOST else (3, 0) for asset in ASSETS}
    # Dagster draws no picture of all customers in a backfill in which one of them failed; every morning does.
    assert counts(backfilled.result) == {**expected, FLEET: (0, 1)}


def test_all_tables_of_all_customers_were_one_run(backfilled: Backfilled):
    (run,) = runs_of(backfilled.result, "raw/bills")
    assert customers_of(run) == list(CUSTOMERS)
    assert {"/".join(key["path"]) for key in run["assetSelection"]} == set(STAGES.order)


def test_the_models_ran_for_the_others_and_did_not_fail(backfilled: Backfilled):
    for model in MODELS:
        runs = runs_of(backfilled.result, f"models/{model}")
        assert sorted(name for run in runs for name in customers_of(run)) == sorted(GOOD)
        assert {run["status"] for run in runs} == {"SUCCESS"}


def test_the_run_says_who_failed_why_and_where(backfilled: Backfilled):
    (run,) = runs_of(backfilled.result, "raw/bills")
    assert run["status"] == "FAILURE"
    (reason,) = backfilled.platform.server.failures(run["runId"]).values()
    assert reason.startswith(f"1 of 3 customers failed: {BROKEN}\n{BROKEN}: raw/bills: ")
    assert str(backfilled.platform.files / BROKEN / "bills.csv") in reason
    assert not any(f"\n{name}: " in reason for name in GOOD)


def test_nothing_of_the_broken_customer_was_written_but_what_can_be_made(backfilled: Backfilled):
    assert backfilled.left == ("users",)


@pytest.mark.parametrize("model", MODELS)
def test_the_others_have_predictions_or_the_reason_why_not(backfilled: Backfilled, model):
    home = backfilled.platform.home
    champions = 0
    assert model in OF_BILLS or {home.status(name)[model]["status"] for name in GOOD} == {"not ready"}
    for name in GOOD:
        row = home.status(name)[model]
        assert row["reason"]
        if row["champion"]:
            champions += 1
            rows = home.rows(f"predictions/{model}", name)
            assert len(rows) > 80
            assert {row["user_id"] for row in rows} == {row["user_id"] for row in home.rows("features/rfm", name)}
    assert champions == (len(GOOD) if model in OF_BILLS else 0)


def test_the_mended_customer_becomes_whole(backfilled: Backfilled, mended):
    platform = backfilled.platform
    assert mended["status"] == "COMPLETED_SUCCESS"
    assert counts(mended) == dict.fromkeys(ASSETS, (1, 0))
    for asset in set(ASSETS) - {FLEET}:
        partitions = platform.server.partitions(asset)
        assert partitions["materialized"] == sorted(CUSTOMERS), asset
        assert partitions["failed"] == [], asset
    status = platform.home.status(BROKEN)
    assert {status[model]["status"] for model in OF_BILLS}.isdisjoint({"never run", "not ready"})
    assert {status[model]["status"] for model in set(MODELS) - set(OF_BILLS)} == {"not ready"}
    assert len(platform.home.rows("predictions/rfm_segments", BROKEN)) > 100

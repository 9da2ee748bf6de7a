"""The newest records of many assets at once are those that Dagster gives of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.graph.newest import MOST_NAMED, latest, newest

NAMES = {"text", "number", "share", "holds", "nothing", "table", "place"}
KEYS = ("models/churn", "health/churn")


@pytest.fixture(params=["memory", "sqlite"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    root = str(tmp_path) if request.param == "sqlite" else None
    with dg.DagsterInstance.local_temp(root) if root else dg.DagsterInstance.ephemeral() as opened:
        yield opened


def report(instance: dg.DagsterInstance, key: str, customer: str, **metadata: object) -> None:
    event = dg.AssetMaterialization(dg.AssetKey(key.split("/")), partition=customer, metadata=metadata)
    instance.report_runless_asset_event(event)


def test_they_are_those_that_dagster_gives_of_each(instance):
    for turn in (1, 2):
        for customer in ("ann", "bob"):
            plain = {"text": f"{customer}, turn {turn}", "number": turn, "share": 0.5 * turn, "holds": turn == 1}
            kinds = {
                "nothing": None,
                "place": dg.MetadataValue.path("/somewhere"),
                "plot": dg.MetadataValue.md("![]()"),
            }
            report(instance, "models/churn", customer, **plain, **kinds)
    report(instance, "health/churn", "bob", share=float("inf"), number=-1)
    report(instance, "models/other", "ann", text="of another asset")
    records = newest(instance, dict.fromkeys(KEYS, NAMES), ["ann", "bob", "cid"])
    assert set(records) == set(KEYS)
    assert set(records["models/churn"]) == {"ann", "bob"}
    assert set(records["health/churn"]) == {"bob"}
    for key, of_customers in records.items():
        for customer, metadata in of_customers.items():
            whole = latest(instance, key, customer)
            assert metadata == {name: value for name, value in whole.items() if name in NAMES}
    assert records["models/churn"]["bob"]["text"] == "bob, turn 2"


def test_only_the_requested_customers_are_reported(instance):
    for customer in ("ann", "bob"):
        report(instance, "health/churn", customer, text=customer)
    many = ["bob", *(f"nobody_{number}" for number in range(MOST_NAMED))]
    for customers in (["bob"], many):
        assert newest(instance, {"health/churn": {"text"}}, customers) == {"health/churn": {"bob": {"text": "bob"}}}


def test_records_that_were_wiped_are_gone(instance):
    report(instance, "health/churn", "ann", text="wiped")
    instance.wipe_assets([dg.AssetKey(["health", "churn"])])
    assert newest(instance, {"health/churn": {"text"}}, ["ann"]) == {"health/churn": {}}
    report(instance, "health/churn", "ann", text="made anew")
    assert newest(instance, {"health/churn": {"text"}}, ["ann"]) == {"health/churn": {"ann": {"text": "made anew"}}}

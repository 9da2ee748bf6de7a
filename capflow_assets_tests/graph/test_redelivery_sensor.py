"""Deliveries that are made again: after quiet hours, and to a destination that was down."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.storage.event_log.base import EventLogCursor
from dagster._core.test_utils import create_run_for_test

from capflow_assets.definitions import STAGES, defs
from capflow_assets.graph.launch import QUIET
from capflow_assets.graph.night_runs import BY_STEP, FAILURE_REASON
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.redelivery_sensor import redelivery_sensor
from capflow_assets_doubles.homes import own_environment
from capflow_assets_tests.nights.brand import WAREHOUSE, Brand

EMAIL = """
[[delivery]]
name = "warehouse"
kind = "parquet"
models = ["churn"]
channel = "email"
purpose = "marketing"
options = { location = "OUT" }
rules = { quiet_hours = ["FIRST", "LAST"] }
"""


class Daemon:
    """The sensor, tick by tick, and what it asks for carried out."""

    def __init__(self, brand: Brand, instance: dg.DagsterInstance) -> None:
        self.brand, self.instance = brand, instance
        self.cursor: str | None = None
        self.requests: list[dg.RunRequest] = []

    def deliver(self) -> bool:
        """Whether the delivery of the model's predictions succeeded."""
        selection = [dg.AssetKey(["delivery", "churn"])]
        job = defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            partition_key="boots",
            asset_selection=selection,
            run_config=dict(QUIET),
            raise_on_error=False,
        )
        return result.success

    def tick(self, now: datetime) -> list[Any]:
        """Who is delivered to again: customers and assets."""
        sensor = redelivery_sensor(STAGES, lambda: now)
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            result: Any = sensor(context)
        self.cursor = result.cursor
        self.requests = list(result.run_requests or [])
        return [(r.partition_key, [k.to_user_string() for k in r.asset_selection or []]) for r in self.requests]

    def begin(self, status: dg.DagsterRunStatus, **tags: str) -> None:
        """Record a run of what the last tick asked for."""
        (request,) = self.requests
        create_run_for_test(self.instance, tags={**request.tags, **tags}, status=status)

    def kill(self) -> None:
        """End the newest run as monitoring does that has found its process gone."""
        self.instance.report_run_failed(self.instance.get_runs(limit=1)[0], "its process is gone")

    @property
    def statuses(self) -> list[str]:
        return [receipt.status for receipt in self.brand.ledger.receipts()]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    brand = Brand(tmp_path)
    brand.score()
    with own_environment(), dg.DagsterInstance.ephemeral() as instance:
        os.environ["CAPFLOW_HOME"] = str(tmp_path / "home")
        instance.add_dynamic_partitions(str(CUSTOMERS.name), ["boots"])
        yield Daemon(brand, instance)


AGAIN = [("boots", ["delivery/churn"])]


def test_who_was_asleep_is_written_to_when_the_quiet_hours_are_over(daemon: Daemon) -> None:
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    first, last = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (-2, 2))
    daemon.brand.declare(EMAIL.replace("FIRST", first).replace("LAST", last))
    daemon.brand.consent(ann="granted", bob="granted")
    assert daemon.deliver()
    assert daemon.statuses == ["waiting"]
    assert daemon.tick(now + timedelta(minutes=118)) == []
    assert daemon.tick(now + timedelta(minutes=121)) == AGAIN
    assert daemon.tick(now + timedelta(minutes=122)) == [], "once"
    assert daemon.deliver(), "it is still quiet by the clock of this machine"
    assert daemon.tick(now + timedelta(minutes=122)) == AGAIN, "which is known anew"


def test_a_destination_that_was_down_is_tried_again_ever_later_and_not_for_ever(daemon: Daemon) -> None:
    daemon.brand.declare(WAREHOUSE)
    in_the_way = daemon.brand.root / "files" / "out"
    in_the_way.write_text("a file where a folder is to be")
    for minutes in (5, 15, 45, 135):
        assert not daemon.deliver()
        now = datetime.now(UTC)
        assert daemon.tick(now + timedelta(minutes=minutes - 1)) == []
        assert daemon.tick(now + timedelta(minutes=minutes)) == AGAIN
    assert not daemon.deliver()
    assert daemon.tick(now + timedelta(days=1)) == []
    in_the_way.unlink()
    assert daemon.deliver()
    assert daemon.statuses == ["delivered"]
    assert daemon.tick(now + timedelta(days=1)) == []


def test_a_run_that_was_killed_is_asked_for_again_three_times_in_all(daemon: Daemon) -> None:
    daemon.brand.declare(WAREHOUSE)
    (daemon.brand.root / "files" / "out").write_text("a file where a folder is to be")
    assert not daemon.deliver()
    now = datetime.now(UTC) + timedelta(minutes=6)
    assert daemon.tick(now) == AGAIN
    for tries in (2, 3):
        daemon.begin(dg.DagsterRunStatus.STARTED)
        assert daemon.tick(now) == [], "it runs"
        daemon.kill()
        assert daemon.tick(now) == AGAIN
        assert daemon.requests[0].run_key is not None
        assert daemon.requests[0].run_key.endswith(f":{tries}")
    daemon.begin(dg.DagsterRunStatus.STARTED)
    daemon.kill()
    assert daemon.tick(now) == [], "three times in all"


def test_a_run_that_failed_by_its_delivery_is_not_asked_for_again(daemon: Daemon) -> None:
    daemon.brand.declare(WAREHOUSE)
    (daemon.brand.root / "files" / "out").write_text("a file where a folder is to be")
    assert not daemon.deliver()
    now = datetime.now(UTC) + timedelta(minutes=6)
    assert daemon.tick(now) == AGAIN
    daemon.begin(dg.DagsterRunStatus.FAILURE, **{FAILURE_REASON: BY_STEP})
    assert daemon.tick(now) == []


def test_a_cursor_beyond_what_there_is_hides_nothing(daemon: Daemon) -> None:
    """Records go with a customer who is retired, and their numbers come again."""
    daemon.brand.declare(WAREHOUSE)
    (daemon.brand.root / "files" / "out").write_text("a file where a folder is to be")
    assert not daemon.deliver()
    beyond = EventLogCursor.from_storage_id(10**9).to_string()
    daemon.cursor = json.dumps({"read": {"churn": beyond}})
    assert daemon.tick(datetime.now(UTC) + timedelta(minutes=6)) == AGAIN


def test_nothing_is_due_to_a_customer_who_is_gone(daemon: Daemon) -> None:
    daemon.brand.declare(WAREHOUSE)
    (daemon.brand.root / "files" / "out").write_text("a file where a folder is to be")
    assert not daemon.deliver()
    assert daemon.tick(datetime.now(UTC)) == []
    daemon.instance.delete_dynamic_partition(str(CUSTOMERS.name), "boots")
    assert daemon.tick(datetime.now(UTC) + timedelta(days=1)) == []

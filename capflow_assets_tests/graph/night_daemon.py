"""A home whose sensor of nights is evaluated tick by tick, for tests."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from capflow_assets.definitions import SOURCES, STAGES, defs
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.launch import QUIET
from capflow_assets.graph.night_sensor import nights_sensor
from capflow_assets.graph.night_status import night_rows
from capflow_assets.graph.onboarding import onboard
from capflow_assets.home.places import Home

NIGHT = '\n[night]\nstart = "22:00"\ndeadline = "06:00"\n'
TOML = """
name = "NAME"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
only_models = ["rfm_segments"]
[tables.bills]
source = "csv"
location = "bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
[features.recursive_candidates]
depth = 1
windows_days = [28]
"""
BILLS = "id,at,amount,user\n" + "".join(
    f"b{n},2024-0{1 + n % 6}-1{n % 9} 10:00,{5 + n}.50,u{n % 7}\n" for n in range(60)
)
EVENING = datetime(2031, 6, 1, 22, 0, 30, tzinfo=UTC)


@dataclass
class Daemon:
    """A home whose sensor of nights is evaluated one tick after another, at the times that a test says."""

    deployment: Deployment
    instance: dg.DagsterInstance
    files: Path
    now: datetime = EVENING - timedelta(hours=2)
    cursor: str | None = None
    requests: list[dg.RunRequest] = field(default_factory=list)

    def onboard(self, name: str, night: str = NIGHT, sends: bool = True) -> None:
        file = self.files / name / f"{name}.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TOML.replace("NAME", name) + night)
        if sends:
            (file.parent / "bills.csv").write_text(BILLS)
        onboard(self.deployment, self.instance, file)

    def rewrite(self, name: str, text: str) -> None:
        """Give a customer's TOML another text; files written within one tick of the clock differ in time as well."""
        file = self.deployment.home.customers / f"{name}.toml"
        before = file.stat().st_mtime_ns
        file.write_text(text)
        os.utime(file, ns=(before + 10**9, before + 10**9))

    def tick(self, at: datetime | None = None) -> list[str]:
        """What the sensor asks for, in short: the half of the night and whose."""
        self.now = at or self.now
        sensor = nights_sensor(STAGES, lambda: self.deployment, lambda: self.now.timestamp())
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            result: Any = sensor(context)
        self.cursor = result.cursor
        self.requests = list(result.run_requests or [])
        return [f"{r.tags['capflow/night_part']} of {r.tags['capflow/night_customers']}" for r in self.requests]

    def launch(self) -> None:
        """Carry out what the last tick asked for, as the daemon would."""
        job = defs.resolve_implicit_global_asset_job_def()
        for request in self.requests:
            job.execute_in_process(
                instance=self.instance,
                partition_key=request.partition_key,
                tags={**request.tags, COMMAND: "capflow run"},
                asset_selection=request.asset_selection,
                run_config=dict(QUIET),
                raise_on_error=False,
            )

    def begin(self) -> list[dg.DagsterRun]:
        """Record runs of what the last tick asked for that have begun, and no more."""
        return [
            create_run_for_test(
                self.instance,
                tags={**request.tags, "dagster/partition": str(request.partition_key)},
                status=dg.DagsterRunStatus.STARTED,
            )
            for request in self.requests
        ]

    def status(self) -> dict[str, tuple[str, str | None, str | None]]:
        rows = night_rows(STAGES, self.instance, self.cursor, self.now.timestamp(), self.deployment.customers())
        return {row["customer"]: (row["state"], row["part"], row["why"]) for row in rows}


def deployment_in(root: Path) -> Deployment:
    return Deployment(Home.of(root / "home", {}), STAGES, SOURCES, Engine())

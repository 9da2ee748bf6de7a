"""Ticks of the daemon's sensors over a fleet of 300 customers with 30 models each, on SQLite.

The stores are those of ``bench.status``; each customer has a night. Every sensor is evaluated as the daemon does, tick
after tick from its cursor: while it reads what is new to it, and then when nothing is; that of nights also when all
customers are due at once, and that of alerts with a rule that is told of everything. Seconds of the process's CPU,
which other work on the machine does not stretch, and of the clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.status import FILL, MODELS, names, places, stages, write_lake

if TYPE_CHECKING:
    import dagster as dg

    from capflow_assets.deployment import Deployment

CUSTOMERS = int(os.environ.get("CAPFLOW_FLEET", "300"))
MOST_SECONDS = 5.0
MOST_TICKS = 8
MEASURE = "from bench.sensors import measure; measure()"
TOML = """
name = "NAME"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
[night]
start = "START"
[tables.bills]
source = "csv"
location = "/data/NAME/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
ALERTS = """
[[alert]]
name = "operations"
slack = { url = { env = "BENCH_SLACK_URL" } }
"""


def run() -> None:
    """Print the slowest ticks of each sensor."""
    with tempfile.TemporaryDirectory(prefix="capflow-sensors-") as folder:
        lake = Path(folder, "lake")
        files = json.dumps(write_lake(lake, names(CUSTOMERS), MODELS))
        with places("sqlite", Path(folder, "home"), lake) as environment:
            command = [sys.executable, "-c", FILL, str(CUSTOMERS), str(MODELS), files]
            subprocess.run(command, env=environment, check=True)  # noqa: S603
            subprocess.run([sys.executable, "-c", MEASURE], env=environment, check=True)  # noqa: S603


def measure() -> None:
    """Print the figures of the home that the environment names."""
    from capflow_assets.definitions import SOURCES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance

    opened = deployment(stages(MODELS), SOURCES)
    start = (datetime.now(UTC) + timedelta(hours=2)).strftime("%H:%M")
    for name in opened.customers():
        (opened.home.customers / f"{name}.toml").write_text(TOML.replace("NAME", name).replace("START", start))
    (opened.home.root / "alerts.toml").write_text(ALERTS)
    with dagster_instance(opened.home) as instance:
        ticks = Ticks(instance)
        for name, sensor in _sensors(opened):
            (news, news_wall), (rest, rest_wall) = ticks.until_rest(sensor)
            print(  # noqa: T201
                f"sensors: {name}, {CUSTOMERS} customers: {news:.2f} s of CPU ({news_wall:.2f} s) in the slowest tick "
                f"that reads what is new, {rest:.2f} s ({rest_wall:.2f} s) when nothing is; demanded under "
                f"{MOST_SECONDS:.0f} s; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


def _sensors(opened: Deployment) -> Iterator[tuple[str, dg.SensorDefinition]]:
    from capflow_assets.graph.alert_sensor import alert_sensor
    from capflow_assets.graph.housekeeping import housekeeping_sensor
    from capflow_assets.graph.night_sensor import nights_sensor
    from capflow_assets.graph.onboarding import onboarding_sensor
    from capflow_assets.graph.redelivery_sensor import redelivery_sensor
    from capflow_assets.graph.retraining_sensor import retraining_sensor

    def deploy() -> Deployment:
        return opened

    yield "nights", nights_sensor(opened.stages, deploy)
    yield "nights, all due", nights_sensor(opened.stages, deploy, lambda: time.time() + 86_400)
    yield "retraining", retraining_sensor(opened.stages, deploy)
    yield "redelivery", redelivery_sensor(opened.stages)
    yield "onboarding", onboarding_sensor(deploy, opened.stages)
    yield "alerts", alert_sensor(deploy)
    yield "housekeeping", housekeeping_sensor(deploy)


class Ticks:
    """Sensors evaluated one tick after another, each from its own cursor."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._cursors: dict[str, str | None] = {}

    def until_rest(self, sensor: dg.SensorDefinition) -> tuple[tuple[float, float], tuple[float, float]]:
        """The slowest tick until the cursor stands, and the one after it: seconds of CPU and of the clock."""
        slowest = (0.0, 0.0)
        for _ in range(MOST_TICKS):
            before = self._cursors.get(sensor.name)
            slowest = max(slowest, self._tick(sensor))
            if self._cursors.get(sensor.name) == before:
                break
        return slowest, self._tick(sensor)

    def _tick(self, sensor: dg.SensorDefinition) -> tuple[float, float]:
        import dagster as dg

        evaluate: Callable[..., Any] = sensor
        cpu, wall = time.process_time(), time.perf_counter()
        with dg.build_sensor_context(self._instance, cursor=self._cursors.get(sensor.name)) as context:
            result = evaluate(context)
        took = time.process_time() - cpu, time.perf_counter() - wall
        self._cursors[sensor.name] = getattr(result, "cursor", None) or context.cursor
        return took


if __name__ == "__main__":
    run()

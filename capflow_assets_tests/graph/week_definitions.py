"""The graph as a daemon of the week of nights loads it: the package's own, with sensors that look every few seconds.

What time it is for the sensors is in the file that ``CLOCK`` names: seconds to add to the present moment.
"""

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from capflow_assets import definitions
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.housekeeping import housekeeping_sensor
from capflow_assets.graph.night_sensor import nights_sensor, present
from capflow_assets.graph.redelivery_sensor import redelivery_sensor

CLOCK = "WEEK_CLOCK"
# How much later it is for redelivery, so that a destination that was down is tried again within the same minute.
REDELIVERY_LATER = timedelta(hours=3)
REDELIVERY_SECONDS = 8


def clock() -> float:
    """The moment at which the week is, in seconds since 1970."""
    return present() + float(Path(os.environ[CLOCK]).read_text() or "0")


def quick(sensor: dg.SensorDefinition, seconds: int) -> dg.SensorDefinition:
    """The same sensor, which looks every few seconds."""

    @dg.sensor(
        name=sensor.name,
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def looks_often(context: dg.SensorEvaluationContext):
        return sensor(context)

    return looks_often


deploy = partial(deployment, STAGES, SOURCES)
defs = dg.Definitions(
    assets=definitions.defs.assets,
    resources=definitions.defs.resources,
    executor=dg.in_process_executor,
    sensors=[
        quick(nights_sensor(STAGES, deploy, clock), 1),
        quick(redelivery_sensor(STAGES, lambda: datetime.now(UTC) + REDELIVERY_LATER), REDELIVERY_SECONDS),
        quick(housekeeping_sensor(deploy), 2),
    ],
)

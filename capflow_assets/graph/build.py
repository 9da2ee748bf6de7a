"""All assets, checks, sensors and resources of the packages as one ``Definitions``."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Source
from capflow_assets.deployment import Deployment
from capflow_assets.graph.alert_sensor import alert_sensor
from capflow_assets.graph.champion_jobs import champion_jobs
from capflow_assets.graph.customer_tables import customer_tables
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.graph.fleet import fleet_asset, fleet_schedule
from capflow_assets.graph.housekeeping import housekeeping_sensor
from capflow_assets.graph.model_assets import model_asset
from capflow_assets.graph.night_sensor import nights_sensor
from capflow_assets.graph.onboarding import onboarding_sensor
from capflow_assets.graph.redelivery_sensor import redelivery_sensor
from capflow_assets.graph.retraining_sensor import retraining_sensor


def build(
    stages: Stages,
    sources: Mapping[str, Source],
    launcher: dg.ResourceDefinition | None = None,
    module: str | None = None,
) -> dg.Definitions:
    """The whole graph. Reads the environment when work starts, not when this is called.

    ``launcher`` takes the place of our own step launcher. ``module`` holds ``STAGES`` and ``SOURCES`` under these
    names, so that another process can read them; without it, cohorts are computed in the process of their run.
    """
    deploy = partial(deployment, stages, sources)
    own = dg.ResourceDefinition(
        lambda _: step_launcher(deploy), description="Runs steps on Databricks where CAPFLOW_DATABRICKS says so."
    )
    return dg.Definitions(
        assets=[
            customer_tables(stages, deploy, module),
            *(model_asset(stages, spec, deploy, module) for spec in stages.models.values()),
            fleet_asset(stages, deploy),
        ],
        jobs=list(champion_jobs(deploy)),
        schedules=[fleet_schedule()],
        sensors=[
            onboarding_sensor(deploy, stages),
            nights_sensor(stages, deploy),
            redelivery_sensor(stages),
            retraining_sensor(stages, deploy),
            housekeeping_sensor(deploy),
            alert_sensor(deploy),
        ],
        resources={
            # The variable and not its value: pages and runs' configurations show it, and it may have a token in it.
            "pyspark": Engine(engine=dg.EnvVar("CAPFLOW_ENGINE") if os.environ.get("CAPFLOW_ENGINE") else "sail"),
            "step_launcher": launcher or own,
        },
        executor=dg.in_process_executor,
    )


def step_launcher(deploy: Callable[[], Deployment], environment: Mapping[str, str] = os.environ) -> Any:
    """The launcher that the environment asks for; None, and steps run where the run runs, where it asks for none."""
    file = environment.get("CAPFLOW_DATABRICKS")
    if not file:
        return None
    # Imported here: a laptop loads the code location without the Databricks SDK.
    from capflow_assets.graph.databricks.settings import read_settings
    from capflow_assets.graph.databricks.step_launcher import launcher

    return launcher(read_settings(file), deploy(), environment)

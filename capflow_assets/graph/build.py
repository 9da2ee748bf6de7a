"""All assets, checks, sensors and resources of the packages as one ``Definitions``."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import dagster as dg

from capflow_assets.graph.customer_tables import customer_tables
from capflow_assets.graph.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.home import Home
from capflow_assets.graph.model_assets import model_asset
from capflow_assets.graph.onboarding import onboarding_sensor
from capflow_assets.graph.retraining_sensor import retraining_sensor
from capflow_assets.graph.stages import Stages


def read_sources(package: ModuleType) -> dict[str, ModuleType]:
    """The kinds of store by name: one module each."""
    names = sorted(info.name for info in iter_modules(package.__path__) if not info.name.startswith("_"))
    modules = {name: import_module(f"{package.__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "Options")}


def deployment(
    stages: Stages, sources: Mapping[str, ModuleType], engine: Engine | None = None, home: Home | None = None
) -> Deployment:
    """What the environment points at now, read through the given code."""
    place = home or Home.of()
    return Deployment(place, stages, sources, engine or Engine(engine=place.engine))


def build(stages: Stages, sources: Mapping[str, ModuleType]) -> dg.Definitions:
    """The whole graph. Reads the environment when work starts, not when this is called."""
    deploy = partial(deployment, stages, sources)
    return dg.Definitions(
        assets=[
            customer_tables(stages, deploy),
            *(model_asset(stages, spec, deploy) for spec in stages.models.values()),
        ],
        sensors=[onboarding_sensor(deploy), retraining_sensor(stages, deploy)],
        resources={
            "pyspark": Engine(engine=dg.EnvVar("CAPFLOW_ENGINE").get_value("sail") or "sail"),
            "step_launcher": dg.ResourceDefinition.none_resource("Steps run where the run runs."),
        },
        executor=dg.in_process_executor,
    )

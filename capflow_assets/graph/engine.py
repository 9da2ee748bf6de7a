"""The session that computes tables, as a Dagster resource, and the deployment that works with it.

How a session is made is in ``home.session``.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Source
from capflow_assets.deployment import Deployment
from capflow_assets.home.places import Home
from capflow_assets.home.session import session_of


class Engine(dg.ConfigurableResource):
    """A PySpark session by name: ``sail``, ``cluster`` (the one that is there) or ``sc://host:port/;token=…``."""

    engine: str = Field(default="sail", repr=False)  # the address may have a token in it
    spark_config: dict[str, Any] = {}  # noqa: RUF012  (a pydantic field, copied for each instance)

    @property
    def spark_session(self) -> Any:
        """The session, made on first use, with times in UTC."""
        return session_of(self.engine, self.spark_config)


def deployment(
    stages: Stages, sources: Mapping[str, Source], engine: Engine | None = None, home: Home | None = None
) -> Deployment:
    """What the environment points at now, read through the given code."""
    place = home or Home.of()
    if place.secrets:
        from capflow_assets.home.secrets import load_secrets

        load_secrets(place.secrets)
    return Deployment(place, stages, sources, engine or Engine(engine=place.engine))

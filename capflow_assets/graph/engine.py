"""The session that computes tables, as a Dagster resource. How a session is made is in ``home.session``."""

from typing import Any

import dagster as dg
from pydantic import Field

from capflow_assets.home.session import session_of


class Engine(dg.ConfigurableResource):
    """A PySpark session by name: ``sail``, ``cluster`` (the one that is there) or ``sc://host:port/;token=…``."""

    engine: str = Field(default="sail", repr=False)  # the address may have a token in it
    spark_config: dict[str, Any] = {}  # noqa: RUF012  (a pydantic field, copied for each instance)

    @property
    def spark_session(self) -> Any:
        """The session, made on first use, with times in UTC."""
        return session_of(self.engine, self.spark_config)

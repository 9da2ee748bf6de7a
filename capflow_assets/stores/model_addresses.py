"""The addresses of model files that MLflow keeps, and how those of earlier releases become relative to the lake.

CapFlow does not use them (``model_files`` knows where files are); MLflow's pages and `mlflow gc` do. With absolute
addresses, the pages of a copied home show the files of the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capflow_assets.stores.model_files import SCHEME
from capflow_assets.stores.registry import Registry


@dataclass(frozen=True, slots=True)
class Address:
    """An experiment whose address is absolute; ``is_elsewhere`` where it leads out of this home's lake."""

    experiment: str
    uri: str
    relative: str
    is_elsewhere: bool


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses in one MLflow."""

    registry: Registry

    def fixed(self, customer: str) -> list[Address]:
        """The absolute addresses of a customer's experiments."""
        client, absolute = self.registry.client, []
        lake = self.registry.lake
        own = lake if "://" in lake else Path(lake).resolve().as_uri()
        for model in self.registry.models(customer):
            experiment = client.get_experiment_by_name(f"{customer}.{model}")
            if experiment is not None and not experiment.artifact_location.startswith(f"{SCHEME}:"):
                uri = str(experiment.artifact_location).rstrip("/")
                relative = f"{SCHEME}:/{customer}/mlflow/{model}"
                absolute.append(
                    Address(experiment.experiment_id, uri, relative, not uri.startswith(f"{own}/{customer}/"))
                )
        return absolute

    def why_not(self) -> str:
        """What to do where they cannot be changed from here; empty where they can."""
        if hasattr(self._store, "ManagedSessionMaker"):
            return ""
        return "no harm is done; an MLflow server changes no address: run this with MLFLOW_TRACKING_URI=its database"

    def make_relative(self, addresses: Sequence[Address]) -> int:
        """Rewrite addresses in MLflow's database, each experiment in one transaction; gives how many."""
        return sum(self._rewrite(address) for address in addresses)

    def _rewrite(self, address: Address) -> int:
        from mlflow.store.model_registry.dbmodels.models import SqlModelVersion as Version
        from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun
        from sqlalchemy import func, literal, or_

        number, old, new = int(address.experiment), address.uri, address.relative
        with self._store.ManagedSessionMaker() as session:
            runs = session.query(SqlRun.run_uuid).filter(SqlRun.experiment_id == number)
            columns: list[tuple[Any, Any, Any]] = [
                (SqlExperiment, SqlExperiment.artifact_location, SqlExperiment.experiment_id == number),
                (SqlRun, SqlRun.artifact_uri, SqlRun.experiment_id == number),
                (SqlLoggedModel, SqlLoggedModel.artifact_location, SqlLoggedModel.experiment_id == number),
                (Version, Version.source, Version.run_id.in_(runs)),
                (Version, Version.storage_location, Version.run_id.in_(runs)),
            ]
            changed = 0
            for table, column, is_of_experiment in columns:
                below = or_(column == old, column.startswith(f"{old}/", autoescape=True))
                moved = literal(new) + func.substr(column, len(old) + 1)
                rows = session.query(table).filter(is_of_experiment, below)
                changed += rows.update({column: moved}, synchronize_session=False)
        return changed

    @property
    def _store(self) -> Any:
        return self.registry.client._tracking_client.store

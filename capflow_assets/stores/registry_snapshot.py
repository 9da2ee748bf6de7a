"""All that MLflow's registry keeps of many models, read in a few queries instead of several for each model.

A snapshot answers the questions that a ``Registry`` asks of MLflow's client to read, from memory. What was registered
or decided since is not in it, and nothing can be written through it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from capflow_assets.stores.registry import Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODELS_A_PAGE = 1_000
VERSIONS_A_PAGE = 10_000
# With more customers than that, the models of all are read.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """What is read of a version."""

    version: int
    run_id: str | None
    source: str | None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What is read of a registered model."""

    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, Any] = field(default_factory=dict)
    versions: dict[int, VersionEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Registered models by name, with the methods of MLflow's client that read one of them."""

    models: dict[str, ModelEntry]

    def get_registered_model(self, name: str) -> ModelEntry:
        """A model's tags and aliases; ``MlflowException`` where there is none of that name."""
        if name not in self.models:
            raise _not_there(f"Registered Model with name={name}")
        return self.models[name]

    def search_model_versions(self, filter_string: str) -> list[VersionEntry]:
        """All versions of the model that ``name = '…'`` names."""
        name = filter_string.removeprefix("name = '").removesuffix("'")
        return list(self.models[name].versions.values()) if name in self.models else []

    def get_model_version(self, name: str, version: str) -> VersionEntry:
        """One version; ``MlflowException`` where there is none of that number."""
        entry = self.models.get(name, ModelEntry()).versions.get(int(version))
        if entry is None:
            raise _not_there(f"Model Version (name={name}, version={version})")
        return entry


def snapshot(registry: Registry, customers: Collection[str]) -> Registry:
    """The same registry, to read the models of customers as they are now."""
    client = registry.client
    prefixes = sorted(f"{customer}." for customer in customers) if len(customers) <= MOST_NAMED else [""]
    is_database = hasattr(client._get_registry_client().store, "ManagedSessionMaker")
    models = from_database(client, prefixes) if is_database else from_pages(client, prefixes)
    return replace(registry, reader=Snapshot(models))


def from_database(client: MlflowClient, prefixes: Collection[str]) -> dict[str, ModelEntry]:
    """The models whose names begin with one of ``prefixes``, from MLflow's own database: a query a table."""
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.store.model_registry.dbmodels.models import (
        SqlModelVersion,
        SqlModelVersionTag,
        SqlRegisteredModel,
        SqlRegisteredModelAlias,
        SqlRegisteredModelTag,
    )
    from sqlalchemy import or_, select

    store: Any = client._get_registry_client().store

    def rows(table: Any, *columns: Any) -> Iterator[Any]:
        named = or_(*(table.name.startswith(prefix, autoescape=True) for prefix in prefixes))
        query = select(table.name, *columns).where(named, *store._get_workspace_clauses(table))
        return iter(session.execute(query))

    with store.ManagedSessionMaker() as session:
        models = {name: ModelEntry() for (name,) in rows(SqlRegisteredModel)}
        for name, key, value in rows(SqlRegisteredModelTag, SqlRegisteredModelTag.key, SqlRegisteredModelTag.value):
            models[name].tags[key] = value
        alias = SqlRegisteredModelAlias
        for name, key, version in rows(alias, alias.alias, alias.version):
            models[name].aliases[key] = version
        entry = SqlModelVersion
        for name, version, run, source, stage in rows(
            entry, entry.version, entry.run_id, entry.source, entry.current_stage
        ):
            if stage != STAGE_DELETED_INTERNAL:
                models[name].versions[version] = VersionEntry(version, run, source)
        tag = SqlModelVersionTag
        for name, version, key, value in rows(tag, tag.version, tag.key, tag.value):
            if version in models[name].versions:
                models[name].versions[version].tags[key] = value
    return models


def from_pages(client: MlflowClient, prefixes: Collection[str]) -> dict[str, ModelEntry]:
    """The models whose names begin with one of ``prefixes``, from an MLflow server: a request a page."""
    # ``_`` stands for any character in the filter, so the names are looked at again.
    models: dict[str, ModelEntry] = {}
    for prefix in prefixes:
        named = f"name LIKE '{prefix}%'" if prefix else None
        for model in _pages(client.search_registered_models, named, MODELS_A_PAGE):
            if model.name.startswith(prefix):
                models[model.name] = ModelEntry(dict(model.tags), dict(model.aliases))
        for version in _pages(client.search_model_versions, named, VERSIONS_A_PAGE):
            if version.name in models:
                number = int(version.version)
                entry = VersionEntry(number, version.run_id, version.source, dict(version.tags))
                models[version.name].versions[number] = entry
    return models


def _pages(search: Any, named: str | None, size: int) -> Iterator[Any]:
    token: str | None = None
    while token is None or token:
        page = search(filter_string=named, max_results=size, page_token=token)
        yield from page
        token = page.token or ""


def _not_there(what: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    return MlflowException(f"{what} not found", RESOURCE_DOES_NOT_EXIST)

"""The blueprint: all tables, checks and models that the code declares, and the edges between them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from capflow_assets.blueprint.binding import bind_needs, bind_params, params_of
from capflow_assets.blueprint.code_version import PACKAGE, code_digests
from capflow_assets.blueprint.specs import BILLS, CheckSpec, ModelSpec, TableSpec
from capflow_assets.contract import Destination
from capflow_assets.errors import GraphError, NotFoundError

# What lands every raw table; named by its place, since it lies on a floor above.
LANDING = PACKAGE / "tables" / "landing.py"


@dataclass(frozen=True)
class Stages:
    """Everything that the packages declare, checked, in an order in which it can be computed."""

    tables: Mapping[str, TableSpec]
    checks: tuple[CheckSpec, ...]
    models: Mapping[str, ModelSpec]
    destinations: Mapping[str, Destination] = field(default_factory=dict)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Table names such that every table comes after those that it waits for."""
        try:
            waits = {key: sorted(spec.waits_for) for key, spec in self.tables.items()}
            return tuple(TopologicalSorter(waits).static_order())
        except CycleError as error:
            raise GraphError("Tables are made of each other", came=" -> ".join(error.args[1])) from None

    @cached_property
    def edges(self) -> Mapping[str, frozenset[str]]:
        """Every asset of a customer and the assets that it is made of, in an order in which they can be computed."""
        tables = {key: self.tables[key].waits_for for key in self.order}
        models = {key: parents for spec in self.models.values() for key, parents in spec.edges.items()}
        return tables | models

    @cached_property
    def code_versions(self) -> Mapping[str, str]:
        """The digest of the code of every asset that a file declares, by the asset's name."""
        return code_digests(self.asset_files)

    @cached_property
    def asset_files(self) -> Mapping[str, tuple[Path, ...]]:
        """The files that declare each asset, which its code version covers with what they import of the package.

        What an asset is made of has versions of its own. A raw table's file is its schema; what lands it is the same
        for all. A model's file makes training, answers and the columns that health watches; a delivery's code is that
        of all kinds of destination.
        """
        kinds = [sys.modules[type(destination).__module__] for destination in self.destinations.values()]
        modules = {key: [spec.module] for key, spec in self.tables.items()}
        for name, model in self.models.items():
            modules |= {f"{part}/{name}": [model.module] for part in ("models", "predictions", "health")}
            modules[f"delivery/{name}"] = [*kinds]
        files = {key: tuple(Path(m.__file__) for m in of if m and m.__file__) for key, of in modules.items()}
        landed = {
            key: (*files[key], LANDING) for key, spec in self.tables.items() if spec.stage == "raw" and files[key]
        }
        return {key: paths for key, paths in (files | landed).items() if paths}

    def spec(self, key: str) -> TableSpec:
        """A table by its name; ``NotFoundError`` names the ones there are."""
        if key not in self.tables:
            raise NotFoundError.among("table", key, self.tables)
        return self.tables[key]

    def model(self, name: str) -> ModelSpec:
        """A model by its name; ``NotFoundError`` names the ones there are."""
        if name not in self.models:
            raise NotFoundError.among("model", name, self.models)
        return self.models[name]

    def code_of(self, model: ModelSpec) -> tuple[Path, ...]:
        """The files whose code, with what they import, makes a model's examples and answers.

        They are its own and those of the feature tables that it reads, which are computed anew for past moments, down
        to the clean tables, which are read as they lie and have versions of their own.
        """
        modules, waiting = {model.module}, [*model.edges[f"models/{model.name}"]]
        while waiting:
            spec = self.tables.get(waiting.pop())
            if spec is not None and spec.stage == "features" and spec.module and spec.module not in modules:
                modules.add(spec.module)
                waiting += spec.waits_for
        return tuple(sorted(Path(str(module.__file__)) for module in modules))

    def of_customer(
        self,
        declared: Iterable[str],
        params: Mapping[str, Mapping[str, Any]],
        features: Mapping[str, Mapping[str, Any]] | None = None,
        only: Collection[str] = (),
    ) -> Stages:
        """The same, with what holds for a customer: needs by its ``declared`` raw tables and its models' own
        parameters, and what it sets for feature tables. Where ``only`` names models, the needs are of those.

        Parameters that a model refuses are left to its training, which says what is wrong with them.
        """
        absent = self.absent(declared)
        needs = {
            name: spec.requirements(params_of(spec.model, params.get(name, {})), absent)
            for name, spec in self.models.items()
            if not only or name in only
        }
        return replace(self, tables=bind_params(bind_needs(self.tables, needs), features or {}))

    def absent(self, declared: Iterable[str]) -> dict[str, str]:
        """The tables that a customer with the ``declared`` raw tables cannot have, each with the reason.

        A table is absent where a required input is, or where all of its inputs are optional and none is there; and
        features are where there are no bills.
        """
        sent = set(declared)
        reasons: dict[str, str] = {}
        for key in self.order:
            spec = self.tables[key]
            if spec.function is None:
                if spec.name not in sent:
                    reasons[key] = f"the customer's TOML declares no [tables.{spec.name}]"
                continue
            missing = [source.table for source in spec.inputs if source.table in reasons]
            required = [source.table for source in spec.inputs if not source.optional and source.table in reasons]
            if spec.stage == "features" and BILLS in reasons:
                required = [BILLS]  # what is known of users, items and all else is known as of a bill
            if required or (missing and len(missing) == len(spec.inputs)):
                reasons[key] = f"it is made of {', '.join(required or missing)}, which the customer does not have"
        return reasons

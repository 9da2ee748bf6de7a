"""Examples of a model: the features of a customer's users as of past moments, and what they did afterwards.

Each moment sees only rows up to itself: inputs are cut before a feature function is called. Labels look at the
horizon after the moment and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from capflow_assets.customers import Customer
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.runner import call, cut
from capflow_assets.graph.stages import Input, ModelSpec, Stages, TableSpec

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


@dataclass
class Examples:
    """Features and labels of one customer for one model, as pandas frames indexed by ``user_id``."""

    lake: Lake
    stages: Stages
    customer: Customer
    spec: ModelSpec
    versions: dict[str, int] = field(default_factory=dict)

    def features(self, moment: datetime) -> pd.DataFrame:
        """One row per user known at the moment; the columns of the model's feature blocks."""
        blocks = [self._block(self.stages.spec(f"features/{name}"), moment) for name in self.spec.model.features]
        joined = reduce(lambda left, right: left.join(right, "user_id", "left"), blocks)
        wanted = [name for name in self.spec.model.columns if name in joined.columns]
        return joined.select("user_id", *wanted).toPandas().set_index("user_id").sort_index()

    def labels(self, start: datetime, end: datetime, users: pd.Index) -> pd.DataFrame:
        """What each of ``users`` did in (start, end]; zeros for those who did nothing."""
        values = {"start": start, "end": end, "as_of": end, "zone": self.customer.time_zone}
        values["currency"] = self.customer.currency
        frames = {source.parameter: self._table(source, end) for source in self.spec.labels}
        injected = {name: values[name] for name in self.spec.injected}
        outcome: DataFrame = self.spec.model.label(**frames, **injected)
        columns = list(self.spec.model.label_columns)
        found = outcome.select("user_id", *columns).toPandas().set_index("user_id")
        return found.reindex(users).fillna(0.0).astype(float)

    def _block(self, spec: TableSpec, moment: datetime) -> DataFrame:
        """A feature block as of a moment: the stored one if it is of that moment, else computed anew."""
        stored = self._stored(spec, moment)
        if stored is not None:
            return stored.drop("as_of")
        values = {"as_of": moment, "zone": self.customer.time_zone, "currency": self.customer.currency}
        frames: dict[str, Any] = {source.parameter: self._table(source, moment) for source in spec.inputs}
        return call(spec, frames, values).drop("as_of")

    def _stored(self, spec: TableSpec, moment: datetime) -> DataFrame | None:
        if not self.lake.exists(self.customer.name, spec.key):
            return None
        frame = self.lake.table(self.customer.name, spec.key)
        if "as_of" not in frame.columns:
            return None
        first = frame.select("as_of").limit(1).selectExpr("unix_micros(as_of)").collect()
        if not first or first[0][0] != round(moment.timestamp() * 1_000_000):
            return None
        self._remember(spec.key)
        return frame

    def _table(self, source: Input, moment: datetime) -> DataFrame | None:
        if source.optional and source.table in self.stages.absent(self.customer.tables):
            return None
        self._remember(source.table)
        spec = self.stages.tables[source.table]
        if spec.stage == "features":
            return self._block(spec, moment)
        return cut(self.lake.table(self.customer.name, source.table), spec, moment)

    def _remember(self, table: str) -> None:
        if table not in self.versions:
            version = self.lake.version(self.customer.name, table)
            if version is not None:
                self.versions[table] = version

    def data_versions(self) -> Mapping[str, int]:
        """The version of every table that was read so far."""
        return dict(sorted(self.versions.items()))

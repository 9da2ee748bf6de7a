"""The tables of one customer as of past moments, and which version of each was read.

Inputs are cut at the moment before a feature function is called, and a function that takes several moments at once
counts a row only at those moments that come after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call, cut
from capflow_assets.blueprint.specs import AS_OF, Input, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.expressions.micros import micros_of
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.vector_store import VectorStore

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass
class PastTables:
    """Reads the tables of one customer as they were known; ``versions`` are those that were read so far."""

    lake: Lake
    stages: Stages
    customer: Customer
    versions: dict[str, int] = field(default_factory=dict, kw_only=True)

    def block(self, spec: TableSpec, moments: tuple[datetime, ...]) -> DataFrame:
        """A feature block as of each moment: the stored one if it is of the only moment, else computed anew.

        Of a timeless one the stored rows are those of any moment.
        """
        from pyspark.sql import functions as F

        if spec.table.timeless and self.lake.exists(self.customer.name, spec.key):
            self.remember(spec.key)
            rows = self.lake.table(self.customer.name, spec.key)
            return _union(rows.withColumn(AS_OF, F.lit(moment)) for moment in moments)
        stored = self.stored(spec, moments[0]) if len(moments) == 1 else None
        if stored is not None:
            return stored
        if spec.takes_moments:
            return self._computed(spec, moments)
        # A block that takes one moment only is computed for one after the other.
        blocks = [self._computed(spec, (moment,)).withColumn(AS_OF, F.lit(moment)) for moment in moments]
        return reduce(lambda left, right: left.unionByName(right), blocks)

    def _computed(self, spec: TableSpec, moments: tuple[datetime, ...]) -> DataFrame:
        as_of = moments if len(moments) > 1 else moments[0]
        values: dict[str, Any] = {
            AS_OF: as_of,
            "zone": self.customer.time_zone,
            "currency": self.customer.currency,
            "kept": VectorStore(self.lake, self.customer.name),
        }
        frames: dict[str, Any] = {source.parameter: self.table(source, moments) for source in spec.inputs}
        block: DataFrame = call(spec, frames, values)
        return block

    def stored(self, spec: TableSpec, moment: datetime) -> DataFrame | None:
        """A feature block as it lies, if it is of that moment."""
        if not self.lake.exists(self.customer.name, spec.key):
            return None
        frame = self.lake.table(self.customer.name, spec.key)
        if "as_of" not in frame.columns:
            return None
        first = frame.select("as_of").limit(1).selectExpr("unix_micros(as_of)").collect()
        if not first or first[0][0] != micros_of(moment):
            return None
        self.remember(spec.key)
        return frame

    def table(self, source: Input, moments: tuple[datetime, ...]) -> DataFrame | None:
        """A table, or a feature block as of each moment; None where it is optional and the customer cannot have it."""
        if source.optional and source.table in self.stages.absent(self.customer.tables):
            return None
        self.remember(source.table)
        spec = self.stages.tables[source.table]
        if spec.stage == "features":
            return self.block(spec, moments)
        return cut(self.lake.table(self.customer.name, source.table), spec, moments[-1])

    def remember(self, table: str) -> None:
        """Note which version of a table is read."""
        if table not in self.versions:
            version = self.lake.version(self.customer.name, table)
            if version is not None:
                self.versions[table] = version

    def data_versions(self) -> Mapping[str, int]:
        """The version of every table that was read so far."""
        return dict(sorted(self.versions.items()))


def _union(frames: Iterable[DataFrame]) -> DataFrame:
    return reduce(lambda above, below: above.unionByName(below), frames)

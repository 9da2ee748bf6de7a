"""Examples of a model: the features of a customer's users as of past moments, and what they did afterwards.

Each moment sees only rows up to itself: inputs are cut before a feature function is called, and a function that takes
several moments at once counts a row only at those moments that come after it. Labels look at the horizon after the
moment and nowhere else. Rows are read once, whatever the number of moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call, cut
from capflow_assets.blueprint.specs import AS_OF, Input, ModelSpec, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Window
from capflow_assets.customers.customer import Customer
from capflow_assets.expressions.micros import micros_of
from capflow_assets.learning.outcomes import MOMENT, outcome_of
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

MICROS = "_micros"


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
        return self.features_at([moment])[0]

    def features_at(self, moments: Sequence[datetime]) -> list[pd.DataFrame]:
        """The features as of each of the moments, in their order."""
        from pyspark.sql import functions as F

        distinct_moments = tuple(sorted(set(moments)))
        blocks = [
            self._block(self.stages.spec(f"features/{name}"), distinct_moments) for name in self.spec.model.features
        ]
        joined = reduce(lambda left, right: left.join(right, ["user_id", AS_OF], "left"), blocks)
        known = [name for name in self.spec.model.columns if name in joined.columns]
        rows = joined.select("user_id", F.unix_micros(AS_OF).alias(MICROS), *known).toPandas()
        return [_of_moment(rows, moment) for moment in moments]

    def labels(self, start: datetime, end: datetime, users: pd.Index) -> pd.DataFrame:
        """What each of ``users`` did in (start, end]; zeros for those who did nothing."""
        return self.labels_in([Window(start, end)], [users])[0]

    def labels_in(self, windows: Sequence[Window], users: Sequence[pd.Index]) -> list[pd.DataFrame]:
        """What the users of each window did in it; zeros for those who did nothing."""
        columns = list(self.spec.model.label_columns)
        together = self._outcomes_together(windows) if len(windows) > 1 else None
        if together is None:
            frames = [self._outcome(window).select("user_id", *columns).toPandas() for window in windows]
            outcomes = [frame.set_index("user_id") for frame in frames]
        else:
            from pyspark.sql import functions as F

            rows = together.select("user_id", F.unix_micros(MOMENT).alias(MICROS), *columns).toPandas()
            outcomes = [_of_moment(rows, window.start) for window in windows]
        return [
            outcome.reindex(index).fillna(0.0).astype(float) for outcome, index in zip(outcomes, users, strict=True)
        ]

    def _outcome(self, window: Window) -> DataFrame:
        values = {"zone": self.customer.time_zone, "currency": self.customer.currency}
        frames = {source.parameter: self._table(source, (window.end,)) for source in self.spec.labels}
        return outcome_of(self.spec.model.label, frames, self.spec.injected, values, window)

    def _outcomes_together(self, windows: Sequence[Window]) -> DataFrame | None:
        """The outcomes of all windows in one pass, with the moment that each is of; None where the label cannot.

        It can where its tables have times, its windows do not overlap, and it keeps the moments of the rows apart.
        """
        from pyspark.sql import functions as F

        ordered = sorted(windows, key=lambda window: window.start)
        overlap = any(one.end > other.start for one, other in pairwise(ordered))
        times = {source.table: self.stages.tables[source.table].table.time for source in self.spec.labels}
        if overlap or None in times.values() or {"start", "end"} != set(self.spec.injected):
            return None
        frames: dict[str, Any] = {}
        for source in self.spec.labels:
            frame = self._table(source, (ordered[-1].end,))
            frames[source.parameter] = None if frame is None else _in_windows(frame, str(times[source.table]), ordered)
        outcome: DataFrame = self.spec.model.label(**frames, start=F.col("_start"), end=F.col("_end"))
        return outcome if MOMENT in outcome.columns else None

    def _block(self, spec: TableSpec, moments: tuple[datetime, ...]) -> DataFrame:
        """A feature block as of each moment: the stored one if it is of the only moment, else computed anew."""
        from pyspark.sql import functions as F

        stored = self._stored(spec, moments[0]) if len(moments) == 1 else None
        if stored is not None:
            return stored
        if spec.takes_moments:
            return self._computed(spec, moments)
        # A block that takes one moment only is computed for one after the other.
        blocks = [self._computed(spec, (moment,)).withColumn(AS_OF, F.lit(moment)) for moment in moments]
        return reduce(lambda left, right: left.unionByName(right), blocks)

    def _computed(self, spec: TableSpec, moments: tuple[datetime, ...]) -> DataFrame:
        as_of = moments if len(moments) > 1 else moments[0]
        values = {AS_OF: as_of, "zone": self.customer.time_zone, "currency": self.customer.currency}
        frames: dict[str, Any] = {source.parameter: self._table(source, moments) for source in spec.inputs}
        block: DataFrame = call(spec, frames, values)
        return block

    def _stored(self, spec: TableSpec, moment: datetime) -> DataFrame | None:
        if not self.lake.exists(self.customer.name, spec.key):
            return None
        frame = self.lake.table(self.customer.name, spec.key)
        if "as_of" not in frame.columns:
            return None
        first = frame.select("as_of").limit(1).selectExpr("unix_micros(as_of)").collect()
        if not first or first[0][0] != micros_of(moment):
            return None
        self._remember(spec.key)
        return frame

    def _table(self, source: Input, moments: tuple[datetime, ...]) -> DataFrame | None:
        if source.optional and source.table in self.stages.absent(self.customer.tables):
            return None
        self._remember(source.table)
        spec = self.stages.tables[source.table]
        if spec.stage == "features":
            return self._block(spec, moments)
        return cut(self.lake.table(self.customer.name, source.table), spec, moments[-1])

    def _remember(self, table: str) -> None:
        if table not in self.versions:
            version = self.lake.version(self.customer.name, table)
            if version is not None:
                self.versions[table] = version

    def data_versions(self) -> Mapping[str, int]:
        """The version of every table that was read so far."""
        return dict(sorted(self.versions.items()))


def _of_moment(rows: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    return rows[rows[MICROS] == micros_of(moment)].drop(columns=MICROS).set_index("user_id").sort_index()


def _in_windows(frame: DataFrame, time: str, windows: Sequence[Window]) -> DataFrame:
    """The rows of any window, each with its window's moment, start and end."""
    from pyspark.sql import functions as F

    def of_window(ends: Sequence[datetime]) -> Any:
        chosen = F.when(F.lit(False), F.lit(ends[0]))
        for window, value in zip(windows, ends, strict=True):
            is_inside = (F.col(time) > F.lit(window.start)) & (F.col(time) <= F.lit(window.end))
            chosen = chosen.when(is_inside, F.lit(value))
        return chosen

    starts, ends = [window.start for window in windows], [window.end for window in windows]
    inside = frame.withColumns({"_start": of_window(starts), "_end": of_window(ends)}).filter("_start is not null")
    return inside.withColumn(MOMENT, F.col("_start"))

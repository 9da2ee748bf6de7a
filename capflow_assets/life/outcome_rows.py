"""What came of subjects in past windows, read in one pass where that can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.blueprint.specs import Input, ModelSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Window
from capflow_assets.customers.customer import Customer
from capflow_assets.errors import GraphError
from capflow_assets.expressions.micros import micros_of
from capflow_assets.learning.outcomes import MOMENT, outcome_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

MICROS, LOOK = "_micros", "_look"


class TableReader(Protocol):
    """Reads the tables of one customer for one model, as of moments (``life.examples``)."""

    spec: ModelSpec
    stages: Stages
    customer: Customer

    @property
    def key(self) -> list[str]:
        """The columns that name a subject."""

    @property
    def values(self) -> dict[str, Any]:
        """What the model's functions may ask for by name, besides tables and moments."""

    def table(self, source: Input, moments: tuple[datetime, ...]) -> DataFrame | None:
        """A table as of the moments; None where it is optional and the customer cannot have it."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of ``parts`` equal shares of the subjects, told apart by a digest of their keys."""

    place: int = 0
    parts: int = 1

    def of(self, rows: DataFrame, key: Sequence[str]) -> DataFrame:
        """The rows of the subjects in the share."""
        return rows if self.parts == 1 else rows.filter(self.is_of(key))

    def is_of(self, key: Sequence[str]) -> Column:
        """Whether a row is of a subject in the share."""
        from pyspark.sql import functions as F

        return F.pmod(F.xxhash64(*key), F.lit(self.parts)) == self.place


EVERYBODY = Share()


def outcome_rows(
    reader: TableReader, windows: Sequence[Window], share: Share = EVERYBODY, *, keeps_positives: bool = False
) -> list[pd.DataFrame]:
    """The outcomes of each window, of a share of the subjects: frames indexed by the key, ``per`` and the columns.

    With ``keeps_positives`` those in which the outcome came are of all subjects.
    """
    outcome, key = reader.spec.model.outcome, reader.key
    columns = [*outcome.per, *outcome.columns]
    together = _together(reader, windows) if len(windows) > 1 else None

    def kept(rows: DataFrame) -> DataFrame:
        if not keeps_positives or share.parts == 1:
            return share.of(rows, key)
        return rows.filter(share.is_of(key) | (rows[outcome.columns[0]] > 0))

    if together is None:
        frames = [kept(_of_window(reader, window)).select(*key, *columns).toPandas() for window in windows]
        return [frame.set_index(key) for frame in frames]

    from pyspark.sql import functions as F

    rows = kept(together).select(*key, F.unix_micros(MOMENT).alias(MICROS), *columns).toPandas()
    return [of_moment(rows, key, window.start) for window in windows]


def rows_so_far(
    reader: TableReader, looks: Sequence[tuple[Window, datetime]], share: Share = EVERYBODY
) -> list[pd.DataFrame]:
    """The outcomes of whole windows as they stand at a moment in each: of rows up to then. As ``outcome_rows`` else."""
    from pyspark.sql import functions as F

    key, columns = reader.key, list(reader.spec.model.outcome.columns)
    frames = [
        share.of(_of_window(reader, window, seen), key).select(*key, *columns, F.lit(number).alias(LOOK))
        for number, (window, seen) in enumerate(looks)
    ]
    rows = reduce(lambda above, below: above.unionByName(below), frames).toPandas()
    return [rows[rows[LOOK] == number].drop(columns=LOOK).set_index(key) for number in range(len(looks))]


def positive_rows(reader: TableReader, windows: Sequence[Window]) -> DataFrame:
    """The subjects in whose window the outcome came: the key and ``MICROS``, the window's start."""
    from pyspark.sql import functions as F

    observed, together = reader.spec.model.outcome.columns[0], _together(reader, windows) if len(windows) > 1 else None
    if together is not None:
        frames = [together.withColumn(MICROS, F.unix_micros(MOMENT))]
    else:
        frames = [_of_window(reader, one).withColumn(MICROS, F.lit(micros_of(one.start))) for one in windows]
    kept = [rows.filter(F.col(observed) > 0).select(*reader.key, F.col(MICROS).cast("bigint")) for rows in frames]
    return reduce(lambda above, below: above.unionByName(below), kept)


def of_moment(rows: pd.DataFrame, key: list[str], moment: datetime) -> pd.DataFrame:
    """The rows of one moment, by their key."""
    frame = rows[rows[MICROS] == micros_of(moment)].drop(columns=MICROS)
    return frame.set_index(key).sort_index()


def aligned(spec: ModelSpec, outcome: pd.DataFrame, subjects: pd.Index) -> pd.DataFrame:
    """The outcomes of the subjects, in their order; zeros or nulls for those without one. See ``contract.Outcome``."""
    declared = spec.model.outcome
    columns = list(declared.columns)
    _require_distinct(spec, outcome)
    if declared.per:
        return outcome[outcome.index.isin(subjects)].astype(dict.fromkeys(columns, float))
    rows = outcome.reindex(subjects)[columns]
    return (rows.fillna(0.0) if declared.absent == "zero" else rows).astype(float)


def _require_distinct(spec: ModelSpec, outcome: pd.DataFrame) -> None:
    per = list(spec.model.outcome.per)
    is_repeated = outcome.reset_index().duplicated([*spec.model.subject.key, *per]).to_numpy()
    if is_repeated.any():
        raise GraphError(
            f"The outcome of {spec.name} has several rows for one {spec.model.subject.name}",
            expected=f"one row per {', '.join([*spec.model.subject.key, *per])}",
            came=f"{int(is_repeated.sum())} rows too many, for {outcome.index[is_repeated][0]} for one",
            where=spec.module.__name__,
            do="group by the subject's key, or say by Outcome.per what tells the rows apart",
        )


def _of_window(reader: TableReader, window: Window, seen: datetime | None = None) -> DataFrame:
    declared = reader.spec.outcome
    frames = {source.parameter: reader.table(source, (seen or window.end,)) for source in declared.inputs}
    return outcome_of(declared.function, frames, declared.injected, reader.values, window)


def _together(reader: TableReader, windows: Sequence[Window]) -> DataFrame | None:
    """The outcomes of all windows in one pass, with the moment that each is of; None where it cannot be done.

    It can where its tables have times, its windows do not overlap, and it keeps the moments of the rows apart.
    """
    from pyspark.sql import functions as F

    ordered, declared = sorted(windows, key=lambda window: window.start), reader.spec.outcome
    overlap = any(one.end > other.start for one, other in pairwise(ordered))
    times = {source.table: reader.stages.tables[source.table].table.time for source in declared.inputs}
    if overlap or None in times.values() or {"start", "end"} != set(declared.injected):
        return None
    frames: dict[str, Any] = {}
    for source in declared.inputs:
        frame = reader.table(source, (ordered[-1].end,))
        frames[source.parameter] = None if frame is None else _in_windows(frame, str(times[source.table]), ordered)
    outcome: DataFrame = declared.function(**frames, start=F.col("_start"), end=F.col("_end"))
    return outcome if MOMENT in outcome.columns else None


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

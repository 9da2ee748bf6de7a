"""Answers given where the rows are: by the engine's workers, each with the champion loaded once.

On a cluster neither the features nor the answers of all subjects pass through the driver. What a score is among all of
them, the engine counts: scores fall into narrow bins, whose counts say how many lie below, and within a bin a window
counts the rest. Columns that depend on it are worked out by the same code as in one process, so the rows are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Estimator, Examples, Model
from capflow_assets.life.answer_parts import Totals
from capflow_assets.life.answers import ranked_by_share, require_answers, rows_of, schema_of
from capflow_assets.stores.saved_estimators import loads

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from capflow_assets.deployment import Deployment
    from capflow_assets.life.examples import ExampleReader

BINS = 1024
SHARE, BIN, LOWER = "_share", "_bin", "_lower"
_loaded: dict[str, Estimator] = {}


def may_score_in_engine(model: Model[Any]) -> bool:
    """Whether each subject is answered for by its own row alone, with a score."""
    return not model.frames and model.answer.shape == "score"


@dataclass(frozen=True)
class AnswerBatches:
    """Answers for batches of subjects, in a worker of the engine. ``content`` is the estimator as it is saved."""

    model: Model[Any]
    name: str
    content: bytes
    types: frozenset[str]
    moment: datetime
    zone: str
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The answers of each batch, in the columns of the schema."""
        import pyarrow as pa

        estimator = self._estimator()
        for batch in batches:
            columns = batch.to_pandas().set_index(list(self.model.subject.key))
            asked = Examples(columns, None, {}, (self.moment,), self.zone)
            answers = estimator.predict(asked)
            require_answers(self.model, self.name, estimator, answers, asked)
            rows = answers.reset_index()
            rows = rows.assign(**{name: None for name in self.schema.names if name not in rows.columns})
            table = pa.Table.from_pandas(rows[self.schema.names], schema=self.schema, preserve_index=False)
            yield from table.to_batches()

    def _estimator(self) -> Estimator:
        sign = hashlib.sha256(self.content).hexdigest()
        if sign not in _loaded:
            _loaded.clear()  # a worker has one champion at a time
            _loaded[sign] = loads(self.content, self.types)
        return _loaded[sign]


@dataclass(frozen=True)
class RankBatches:
    """The rows of a model's table, from answers with the share of ``with_shares``."""

    model: Model[Any]
    version: int
    as_of: datetime
    rung: str
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of each batch, in the columns of the schema."""
        import pyarrow as pa

        key = list(self.model.subject.key)
        for batch in batches:
            frame = batch.to_pandas()
            shares = frame.pop(SHARE)
            rows = rows_of(self.model, frame.set_index(key), self.version, self.as_of, None, self.rung)
            rows = ranked_by_share(self.model.answer, rows, shares)
            table = pa.Table.from_pandas(rows[self.schema.names], schema=self.schema, preserve_index=False)
            yield from table.to_batches()


def write_answers(
    deployment: Deployment,
    reader: ExampleReader,
    content: bytes,
    types: frozenset[str],
    moment: datetime,
    sample: pd.DataFrame,
    version: int,
    rung: str,
) -> tuple[int, Totals]:
    """Answer for every subject known at the moment and replace the table of predictions; its version, and the totals.

    ``sample`` are answers for some of them, which have the columns and types that all of them get.
    """
    from pyspark.sql import functions as F

    model, customer, name = reader.spec.model, reader.customer, reader.spec.name
    rows = rows_of(model, sample, version, moment, None, rung)
    schema = schema_of(model, rows)
    said = schema_of(model, sample.reset_index())
    work = AnswerBatches(model, name, content, types, moment, customer.time_zone, said)
    answers = reader.frame_at(moment).mapInArrow(work, _ddl(said))
    with deployment.lake.staged(answers, customer.name, f"predictions/{name}") as staged:
        finish = RankBatches(model, version, moment, rung, schema)
        table = with_shares(staged).mapInArrow(finish, _ddl(schema))
        written = deployment.lake.write(table, customer.name, f"predictions/{name}")
    stored = deployment.lake.table(customer.name, f"predictions/{name}", written)
    bands = {row["band"]: int(row["count"]) for row in stored.groupBy("band").count().collect() if row["band"]}
    (total,) = stored.agg(F.count(F.lit(1)).alias("rows"), F.sum(F.nanvl("score", F.lit(0.0))).alias("sum")).collect()
    mean = {"score": float(total["sum"] or 0.0) / max(1, total["rows"])}
    return written, Totals(int(total["rows"]), int(total["rows"]), bands, mean)


def with_shares(answers: DataFrame) -> DataFrame:
    """The answers with ``_share``, that of all scores that are lower and half of those that are equal; null where there
    is no score.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    score = F.col("score")
    is_known = score.isNotNull() & ~F.isnan(score)
    known = answers.where(is_known)
    (ends,) = known.agg(
        F.min("score").alias("low"), F.max("score").alias("high"), F.count(F.lit(1)).alias("n")
    ).collect()
    unknown = answers.where(~is_known).withColumn(SHARE, F.lit(None).cast("double"))
    if not ends["n"]:
        return unknown
    width = (ends["high"] - ends["low"]) or 1.0
    binned = known.withColumn(BIN, F.floor((score - F.lit(ends["low"])) / F.lit(width) * F.lit(BINS - 1)).cast("int"))
    counts = {row[BIN]: row["count"] for row in binned.groupBy(BIN).count().collect()}
    lower, below = [], 0
    for number in sorted(counts):
        lower.append((number, below))
        below += counts[number]
    table = answers.sparkSession.createDataFrame(lower, f"{BIN} int, {LOWER} bigint")
    up_to = Window.partitionBy(BIN).orderBy("score").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    equal = Window.partitionBy(BIN, "score")
    middle = F.col(LOWER) + F.count(F.lit(1)).over(up_to) - F.count(F.lit(1)).over(equal) / F.lit(2.0)
    counted = binned.join(F.broadcast(table), BIN).withColumn(SHARE, middle / F.lit(float(ends["n"])))
    return counted.drop(BIN, LOWER).select(*answers.columns, SHARE).unionByName(unknown)


def _ddl(schema: pa.Schema) -> str:
    """An Arrow schema in Spark's words."""
    words = {
        "int32": "int",
        "int64": "bigint",
        "bool": "boolean",
        "date32[day]": "date",
        "timestamp[us, tz=UTC]": "timestamp",
    }
    return ", ".join(f"`{field.name}` {words.get(str(field.type), str(field.type))}" for field in schema)

"""DataFrames of what workers read part by part, as Arrow batches, and the columns in which they tell of each row.

Rows are read by workers (``mapInArrow``) where the engine's own reader would refuse files or read them wrongly, so that
a file reads the same on every engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# The end of a part that goes to the end of its file.
WHOLE_FILE = -1

CORRUPT = "_corrupt_record"
POSITION = "_position"
# The columns whose values are at fault, where the rest of the row is sound: an array of names, dotted inside structs.
UNFIT_COLUMNS = "_unfit_columns"
RESERVED = (CORRUPT, POSITION)
MOST_PARTITIONS = 512


def positions(before: str, numbers: Any, after: str = "") -> pa.Array:
    """The text of ``_position`` for row ``numbers`` of one file.

    >>> positions("bills.csv:", [2, 3]).to_pylist()
    ['bills.csv:2', 'bills.csv:3']
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow asks a range for its numbers one by one, which takes longer than all the rest here.
    known = np.arange(numbers.start, numbers.stop, numbers.step) if isinstance(numbers, range) else numbers
    texts = pa.array(known, pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar(before), texts, pa.scalar(after), "")


def unique_names(names: Iterable[str]) -> list[str]:
    """Names that differ even where case does not count, and from the reserved ones: repeated ones are numbered.

    >>> unique_names(["Total", " total ", "", "Total", "_position"])
    ['Total', 'total_2', 'column_3', 'Total_4', '_position_5']
    """
    unique: list[str] = []
    taken = {*RESERVED, UNFIT_COLUMNS}
    for place, name in enumerate(names, 1):
        plain = name.strip() or f"column_{place}"
        given = plain
        while given.lower() in taken:
            given += f"_{place}"
        taken.add(given.lower())
        unique.append(given)
    return unique


def answers_of(
    spark: SparkSession, parts: Sequence[tuple[str, int, int]], tell: Callable[[str, int, int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What ``tell(path, start, stop)`` says of each part, in the parts' order, asked by the workers in parallel.

    Raises:
        SourceError: ``tell`` raised it in a worker.
    """
    import pyarrow as pa
    from pyspark.sql.types import StringType, StructField, StructType

    def run(path: str, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        try:
            answer: dict[str, Any] = {"told": tell(path, start, stop)}
        except SourceError as error:
            answer = {"refused": [error.what, str(error)]}
        yield pa.record_batch({"told": [json.dumps({"part": [path, start, stop], **answer})]})

    frame = frame_of(spark, parts, StructType([StructField("told", StringType())]), run)
    answers = [json.loads(row.told) for row in frame.collect()]
    by_part = {tuple(answer["part"]): answer for answer in answers}
    for part in parts:
        if "refused" in by_part[part]:
            what, text = by_part[part]["refused"]
            refused = SourceError(what)
            refused.args = (text,)
            raise refused
    return [by_part[part]["told"] for part in parts]


def frame_of(
    spark: SparkSession,
    parts: Sequence[tuple[str, int, int]],
    schema: Any,
    batches: Callable[[str, int, int], Iterator[pa.RecordBatch]],
) -> DataFrame:
    """A DataFrame of what ``batches(path, start, stop)`` gives for each part, read by the workers in parallel."""

    def run(incoming: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in incoming:
            for part in batch.to_pylist():
                yield from batches(part["path"], part["start"], part["stop"])

    frame = spark.createDataFrame(list(parts), "path string, start bigint, stop bigint")
    return frame.repartition(max(1, min(len(parts), _most_partitions(spark)))).mapInArrow(run, schema)


def _most_partitions(spark: SparkSession) -> int:
    """As many parts at once as this machine has cores, where the engine reads all partitions at the same time."""
    session: Any = spark  # a cluster's own session has no client
    is_remote = type(spark).__module__.startswith("pyspark.sql.connect")
    is_here = is_remote and session.client.host in ("127.0.0.1", "localhost")
    return (os.cpu_count() or 1) if is_here else MOST_PARTITIONS


def arranged(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the columns and types of ``schema``; a column that it lacks is null."""
    import pyarrow as pa

    there = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type, safe=False)
        if field.name in there
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)

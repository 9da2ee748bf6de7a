"""What sources that read files share: which files a location means, reading them by Arrow batches, finding rows again.

Files are read by workers (``mapInArrow``) where the engine's own reader would refuse them or read them wrongly, so that
a file reads the same on every engine; each is judged when it is listed and opened without links (``paths.fence``).
Credentials and the endpoint of ``s3://`` come from the process (``AWS_*``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets.sources import _listing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as fs
    from pyspark.sql import DataFrame, SparkSession

CORRUPT = "_corrupt_record"
POSITION = "_position"
# The columns whose values are at fault, where the rest of the row is sound: an array of names, dotted inside structs.
UNFIT_COLUMNS = "_unfit_columns"
RESERVED = (CORRUPT, POSITION)
ROWS_SEARCHED = 5_000_000
MOST_PARTITIONS = 512
Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file: its real path or ``s3://`` address, its size, and the path by which its location names it.

    Of a member of a zip ``path`` is the address (``_packed``) and the size is that of what is unpacked.
    """

    path: str
    size_bytes: int
    listed: str = ""
    member: str = ""

    @property
    def named(self) -> str:
        """The path that people know."""
        return self.listed or self.path


def stored_files(location: str) -> list[StoredFile]:
    """The files that ``location`` means, by name: a file, a folder with all in it, or a glob (``* ? [a]``).

    Files and folders whose name starts with ``_`` or ``.`` are left out, as Spark does.

    Raises:
        SourceError: nothing is there, it cannot be listed, it is a Delta table, or all of it is empty.
    """
    real_location(location)
    try:
        is_local = not location.startswith("s3://")
        found = _listing.on_disk(location) if is_local else _listing.in_bucket(*opened(location))
    except OSError as error:
        raise SourceError("A location cannot be listed", came=_first_line(error), where=location, do=_ACCESS) from error
    prefix = "s3://" if location.startswith("s3://") else ""
    files = [StoredFile(may_open(prefix + info.path, location), info.size, prefix + info.path) for info in found]
    if not files:
        raise SourceError(
            "There are no files",
            expected="a file, a folder with files or a glob that matches some",
            where=location,
            do=_EXPORTED,
        )
    if not any(file.size_bytes for file in files):
        expected = "a file that is not empty"
        raise SourceError("There is no data", expected=expected, came="0 bytes", where=location, do=_EXPORTED)
    return files


def may_open(path: str, location: str) -> str:
    """The real path or the address of a file of ``location``.

    Raises:
        SourceError: the customer may not read it.
    """
    return fence.address(path, location) if path.startswith("s3://") else fence.real_path(path, location)


def real_location(location: str) -> str:
    """The location with the links before its first pattern resolved, for an engine that opens it by itself.

    Raises:
        SourceError: the customer may not read what lies there.
    """
    if location.startswith("s3://"):
        return fence.address(location, location)
    fixed = fence.fixed_part(location)
    real = fence.real_path(fixed, location)
    return real + str(PurePosixPath(location)).removeprefix(fixed)


def open_file(path: str) -> pa.NativeFile:
    """The bytes of one stored file, for reading from any place in it."""
    from pyarrow import fs

    if path.startswith("s3://"):
        system, inner = opened(path)
        return system.open_input_file(inner)
    with fence.opened(path) as inner:
        return fs.LocalFileSystem().open_input_file(inner)


def shown_names(location: str, files: Sequence[StoredFile]) -> dict[str, str]:
    """What people are shown for each path: its part below the folder of ``location``, or the file's own name.

    >>> shown_names("/in/2024", [StoredFile("/in/2024/may/bills.csv", 1)])
    {'/in/2024/may/bills.csv': 'may/bills.csv'}
    >>> shown_names("/in/*.csv", [StoredFile("/mnt/7.csv", 1, "/in/bills.csv")])
    {'/mnt/7.csv': 'bills.csv'}
    >>> shown_names("/in/a.zip", [StoredFile("/in/a.zip-zip:b.csv", 1, "/in/a.zip", "b.csv")])
    {'/in/a.zip-zip:b.csv': 'a.zip!b.csv'}
    """
    paths = [file.named for file in files]
    folder = location.rstrip("/") + "/"
    if not all(path.startswith(folder) for path in paths):
        folder = fence.fixed_part(location.removeprefix("s3://")) + "/"
        folder = f"s3://{folder}" if location.startswith("s3://") else folder
    shown = (path.removeprefix(folder) if path.startswith(folder) else PurePosixPath(path).name for path in paths)
    return {
        file.path: f"{name}!{file.member}" if file.member else name for file, name in zip(files, shown, strict=True)
    }


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


def told_of(
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
            told: dict[str, Any] = {"told": tell(path, start, stop)}
        except SourceError as error:
            told = {"refused": [error.what, str(error)]}
        yield pa.record_batch({"told": [json.dumps({"part": [path, start, stop], **told})]})

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


def found_in(batches: Iterable[pa.RecordBatch], rows: Sequence[Row]) -> list[int | None]:
    """The 1-based number of each of ``rows`` in ``batches``; equal rows are given one after another.

    None where a row is not found among the first ``ROWS_SEARCHED``. A row names some columns and their text.
    """
    found: list[int | None] = [None] * len(rows)
    before = 0
    for batch in batches:
        for place, row in enumerate(rows):
            if found[place] is None:
                taken = {found[i] for i in range(place) if rows[i] == row}
                numbers = (before + at + 1 for at in _places(batch, row))
                found[place] = next((number for number in numbers if number not in taken), None)
        before += batch.num_rows
        if before > ROWS_SEARCHED or all(number is not None for number in found):
            break
    return found


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


_EXPORTED = "check that the export ran, and the location in the customer's TOML"
_ACCESS = "check the path, and for s3:// the credentials, AWS_REGION and AWS_ENDPOINT_URL of the process"


def opened(location: str) -> tuple[fs.FileSystem, str]:
    """The file system of a location, and the path in it."""
    from pyarrow import fs

    if not location.startswith("s3://"):
        return fs.LocalFileSystem(), location
    try:
        return fs.FileSystem.from_uri("s3://" + quote(location.removeprefix("s3://"), safe="/*"))
    except (OSError, ValueError) as error:
        raise SourceError("A bucket cannot be opened", came=_first_line(error), where=location, do=_ACCESS) from error


def _places(batch: pa.RecordBatch, row: Row) -> list[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.array([True] * batch.num_rows)
    for name, text in row.items():
        if name not in batch.schema.names:
            return []
        same = _equal(batch.column(name), text)
        if same is None:
            return []
        mask = pc.and_(mask, same)
    return pc.indices_nonzero(mask).to_pylist()


def _equal(array: pa.Array, text: str | None) -> pa.Array | None:
    """Where ``array`` holds what Spark writes as ``text``; None where its type has no such text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False).cast(pa.timestamp("us"))
    if text is None:
        is_null = pc.is_null(array)
        return pc.or_(is_null, pc.equal(array, "").fill_null(False)) if pa.types.is_string(array.type) else is_null
    try:
        return pc.equal(array, pa.scalar(text).cast(array.type)).fill_null(False)
    except pa.ArrowException:
        return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]

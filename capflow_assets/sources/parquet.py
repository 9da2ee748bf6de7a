"""Parquet files, partitioned folders included, with the types that they have.

The engine reads them itself where it can. Files with timestamps in nanoseconds (what pandas writes, and what every
engine refuses), of differing schemas, or of names that engines take for patterns are read by workers through pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.errors import SourceError
from capflow_assets.landing.mappings import LABEL
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources import _exports, _files

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

ROWS_AT_ONCE = 1 << 16
FOOTER_THREADS = 8
PATTERN_CHARACTERS = frozenset(" *?[]{}\\%#:")


class Options(BaseModel):
    """How text inside such files is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timestamp_format: TimeFormat | None = Field(None, description="How times in text columns are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text columns are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text columns are written 1.234,56.")


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the Parquet files at ``location``, their columns by name and with their types.

    Grain: one row per row of the files. Nanoseconds become microseconds; a column that only some files have is null in
    the others; the ``key=value`` folders of a partitioned table are columns where the engine reads the files itself.
    Where the workers read them, ``_position`` is the file and the number of the row in it: ``bills.parquet:17``.

    Raises:
        SourceError: nothing is there, or a file is not Parquet or broken.
    """
    import pyarrow as pa

    files = _files.stored_files(location)
    footers = _footers(files)
    if _is_for_engine(files, [schema for schema, _ in footers]):
        return _without_reserved(spark.read.parquet(*_paths(location, files)))
    schema = _common(files, [schema for schema, _ in footers])
    names = _files.unique_names(schema.names)
    shown = _files.shown_names(location, files)
    groups = [
        (file.path, group, sum(counts[:group]))
        for file, (_, counts) in zip(files, footers, strict=True)
        for group in range(len(counts))
    ]

    def batches(path: str, group: int, before: int) -> Iterator[pa.RecordBatch]:
        for batch in _batches(path, [group]):
            rows = _files.arranged(batch, schema).rename_columns(names)
            numbers = range(before + 1, before + 1 + batch.num_rows)
            yield rows.append_column(_files.POSITION, _files.positions(f"{shown[path]}:", numbers))
            before += batch.num_rows

    from pyspark.sql.pandas.types import from_arrow_schema

    told = from_arrow_schema(pa.schema(zip(names, schema.types, strict=True)), prefer_timestamp_ntz=True)
    return _files.frame_of(spark, groups, told.add(_files.POSITION, "string"), batches)


def read_labelled(spark: SparkSession, location: str, options: Options, labels: Mapping[str, str]) -> DataFrame | None:
    """As ``read``, with the label of each row's file, by the name that people know.

    None where the engine does not tell the files apart; ``read`` gives ``_position`` where workers read them.
    """
    from pyspark.sql import functions as F

    files = _files.stored_files(location)
    shown = _files.shown_names(location, files)
    if not _is_for_engine(files, [schema for schema, _ in _footers(files)]):
        return None
    if len(_paths(location, files)) < len(files):
        return None
    of_label: dict[str, list[str]] = {}
    for file in files:
        of_label.setdefault(labels.get(shown[file.path], ""), []).append(file.path)
    each = (spark.read.parquet(*paths).withColumn(LABEL, F.lit(label)) for label, paths in of_label.items())
    return _without_reserved(reduce(lambda one, other: one.unionByName(other), each))


def file_of(position: Column, options: Options) -> Column:
    """The file of a row, as its ``_position`` names it."""
    return _exports.file_in(position, ":[0-9]+$")


exports = _exports.files_of


def find_rows(location: str, options: Options, rows: list[dict[str, str | None]]) -> list[int | None]:
    """The 1-based number of each row among the rows of the files at ``location``, taken by name."""
    names = {name for row in rows for name in row}
    files = [file.path for file in _files.stored_files(location)]
    return _files.found_in((batch for path in files for batch in _batches(path, None, names)), rows)


def _batches(path: str, groups: list[int] | None, names: set[str] | None = None) -> Iterator[pa.RecordBatch]:
    from pyarrow.parquet import ParquetFile

    with _files.open_file(path) as stream, ParquetFile(stream) as file:
        columns = None if names is None else [name for name in file.schema_arrow.names if name in names]
        yield from file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=columns, use_threads=False)


def _without_reserved(frame: DataFrame) -> DataFrame:
    """The frame with its columns that bear a reserved name renamed."""
    names = _files.unique_names(frame.columns)
    return frame.toDF(*names) if set(_files.RESERVED) & {name.lower() for name in frame.columns} else frame


def _footers(files: Sequence[_files.StoredFile]) -> list[tuple[pa.Schema, list[int]]]:
    """The schema of each file, without the notes of who wrote it, and the number of rows in each row group."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        return list(pool.map(_footer, files))


def _footer(file: _files.StoredFile) -> tuple[pa.Schema, list[int]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with _files.open_file(file.path) as stream, ParquetFile(stream) as opened:
            groups = range(opened.num_row_groups)
            rows = [opened.metadata.row_group(group).num_rows for group in groups]
            return opened.schema_arrow.remove_metadata(), rows
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            "A file cannot be read as Parquet",
            expected="a whole Parquet file",
            came=f"{file.size_bytes:,} bytes; {str(error).splitlines()[0][:200]}",
            where=file.path,
            do="export it again; other files do not belong into the folder",
        ) from error


def _is_for_engine(files: Sequence[_files.StoredFile], schemas: Sequence[pa.Schema]) -> bool:
    plain = not any(PATTERN_CHARACTERS & set(file.path.removeprefix("s3://")) for file in files)
    alike = all(schema == schemas[0] for schema in schemas)
    return plain and alike and all(_is_read_by_engines(field.type) for field in schemas[0])


def _is_read_by_engines(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return kind.unit != "ns"
    if pa.types.is_nested(kind):
        return all(_is_read_by_engines(kind.field(place).type) for place in range(kind.num_fields))
    unread = [pa.types.is_unsigned_integer, pa.types.is_time, pa.types.is_null, pa.types.is_duration]
    unread += [pa.types.is_dictionary]  # what pandas writes of categories
    return not any(is_one(kind) for is_one in unread) and kind != pa.float16()


def _paths(location: str, files: Sequence[_files.StoredFile]) -> list[str]:
    """The folder itself where it is partitioned by ``key=value``, which makes columns; else every file by name."""
    inner = [file.named.removeprefix(location.rstrip("/")) for file in files]
    is_partitioned = all("=" in path.rpartition("/")[0] for path in inner)
    return [_files.real_location(location)] if is_partitioned else [file.path for file in files]


def _common(files: Sequence[_files.StoredFile], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all files, each of a type that holds what every file has and that Spark knows."""
    import pyarrow as pa

    known = [pa.schema([field.with_type(_for_spark(field.type)) for field in schema]) for schema in schemas]
    try:
        return pa.unify_schemas(known, promote_options="permissive")
    except pa.ArrowException as error:
        came = str(error).splitlines()[0][:300]
        do = "export them again with one schema, or narrow the location to files that agree"
        raise SourceError("Files of one location disagree", came=came, where=files[0].path, do=do) from error


def _for_spark(kind: pa.DataType) -> pa.DataType:
    """The type that Spark has for an Arrow type: microseconds, signed numbers, plain strings."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_dictionary(kind):
        return _for_spark(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_for_spark(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_for_spark(kind.value_type))
    if pa.types.is_unsigned_integer(kind):
        return pa.decimal128(20, 0) if kind == pa.uint64() else pa.int64()
    if pa.types.is_time(kind) or pa.types.is_null(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if kind == pa.float16():
        return pa.float64()
    return pa.int64() if pa.types.is_duration(kind) else kind

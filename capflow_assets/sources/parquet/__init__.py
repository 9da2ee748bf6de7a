"""Parquet files, partitioned folders included, with the types that they have.

The engine reads them itself where it can. Files with timestamps in nanoseconds (what pandas writes, and what every
engine refuses), of differing schemas, or of names that engines take for patterns are read by workers through pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.errors import SourceError
from capflow_assets.landing.mappings import LABEL
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.paths.fence import fixed_part
from capflow_assets.sources.parquet.column_types import as_text, common_schema, is_read_by_engines
from capflow_assets.sources.reading import arrow_frames, file_exports, file_origins, row_search, storage

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

ROWS_AT_ONCE = 1 << 16
FOOTER_THREADS = 8
MOST_GROUPS = 32
PATTERN_CHARACTERS = frozenset(" *?[]{}\\%#:")


class Options(NumberOptions):
    """How text inside such files is written."""

    timestamp_format: TimeFormat | None = Field(None, description="How times in text columns are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text columns are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text columns are written 1.234,56.")
    file_column: str = Field("", description="A column of this name says which file a row is of: may/7.parquet.")
    folder_columns: bool = Field(True, description="Whether folders called store=7 make a column, store.")


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the Parquet files at ``location``, their columns by name and with their types.

    Grain: one row per row of the files. Nanoseconds become microseconds; a column that only some files have is null in
    the others; one that is a number in some files and text in others is text. Folders called ``key=value`` are columns.
    Where the workers read them, ``_position`` is the file and the number of the row in it: ``bills.parquet:17``.

    Raises:
        SourceError: nothing is there, or a file is not Parquet or broken.
    """
    import pyarrow as pa

    files = storage.stored_files(location)
    footers = _footers(files)
    origins = file_origins.of_files(location, files, options.file_column, options.folder_columns)
    file_origins.refuse_conflicts(
        origins, {f.path: schema.names for f, (schema, _) in zip(files, footers, strict=True)}
    )
    if _is_for_engine(files, [schema for schema, _ in footers]) and not options.file_column:
        by_engine = _by_engine(spark, location, files, origins)
        if by_engine is not None:
            return _without_reserved(by_engine)
    schema = common_schema([schema for schema, _ in footers])
    names = arrow_frames.unique_names(schema.names)
    shown = storage.shown_names(location, files)
    groups = [
        (file.path, group, sum(counts[:group]))
        for file, (_, counts) in zip(files, footers, strict=True)
        for group in range(len(counts))
    ]

    def batches(path: str, group: int, before: int) -> Iterator[pa.RecordBatch]:
        for batch in _batches(path, [group]):
            rows = arrow_frames.arranged(as_text(batch, schema), schema).rename_columns(names)
            numbers = range(before + 1, before + 1 + batch.num_rows)
            placed = rows.append_column(arrow_frames.POSITION, arrow_frames.positions(f"{shown[path]}:", numbers))
            yield arrow_frames.arranged(file_origins.with_values(placed, origins[path]), arrow)
            before += batch.num_rows

    from pyspark.sql.pandas.types import from_arrow_schema

    own = pa.schema([*zip(names, schema.types, strict=True), (arrow_frames.POSITION, pa.string())])
    arrow = file_origins.with_columns(own, origins)
    return arrow_frames.frame_of(spark, groups, from_arrow_schema(arrow, prefer_timestamp_ntz=True), batches)


def read_labelled(spark: SparkSession, location: str, options: Options, labels: Mapping[str, str]) -> DataFrame | None:
    """As ``read``, with the label of each row's file, by the name that people know.

    None where the engine does not tell the files apart; ``read`` gives ``_position`` where workers read them.
    """
    files = storage.stored_files(location)
    footers = _footers(files)
    if options.file_column or not _is_for_engine(files, [schema for schema, _ in footers]):
        return None
    origins = file_origins.of_files(location, files, options.file_column, options.folder_columns)
    file_origins.refuse_conflicts(
        origins, {f.path: schema.names for f, (schema, _) in zip(files, footers, strict=True)}
    )
    shown = storage.shown_names(location, files)
    labelled = {file.path: {**origins[file.path], LABEL: labels.get(shown[file.path], "")} for file in files}
    rows = _by_engine(spark, location, files, labelled)
    return None if rows is None else _without_reserved(rows)


def file_of(position: Column, options: Options) -> Column:
    """The file of a row, as its ``_position`` names it."""
    return file_exports.file_in(position, ":[0-9]+$")


exports = file_exports.files_of


def find_rows(location: str, options: Options, rows: list[dict[str, str | None]]) -> list[int | None]:
    """The 1-based number of each row among the rows of the files at ``location``, taken by name."""
    names = {name for row in rows for name in row}
    files = [file.path for file in storage.stored_files(location)]
    return row_search.found_in((batch for path in files for batch in _batches(path, None, names)), rows)


def _batches(path: str, groups: list[int] | None, names: set[str] | None = None) -> Iterator[pa.RecordBatch]:
    from pyarrow.parquet import ParquetFile

    with storage.open_file(path) as stream, ParquetFile(stream) as file:
        columns = None if names is None else [name for name in file.schema_arrow.names if name in names]
        yield from file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=columns, use_threads=False)


def _without_reserved(frame: DataFrame) -> DataFrame:
    """The frame with its columns that bear a reserved name renamed."""
    names = arrow_frames.unique_names(frame.columns)
    return frame.toDF(*names) if set(arrow_frames.RESERVED) & {name.lower() for name in frame.columns} else frame


def _footers(files: Sequence[storage.StoredFile]) -> list[tuple[pa.Schema, list[int]]]:
    """The schema of each file, without the notes of who wrote it, and the number of rows in each row group."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        return list(pool.map(_footer, files))


def _footer(file: storage.StoredFile) -> tuple[pa.Schema, list[int]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with storage.open_file(file.path) as stream, ParquetFile(stream) as opened:
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


def _is_for_engine(files: Sequence[storage.StoredFile], schemas: Sequence[pa.Schema]) -> bool:
    plain = not any(PATTERN_CHARACTERS & set(file.path.removeprefix("s3://")) for file in files)
    alike = all(schema == schemas[0] for schema in schemas)
    return plain and alike and all(is_read_by_engines(field.type) for field in schemas[0])


def _by_engine(
    spark: SparkSession, location: str, files: Sequence[storage.StoredFile], origins: file_origins.Origins
) -> DataFrame | None:
    """What the engine reads, which leaves out the columns that nobody wants; None where workers have to.

    The engine reads a partitioned folder by itself. Elsewhere, the files with the same values are read together.
    """
    from pyspark.sql import functions as F

    groups: dict[tuple[tuple[str, str | None], ...], list[str]] = {}
    for file in files:
        groups.setdefault(tuple(origins[file.path].items()), []).append(file.path)
    folders = [file.named.removeprefix(location.rstrip("/")).rpartition("/")[0] for file in files]
    is_plain = all("=" in folder and "%" not in folder and file_origins.NOTHING not in folder for folder in folders)
    is_labelled = any(LABEL in values for values in origins.values())
    if any(groups) and is_plain and not is_labelled and fixed_part(location) == str(PurePosixPath(location)):
        return spark.read.parquet(storage.real_location(location))
    if len(groups) > MOST_GROUPS and not is_labelled:
        return None
    frames = [
        reduce(
            lambda frame, pair: frame.withColumn(pair[0], F.lit(pair[1]).cast("string")),
            values,
            spark.read.parquet(*paths),
        )
        for values, paths in groups.items()
    ]
    return reduce(lambda one, other: one.unionByName(other), frames)

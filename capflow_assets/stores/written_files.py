"""Parquet files that the engine writes beside a table's own, and that become the table's in one commit, as they are.

A table's rows are written once: first to a folder inside the table's, which no reader sees; then, if they are found
good, the table's log names the files. A run that is killed between leaves the last version and some files that no
version knows; they go with the next clearing out of old ones. Once a commit was begun, the log alone says whether it
was made: an interrupt may come between the commit and the line after it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.stores.lake import Lake
from capflow_assets.stores.places import opened
from capflow_assets.stores.table_damage import make_room

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as fs
    from deltalake import Schema
    from deltalake.schema import ArrayType, PrimitiveType
    from deltalake.transaction import AddAction
    from pyspark.sql import DataFrame, SparkSession

LANDED_STAGE = "raw"
# What the folders are called of rows that a source sent, and of rows that were computed.
LANDING, COMPUTED = "landing-", "computed-"
DELTA_TYPES = {"bigint": "long", "int": "integer", "smallint": "short", "tinyint": "byte"}
ARRAY = "array<"
ENGINES_OWN = ("struct<", "map<", "array<struct<", "array<map<")
PARQUET_TIMES = "spark.sql.parquet.outputTimestampType"
Mode = Literal["overwrite", "append"]


@dataclass
class WrittenFiles:
    """Rows in a folder of a table's, of which the table may know nothing yet."""

    lake: Lake
    customer: str
    table: str
    name: str
    computed: DataFrame
    frame: DataFrame | None = None
    is_commit_begun: bool = False
    is_kept: bool = False
    _parquet: list[fs.FileInfo] = field(default_factory=list)
    _stats: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return sum(int(file["numRecords"]) for file in self._stats)

    @property
    def stored(self) -> DataFrame:
        """The rows read back; a frame without any where there was none."""
        return self.computed.limit(0) if self.frame is None else self.frame

    def commit(self, columns: Mapping[str, str], mode: Mode) -> int:
        """Make the files the table's, or some more of the table's, and give the new version.

        Where all are replaced, a log that cannot be read makes room.

        ``columns`` are the table's, with their Spark types; what else stands in the files does not become the table's.
        A table that an outside engine has given abilities which the commit does not know is written through the engine.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import create_table_with_add_actions

        path = self.lake.path(self.customer, self.table)
        actions = [self._added(info, stats) for info, stats in zip(self._parquet, self._stats, strict=True)]
        if mode == "overwrite":
            make_room(path)
        schema = _schema(columns)
        if schema is None:
            return self._written_again(columns, mode)
        self.is_commit_begun = True
        try:
            if self.lake.exists(self.customer, self.table):
                DeltaTable(path).create_write_transaction(list(actions), mode, schema)
            else:
                create_table_with_add_actions(path, schema, actions, mode="error")
        except CommitFailedError:
            raise
        except DeltaError:
            return self._written_again(columns, mode)
        self.is_kept = True
        return self.lake.committed(path)

    def _written_again(self, columns: Mapping[str, str], mode: Mode) -> int:
        return self.lake.write(self.stored.select(*columns), self.customer, self.table, mode)

    def counted(self, column: str) -> tuple[int, int] | None:
        """How many rows there are, and how many have a value in ``column``; None where a file does not tell."""
        nulls = [file["nullCount"].get(column) for file in self._stats]
        return None if None in nulls else (self.rows, self.rows - sum(nulls))

    def sample(self, columns: Sequence[str], rows: int = 10_000, files: int = 4) -> pa.Table | None:
        """The first rows of the first files, a few of each: for a glance at what columns hold. None where none is."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        batches = []
        for info in self._parquet[:files]:
            with self._store()[0].open_input_file(info.path) as stream, ParquetFile(stream) as file:
                batches += [next(file.iter_batches(rows // files, columns=list(columns)), None)]
        filled = [batch for batch in batches if batch is not None]
        return pa.Table.from_batches(filled) if filled else None

    def _added(self, info: fs.FileInfo, stats: Mapping[str, Any]) -> AddAction:
        from deltalake.transaction import AddAction

        written = int(info.mtime.timestamp() * 1000) if info.mtime else 0
        return AddAction(f"{self.name}/{Path(info.path).name}", info.size, {}, written, True, json.dumps(stats))

    def _listed(self) -> list[fs.FileInfo]:
        from pyarrow.fs import FileSelector, FileType

        store, folder = self._store()
        infos = store.get_file_info(FileSelector(folder, allow_not_found=True))
        return sorted((info for info in infos if info.type == FileType.File), key=lambda info: info.path)

    def _store(self) -> tuple[fs.FileSystem, str]:
        return opened(f"{self.lake.path(self.customer, self.table)}/{self.name}")

    def _write(self) -> None:
        spark = self.lake.spark()
        _write_delta_times(spark)
        path = f"{self.lake.spark_path(self.customer, self.table)}/{self.name}"
        # As Delta tables are written: a third smaller costs a fifth of the time.
        self.computed.write.mode("overwrite").option("compression", "snappy").parquet(path)
        store, _ = self._store()
        for info in self._listed():
            if info.path.endswith(".parquet"):
                self._parquet.append(info)
            else:  # a mark of Spark's, which clearing out would leave for ever
                store.delete_file(info.path)
        self._stats += [_stats(store, info.path) for info in self._parquet]
        self.frame = spark.read.parquet(path) if self._parquet else None

    def remove_uncommitted(self) -> None:
        """Remove the files, unless the table's log names them, or cannot be read and might."""
        if not self.is_kept and not (self.is_commit_begun and self._may_be_named()):
            self._remove()

    def _may_be_named(self) -> bool:
        """Whether any version of the table names these files, as far as can be told."""
        from pyarrow.fs import FileSelector

        store, folder = self._store()
        name = f"{self.name}/".encode()
        try:
            infos = store.get_file_info(FileSelector(f"{Path(folder).parent}/_delta_log", allow_not_found=True))
            for info in sorted(infos, key=lambda info: info.path, reverse=True):
                if info.path.endswith(".json"):
                    with store.open_input_stream(info.path) as stream:
                        if name in stream.read():
                            return True
        except (OSError, ValueError):  # a store that cannot be reached now, or forbids
            return True
        return False

    def _remove(self) -> None:
        from pyarrow.fs import FileType

        store, folder = self._store()
        if store.get_file_info(folder).type == FileType.Directory:
            store.delete_dir(folder)


@contextmanager
def written(lake: Lake, frame: DataFrame, customer: str, table: str) -> Iterator[WrittenFiles]:
    """The rows of ``frame``, computed once and written beside the table's; removed at the end unless committed.

    The ``frame`` of the files reads the rows back; it is None where there was no row. An exception or an interrupt that
    ends the block does not show that nothing was committed: the table's log is asked.
    """
    prefix = LANDING if table.startswith(f"{LANDED_STAGE}/") else COMPUTED
    files = WrittenFiles(lake, customer, table, f"{prefix}{uuid.uuid4().hex[:16]}", frame)
    try:
        files._write()
        yield files
    finally:
        files.remove_uncommitted()


def _write_delta_times(spark: SparkSession) -> None:
    """Times as Delta tables have them, and not as Spark's oldest readers want them; engines may refuse the setting."""
    from pyspark.errors import PySparkException

    with suppress(PySparkException):
        spark.conf.set(PARQUET_TIMES, "TIMESTAMP_MICROS")


def _schema(columns: Mapping[str, str]) -> Schema | None:
    """The table's schema; None where a column is of a type that only the engine can write."""
    from deltalake import Field, Schema

    if any(kind.startswith(ENGINES_OWN) for kind in columns.values()):
        return None
    return Schema([Field(name, _delta_type(kind)) for name, kind in columns.items()])


def _delta_type(kind: str) -> PrimitiveType | ArrayType:
    from deltalake.schema import ArrayType, PrimitiveType

    if kind.startswith(ARRAY):
        return ArrayType(_delta_type(kind.removeprefix(ARRAY).removesuffix(">")), contains_null=True)
    return PrimitiveType(DELTA_TYPES.get(kind, kind))


def _stats(store: fs.FileSystem, path: str) -> dict[str, Any]:
    """What a log says of a file: its rows, and how many of each column are null.

    Bounds of values are left out. Those of texts may be ids, which a log would keep; and where only some columns have
    bounds, delta-rs takes the others' for null and finds no row in the file.
    """
    from pyarrow.parquet import ParquetFile

    with store.open_input_file(path) as stream, ParquetFile(stream) as file:
        metadata = file.metadata
        groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
        nulls: dict[str, int] = {}
        for place in range(metadata.num_columns):
            column = metadata.schema.column(place)
            statistics = [group.column(place).statistics for group in groups]
            is_counted = groups and all(one is not None and one.has_null_count for one in statistics)
            if is_counted and not column.max_repetition_level:  # nulls within lists say nothing of the lists
                nulls[column.path] = sum(one.null_count for one in statistics)
    return {"numRecords": metadata.num_rows, "nullCount": nulls}

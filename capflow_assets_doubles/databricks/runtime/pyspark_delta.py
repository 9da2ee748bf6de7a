"""Delta tables for Spark on a JVM without a Delta jar, through Spark's Python data sources and delta-rs.

Spark registers it by itself: it looks for modules called ``pyspark_…`` that have a ``DefaultSource``. Read: the newest
version or ``versionAsOf``, one Spark partition per row group. Write: append, overwrite (``overwriteSchema``) and
overwrite of some rows (``replaceWhere``), each in one commit. The workers lay their rows down as Parquet on this
machine; the driver hands them to delta-rs, which writes the table and the commit.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.types import StructType

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


class DefaultSource(DataSource):
    """``format("delta")``."""

    @classmethod
    def name(cls) -> str:
        return "delta"

    def schema(self) -> StructType:
        """The table's schema, which Delta keeps as Spark's JSON."""
        return StructType.fromJson(json.loads(self._table().schema().to_json()))

    def reader(self, schema: StructType) -> DeltaReader:
        return DeltaReader(self._path(), self._table().version(), schema)

    def writer(self, schema: StructType, overwrite: bool) -> DeltaWriter:
        where = self.options.get("replaceWhere")
        evolve = self.options.get("overwriteSchema" if overwrite else "mergeSchema", "false").lower() == "true"
        return DeltaWriter(self._path(), schema, overwrite, where, evolve)

    def _path(self) -> str:
        path = self.options["path"]
        return path.replace("s3a://", "s3://", 1).removeprefix("file:")

    def _table(self) -> DeltaTable:
        from deltalake import DeltaTable

        version = self.options.get("versionAsOf")
        return DeltaTable(self._path(), version=None if version is None else int(version))


@dataclass
class RowGroup(InputPartition):
    """One row group of one file of the table."""

    file: str
    group: int


class DeltaReader(DataSourceReader):
    """Reads one pinned version, so that all workers see the same table."""

    def __init__(self, path: str, version: int, schema: StructType) -> None:
        self._path, self._version, self._schema = path, version, schema

    def partitions(self) -> list[RowGroup]:
        return [
            RowGroup(file, group.id)
            for file, fragment in self._fragments().items()
            for part in fragment.split_by_row_group()
            for group in part.row_groups
        ]

    def read(self, partition: RowGroup | None) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        if partition is None:  # a table without rows
            return
        target = _arrow(self._schema)
        fragment = self._fragments()[partition.file].subset(row_group_ids=[partition.group])
        for batch in fragment.to_batches(schema=self._dataset().schema):
            yield from pa.Table.from_batches([batch]).select(target.names).cast(target).to_batches()

    def _dataset(self) -> Any:
        from deltalake import DeltaTable

        return DeltaTable(self._path, version=self._version).to_pyarrow_dataset()

    def _fragments(self) -> dict[str, Any]:
        return {fragment.path: fragment for fragment in self._dataset().get_fragments()}


@dataclass
class Written(WriterCommitMessage):
    """A file that a worker has laid down."""

    file: str


class DeltaWriter(DataSourceArrowWriter):
    """Collects the workers' files and commits them at once; nothing is in the table before."""

    def __init__(self, path: str, schema: StructType, overwrite: bool, where: str | None, evolve: bool) -> None:
        self._path, self._schema, self._overwrite, self._where, self._evolve = path, schema, overwrite, where, evolve
        self._staged = tempfile.mkdtemp(prefix="delta-write-")

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = _arrow(self._schema)
        file = Path(self._staged) / f"{uuid.uuid4()}.parquet"
        with pq.ParquetWriter(file, target) as sink:
            for batch in iterator:
                sink.write_table(pa.Table.from_batches([batch]).rename_columns(target.names).cast(target))
        return Written(str(file))

    def commit(self, messages: list[Written | None]) -> None:
        import pyarrow as pa
        import pyarrow.dataset as ds
        from deltalake import write_deltalake

        target = _arrow(self._schema)
        files = [message.file for message in messages if message is not None]
        batches = ds.dataset(files, schema=target).to_batches() if files else iter([])
        try:
            write_deltalake(
                self._path,
                pa.RecordBatchReader.from_batches(target, batches),
                mode="overwrite" if self._overwrite else "append",
                schema_mode=None if not self._evolve else "overwrite" if self._overwrite else "merge",
                predicate=self._where if self._overwrite else None,
            )
        finally:
            shutil.rmtree(self._staged, ignore_errors=True)

    def abort(self, messages: list[Written | None]) -> None:
        shutil.rmtree(self._staged, ignore_errors=True)


def _arrow(schema: StructType) -> pa.Schema:
    """The Arrow schema of a Spark schema: every column may be null, as in any table that Spark writes."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(schema.toNullable(), timestamp_utc=True)

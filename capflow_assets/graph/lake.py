"""The lake: one Delta table per customer and table, at ``{lake}/{customer}/{stage}/{table}``.

A write replaces a table in one commit: a reader sees the old version or the new one, and a killed run leaves the old.
One prefix per customer is what keeps tenants apart, so every path is built here and from checked names only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import CapflowError, NotFoundError, TableError

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

CUSTOMER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TABLE = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")
KEPT_VERSIONS_HOURS = 7 * 24
VACUUM_EVERY = 20
# No stage is called so: table names begin with a letter.
STAGING = "_staging"


@dataclass(frozen=True, slots=True)
class Lake:
    """Read and write the tables of customers. ``spark`` is called only when rows are read or written through it."""

    root: str
    spark: Callable[[], SparkSession]

    def prefix(self, customer: str) -> str:
        """Everything of one customer lies below this."""
        if not CUSTOMER.fullmatch(customer):
            raise CapflowError("That is no customer name", expected=CUSTOMER.pattern, came=repr(customer))
        return f"{self.root}/{customer}"

    def path(self, customer: str, table: str) -> str:
        """Where a table lies; ``table`` is ``stage/name``."""
        if not TABLE.fullmatch(table):
            raise CapflowError("That is no table name", expected="stage/table", came=repr(table))
        return f"{self.prefix(customer)}/{table}"

    def exists(self, customer: str, table: str) -> bool:
        """Whether a version of the table was ever committed."""
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self.path(customer, table)))

    def version(self, customer: str, table: str) -> int | None:
        """The newest committed version, None where there is no such table yet."""
        if not self.exists(customer, table):
            return None
        return int(self._opened(customer, table).version())

    def table(self, customer: str, table: str, version: int | None = None) -> DataFrame:
        """The rows of a table as a Spark DataFrame, the newest version unless one is named."""
        if not self.exists(customer, table):
            raise self._missing(customer, table)
        reader = self.spark().read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", str(version))
        return reader.load(self.path(customer, table))

    def arrow(self, customer: str, table: str, limit: int | None = None) -> pa.Table:
        """The rows as an Arrow table, without a Spark session; at most ``limit`` of them."""
        if not self.exists(customer, table):
            raise self._missing(customer, table)
        dataset = self._opened(customer, table).to_pyarrow_dataset()
        return dataset.to_table() if limit is None else dataset.head(limit)

    def rows(self, customer: str, table: str) -> int:
        """How many rows the newest version has; read from the table's log where the log says it."""
        return int(self._opened(customer, table).to_pyarrow_dataset().count_rows())

    def size_bytes(self, customer: str, table: str) -> int | None:
        """The stored bytes of the newest version, None where there is none; read from the table's log."""
        import pyarrow as pa

        if not self.exists(customer, table):
            return None

        files = pa.table(self._opened(customer, table).get_add_actions(flatten=True))
        return int(sum(files.column("size_bytes").to_pylist()))

    def write(self, frame: DataFrame, customer: str, table: str) -> int:
        """Replace a table in one commit and give the new version."""
        path = self.path(customer, table)
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(path)
        return self._committed(path)

    def replace(self, frame: DataFrame, customer: str, table: str, where: str) -> int:
        """Replace the rows for which ``where`` holds (append, where none do) in one commit."""
        path = self.path(customer, table)
        if not self.exists(customer, table):
            return self.write(frame, customer, table)
        frame.write.format("delta").mode("overwrite").option("replaceWhere", where).save(path)
        return self._committed(path)

    @contextmanager
    def staged(self, frame: DataFrame, customer: str, table: str) -> Iterator[DataFrame]:
        """The same rows, computed once and read back, for a frame that several queries will look at."""
        path = f"{self.prefix(customer)}/{STAGING}.{table.replace('/', '.')}"
        self._remove(path)  # what a killed run left
        try:
            frame.write.format("delta").mode("overwrite").save(path)
            yield self.spark().read.format("delta").load(path)
        finally:
            self._remove(path)

    def _remove(self, path: str) -> None:
        from pyarrow import fs

        store, folder = fs.FileSystem.from_uri(path if "://" in path else Path(path).resolve().as_uri())
        if store.get_file_info(folder).type == fs.FileType.Directory:
            store.delete_dir(folder)

    def tables(self, customer: str) -> list[str]:
        """The names of a customer's tables."""
        from pyarrow import fs

        store, folder = fs.FileSystem.from_uri(self.prefix(customer) if "://" in self.root else self._local(customer))
        selector = fs.FileSelector(folder, recursive=True, allow_not_found=True)
        found = [info.path for info in store.get_file_info(selector)]
        logs = [path for path in found if path.endswith("/_delta_log") and f"/{STAGING}." not in path]
        return sorted("/".join(path.split("/")[-3:-1]) for path in logs)

    def save_bytes(self, customer: str, name: str, content: bytes) -> str:
        """Keep a small file (a plot, a page) below the customer's prefix and give its place."""
        from pyarrow import fs

        place = f"{self.prefix(customer)}/{name}"
        store, path = fs.FileSystem.from_uri(place if "://" in place else Path(place).resolve().as_uri())
        if "://" not in place:  # a bucket has no folders, and would keep empty marks of them
            store.create_dir(path.rsplit("/", 1)[0], recursive=True)
        with store.open_output_stream(path) as stream:
            stream.write(content)
        return place

    def _opened(self, customer: str, table: str) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        path = self.path(customer, table)
        try:
            return DeltaTable(path)
        except DeltaError as error:
            words = str(error).splitlines()[0][:300]
            do = f"materialize it again: capflow run {customer} --select {table}"
            raise TableError(f"{table} of {customer} cannot be read", came=words, where=path, do=do) from error

    def _local(self, customer: str) -> str:
        return Path(self.prefix(customer)).resolve().as_uri()

    def _missing(self, customer: str, table: str) -> NotFoundError:
        return NotFoundError.among(
            f"table of {customer}", table, self.tables(customer), do=f"materialize it: capflow run {customer}"
        )

    @staticmethod
    def _committed(path: str) -> int:
        """The version just written; now and then, files of versions older than a week are let go."""
        from deltalake import DeltaTable

        table: Any = DeltaTable(path)
        version = int(table.version())
        if version and version % VACUUM_EVERY == 0:
            table.vacuum(retention_hours=KEPT_VERSIONS_HOURS, dry_run=False)
        return version

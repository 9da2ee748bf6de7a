"""The lake: one Delta table per customer and table, at ``{lake}/{customer}/{stage}/{table}``.

A write replaces a table in one commit: a reader sees the old version or the new one, and a killed run leaves the old.
Where tables lie is in ``lake_places``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import CapflowError, NotFoundError, TableError
from capflow_assets.paths.folders import engine_name
from capflow_assets.stores.lake_marks import leave_mark
from capflow_assets.stores.lake_places import LakePlaces
from capflow_assets.stores.places import is_remote, remove_folder
from capflow_assets.stores.table_damage import culprit, damage, damaged_table, make_room, named_if_damaged

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

KEPT_VERSIONS_HOURS = 7 * 24
VACUUM_EVERY = 20
# No stage is called so: table names begin with a letter.
STAGING = "_staging"


@dataclass(frozen=True, slots=True)
class Lake(LakePlaces):
    """Read and write the tables of customers. ``spark`` is called only when rows are read or written through it.

    ``is_embedded`` says that Spark is the engine in this process, which wants folders of plain names.
    """

    spark: Callable[[], SparkSession]
    is_embedded: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """What the lake is called in errors: its own name, and the one that Spark is told."""
        return (self.root, engine_name(self.root)) if self.is_embedded else (self.root,)

    def spark_path(self, customer: str, table: str) -> str:
        """The same place as ``path``, as Spark is to be told of it."""
        return self._for_spark(self.path(customer, table))

    def _for_spark(self, path: str) -> str:
        return f"{engine_name(self.root)}{path.removeprefix(self.root)}" if self.is_embedded else path

    def exists(self, customer: str, table: str) -> bool:
        """Whether a version of the table was ever committed."""
        from deltalake import DeltaTable

        path = self.path(customer, table)
        try:
            return bool(DeltaTable.is_deltatable(path))
        except OSError as error:
            raise self._unreachable(customer, table, error) from error

    def version(self, customer: str, table: str) -> int | None:
        """The newest committed version, None where there is no such table yet."""
        if not self.exists(customer, table):
            return None
        return int(self.delta(customer, table).version())

    def table(self, customer: str, table: str, version: int | None = None) -> DataFrame:
        """The rows of a table as a Spark DataFrame, the newest version unless one is named."""
        if not self.exists(customer, table):
            raise self._missing(customer, table)
        reader = self.spark().read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", str(version))
        return reader.load(self.spark_path(customer, table))

    def arrow(
        self, customer: str, table: str, limit: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows as an Arrow table, without a Spark session; at most ``limit`` of them, and of ``columns`` only."""
        if not self.exists(customer, table):
            raise self._missing(customer, table)
        dataset = self.delta(customer, table).to_pyarrow_dataset()
        names = None if columns is None else list(columns)
        with named_if_damaged(customer, table, self.path(customer, table)):
            return dataset.to_table(columns=names) if limit is None else dataset.head(limit, columns=names)

    def batches(self, customer: str, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows of the newest version in batches, of these columns, so that never all of them are held at once."""
        dataset = self.delta(customer, table).to_pyarrow_dataset()
        return dataset.scanner(columns=list(columns), batch_readahead=2, fragment_readahead=1).to_reader()

    def rows(self, customer: str, table: str) -> int:
        """How many rows the newest version has; read from the table's log where the log says it."""
        dataset = self.delta(customer, table).to_pyarrow_dataset()
        with named_if_damaged(customer, table, self.path(customer, table)):
            return int(dataset.count_rows())

    def size_bytes(self, customer: str, table: str) -> int | None:
        """The stored bytes of the newest version, None where there is none; read from the table's log."""
        import pyarrow as pa

        if not self.exists(customer, table):
            return None

        files = pa.table(self.delta(customer, table).get_add_actions(flatten=True))
        return int(sum(files.column("size_bytes").to_pylist()))

    def write(
        self, frame: DataFrame, customer: str, table: str, mode: Literal["overwrite", "append"] = "overwrite"
    ) -> int:
        """Replace a table (or append to it) in one commit and give the new version.

        A table whose log cannot be read is written anew when it is replaced.
        """
        from pyspark.errors import PySparkException

        path, engine_path = self.path(customer, table), self.spark_path(customer, table)
        writer = frame.write.format("delta").mode(mode)
        if mode == "append":
            writer.save(engine_path)
            return self.committed(path)
        try:
            writer.option("overwriteSchema", "true").save(engine_path)
        except PySparkException:
            if not make_room(path):
                raise
            writer.option("overwriteSchema", "true").save(engine_path)
        return self.committed(path)

    def write_batches(self, customer: str, table: str, rows: pa.RecordBatchReader) -> int:
        """Replace a table by rows that come in batches, in one commit, without the engine; the new version.

        A table whose log cannot be read is written anew.
        """
        from deltalake import write_deltalake

        path = self.path(customer, table)
        make_room(path)
        write_deltalake(path, rows, mode="overwrite", schema_mode="overwrite")
        return self.committed(path)

    def replace_keys(self, frame: DataFrame, keys: DataFrame, customer: str, table: str) -> int:
        """Put ``frame`` in the place of all rows that have one of ``keys``, in one commit.

        ``frame`` has the table's columns, ``keys`` some of them, each row once. Several rows of a key may come, and may
        go; null is a value like others.
        """
        from pyspark.sql import functions as F

        # An engine takes one change for each row of the table: each key goes once, and what comes matches nothing.
        going = keys.withColumn("_is_going", F.lit(True))
        both = frame.withColumn("_is_going", F.lit(False)).unionByName(going, allowMissingColumns=True)
        with self.staged(both, customer, f"{table}_keys") as staged:
            self._merge(staged, list(frame.columns), list(keys.columns), customer, table)
        return self.committed(self.path(customer, table))

    def _merge(self, staged: DataFrame, columns: list[str], key: list[str], customer: str, table: str) -> None:
        from pyspark.errors import PySparkException
        from pyspark.sql import functions as F

        view = f"capflow_{uuid.uuid4().hex}"
        path = self.spark_path(customer, table).replace("`", "``")
        names, values = (", ".join(f"{prefix}`{name}`" for name in columns) for prefix in ("", "s."))
        same = " AND ".join(["s._is_going", *(f"t.`{name}` <=> s.`{name}`" for name in key)])
        spark = self.spark()
        staged.createOrReplaceTempView(view)
        merge = (
            f"MERGE INTO delta.`{path}` t USING {view} s ON {same} "  # noqa: S608
            f"WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND NOT s._is_going THEN INSERT ({names}) VALUES ({values})"
        )
        try:
            spark.sql(merge)
        except PySparkException:
            # An engine that cannot merge: the whole table again, which is one commit as well.
            stored, going = self.table(customer, table), staged.where("_is_going").select(*key)
            matches = reduce(and_, (stored[name].eqNullSafe(going[name]) for name in key))
            kept = stored.join(going, matches, "left_anti").select(*columns)
            self.write(kept.unionByName(staged.where(~F.col("_is_going")).select(*columns)), customer, table)
        finally:
            spark.catalog.dropTempView(view)

    def replace(self, frame: DataFrame, customer: str, table: str, where: str) -> int:
        """Replace the rows for which ``where`` holds (append, where none do) in one commit.

        Raises:
            TableError: the table is damaged; it is named, with what to do.
        """
        from pyspark.errors import PySparkException

        path = self.path(customer, table)
        if not self.exists(customer, table):
            return self.write(frame, customer, table)
        writer = frame.write.format("delta").mode("overwrite").option("replaceWhere", where)
        try:
            writer.save(self.spark_path(customer, table))
        except PySparkException as error:
            raise culprit(customer, [(table, path)], str(error)) or error from error
        return self.committed(path)

    def damage(self, customer: str, table: str) -> str:
        """What is broken of a table: its log, or a file that is gone or cut short. Empty where all is well."""
        try:
            return damage(self.path(customer, table))
        except OSError as error:
            raise self._unreachable(customer, table, error) from error

    def _unreachable(self, customer: str, table: str, error: OSError) -> TableError:
        path = self.path(customer, table)
        status = re.search(r"\b[45]\d\d [A-Z][A-Za-z ]+", str(error))
        received = status[0] if status else str(error).splitlines()[0]
        do = "see what lies there: a folder is expected that this user may read"
        if is_remote(path):
            do = f"check AWS_* and what this identity may do: capflow policy {customer}"
        return TableError(f"{table} of {customer} cannot be reached", came=received, where=path, do=do)

    @contextmanager
    def staged(self, frame: DataFrame, customer: str, table: str) -> Iterator[DataFrame]:
        """The same rows, computed once and read back, for a frame that several queries will look at."""
        # What a killed run leaves here is removed by the customer's next holder, see ``leftovers``.
        name = f"{STAGING}.{table.replace('/', '.')}.{uuid.uuid4().hex[:16]}"
        path = self.in_place(f"{self.prefix(customer)}/{name}")
        try:
            frame.write.format("delta").mode("overwrite").save(self._for_spark(path))
            yield self.spark().read.format("delta").load(self._for_spark(path))
        finally:
            remove_folder(path)

    def identity(self, customer: str, table: str) -> tuple[str, int] | None:
        """What tells this state of a table from any other that is or was at its place; None where there is none."""
        if not self.exists(customer, table):
            return None
        opened = self.delta(customer, table)
        return str(opened.metadata().id), int(opened.version())

    def delta(self, customer: str, table: str) -> DeltaTable:
        """The newest version of a table that there is, as Delta opens it.

        Raises:
            TableError: its log cannot be read.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        path = self.path(customer, table)
        try:
            return DeltaTable(path)
        except DeltaError as error:
            words = str(error).splitlines()[0][:300]
            raise damaged_table(customer, table, path, f"its log cannot be read: {words}") from error

    def _missing(self, customer: str, table: str) -> CapflowError:
        """A table that was never made, or whose log has lost its only entry."""
        broken = self.damage(customer, table)
        if broken:
            return damaged_table(customer, table, self.path(customer, table), broken)
        others = [name for name in self.tables(customer) if name != table]
        return NotFoundError.among(f"table of {customer}", table, others, do=f"materialize it: capflow run {customer}")

    @staticmethod
    def committed(path: str) -> int:
        """The version just written; now and then, files of versions older than a week are let go."""
        from deltalake import DeltaTable

        table: Any = DeltaTable(path)
        version = int(table.version())
        if version and version % VACUUM_EVERY == 0:
            # In full: with the files of runs that were killed before they committed.
            table.vacuum(retention_hours=KEPT_VERSIONS_HOURS, dry_run=False, full=True)
        leave_mark(path)
        return version

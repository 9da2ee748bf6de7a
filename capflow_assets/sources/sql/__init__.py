"""SQL databases: a table or a query of PostgreSQL, MySQL, MariaDB, or any other that SQLAlchemy has a dialect for.

Rows are read in parts, over a few connections at once, and each streams: memory does not grow with the table. The
connections only read; the databases not named here are sent nothing but SELECT. Credentials are named in the options
and read from the environment by whoever connects: they are in no plan. On a cluster with a JDBC reader, that one reads.

What is seen: on PostgreSQL all parts see one moment, and so does every later look at the same frame, because a
connection holds that moment for as long as the frame is in use (``consistent``). Elsewhere every part sees the moment
at which it is read: a row that comes, goes or changes its place in the order meanwhile may be in or out.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from capflow_assets.errors import SourceError, listed, nearest, shortened
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.paths import fence
from capflow_assets.sources.sql import (
    addresses,
    cluster_reader,
    database_access,
    engine,
    part_ranges,
    part_rows,
    relations,
)
from capflow_assets.transfer.secrets import FromEnv

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect

TRANSACTION_LIMITS_SINCE = (17, 0)
# A database compares text by its own order; whether that is the order of times and numbers, nobody tells.
COMPARES_TEXT = False
Cut = Callable[["Connection", "Dialect", relations.Relation, list[relations.SqlColumn]], list[str]]


class Options(NumberOptions):
    """Which rows of a database, who reads them, and how."""

    table: str | None = Field(None, min_length=1, description="The table or view, such as crm.bills; or give query.")
    query: str | None = Field(None, min_length=1, description="A SELECT; or give table.")
    user: str | FromEnv | None = Field(None, description='Who reads: a name, or { env = "NAME" }.')
    password: FromEnv | None = Field(None, description='{ env = "NAME" }: the variable that holds the password.')
    split_by: str | None = Field(None, description="The column that parts are cut by; best one with an index.")
    parts: int | None = Field(None, ge=1, le=512, description="How many parts; by the table's size if not given.")
    connections: int = Field(4, ge=1, le=64, description="How many parts are read at once.")
    fetch_rows: int = Field(10_000, ge=1, le=1_000_000, description="Rows that a cursor brings at once.")
    consistent: bool = Field(
        True, description="PostgreSQL: all parts see one moment. Not through replicas of one name."
    )
    ssl_mode: database_access.SslMode = Field(
        "prefer", description="PostgreSQL, MySQL: how the connection is encrypted."
    )
    ssl_ca: str | None = Field(None, description="PostgreSQL, MySQL: a file with the authorities that are trusted.")
    timeout_seconds: int | None = Field(None, ge=1, description="A statement that takes longer is an error.")
    timestamp_format: TimeFormat | None = Field(None, description="How times in text columns are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text columns are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text columns are written 1.234,56.")

    def access(self) -> database_access.Access:
        """How the database is entered."""
        authorities = fence.certificate(self.ssl_ca)
        return database_access.Access(self.user, self.password, self.ssl_mode, authorities, self.timeout_seconds)

    @field_validator("query")
    @classmethod
    def _one_statement(cls, query: str | None) -> str | None:
        return query.strip().rstrip(";").rstrip() if query else query

    @model_validator(mode="after")
    def _table_or_query(self) -> Options:
        if (self.table is None) == (self.query is None):
            raise ValueError("either table or query, and not both")
        return self


def check_location(location: str) -> None:
    """Refuse a location that names no such store, or holds credentials.

    Raises:
        SourceError: says how such a location is written.
    """
    addresses.address(location)


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the table or query, with its columns by name and types, ``_corrupt_record`` and ``_position``.

    Grain: one row per row of the table or query. ``location`` is ``dialect://host:port/database``, with
    ``?host=/folder`` (PostgreSQL) or ``?unix_socket=/file`` (MySQL) for a socket; ``sqlite:////file``.

    Types: numbers are exact (38 digits with 18 of them after the point where PostgreSQL tells none; text beyond 38);
    times with a zone are instants, times without stay local; bytes are binary; arrays are JSON; time of day, uuid,
    json, enum, interval and whatever else are text.
    Missing: infinite times, years beyond 1 to 9999 and MySQL's day zero are null. A value that does not fit its column
    (NaN in an exact number, the 30th of February) is null as well, and ``_corrupt_record`` names it.
    ``_position`` is the table with its primary key, else ``split_by``, else PostgreSQL's ``ctid``; else null.

    Raises:
        SourceError: the database cannot be reached, refuses the user, or lacks the table; the query is wrong.
    """
    location = addresses.admitted(location)
    if engine.has_cluster_readers(spark) and cluster_reader.has_reader(location):
        return cluster_reader.read(spark, location, options)

    def cut(connection: Connection, dialect: Dialect, relation: relations.Relation, columns: Any) -> list[str]:
        split_by = _known(columns, options.split_by, location) if options.split_by else None
        return part_ranges.cut(connection, dialect, relation, split_by, options.parts)

    return _frame(spark, location, options, cut)


def read_newer(spark: SparkSession, location: str, options: Options, column: str, than: Any) -> DataFrame:
    """The rows of ``read`` whose ``column`` is at least ``than``.

    The database looks for them, by an index if it has one. A row without a value in ``column`` is not among them.

    Raises:
        SourceError: as ``read``; or there is no such column.
    """
    location = addresses.admitted(location)
    if engine.has_cluster_readers(spark) and cluster_reader.has_reader(location):
        return cluster_reader.read(spark, location, options, (column, than))

    def cut(connection: Connection, dialect: Dialect, relation: relations.Relation, columns: Any) -> list[str]:
        known = _known(columns, column, location)
        return part_ranges.newer(connection, dialect, relation, known, than, options.parts)

    return _frame(spark, location, options, cut)


def _frame(spark: SparkSession, location: str, options: Options, cut: Cut) -> DataFrame:
    """The frame of the parts that ``cut`` gives; the moment that they see lives as long as the frame."""
    from pyspark.sql.pandas.types import from_arrow_schema

    dialect = database_access.dialect_of(location)
    with ExitStack() as held, ExitStack() as planning:
        snapshot = None
        if options.consistent and dialect.name == "postgresql":
            # A connection that does nothing else: it locks no table for as long as it is held.
            snapshot = _snapshot(held.enter_context(database_access.opened(location, options.access())))
        connection = planning.enter_context(database_access.opened(location, options.access()))
        relation = relations.relation_of(connection, dialect, location, options.table, options.query or "")
        columns = relations.columns_of(connection, dialect, relation, location, options.access())
        conditions = cut(connection, dialect, relation, columns)
        reading = _reading(connection, location, options, relation, columns, snapshot)
        run = _worker(reading, relation.sql)
        if snapshot:
            weakref.finalize(run, _let_go, held.pop_all())
    frame = spark.createDataFrame([(condition,) for condition in conditions], "condition string")
    parts = frame.repartition(min(len(conditions), options.connections))
    return parts.mapInArrow(run, from_arrow_schema(reading.schema(), prefer_timestamp_ntz=True))


def _worker(reading: part_rows.Reading, source: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    select = f"SELECT {', '.join(column.expression for column in reading.columns)} FROM {source} WHERE "  # noqa: S608

    def run(incoming: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in incoming:
            for part in batch.to_pylist():
                yield from part_rows.batches(reading, select + part["condition"])

    return run


def _reading(
    connection: Connection,
    location: str,
    options: Options,
    relation: relations.Relation,
    columns: list[relations.SqlColumn],
    snapshot: str | None,
) -> part_rows.Reading:
    sources = [column.source for column in columns]
    key = relation.key or ((_known(columns, options.split_by, location),) if options.split_by else ())
    hidden = not key and part_ranges.has_places(connection, relation)
    if hidden:
        import pyarrow as pa

        columns = [*columns, relations.SqlColumn("ctid", "ctid", "ctid::text", pa.string())]
    return part_rows.Reading(
        location=location,
        access=options.access(),
        columns=tuple(columns),
        rows_at_once=options.fetch_rows,
        label=relation.label,
        position=(len(sources),) if hidden else tuple(sources.index(name) for name in key),
        hidden=hidden,
        snapshot=snapshot,
    )


def _snapshot(connection: Connection) -> str:
    """The name of the moment that this connection sees from now on, for others to see the same."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
    if (connection.dialect.server_version_info or ()) >= TRANSACTION_LIMITS_SINCE:
        connection.exec_driver_sql("SET transaction_timeout = 0")
    return str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar())


def _let_go(held: ExitStack) -> None:
    # A connection that broke off before is as good as closed.
    with suppress(SourceError):
        held.close()


def _known(columns: list[relations.SqlColumn], name: str, location: str) -> str:
    """The database's own name of a column that a customer names."""
    known = {column.name: column.source for column in columns} | {column.source: column.source for column in columns}
    if name in known:
        return known[name]
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else "name one of them"
    expected, received = f"one of {listed(known)}", shortened(name)
    raise SourceError("There is no such column", expected=expected, came=received, where=location, do=do)

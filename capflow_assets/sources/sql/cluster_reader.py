"""SQL databases through a cluster's own JDBC reader.

The password goes to it as the reader's option, which Spark keeps out of what it shows (``spark.redaction.regex``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError, listed
from capflow_assets.sources.reading import arrow_frames
from capflow_assets.sources.sql import addresses, database_access, relations
from capflow_assets.transfer.secrets import first_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from sqlalchemy.engine import URL

ADDRESSES = {
    "postgresql": "jdbc:postgresql://{host}/{database}",
    "mysql": "jdbc:mysql://{host}/{database}?useCursorFetch=true",
    "mariadb": "jdbc:mariadb://{host}/{database}?useCursorFetch=true",
    "mssql": "jdbc:sqlserver://{host};databaseName={database}",
}
POSTGRESQL = {"driver": "org.postgresql.Driver", "options": "-c default_transaction_read_only=on -c timezone=UTC"}
MYSQL = {"sessionInitStatement": "SET SESSION TRANSACTION READ ONLY"}
MYSQL_TLS = {"require": "REQUIRED", "verify-ca": "VERIFY_CA", "verify-full": "VERIFY_IDENTITY", "disable": "DISABLED"}
EVENLY_CUT = ("tinyint", "smallint", "int", "bigint", "decimal", "float", "double", "date", "timestamp")


def has_reader(location: str) -> bool:
    """Whether the cluster's reader knows such a database."""
    url = addresses.address(location)
    return url.get_backend_name() in ADDRESSES and bool(url.host)


def read(spark: SparkSession, location: str, options: Any, newer: tuple[str, Any] | None = None) -> DataFrame:
    """The rows of a table or query, cut evenly by ``options.split_by`` where it is a number or a time.

    ``newer`` names a column and the least value of it to read.

    Raises:
        SourceError: the reader cannot reach the database, or refuses the table or query.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    url = addresses.address(location)
    source = _source(location, options, newer)
    settings = _settings(url, options)
    try:
        reader = spark.read.format("jdbc").options(**settings, dbtable=source)
        frame = reader.load()
        names = frame.columns
        if options.split_by and options.split_by not in names:
            expected = f"one of {listed(names)}"
            raise SourceError("There is no such column", expected=expected, came=options.split_by, where=location)
        if cut := _cut(frame, options):
            frame = reader.options(**cut).load()
    except PySparkException as error:
        do = "check the table's location and options, and that the cluster may reach the database"
        received = first_line(error, settings.get("password"))
        raise SourceError("The cluster cannot read the database", came=received, where=location, do=do) from None
    shown = relations.frame_names(names)
    position = F.lit(None).cast("string")
    if options.split_by:
        value = F.col(_quoted(shown[names.index(options.split_by)])).cast("string")
        position = F.concat(F.lit(f"{options.table or 'query'} {options.split_by}="), value)
    unfit = F.lit(None).cast("array<string>").alias(arrow_frames.UNFIT_COLUMNS)
    corrupt = F.lit(None).cast("string").alias(arrow_frames.CORRUPT)
    return frame.toDF(*shown).select("*", unfit, corrupt, position.alias(arrow_frames.POSITION))


def _source(location: str, options: Any, newer: tuple[str, Any] | None) -> str:
    from capflow_assets.sources.sql.part_ranges import literal

    dialect = database_access.dialect_of(location)
    if options.table:
        source = relations.quoted_table(dialect, *relations.split_name(options.table))
    else:
        source = relations.query_rows(options.query)
    if newer is None:
        return source
    column, least = relations.quoted(dialect, newer[0]), literal(dialect, newer[1])
    return f"(SELECT * FROM {source} WHERE {column} >= {least}) capflow_newer"  # noqa: S608


def _settings(url: URL, options: Any) -> dict[str, str]:
    backend = url.get_backend_name()
    host = f"{url.host}:{url.port}" if url.port else str(url.host)
    settings = {
        "url": ADDRESSES[backend].format(host=host, database=url.database),
        "fetchsize": str(options.fetch_rows),
        "preferTimestampNTZ": "true",
    }
    if options.timeout_seconds:
        settings["queryTimeout"] = str(options.timeout_seconds)
    if backend == "postgresql":
        settings |= POSTGRESQL | {"sslmode": options.ssl_mode}
        settings |= {"sslrootcert": authorities} if (authorities := options.access().ssl_ca) else {}
    elif backend in ("mysql", "mariadb"):
        settings |= MYSQL | ({"sslMode": MYSQL_TLS[options.ssl_mode]} if options.ssl_mode in MYSQL_TLS else {})
    user, password = database_access.login(options.access())
    settings |= {"user": user} if user else {}
    return settings | ({"password": password} if password else {})


def _cut(frame: DataFrame, options: Any) -> dict[str, str]:
    """The reader's options for even parts; none where there is nothing to cut by."""
    from pyspark.sql import functions as F

    kind = dict(frame.dtypes).get(options.split_by or "", "")
    if not kind.startswith(EVENLY_CUT):
        return {}
    # Bounds of numbers have to be whole; rows beyond them are in the first and the last part.
    is_time = kind.startswith(("date", "timestamp"))
    # The name may be any text that the customer's query gives a column: as a part of SQL it would be more than a name.
    column = F.col(_quoted(options.split_by))
    ends = [end if is_time else end.cast("bigint") for end in (F.min(column), F.max(column))]
    bounds = frame.select(*(end.cast("string") for end in ends)).first()
    if bounds is None or bounds[0] is None:
        return {}
    parts = str(options.parts or options.connections)
    return {
        "partitionColumn": options.split_by,
        "lowerBound": bounds[0],
        "upperBound": bounds[1],
        "numPartitions": parts,
    }


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"

"""The way into a SQL database: its address, the session's settings, and what its complaints mean.

Belongs here: what differs between databases about connecting. A location never holds credentials; they are read from
the environment where a connection is opened, on a worker as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import SourceError, listed, nearest, shortened
from capflow_assets.sources.reading import text_encodings
from capflow_assets.sources.sql.addresses import address, still_real
from capflow_assets.transfer.secrets import FromEnv, first_line

if TYPE_CHECKING:
    import ssl

    from sqlalchemy import Connection
    from sqlalchemy.engine import URL, Dialect

CONNECT_SECONDS = 15
WRITE_SECONDS = 3600
# PostgreSQL's library would look for the platform's own passwords and certificates, and show them to any server.
NOBODYS = dict.fromkeys(("passfile", "sslcert", "sslkey"), "/nonexistent/capflow")
SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


@dataclass(frozen=True, slots=True)
class Access:
    """How a database is entered; the password by its name."""

    user: str | FromEnv | None = None
    password: FromEnv | None = None
    ssl_mode: SslMode = "prefer"
    ssl_ca: str | None = None
    timeout_seconds: int | None = None


def dialect_of(location: str) -> Dialect:
    """How the database spells names and values. Percent signs stay single: statements are sent without parameters.

    Raises:
        SourceError: there is no such dialect, or its driver is not installed.
    """
    from sqlalchemy.exc import NoSuchModuleError

    url = address(location)
    try:
        spelling: Any = url.get_dialect()
        return spelling(paramstyle="named")
    except (NoSuchModuleError, ImportError) as error:
        raise _no_driver(url, location, error) from None


@contextmanager
def opened(location: str, access: Access) -> Iterator[Connection]:
    """A connection that only reads, with times in UTC; its driver's errors become ``SourceError``.

    Raises:
        SourceError: it cannot be reached, refuses the user or the statement, or takes too long.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    url = address(location)
    if url.get_backend_name() == "sqlite":
        still_real(str(url.database))
    user, password = login(access)
    full = _read_only_file(url) if url.drivername.startswith("sqlite") else url.set(username=user, password=password)
    with in_our_words(location, access):
        try:
            settings = _connect_settings(url.get_backend_name(), access)
            engine = create_engine(full, poolclass=NullPool, hide_parameters=True, connect_args=settings)
        except (NoSuchModuleError, ImportError) as error:
            raise _no_driver(url, location, error) from None
        with engine.connect() as connection:
            if url.get_backend_name() == "sqlite":
                _alone(connection, str(url.database))
            for statement in _session_settings(connection.dialect, access):
                connection.exec_driver_sql(statement)
            yield connection


@contextmanager
def in_our_words(location: str, access: Access) -> Iterator[None]:
    """Tell a driver's errors as a ``SourceError``: its first line, and never a secret."""
    from adbc_driver_manager import Error as AdbcError
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise _told(error.orig or error, location, access) from None
    except (AdbcError, OSError) as error:  # Arrow's streams break off as input and output do
        raise _told(error, location, access) from None


def login(access: Access) -> tuple[str | None, str | None]:
    """The user and the password, read now. For use at once, not to be kept."""
    user = access.user.value() if isinstance(access.user, FromEnv) else access.user
    return user, access.password.value() if access.password else None


def stream_address(location: str, access: Access) -> str:
    """The address with credentials and settings for PostgreSQL's own library. For use at once, not to be kept."""
    url = address(location)
    user, password = login(access)
    settings = _connect_settings("postgresql", access)
    settings["options"] += " -c default_transaction_isolation=repeatable\\ read"
    own = {"host": url.host or url.query.get("host"), "port": url.port, "dbname": url.database}
    parameters = own | {"user": user, "password": password} | settings
    return " ".join(f"{name}={_in_quotes(str(value))}" for name, value in parameters.items() if value is not None)


def no_table(name: str, known: list[str], location: str) -> SourceError:
    """The error for a table that is not there, with the nearest that is."""
    near = nearest(name, known) or nearest(name.rpartition(".")[2], known)
    received = listed(sorted(known)) or "no table that this user may see"
    do = f"did you mean {near!r}?" if near else "check options.table, its schema, and what the user may read"
    return SourceError("There is no such table", expected=shortened(name), came=received, where=location, do=do)


def _in_quotes(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _connect_settings(backend: str, access: Access) -> dict[str, Any]:
    if backend == "postgresql":
        limit = 1000 * (access.timeout_seconds or 0)
        options = f"-c default_transaction_read_only=on -c timezone=UTC -c statement_timeout={limit}"
        ssl_settings = {"sslmode": access.ssl_mode} | ({"sslrootcert": access.ssl_ca} if access.ssl_ca else {})
        own = {"connect_timeout": CONNECT_SECONDS, "application_name": "capflow"}
        return own | {"options": options} | ssl_settings | NOBODYS | ({} if access.password else {"password": ""})
    if backend in ("mysql", "mariadb"):
        own = {"connect_timeout": CONNECT_SECONDS, "charset": "utf8mb4", "local_infile": False}
        if access.ssl_mode == "disable":
            return own | {"ssl_disabled": True}
        return own if access.ssl_mode == "prefer" else own | {"ssl": _tls(access)}
    return {}


def _tls(access: Access) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=access.ssl_ca)
    context.check_hostname = access.ssl_mode == "verify-full"
    if access.ssl_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _session_settings(dialect: Dialect, access: Access) -> list[str]:
    if dialect.name not in ("mysql", "mariadb"):
        return []
    limit = access.timeout_seconds or 0
    is_mariadb = getattr(dialect, "is_mariadb", False)
    return [
        "SET SESSION TRANSACTION READ ONLY",
        # The server gives up on a reader that is busy elsewhere for longer.
        f"SET SESSION time_zone = '+00:00', net_write_timeout = {WRITE_SECONDS}",
        f"SET SESSION max_statement_time = {limit}"
        if is_mariadb
        else f"SET SESSION max_execution_time = {1000 * limit}",
    ]


def _alone(connection: Connection, path: str) -> None:
    """Let a query reach no other file than the one that was judged."""
    import sqlite3

    file: Any = connection.connection.driver_connection
    file.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    # Bytes that are no UTF-8 cost the column that holds them, not the whole table.
    file.text_factory = lambda content: content.decode("utf-8", text_encodings.KEPT)
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # the file is opened by now
    still_real(path)


def _read_only_file(url: URL) -> URL:
    from urllib.parse import quote

    return url.set(database=f"file:{quote(url.database or '')}", query={"mode": "ro", "uri": "true"})


def _no_driver(url: URL, location: str, error: Exception) -> SourceError:
    do = "install SQLAlchemy's dialect and driver for it where the assets run, or check the location's beginning"
    return SourceError(f"There is no driver for {url.drivername}", came=first_line(error), where=location, do=do)


def _told(error: BaseException, location: str, access: Access) -> SourceError:
    _, password = login(access)
    # MySQL's driver says it as (number, 'text').
    numbered = len(error.args) == 2 and isinstance(error.args[0], int)
    received = first_line(Exception(error.args[1]) if numbered else error, password)
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or ""
    text = str(error).lower()
    for signs, codes, what, do in _COMPLAINTS:
        if code in codes or any(sign in text for sign in signs):
            return SourceError(what, came=received, where=location, do=do)
    if type(error).__name__ in ("OperationalError", "InterfaceError") and not code:
        do = "check host and port, that the server runs, and that it can be reached from where the assets run"
        return SourceError("The database cannot be reached or breaks off", came=received, where=location, do=do)
    do = "check options.query, and options.split_by where it is given"
    return SourceError("The database does not answer a query", came=received, where=location, do=do)


# What drivers say (lower case) or the SQL standard's code of it, what that means, and what to do.
_COMPLAINTS: tuple[tuple[tuple[str, ...], tuple[str, ...], str, str], ...] = (
    (
        ("password authentication failed", "access denied", "no password supplied", "pg_hba.conf"),
        ("28000", "28P01"),
        "The database refuses the user",
        "check user and password in the table's options, and that the user may come from here",
    ),
    (
        ("ssl", "certificate"),
        (),
        "The connection cannot be encrypted as asked",
        "check options.ssl_mode and options.ssl_ca, and what the server offers",
    ),
    (
        ("unknown database", "unable to open database", 'database "'),
        ("3D000",),
        "There is no such database",
        "check the location's end",
    ),
    (
        ("statement timeout", "max_statement_time", "maximum statement execution time"),
        ("57014",),
        "The database takes too long",
        "raise options.timeout_seconds, or narrow the query",
    ),
    (
        ("server closed the connection", "terminating connection", "lost connection", "gone away"),
        (),
        "The database breaks off",
        "run again; where it stays so, see the server's log and its limits on connections and time",
    ),
    (
        ("snapshot",),
        (),
        "The snapshot of the read has ended",
        "run again; where connections reach differing servers (replicas behind one name), consistent = false",
    ),
    (
        ("no such table", "doesn't exist"),
        ("42P01", "42501"),
        "The database has no such table for this user",
        "check options.table or options.query, and what the user may read",
    ),
)

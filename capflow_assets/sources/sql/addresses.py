"""Which database a location means, and whether a customer may read it: its file resolved, its server compared.

A deployment's own databases are no source, whatever the spelling: another name of the host, a socket, a port left out.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets.transfer.secrets import refuse_credentials

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

DRIVERS = {"postgresql": "psycopg2", "mysql": "pymysql", "mariadb": "pymysql"}
PARTS_KNOWN = frozenset({"host", "unix_socket", "service_name", "driver", "warehouse", "role"})
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
# Dialects that open files by themselves, or other sources than their location says.
OF_FILES = ("duckdb", "access", "shillelagh", "gsheets", "chdb", "datafusion", "ibis", "jdbcapi", "teradatasql", "csv")
FORM = "postgresql://host:port/database, mysql://host/database, or another that SQLAlchemy knows"
# An ODBC driver by its name; by its path it would be code that a customer chooses.
DRIVER_NAME = re.compile(r"[\w .()-]+")
HERE = "here"


def address(location: str) -> URL:
    """The address that ``location`` means, with the driver that is used for it.

    Raises:
        SourceError: it holds credentials, is no address, or has parts that are not known.

    >>> address("mysql://shop.example.com:3307/crm").drivername
    'mysql+pymysql'
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    refuse_credentials(location)
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise SourceError("A location is no address of a database", expected=FORM, where=location) from None
    where = location.partition("?")[0]
    if unknown := sorted(set(url.query) - PARTS_KNOWN):
        expected = f"after '?' none but {', '.join(sorted(PARTS_KNOWN))}"
        raise SourceError("A location has parts that are not known", expected=expected, came=unknown[0], where=where)
    backend = url.drivername.partition("+")[0]
    if backend in OF_FILES or not DRIVER_NAME.fullmatch("".join(url.query.get("driver", "x"))):
        expected = "a database on a server, or sqlite:////file; files are read by csv, parquet, json and others"
        raise SourceError("A location names files or code in a way that is not known", expected=expected, where=where)
    has_server = url.host or {"host", "unix_socket"} & set(url.query) or backend == "sqlite"
    if not url.database or not has_server or (backend == "sqlite" and url.host):
        raise SourceError("A location lacks its host or its database", expected=FORM, where=location)
    known = "+" in url.drivername or url.drivername not in DRIVERS
    return url if known else url.set(drivername=f"{url.drivername}+{DRIVERS[url.drivername]}")


def admitted(location: str) -> str:
    """The location that is opened: of a file, its real path; of a server, as it is.

    Raises:
        SourceError: it is what the deployment keeps, or a file that this customer may not read.
    """
    url = address(location)
    if url.get_backend_name() == "sqlite":
        real = fence.real_path(str(url.database), str(url.database))
        return url.set(drivername="sqlite", database=real, query={}).render_as_string(hide_password=False)
    limits = fence.current()
    if any(is_same(url, own) for own in (limits.databases if limits else ())):
        expected = "a database of this customer, not one that the deployment keeps its own state in"
        raise SourceError("A source may not read that", expected=expected, where=location, do=fence.OWN)
    return location


def is_same(url: URL, own: str) -> bool:
    """Whether two addresses mean one database; with MySQL, whose databases see each other, one server.

    >>> is_same(address("postgresql://127.0.0.1/dagster"), "postgresql+psycopg2://localhost:5432/dagster")
    True
    >>> is_same(address("postgresql://127.0.0.1/shop"), "postgresql+psycopg2://localhost:5432/dagster")
    False
    """
    from sqlalchemy.engine import make_url

    other = make_url(own)
    # By names that one server hears to, whatever speaks to it.
    of_mysql = {"mysql", "mariadb"} & {url.get_backend_name(), other.get_backend_name()}
    if not of_mysql and url.database != (other.database or other.username):
        return False
    mine, its = _servers(url), _servers(other)
    if not {port for _, port in mine} & {port for _, port in its}:
        return False
    return any(port == port_of and _hosts(host) & _hosts(host_of) for host, port in mine for host_of, port_of in its)


def _servers(url: URL) -> list[tuple[str, int | None]]:
    """Every host and port that an address names, wherever in it."""
    named = [url.host or "", *(_listed(url.query.get("host"))), *(_listed(url.query.get("unix_socket")))]
    usual = url.port or next((int(port) for port in _listed(url.query.get("port")) if port.isdigit()), None)
    usual = usual or PORTS.get(url.get_backend_name())
    servers = []
    for server in ",".join(filter(None, named)).split(","):
        host, _, port = server.rpartition(":") if re.fullmatch(r"[^:/]+:\d+|\[.*\]:\d+", server) else (server, "", "")
        servers.append((host.strip("[]"), int(port) if port else usual))
    return servers


def _listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else tuple(filter(None, [value]))


def _hosts(name: str) -> set[str]:
    """All by which a host may be known: its name and its numbers; those of this machine and its sockets are one."""
    if not name or name.startswith(("/", "@")):
        return {HERE}
    plain = name.rstrip(".").lower()
    numbers = _numbers(plain) | {plain}
    is_here = any(re.match(r"127\.|::1$|0\.0\.0\.0$|::$|::ffff:127\.", number) for number in numbers)
    return numbers | (
        {HERE} if is_here or numbers & (_numbers(socket.gethostname()) | {socket.gethostname()}) else set()
    )


def _numbers(name: str) -> set[str]:
    with suppress(OSError, UnicodeError):
        return {str(address_info[4][0]) for address_info in socket.getaddrinfo(name, None)}
    return set()


def still_real(path: str) -> None:
    """Refuse a database's file that has become a link since it was judged.

    Raises:
        SourceError: it was changed.
    """
    if os.path.realpath(path) != path:
        do = "run again; if it stays so, see who writes to that folder"
        raise SourceError("A file has become a link since it was looked at", where=path, do=do)

"""A MySQL or MariaDB that belongs to a customer: connections in words of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.calls import Address
from capflow_assets.transfer.own_databases import PORTS, refuse_own
from capflow_assets.transfer.secrets import FromEnv, first_line, refuse_credentials

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS = 15
# What does not fit is refused, and not cut to fit with a warning.
SESSION = (
    "set session sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
)


class MysqlLogin(BaseModel):
    """Which database, and who enters it."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    location: Address = Field(pattern=r"^(mysql|mariadb)://[^/]+/[^/?]+$", description="mysql://host:port/database.")
    user: str = Field(min_length=1, description="Who logs in.")
    password: FromEnv | None = Field(default=None, description="The name of the variable with the password.")
    ssl_mode: Literal["disable", "prefer", "require", "verify-full"] = Field(
        default="prefer", description="Whether the connection is encrypted."
    )
    timeout_seconds: int = Field(default=3600, ge=1, le=86_400, description="Longer than that no statement takes.")


@contextmanager
def connected(login: MysqlLogin) -> Iterator[Any]:
    """A connection of PyMySQL; what was not committed is undone.

    Raises:
        DeliveryError: the database cannot be reached or does not do what is asked; no row was changed.
        DeliveryUnknown: the connection broke while it was committing.
    """
    import pymysql
    from sqlalchemy.engine import make_url

    refuse_credentials(login.location)
    url = make_url(login.location)
    refuse_own(url)
    password = login.password.value() if login.password else None
    connection = None
    try:
        connection = pymysql.connect(
            host=url.host, port=url.port or PORTS["mysql"], database=url.database, user=login.user,
            password=password or "", charset="utf8mb4", local_infile=False, connect_timeout=CONNECT_SECONDS,
            read_timeout=login.timeout_seconds, write_timeout=login.timeout_seconds, init_command=SESSION,
            **_encryption(login),
        )  # fmt: skip
        yield connection
    except (pymysql.Error, OSError) as error:
        do = "check the address, the login, and what it may do there"
        received = first_line(plain(error), password)
        raise DeliveryError(
            "A database did not do what was asked", came=received, where=login.location, do=do
        ) from error
    finally:
        if connection is not None:
            with suppress(pymysql.Error, OSError):
                connection.close()


def commit(connection: Any, where: str) -> None:
    """Commit; an answer that does not come leaves it open whether that was done.

    Raises:
        DeliveryUnknown: the connection broke meanwhile.
    """
    import pymysql

    try:
        connection.commit()
    except (pymysql.OperationalError, pymysql.InterfaceError, OSError) as error:
        do, received = "deliver again: what arrived is looked at first", first_line(plain(error))
        raise DeliveryUnknown("A database did not answer to a commit", came=received, where=where, do=do) from error


def plain(error: BaseException) -> Exception:
    """An error whose words are those of the server: its driver says it as (number, 'text')."""
    is_numbered = len(error.args) == 2 and isinstance(error.args[0], int)
    return Exception(error.args[1] if is_numbered else str(error))


def _encryption(login: MysqlLogin) -> dict[str, Any]:
    if login.ssl_mode == "disable":
        return {"ssl_disabled": True}
    return {} if login.ssl_mode == "prefer" else {"ssl": _context(login.ssl_mode)}


def _context(mode: str) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

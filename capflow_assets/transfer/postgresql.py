"""A PostgreSQL that belongs to a customer: connections in words of ours, and rows on their way through ``COPY``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.batches import json_value
from capflow_assets.transfer.calls import Address
from capflow_assets.transfer.own_databases import refuse_own
from capflow_assets.transfer.secrets import FromEnv, first_line, refuse_credentials

if TYPE_CHECKING:
    import pyarrow as pa

CONNECT_SECONDS = 15
# PostgreSQL's library would look for the platform's own passwords and certificates, and show them to any server.
NOBODYS = dict.fromkeys(("passfile", "sslcert", "sslkey"), "/nonexistent/capflow")


class PostgresLogin(BaseModel):
    """Which database, and who enters it."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    location: Address = Field(pattern=r"^postgresql://[^/]+/[^/?]+$", description="postgresql://host:port/database.")
    user: str = Field(min_length=1, description="Who logs in.")
    password: FromEnv | None = Field(default=None, description="The name of the variable with the password.")
    ssl_mode: Literal["disable", "prefer", "require", "verify-full"] = Field(
        default="prefer", description="Whether the connection is encrypted."
    )
    timeout_seconds: int = Field(default=3600, ge=1, le=86_400, description="Longer than that no statement takes.")


@contextmanager
def connected(login: PostgresLogin) -> Iterator[Any]:
    """A connection of psycopg2; what was not committed is undone.

    Raises:
        DeliveryError: the database cannot be reached or does not do what is asked; nothing was changed.
        DeliveryUnknown: the connection broke while it was committing.
    """
    import psycopg2
    from sqlalchemy.engine import make_url

    refuse_credentials(login.location)
    url = make_url(login.location)
    refuse_own(url)
    password = login.password.value() if login.password else None
    connection = None
    try:
        connection = psycopg2.connect(
            host=url.host, port=url.port or 5432, dbname=url.database, user=login.user, password=password,
            sslmode=login.ssl_mode, connect_timeout=CONNECT_SECONDS, application_name="capflow",
            keepalives_idle=30, keepalives_interval=10, keepalives_count=3,
            options=f"-c statement_timeout={login.timeout_seconds * 1000} -c timezone=UTC", **NOBODYS,
        )  # fmt: skip
        yield connection
    except psycopg2.Error as error:
        received = first_line(error, password)
        do = "check the address, the login, and what it may do there"
        raise DeliveryError(
            "A database did not do what was asked", came=received, where=login.location, do=do
        ) from error
    finally:
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()


def commit(connection: Any, where: str) -> None:
    """Commit; an answer that does not come leaves it open whether that was done.

    Raises:
        DeliveryUnknown: the connection broke meanwhile.
    """
    import psycopg2

    try:
        connection.commit()
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        do = "deliver again: what arrived is looked at first"
        raise DeliveryUnknown(
            "A database did not answer to a commit", came=first_line(error), where=where, do=do
        ) from error


class CopyStream:
    """Rows as the text that ``COPY … (FORMAT csv)`` reads: nulls are nothing at all, text stands in quotes.

    ``bytes`` and ``checksum`` (SHA-256) are of what was read so far.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest = b""
        self._digest = hashlib.sha256()
        self._failure: BaseException | None = None
        self.bytes, self.rows = 0, 0

    @property
    def checksum(self) -> str:
        """What tells these rows from others."""
        return self._digest.hexdigest()

    def copy(self, cursor: Any, statement: str) -> None:
        """Have a ``COPY … from stdin`` read the rows; what breaks in giving them is raised as it is."""
        import psycopg2

        try:
            cursor.copy_expert(statement, self)
        except psycopg2.Error:
            if self._failure is not None:
                raise self._failure from None
            raise

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        if not self._rest:
            try:
                batch = next(self._batches, None)
            except BaseException as error:  # an interrupt, or rows that cannot be read: the database sees neither
                self._failure = error
                raise
            if batch is None:
                return b""
            self.rows += batch.num_rows
            self._rest = _as_csv(batch)
            self._digest.update(self._rest)
            self.bytes += len(self._rest)
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return taken


def _as_csv(batch: pa.RecordBatch) -> bytes:
    import json

    import pyarrow as pa
    import pyarrow.csv

    columns = []
    for column in batch.columns:
        if pa.types.is_list(column.type):
            texts = (None if values is None else json.dumps(json_value(values)) for values in column.to_pylist())
            columns.append(pa.array(texts, pa.string()))
        else:
            columns.append(column)
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), sink, options)
    return bytes(sink.getvalue().to_pybytes())

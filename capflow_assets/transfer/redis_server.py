"""A server of Redis, or of what speaks like it (Valkey, KeyDB, Dragonfly): where it is, who logs in, and its errors.

Shared by the destination of deliveries and by the store of online answers. Clusters are not spoken to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.errors import CapflowError
from capflow_assets.transfer.secrets import FromEnv, first_line


class RedisServer(BaseModel):
    """Which server, who logs in, and what every key begins with."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    host: str = Field(min_length=1, description="The server's name or address.")
    port: int = Field(6379, ge=1, le=65_535, description="Its port.")
    database: int = Field(0, ge=0, description="The number of the database.")
    user: str | None = Field(None, description="Who logs in, where the server has users.")
    password: FromEnv | None = Field(None, description='Its password: { env = "NAME" }.')
    tls: bool = Field(True, description="Whether the connection is encrypted.")
    prefix: str = Field("capflow", pattern=r"^[A-Za-z0-9_.{}:-]{1,64}$", description="What every key begins with.")

    @property
    def where(self) -> str:
        """Its address, for messages."""
        return f"{self.host}:{self.port}"


def redis_client(server: RedisServer, *, timeout_seconds: float, tries: int = 1, connections: int = 64) -> Any:
    """A client of the server, to be shared by threads; nothing is connected before the first question.

    Raises:
        SourceError: the password's variable is not set.
    """
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    return redis.Redis(
        host=server.host,
        port=server.port,
        db=server.database,
        username=server.user,
        password=server.password.value() if server.password else None,
        ssl=server.tls,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        max_connections=connections,
        retry=Retry(ExponentialBackoff(cap=10, base=0.5), tries - 1),
    )


@contextmanager
def redis_errors(server: RedisServer, kind: type[CapflowError]) -> Iterator[None]:
    """What Redis' library says, as an error of ``kind`` that a person reads; the password is not in it."""
    import redis

    def said(what: str, error: Exception, do: str) -> CapflowError:
        password = server.password.value() if server.password else None
        return kind(what, came=first_line(error, password), where=server.where, do=do)

    try:
        yield
    except redis.AuthenticationError as error:
        do = "check the user, the password's variable, and what the user may do"
        raise said("Redis does not accept the credentials", error, do) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        do = "see whether it is up, whether tls is right, and whether this machine may reach it; then run it again"
        raise said("Redis is not reached", error, do) from error
    except redis.RedisError as error:
        raise said("Redis refuses", error, "see what its user may do, and its memory") from error

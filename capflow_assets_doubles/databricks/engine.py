"""The Spark behind the workspace's compute: one JVM that serves classic sessions and Spark Connect alike.

Started at first need and kept until the workspace closes: what a test waits for is the step, not a cluster.
"""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capflow_assets_doubles.engines import INTERPRETED, QUICK_JAVA, connect_settings, free_port, java_home, spark_submit

PLUGIN = "org.apache.spark.sql.connect.SparkConnectPlugin"


@dataclass(frozen=True)
class Running:
    """Where a running Spark is reached."""

    classic_port: int
    classic_secret: str
    connect_port: int


class Engine:
    """``python`` runs Spark's Python workers; ``variables`` are the rights of the machines (an instance profile)."""

    def __init__(self, folder: Path, python: Path, variables: Mapping[str, str]) -> None:
        self._folder, self._python, self._variables = folder, python, dict(variables)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._running: Running | None = None

    def running(self) -> Running:
        """Start Spark unless it runs."""
        with self._lock:
            if self._running is None:
                self._running = self._start()
            return self._running

    def close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._running = self._process = None

    def _start(self) -> Running:
        self._folder.mkdir(parents=True, exist_ok=True)
        port, said, log = free_port(), self._folder / "gateway", self._folder / "jvm.log"
        settings = connect_settings(self._folder, port) | INTERPRETED | {"spark.plugins": PLUGIN}
        with log.open("w") as sink:
            self._process = subprocess.Popen(
                [
                    *spark_submit(self._folder, settings, "--driver-memory", "1g", "--driver-java-options", QUICK_JAVA),
                    "pyspark-shell",
                ],
                env=self._environment(said),
                stdin=subprocess.PIPE,  # Spark ends when this is closed
                stdout=sink,
                stderr=sink,
            )
        until = time.monotonic() + 240
        while not said.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Spark on the JVM did not come up:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)
        running = Running(*_address(said.read_bytes()), port)
        _start_context(running)
        return running

    def _environment(self, said: Path) -> dict[str, str]:
        return self._variables | {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "JAVA_HOME": str(java_home(self._folder)),
            "PYSPARK_PYTHON": str(self._python),
            "SPARK_CONNECT_MODE": "0",
            "_PYSPARK_DRIVER_CONN_INFO_PATH": str(said),
        }


def _address(said: bytes) -> tuple[int, str]:
    """The port and the secret, as Spark's gateway writes them."""
    port, length = struct.unpack("!ii", said[:8])
    return port, said[8 : 8 + length].decode()


def _start_context(running: Running) -> None:
    """Start the Spark context, and with it the Connect server; nothing of it stays in this process."""
    from py4j.java_gateway import GatewayParameters, JavaGateway

    parameters = GatewayParameters(port=running.classic_port, auth_token=running.classic_secret, auto_convert=True)
    gateway: Any = JavaGateway(gateway_parameters=parameters)
    gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    gateway.close()

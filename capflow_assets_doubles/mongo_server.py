"""A MongoDB-speaking server for tests: SecantusDB, on MongoDB's own storage engine, in a process and folder of its own.

It asks for a password, as a customer's server does: the users are made on a first start without one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capflow_assets_doubles.engines import free_port


@contextmanager
def mongo_server(folder: Path, users: Mapping[str, str], roles: Mapping[str, list[Any]]) -> Iterator[str]:
    """``host:port`` of a server that knows ``users`` and their passwords, each with its roles."""
    from pymongo import MongoClient

    port = free_port()
    with _running(folder, port), MongoClient("127.0.0.1", port) as client:
        for name, password in users.items():
            client["admin"].command("createUser", name, pwd=password, roles=roles[name])
    with _running(folder, port, "--auth"):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(folder: Path, port: int, *flags: str) -> Iterator[None]:
    program = str(Path(sys.executable).parent / "secantusd-py")
    command = [program, "--port", str(port), "--storage-path", str(folder / "mongo"), "--standalone", *flags]
    with (folder / "mongo.log").open("a") as log:
        server = subprocess.Popen([*command, "--log-level", "WARNING"], cwd=folder, stdout=log, stderr=log)
    try:
        _wait_until_open(port, server, folder / "mongo.log")
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_open(port: int, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not come up within {seconds:.0f} s:\n{log.read_text()[-3000:]}")

"""Servers in processes of their own, and load on them from one client: at a fixed rate, or as fast as they answer.

At a fixed rate times are counted from when a request was due, whatever the server says: a closed loop would wait with
it. Server and client have a core each where there are two. All of it stays on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CONNECTIONS = 32
START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under a load: seconds of each request, and how many were no success."""

    seconds: Sequence[float]
    errors: int
    took: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return (len(self.seconds) - self.errors) / self.took

    def ms(self, share: float) -> float:
        """A percentile in milliseconds."""
        return 1e3 * float(np.percentile(self.seconds, share)) if self.seconds else float("nan")


@contextmanager
def server(
    program: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[int, int]]:
    """A server on a free port, which the word ``PORT`` of its command stands for; the port and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in program]
    given = {name: value.replace("PORT", str(port)) for name, value in (environment or {}).items()}
    silent = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603
        words, stdout=silent, stderr=silent, env={**os.environ, **given}, cwd=folder
    ) as process:
        os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:1])
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        try:
            yield port, process.pid
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def get(path: str, head: Mapping[str, str]) -> bytes:
    """A request without a body."""
    return _request("GET", path, b"", head)


def post(path: str, body: object, head: Mapping[str, str] | None = None) -> bytes:
    """A request with a body of JSON."""
    return _request("POST", path, json.dumps(body).encode(), {**(head or {}), "content-type": "application/json"})


def _request(method: str, path: str, body: bytes, head: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in head.items()), "", ""]).encode() + body


@contextmanager
def client_core() -> Iterator[None]:
    """The client works on the last core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def answers(port: int, request: bytes, patience_s: float = 90.0) -> bool:
    """Whether a server answers a request with success in the end: the first one may load the model."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with suppress(OSError, asyncio.IncompleteReadError):
            if asyncio.run(peak(port, request, 0.1, connections=1)).errors == 0:
                return True
        time.sleep(1)
    return False


async def peak(port: int, request: bytes, seconds: float, connections: int = 8) -> Load:
    """As many requests as are answered one after another on each connection."""
    until, took, wrong = time.perf_counter() + seconds, [], [0]

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            wrong[0] += not await _is_answered(reader, writer, request)
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(connections)))
    return Load(took, wrong[0], time.perf_counter() - began)


async def fixed_rate(port: int, request: bytes, rate: float, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Requests that are due at a fixed rate; each waits for a free connection, which counts.

    The client collects no garbage meanwhile: over tens of thousands of tasks that stops it for a tenth of a second,
    which would count as the server's.
    """
    gc.collect()
    gc.disable()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    began, took, wrong = time.perf_counter(), [], [0]

    async def one(due: float) -> None:
        reader, writer = await free.get()
        wrong[0] += not await _is_answered(reader, writer, request)
        took.append(time.perf_counter() - due)
        free.put_nowait((reader, writer))

    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    gc.enable()
    while not free.empty():
        free.get_nowait()[1].close()
    return Load(took, wrong[0], time.perf_counter() - began)


async def _is_answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while length := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(length + 2)
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0))
    return b" 200" in head.split(b"\r\n")[0]


def tree_rss_mb(pid: int) -> float:
    """Resident megabytes of a process and its children."""
    import psutil

    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6

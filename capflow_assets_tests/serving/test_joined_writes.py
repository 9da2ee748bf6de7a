"""A response in one write: head and body come together, and none is lost where the connection ends with it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import uvicorn

from capflow_assets.serving.joined_writes import JoinedWrites, JoinedWritesProtocol

LARGE = b"x" * (8 << 20)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"closed")


def test_what_comes_in_one_turn_of_the_loop_is_written_at_once_and_before_the_end():
    async def written() -> list[bytes]:
        wire = Wire()
        joined = JoinedWrites(wire, asyncio.get_running_loop())
        joined.write(b"head ")
        joined.write(b"body")
        await asyncio.sleep(0)
        joined.write(b"last")
        joined.close()
        await asyncio.sleep(0)
        return wire.written

    assert asyncio.run(written()) == [b"head body", b"last", b"closed"]


async def large(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Two large parts, of known length."""
    length = str(2 * len(LARGE)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": LARGE, "more_body": True})
    await send({"type": "http.response.body", "body": LARGE})


def test_large_responses_come_whole_on_connections_that_stay_and_on_such_that_end():
    async def contents() -> list[bytes]:
        config = uvicorn.Config(large, port=0, http=JoinedWritesProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            kept = [(await client.get("/")).content for _ in range(2)]
            ended = (await client.get("/", headers={"connection": "close"})).content
        server.should_exit = True
        await task
        return [*kept, ended]

    assert asyncio.run(contents()) == [LARGE + LARGE] * 3

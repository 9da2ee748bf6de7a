"""Uvicorn's protocol with the head and the body of a response in one write instead of two.

A write is a call of the system, and wakes the client: the most that is left of what an answer costs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


class JoinedWrites:
    """A transport that writes at once what came in one turn of the event loop; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write in this turn of the loop, with what else comes in it."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Write what waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            content, self._parts = b"".join(self._parts), []
            self._transport.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class JoinedWritesProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP by httptools, or h11 where that is not installed."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client is there."""
        super().connection_made(JoinedWrites(transport, self.loop))

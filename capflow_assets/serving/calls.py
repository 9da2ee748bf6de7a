"""One HTTP request and its response, no more than answers need of them: made for each call, so they must cost nothing.

FastAPI's and Starlette's own are made for everything that a request may ask of a framework, and cost as much again as
the answer itself. What is here speaks ASGI, the interface below both.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from capflow_assets.serving.service import Served

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HeaderPairs = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Call:
    """A request: its scope as ASGI has it, how its body is received, and what its path names.

    ``charged`` is the model whose share a refusal is taken from, once it is known.
    """

    scope: Scope
    receive: Receive
    path_params: Mapping[str, Any]
    charged: Served | None = None

    def header(self, name: bytes) -> str:
        """The first header of a name in small letters; empty where there is none."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value).decode("latin-1")
        return ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address, the last of each name."""
        text = self.scope.get("query_string", b"")
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


@dataclass(slots=True)
class Begun:
    """A coroutine that was stepped to the ``first`` future that it waits for; awaiting it goes on from there."""

    coroutine: Coroutine[Any, Any, Any]
    first: Any

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self.first
        while True:
            failed: BaseException | None = None
            try:
                yield waits_for
            except BaseException as error:
                failed = error
            try:
                waits_for = self.coroutine.send(None) if failed is None else self.coroutine.throw(failed)
            except StopIteration as ended:
                return ended.value


def at_once(awaited: Awaitable[Any]) -> tuple[Any, Awaitable[Any] | None]:
    """The result of what need not wait for anything, without the timer that waiting would need; else what to await."""
    if not isinstance(awaited, Coroutine):
        return None, awaited
    try:
        return None, Begun(awaited, awaited.send(None))
    except StopIteration as ended:
        return ended.value, None


@dataclass(slots=True)
class Sent:
    """A response that is whole: status, media type, content, and further headers."""

    status: int
    media_type: bytes
    content: bytes
    headers: HeaderPairs = ()

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = [
            (b"content-length", str(len(self.content)).encode()),
            (b"content-type", self.media_type),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})


Answer = Callable[[Call], Awaitable[Sent]]


@dataclass(slots=True)
class CallTable:
    """Which calls are answered directly, by method and path, the first that fits."""

    _answers: dict[str, list[tuple[re.Pattern[str], Answer]]] = field(default_factory=dict)

    def add(self, method: str, pattern: re.Pattern[str], answer: Answer) -> None:
        """Answer a method at the paths that a pattern fits; its groups are the path's parameters."""
        self._answers.setdefault(method, []).append((pattern, answer))

    async def answered(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether a request was one of these, and is answered now."""
        if scope["type"] != "http":
            return False
        root = scope.get("root_path")
        path = scope["path"].removeprefix(root) if root else scope["path"]
        for pattern, answer in self._answers.get(scope["method"], ()):
            match = pattern.match(path)
            if match is not None:
                await (await answer(Call(scope, receive, match.groupdict()))).send(send)
                return True
        return False

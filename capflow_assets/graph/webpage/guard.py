"""Refuses, in front of Dagster's webserver, what a foreign web page could send with a reader's browser.

| from a foreign page | refused because |
|---|---|
| a name of its own that leads here (DNS rebinding) | ``Host`` is none that is served |
| ``<img>``, ``<script>``, ``<iframe>``, a link to ``GET /graphql?query=mutation…`` | GET executes nothing |
| a form, ``fetch`` without CORS, ``sendBeacon`` | their content types are not ``application/json`` |
| ``fetch`` of ``application/json`` | the browser asks first (``OPTIONS``), and is not allowed |
| a websocket | its ``Origin`` is not the page's |

Every path is looked at, so that what Dagster adds is guarded too. Belongs here: ASGI. The rules about names are in
``served``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from capflow_assets.graph.webpage.served import READING, WRITING, Refusal, Served, only

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[str, Sequence[str]]

# Dagster shows notebooks in a frame of its own page, so that the page itself may frame it.
SECURITY = {
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
JSON = "application/json"
OWN_SITES = ("same-origin", "none")


class Guard:
    """An ASGI application that passes on what comes from its own pages, and from clients that are no browser."""

    def __init__(self, app: App, served: Served) -> None:
        self.app = app
        self.served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = gathered(scope["headers"])
        refusal = self.served.foreign(headers)
        if scope["type"] == "websocket":
            if refusal or from_another_site(headers):
                # Before it is accepted, a close is answered by 403.
                await send({"type": "websocket.close", "code": 1008})
                return
        elif scope["type"] == "http":
            refusal = refusal or wrong_request(scope["method"], scope["path"], headers)
            if refusal:
                await refuse(send, refusal)
                return
            if is_graphql(scope["path"]) and scope["method"] in READING:
                # The page for trying GraphQL reads its query in the browser. Here nothing is left to be executed.
                scope["query_string"] = b""
        await self.app(scope, receive, secured(send) if scope["type"] == "http" else send)


def gathered(pairs: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers by name, each with all of its values."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return values


def wrong_request(method: str, path: str, headers: Headers) -> Refusal | None:
    """Why a request's method, content type or sender is refused, if it is."""
    if method not in (*READING, *WRITING):
        return Refusal.of(405, "The method is not served", expected=", ".join((*READING, *WRITING)), came=method)
    if from_another_site(headers) and not is_a_link(method, headers):
        return Refusal.of(403, "The request comes from another site's page", do="open the page itself")
    if method in WRITING:
        return wrong_content(headers)
    if is_graphql(path) and "text/html" not in (only(headers.get("accept", ())) or ""):
        return Refusal.of(
            405, "GraphQL is not executed by GET", expected=f"POST with Content-Type: {JSON}", came=f"{method} {path}"
        )
    return None


def wrong_content(headers: Headers) -> Refusal | None:
    """Why the content type of what may change something is refused, if it is: a form can send it."""
    received = headers.get("content-type", ())
    if (only(received) or "").split(";")[0].strip().lower() == JSON:
        return None
    return Refusal.of(415, "The content type is not taken", f"Content-Type: {JSON}", ", ".join(received) or "none")


def from_another_site(headers: Headers) -> bool:
    """Whether a browser says that another origin's page asks; older browsers, and others, say nothing."""
    return any(value.strip().lower() not in OWN_SITES for value in headers.get("sec-fetch-site", ()))


def is_a_link(method: str, headers: Headers) -> bool:
    """Whether a reader followed a link to one of our pages, which only the reader sees."""
    mode, place = only(headers.get("sec-fetch-mode", ())), only(headers.get("sec-fetch-dest", ()))
    return method == "GET" and mode == "navigate" and place == "document"


def is_graphql(path: str) -> bool:
    """Whether a path is GraphQL's, behind whatever prefix."""
    return path.rstrip("/").rpartition("/")[2].lower() == "graphql"


def secured(send: Send) -> Send:
    """A sender that adds what keeps other sites from framing and reading; a policy of Dagster's own is kept."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*kept(message.get("headers", ())), *encoded(SECURITY)]
        await send(message)

    return sending


def kept(pairs: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A response's headers without those that are set here, and without any that lets other sites read."""
    ours = {name.encode() for name in SECURITY if name != "content-security-policy"}
    return [
        (name, value)
        for name, value in pairs
        if name.lower() not in ours and not name.lower().startswith(b"access-control-")
    ]


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer with the words of a refusal."""
    body = f"{refusal.words}\n".encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), "connection": "close"}
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded({**headers, **SECURITY})})
    await send({"type": "http.response.body", "body": body})

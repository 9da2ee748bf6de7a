"""The guard before Dagster's webserver, as ASGI: what reaches the application, and what is answered instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.graph.webpage.guard import Guard
from capflow_assets.graph.webpage.served import Served

HOST = ("Host", "localhost:3000")
JSON = ("Content-Type", "application/json")
ORIGIN = ("Origin", "http://localhost:3000")


class Recorder:
    """An application that keeps what reaches it, and answers with headers that a foreign page would like."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            headers = [(b"Access-Control-Allow-Origin", b"*"), (b"Content-Security-Policy", b"base-uri 'none'")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"done"})


def connect(method: str, path: str, *headers: tuple[str, str], served: Served | None = None, query: str = "") -> Any:
    """The messages that a connection is answered with, and what reached the application; ``ws`` is a websocket."""
    scope = {
        "type": "websocket" if method == "ws" else "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    recorder = Recorder()
    asyncio.run(Guard(recorder, served or Served.at("127.0.0.1", 3000))(scope, None, send))  # type: ignore[arg-type]
    return sent, recorder.scopes


def status(*request: Any, **more: Any) -> int:
    sent, reached = connect(*request, **more)
    assert bool(reached) == (sent[0]["status"] == 200)
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", [HOST]),
        ("GET", "/", [("Host", "127.0.0.1:3000")]),
        ("GET", "/", [("Host", "[::1]:3000")]),
        ("HEAD", "/server_info", [HOST]),
        ("GET", "/graphql", [HOST, ("Accept", "text/html,*/*")]),
        ("POST", "/graphql", [HOST, JSON]),
        ("POST", "/graphql", [HOST, ("Content-Type", "application/json; charset=utf-8"), ORIGIN]),
        ("POST", "/graphql", [HOST, JSON, ORIGIN, ("Sec-Fetch-Site", "same-origin")]),
        ("POST", "/report_asset_check/raw/bills", [HOST, JSON]),
        # A link in a message, followed by the reader.
        (
            "GET",
            "/assets",
            [HOST, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        ),
    ],
)
def test_what_a_reader_or_a_client_sends_is_served(method, path, headers):
    assert status(method, path, *headers) == 200


@pytest.mark.parametrize(
    "host",
    [
        [],
        [HOST, HOST],
        [HOST, ("Host", "evil.example")],
        [("Host", "")],
        *(
            [("Host", name)]
            for name in (
                "evil.example:3000",
                "localhost",
                "localhost:3001",
                "localhost.:3000",
                "localhost:3000.evil.example",
                "evil.example@localhost:3000",
                "localhost:3000@evil.example",
                "localhost:03000",
                "127.0.0.1.nip.io:3000",
                "127.1:3000",
                "0x7f.0.0.1:3000",
                "[::ffff:127.0.0.1]:3000",
                "ⓛocalhost:3000".encode().decode("latin-1"),
            )
        ),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/server_info"), ("POST", "/graphql")])
def test_another_name_is_refused_everywhere(method, path, host):
    assert status(method, path, *host, JSON) == 421


FOREIGN = [
    "http://evil.example",
    "http://localhost:3001",
    "http://127.0.0.1:3000",
    "http://localhost",
    "null",
    "",
    "file://",
    "chrome-extension://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://evil.example#http://localhost:3000",
    "localhost:3000",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("method", "path"), [("GET", "/logs/a"), ("POST", "/graphql"), ("OPTIONS", "/graphql")])
def test_another_origin_is_refused_everywhere(method, path, origin):
    assert status(method, path, HOST, JSON, ("Origin", origin)) == 403


@pytest.mark.parametrize("headers", [[HOST, ("Origin", origin)] for origin in FOREIGN] + [[("Host", "evil.example")]])
def test_a_websocket_of_another_page_is_refused(headers):
    sent, reached = connect("ws", "/graphql", *headers)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert not reached


@pytest.mark.parametrize("headers", [[HOST], [HOST, ORIGIN], [HOST, ORIGIN, ("Sec-Fetch-Site", "same-origin")]])
def test_a_websocket_of_the_page_is_served(headers):
    assert [scope["type"] for scope in connect("ws", "/graphql", *headers)[1]] == ["websocket"]


def test_two_origins_are_none():
    assert status("POST", "/graphql", HOST, JSON, ORIGIN, ORIGIN) == 403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/team/graphql", "/GraphQL"])
@pytest.mark.parametrize("accept", [[], ["*/*"], ["image/avif,image/webp,*/*"], ["*/*", "text/html"]])
def test_graphql_is_not_executed_by_get(method, path, accept):
    query = "query=mutation{x}&query={y}"
    assert status(method, path, HOST, *(("Accept", kind) for kind in accept), query=query) == 405


def test_the_page_for_trying_graphql_is_shown_without_its_query():
    _, (scope,) = connect("GET", "/graphql", HOST, ("Accept", "text/html"), query="query=mutation{x}")
    assert scope["query_string"] == b""


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "post", "get"])
def test_other_methods_are_refused(method):
    assert status(method, "/graphql", HOST, JSON, ("X-HTTP-Method-Override", "POST")) == 405


@pytest.mark.parametrize(
    "kind",
    [
        [],
        ["text/plain"],
        ["text/plain; x=application/json"],
        ["text/plain;application/json"],
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data; boundary=application/json"],
        ["application/graphql"],
        ["application/json-evil"],
        ["text/plain", "application/json"],
        ["application/json, text/plain"],
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/raw/bills", "/report_asset_observation/a"])
def test_what_a_form_can_send_changes_nothing(path, kind):
    assert status("POST", path, HOST, *(("Content-Type", value) for value in kind), query="query=mutation{x}") == 415


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("place", ["image", "script", "iframe", "object", "empty"])
def test_what_another_site_embeds_is_refused(site, place):
    headers = [HOST, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", place)]
    assert status("GET", "/download_debug/run", *headers) == 403
    assert status("POST", "/graphql", *headers, JSON) == 403


@pytest.mark.parametrize("request_", [("GET", "/", HOST), ("GET", "/", ("Host", "evil.example"))])
def test_every_answer_keeps_other_sites_from_framing_and_reading(request_):
    sent, _ = connect(*request_)
    headers = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    by_name = dict(headers)
    assert by_name["x-frame-options"] == "SAMEORIGIN"
    assert by_name["x-content-type-options"] == "nosniff"
    assert by_name["referrer-policy"] == "same-origin"
    assert ("content-security-policy", "frame-ancestors 'self'") in headers
    assert not [name for name in by_name if name.startswith("access-control-")]


def test_dagsters_own_policy_for_its_page_is_kept():
    sent, _ = connect("GET", "/", HOST)
    assert (b"Content-Security-Policy", b"base-uri 'none'") in sent[0]["headers"]


def test_a_name_that_is_allowed_is_served_behind_a_proxy_with_and_without_tls():
    served = Served.at("0.0.0.0", 3000, ["Capflow.example.com", "10.0.0.7:8080"])
    name = ("Host", "capflow.example.com")
    assert status("POST", "/graphql", name, JSON, ("Origin", "https://capflow.example.com"), served=served) == 200
    assert status("POST", "/graphql", name, JSON, ("Origin", "https://evil.example"), served=served) == 403
    assert status("GET", "/", ("Host", "10.0.0.7:8080"), served=served) == 200
    assert status("GET", "/", ("Host", "10.0.0.7:3000"), served=served) == 421
    # The health check of the pod itself.
    assert status("GET", "/server_info", HOST, served=served) == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "::", ""])
def test_listening_everywhere_needs_names(address):
    with pytest.raises(CapflowError, match="must know its names"):
        Served.at(address, 3000)


@pytest.mark.parametrize("name", ["https://capflow.example.com", "*", "a b", "capflow.example.com/x", ".com", "a:b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(CapflowError, match="is no name"):
        Served.at("127.0.0.1", 3000, [name])

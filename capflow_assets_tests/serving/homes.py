"""A served home: acme's, with a token, its answers published, and a client of the application."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving.app import Server, create_app
from capflow_assets.serving.publication import publish
from capflow_assets.serving.tokens import issue
from capflow_assets_doubles.homes import TestHome


@dataclass(frozen=True)
class Answering:
    """One application that answers, and a client with acme's token."""

    home: TestHome
    deployment: Deployment
    client: httpx.Client
    server: Server

    def get(self, model: str, user: str, **query: Any) -> dict[str, Any]:
        """The answer for one user."""
        response = self.client.get(f"/v1/acme/models/{model}/answers/{user}", params=query)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(self, model: str, **body: Any) -> list[dict[str, Any]]:
        """The answers to a body."""
        response = self.client.post(f"/v1/acme/models/{model}/answers", json=body)
        assert response.status_code == 200, response.text
        return list(response.json()["answers"])


def long_valid(home: TestHome, customer: str) -> None:
    """Let answers hold as long as may be: the simulated world is of years ago."""
    toml = home.root / "customers" / f"{customer}.toml"
    toml.write_text(f"{toml.read_text()}\n[serving]\nvalid_hours = 87600.0\nanswers_per_second = 100000\n")


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of an application that a thread of this process serves."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def answering(home: TestHome) -> Iterator[Answering]:
    """The application of a home that may be changed; the lake is published before it starts."""
    opened = deployment(STAGES, SOURCES, home=Home.of(home.root, {}))
    token = issue(opened.home, "acme")
    publish(opened, "acme")
    app = create_app(opened)
    with listening(app) as address, httpx.Client(base_url=address, timeout=120) as client:
        client.headers["authorization"] = f"Bearer {token}"
        yield Answering(home, opened, client, app.state.server)

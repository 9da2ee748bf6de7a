"""A served home: acme's, with a token, its answers published, and a client of the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving.app import Server, create_app
from capflow_assets.serving.publication import publish
from capflow_assets.serving.tokens import issue
from capflow_assets_tests.homes import TestHome


@dataclass(frozen=True)
class Answering:
    """One application that answers, and a client with acme's token."""

    home: TestHome
    deployment: Deployment
    client: TestClient
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
    toml.write_text(f"{toml.read_text()}\n[serving]\nvalid_hours = 8760.0\nanswers_per_second = 100000\n")


@contextmanager
def answering(home: TestHome) -> Iterator[Answering]:
    """The application of a home that may be changed; the lake is published before it starts."""
    opened = deployment(STAGES, SOURCES, home=Home.of(home.root, {}))
    token = issue(opened.home, "acme")
    publish(opened, "acme")
    app = create_app(opened)
    with TestClient(app, headers={"authorization": f"Bearer {token}"}) as client:
        yield Answering(home, opened, client, app.state.server)

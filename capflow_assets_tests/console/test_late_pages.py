"""Pages that are made when somebody first looks: once, and tried again where that failed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest
from dagster import DagsterInstance
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from capflow_assets.console.app import routes
from capflow_assets.console.fleet_view import Fleet
from capflow_assets.console.late_pages import ADDRESSES, LatePages
from capflow_assets.home.places import Home
from capflow_assets.packages import deployment
from capflow_assets.serving.tokens import Gate


@dataclass
class Lines:
    """Pages of one word, and what was done with them."""

    done: list[str] = field(default_factory=list)

    def mount(self, app: Starlette) -> None:
        app.router.routes.append(Route("/models/{model}", lambda request: PlainTextResponse("a model")))
        app.router.routes.append(Route("/customers/{customer}", lambda request: JSONResponse(request.path_params)))

    def begin(self) -> None:
        self.done.append("begun")

    def end(self) -> None:
        self.done.append("ended")


def responses_of(pages: LatePages, *paths: str) -> list[httpx.Response]:
    app = Starlette()
    pages.mount(app)

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return list(await asyncio.gather(*(client.get(path) for path in paths)))

    return asyncio.run(ask())


def test_the_pages_are_made_once_however_many_look_first():
    instances: list[Lines] = []

    def make() -> Lines:
        instances.append(Lines())
        return instances[-1]

    pages = LatePages(make)
    assert instances == []
    assert {response.text for response in responses_of(pages, *["/models/churn"] * 5)} == {"a model"}
    pages.end()
    assert [lines.done for lines in instances] == [["begun", "ended"]]


def test_a_page_gets_the_parts_of_its_own_path_alone():
    (page,) = responses_of(LatePages(Lines), "/customers/acme")
    assert page.json() == {"customer": "acme"}


def test_where_they_cannot_be_made_the_next_look_tries_again():
    tries = [OSError("no such database"), None]

    def make() -> Lines:
        if error := tries.pop(0):
            raise error
        return Lines()

    pages = LatePages(make)
    (refused,) = responses_of(pages, "/models/churn")
    assert (refused.status_code, "Answers are given" in refused.text) == (503, True)
    (page,) = responses_of(pages, "/models/churn")
    assert page.text == "a model"


def test_beside_dagsters_page_the_pages_have_their_addresses_and_it_has_all_others():
    dagsters = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("Dagster's"))])
    both = LatePages(Lines).beside(dagsters)

    async def ask() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(both), base_url="http://test") as client:
            return [
                (await client.get(path)).text for path in ("/models/churn", "/", "/runs", "/modelsx", "/assets/models")
            ]

    assert asyncio.run(ask()) == ["a model", *["Dagster's"] * 4]


def test_every_page_has_its_address_here(tmp_path):
    fleet = Fleet(deployment(Home.of(tmp_path, {})), DagsterInstance.ephemeral())
    paths = [route.path for route in routes(fleet, Gate(fleet.deployment.home), "")]
    assert {path.split("/")[1] for path in paths} == {"", *ADDRESSES}


def test_pages_that_nobody_looked_at_end_without_being_made():
    LatePages(lambda: pytest.fail("made")).end()

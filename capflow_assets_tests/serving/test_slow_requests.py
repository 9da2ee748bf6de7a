"""Requests that take their time, and answers that are problems: what holds when they end is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from capflow_assets.serving.app import create_app
from capflow_assets.serving.service import Service
from capflow_assets.serving.tokens import issue, revoke
from capflow_assets_tests.serving.one_service import MODEL, answered, service

__all__ = ["service"]
ANSWERS = f"/v1/acme/models/{MODEL}"


def response_to(service: Service, path: str, content: AsyncIterator[bytes] | bytes | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {issue(service.deployment.home, 'acme')}"}

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(service.deployment))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            return await (client.get(path) if content is None else client.post(path, content=content))

    return asyncio.run(ask())


def test_a_body_that_comes_slowly_is_answered_by_the_night_that_holds_when_it_is_there(service):
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"user_ids": '
        answered(service, "own", version=3)
        yield b'["u1"]}'

    (answer,) = response_to(service, f"{ANSWERS}/answers", slowly()).json()["answers"]
    assert (answer["score"], answer["model_version"], answer["served_by"]) == (0.25, 3, "precomputed")


def test_a_token_that_is_revoked_before_the_body_is_there_gets_nothing(service):
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"user_ids": '
        revoke(service.deployment.home, "acme")
        await asyncio.sleep(1.1)
        yield b'["u1"]}'

    assert response_to(service, f"{ANSWERS}/answers", slowly()).status_code == 401


def test_the_answer_for_one_user_who_is_not_there_is_problem_details(service):
    response = response_to(service, f"{ANSWERS}/answers/nobody")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["status"] == 404
    assert response_to(service, f"{ANSWERS}/answers/u1").headers["content-type"] == "application/json"


def test_bodies_that_are_refused_use_up_the_share_of_answers(service):
    toml = service.deployment.home.customers / "acme.toml"
    toml.write_text(toml.read_text().replace("[serving]", "[serving]\nanswers_per_second = 1"))
    headers = {"authorization": f"Bearer {issue(service.deployment.home, 'acme')}"}

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(create_app(service.deployment))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            bodies = [b"{", b'{"user_ids": 1}', b'{"user_ids": ["u1"]}']
            return [(await client.post(f"{ANSWERS}/answers", content=body)).status_code for body in bodies]

    assert asyncio.run(ask()) == [400, 422, 429]

"""What every route shares: who asks, how much is read of a body, problems as JSON, one log line, one measurement."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capflow_assets.serving.problems import ProblemError, not_there
from capflow_assets.serving.tokens import OPERATOR, Gate

if TYPE_CHECKING:
    from fastapi import Request, Response

    from capflow_assets.serving.metrics import Metrics

MOST_BYTES = 4 << 20
BODY_SECONDS = 30.0
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
IN_ADDRESS = ("token", "access_token", "api_key", "apikey", "key")
LOG = logging.getLogger("capflow.serving")


@dataclass(slots=True)
class Reply:
    """What a route answers with: content as JSON, and what is counted of it."""

    content: Any
    status: int = 200
    rungs: Mapping[str, int] = field(default_factory=dict)
    media_type: str = JSON


Handler = Callable[["Request"], Awaitable["Reply | Response"]]


def endpoint(route: str, handler: Handler, metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    """A route of the application: whatever its handler raises becomes problem details, and nothing of ids is logged."""
    from fastapi import Request, Response

    async def answer(request: Request) -> Response:
        began = time.perf_counter()
        rungs: Mapping[str, int] = {}
        try:
            reply = await handler(request)
            if isinstance(reply, Reply):
                rungs = reply.rungs
                response = json_response(reply.content, reply.status, reply.media_type)
            else:
                response = reply
        except ProblemError as problem:
            response = problem_response(problem)
        except Exception as error:  # a client is never shown a traceback, and the process lives on
            LOG.exception({"what": "an error of the server", "route": route, "error": type(error).__name__})
            response = problem_response(ProblemError(500, "the server failed; its log says why"))
        seconds = time.perf_counter() - began
        metrics.observe(route, response.status_code, seconds, rungs)
        if LOG.isEnabledFor(logging.INFO):
            line = {"route": route, "status": response.status_code, "ms": round(1e3 * seconds, 2), **rungs}
            LOG.info(line)
        return response

    answer.__annotations__ = {"request": Request, "return": Response}
    return answer


def json_response(content: Any, status: int = 200, media_type: str = JSON) -> Response:
    """A response of JSON; numbers that are not finite are null."""
    import orjson
    from fastapi import Response

    return Response(orjson.dumps(content), status, media_type=media_type)


def problem_response(problem: ProblemError) -> Response:
    """ProblemError details by RFC 9457."""
    response = json_response(problem.content(), problem.status, PROBLEM_JSON)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = problem.challenge
    return response


def owner_of(gate: Gate, request: Request) -> str:
    """Whose token came with a request: a customer, or the operator.

    Raises:
        ProblemError: none came, none that holds, or one in the address, where proxies and browsers keep it.
    """
    if any(name.lower() in IN_ADDRESS for name in request.query_params):
        words = "a token in the address is kept by logs: send Authorization: Bearer, and replace that token"
        raise ProblemError(400, words)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    owner = gate.owner(token.strip()) if kind.lower() == "bearer" else None
    if owner is None:
        raise ProblemError(401, "send Authorization: Bearer with a token of the customer: capflow serve token CUSTOMER")
    return owner


def require_owner(gate: Gate, request: Request, customer: str) -> None:
    """Refuse a token of another customer, as if there were no such customer."""
    if owner_of(gate, request) != customer or customer == OPERATOR:
        raise not_there()


async def body_of(request: Request) -> bytes:
    """A request's body.

    Raises:
        ProblemError: it is larger than ``MOST_BYTES``, of which no more is read, or not there in ``BODY_SECONDS``.
    """
    length = request.headers.get("content-length", "")
    words = f"more than {MOST_BYTES:,} bytes; send several requests"
    if length.isdigit() and int(length) > MOST_BYTES:
        raise ProblemError(413, words)
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise ProblemError(413, words)
    except TimeoutError:
        raise ProblemError(408, f"the body was not there within {BODY_SECONDS:g} seconds") from None
    return bytes(content)


def bytes_read(request: Request, status: int) -> int:
    """How many bytes were read of a body that was refused: none of one that said at once that it is too large."""
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return MOST_BYTES if status == 413 else 0
    return 0 if int(length) > MOST_BYTES else int(length)

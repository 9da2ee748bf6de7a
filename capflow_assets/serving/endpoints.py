"""What every route shares: who asks, how much is read of a body, problems as JSON, one log line, one measurement."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capflow_assets.serving.calls import Answer, Call, Sent, at_once
from capflow_assets.serving.logs import request_record
from capflow_assets.serving.problems import ProblemError, not_there
from capflow_assets.serving.tokens import OPERATOR, Gate

if TYPE_CHECKING:
    from capflow_assets.serving.metrics import Metrics

MOST_BYTES = 4 << 20
BODY_SECONDS = 30.0
# A body that is there within these was sent with its head.
PROMPT_SECONDS = 0.002
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
IN_ADDRESS = ("token", "access_token", "api_key", "apikey", "key")
LOG = logging.getLogger("capflow.serving")


@dataclass(slots=True)
class Reply:
    """What a route answers with: content, as JSON where it is not bytes, and what is counted of it."""

    content: Any
    status: int = 200
    rungs: Mapping[str, int] = field(default_factory=dict)
    media_type: str = JSON


Handler = Callable[[Call], Awaitable[Reply]]


def endpoint(route: str, handler: Handler, metrics: Metrics) -> Answer:
    """A route of the application: whatever its handler raises becomes problem details, and nothing of ids is logged."""

    async def answer(call: Call) -> Sent:
        began = time.perf_counter()
        rungs: Mapping[str, int] = {}
        try:
            reply = await handler(call)
            rungs = reply.rungs
            sent = Sent(reply.status, reply.media_type.encode(), written(reply.content))
        except ProblemError as problem:
            sent = sent_problem(problem)
        except Exception as error:  # a client is never shown a traceback, and the process lives on
            LOG.exception({"what": "an error of the server", "route": route, "error": type(error).__name__})
            sent = sent_problem(ProblemError(500, "the server failed; its log says why"))
        seconds = time.perf_counter() - began
        metrics.observe(route, sent.status, seconds, rungs)
        if LOG.isEnabledFor(logging.INFO):
            line = {"route": route, "status": sent.status, "ms": round(1e3 * seconds, 2), **rungs}
            LOG.handle(request_record(line))
        return sent

    return answer


def written(content: Any) -> bytes:
    """Content as JSON, where numbers that are not finite are null; bytes as they are."""
    import orjson

    return content if isinstance(content, bytes) else orjson.dumps(content)


def sent_problem(problem: ProblemError) -> Sent:
    """Problem details by RFC 9457."""
    headers = []
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(problem.retry_after_s))).encode()))
    if problem.status == 401:
        headers.append((b"www-authenticate", problem.challenge.encode()))
    return Sent(problem.status, PROBLEM_JSON.encode(), written(problem.content()), headers)


def owner_of(gate: Gate, call: Call, expected: str) -> str:
    """Whose token came with a request: a customer, or the operator; most often the one that it names.

    Raises:
        ProblemError: none came, none that holds, or one in the address, where proxies and browsers keep it.
    """
    if call.scope.get("query_string") and any(name.lower() in IN_ADDRESS for name in call.query):
        words = "a token in the address is kept by logs: send Authorization: Bearer, and replace that token"
        raise ProblemError(400, words)
    kind, _, token = call.header(b"authorization").partition(" ")
    owner = gate.holder(token.strip(), expected) if kind.lower() == "bearer" else None
    if owner is None:
        raise ProblemError(401, "send Authorization: Bearer with a token of the customer: capflow serve token CUSTOMER")
    return owner


def require_owner(gate: Gate, call: Call, customer: str) -> None:
    """Refuse a token of another customer, as if there were no such customer; that it exists is the caller's to see."""
    if owner_of(gate, call, customer) != customer or customer == OPERATOR:
        raise not_there()


async def body_of(call: Call) -> tuple[bytes, bool]:
    """A request's body, and whether it was there at once: what was looked up before it is then as good as now.

    Raises:
        ProblemError: it is larger than ``MOST_BYTES``, of which no more is read, or not there in ``BODY_SECONDS``, or
            the client has gone.
    """
    length, began = call.header(b"content-length"), time.perf_counter()
    words = f"more than {MOST_BYTES:,} bytes; send several requests"
    if length.isdigit() and int(length) > MOST_BYTES:
        raise ProblemError(413, words)
    message, waiting = at_once(call.receive())
    if waiting is None and message["type"] == "http.request" and not message.get("more_body", False):
        content = message.get("body", b"")
        if len(content) > MOST_BYTES:
            raise ProblemError(413, words)
        return content, time.perf_counter() - began < PROMPT_SECONDS
    parts: list[bytes] = []
    size, has_more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while has_more:
                if parts or waiting is not None:
                    message, waiting = await (call.receive() if waiting is None else waiting), None
                if message["type"] == "http.disconnect":
                    raise ProblemError(400, "the body was cut off")
                parts.append(message.get("body", b""))
                size, has_more = size + len(parts[-1]), message.get("more_body", False)
                if size > MOST_BYTES:
                    raise ProblemError(413, words)
    except TimeoutError:
        raise ProblemError(408, f"the body was not there within {BODY_SECONDS:g} seconds") from None
    is_prompt = len(parts) == 1 and time.perf_counter() - began < PROMPT_SECONDS
    return b"".join(parts), is_prompt


def bytes_read(call: Call, status: int) -> int:
    """How many bytes were read of a body that was refused: none of one that said at once that it is too large."""
    length = call.header(b"content-length")
    if not length.isdigit():
        return MOST_BYTES if status == 413 else 0
    return 0 if int(length) > MOST_BYTES else int(length)

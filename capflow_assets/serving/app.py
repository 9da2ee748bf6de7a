"""The application: routes of answers, health, metrics and the OpenAPI page. One process of `capflow serve`."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.deployment import Deployment
from capflow_assets.serving import protocols
from capflow_assets.serving.calls import Call, CallTable
from capflow_assets.serving.endpoints import (
    PROBLEM_JSON,
    Reply,
    body_of,
    bytes_read,
    endpoint,
    require_owner,
    sent_problem,
)
from capflow_assets.serving.examples import example_body, request_body
from capflow_assets.serving.ladder import rungs_of
from capflow_assets.serving.memory import keep_few_arenas, keep_for_good
from capflow_assets.serving.metrics import Metrics
from capflow_assets.serving.openapi_page import add_openapi_page
from capflow_assets.serving.problems import ProblemError, not_there
from capflow_assets.serving.refreshing import Publish, Refresher
from capflow_assets.serving.requests import AnswerRequest, Query, answer_request, parsed
from capflow_assets.serving.scorer_cache import DEFAULT_BOUND_BYTES
from capflow_assets.serving.service import Served, Service
from capflow_assets.serving.shares import Shares
from capflow_assets.serving.tokens import Gate
from capflow_assets.serving.warming import import_libraries, keep_hot

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.applications import Starlette

    from capflow_assets.serving.application import Application

# What is wrong with the body itself.
REFUSALS = (400, 408, 413, 422)
# A thread that works beside the answers gives way after so long: an answer asks for its turn at each call of the
# system, and Python's own 5 ms would be added to it each time.
SWITCH_SECONDS = 0.0005


@dataclass(slots=True)
class Server:
    """What the routes of one process work with."""

    service: Service
    gate: Gate
    shares: Shares
    metrics: Metrics
    is_ready: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def served(self, call: Call) -> Served:
        """The customer's model that a path names, for a token of that customer."""
        customer, model = call.path_params["customer"], call.path_params["model"]
        require_owner(self.gate, call, customer)
        return self.service.served(customer, model)

    async def model_and_body(self, call: Call, find: Callable[[Call], Served]) -> tuple[Served, Any]:
        """The model and the body of a request: the model as it is once all of the body has come, however slowly."""
        served = find(call)  # nothing is read of who may not ask
        self.shares.require(served.customer, served.declared.settings.answers_per_second)
        call.charged = served
        content, is_prompt = await body_of(call)
        body = parsed(content)
        return (served if is_prompt else find(call)), body

    def charging(self, handler: Callable[[Call], Awaitable[Reply]]) -> Callable[[Call], Awaitable[Reply]]:
        """A handler whose refusals of bodies cost a share of the customer's rate: to read them costs as answers do."""

        async def charged(call: Call) -> Reply:
            try:
                return await handler(call)
            except ProblemError as problem:
                served = call.charged
                if served is not None and problem.status in REFUSALS:
                    length = bytes_read(call, problem.status)
                    self.shares.charge(served.customer, length, served.declared.settings.answers_per_second)
                raise

        charged.__doc__ = handler.__doc__
        return charged

    async def reply(self, served: Served, request: AnswerRequest) -> list[dict[str, Any]]:
        """The answers, within the customer's share."""
        self.shares.take(served.customer, len(request.queries), served.declared.settings.answers_per_second)
        return await self.service.answers(served, request)

    async def post_answers(self, call: Call) -> Reply:
        """Answers for many subjects; ``…/example`` has a body that a customer's model answers now."""
        served, body = await self.model_and_body(call, self.served)
        answers = await self.reply(served, answer_request(body))
        content = {"customer": served.customer, "model": served.model, "answers": answers}
        return Reply(content, rungs=rungs_of(answers))

    async def get_answer(self, call: Call) -> Reply:
        """The answer for one subject."""
        served = self.served(call)
        user = call.path_params["user"]
        wants_reasons = call.query.get("reasons", "").lower() in ("1", "true", "yes")
        (answer,) = await self.reply(served, AnswerRequest((Query(user),), None, wants_reasons))
        if "problem" in answer:
            return Reply(answer["problem"], answer["problem"]["status"], {"none": 1}, PROBLEM_JSON)
        return Reply({"customer": served.customer, "model": served.model, **answer}, rungs=rungs_of([answer]))

    async def example(self, call: Call) -> Reply:
        """A body of ``…/answers`` that this model answers now: a known subject, and the features that it takes."""
        served = self.served(call)
        self.shares.take(served.customer, 1, served.declared.settings.answers_per_second)
        return Reply(await example_body(self.service, served))

    async def models(self, call: Call) -> Reply:
        """The models of a customer, and which of them answer."""
        customer = call.path_params["customer"]
        require_owner(self.gate, call, customer)
        names = sorted(self.service.declared.of(customer).models)
        served = [self.service.served(customer, name) for name in names]
        return Reply({"models": [await protocols.metadata(self.service, one) for one in served]})

    async def infer(self, call: Call) -> Reply:
        """The Open Inference Protocol's call."""
        served, body = await self.model_and_body(call, self.by_name)
        answers = await self.reply(served, protocols.inference_request(self.service, served, body))
        return Reply(protocols.inference_response(served, body, answers), rungs=rungs_of(answers))

    async def metadata(self, call: Call) -> Reply:
        """The Open Inference Protocol's description of a model."""
        return Reply(await protocols.metadata(self.service, self.by_name(call)))

    async def model_ready(self, call: Call) -> Reply:
        """Whether a model answers."""
        served = self.by_name(call)
        is_ready = served.stored is not None or served.champion is not None
        return Reply({"name": f"{served.customer}.{served.model}", "ready": is_ready}, 200 if is_ready else 503)

    async def invocations(self, call: Call) -> Reply:
        """MLflow's call."""
        served, body = await self.model_and_body(call, self.served)
        answers = await self.reply(served, protocols.invocation_request(body))
        return Reply({"predictions": protocols.predictions(answers)}, rungs=rungs_of(answers))

    def by_name(self, call: Call) -> Served:
        """The model of ``customer.model``, in one part of a path."""
        customer, _, model = call.path_params["name"].partition(".")
        require_owner(self.gate, call, customer)
        served = self.service.served(customer, model)
        version = call.path_params.get("version")
        if version is not None and version != str(served.champion):
            raise not_there()
        return served

    async def live(self, _: Call) -> Reply:
        """The process answers."""
        return Reply({"live": True})

    async def ready(self, _: Call) -> Reply:
        """The stores were looked at, and answers can be given."""
        return Reply({"ready": self.is_ready}, 200 if self.is_ready else 503)

    async def about(self, _: Call) -> Reply:
        """What this server is."""
        from importlib.metadata import version

        return Reply({"name": "capflow", "version": version("capflow-assets"), "extensions": []})

    async def prometheus(self, _: Call) -> Reply:
        """The metrics."""
        return Reply(self.metrics.text(self.service), media_type="text/plain; version=0.0.4; charset=utf-8")


class Pages(Protocol):
    """Pages for people beside the answers."""

    def mount(self, app: Starlette) -> None:
        """Add their addresses."""

    def begin(self) -> None:
        """The process serves from now on."""

    def end(self) -> None:
        """It serves no more."""


def create_app(
    deployment: Deployment,
    bound_bytes: int = DEFAULT_BOUND_BYTES,
    processes: int = 1,
    pages: Callable[[Gate], Pages] | None = None,
    publish: Publish | None = None,
) -> Application:
    """The application of one process, whose stores are refreshed (by ``publish``) while it runs; with ``pages``."""
    from importlib.metadata import version

    from capflow_assets.serving.application import Application

    server = Server(Service(deployment, bound_bytes), Gate(deployment.home), Shares(processes), metrics=Metrics())

    shown = None if pages is None else pages(server.gate)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service = server.service
        refresher = Refresher(
            deployment,
            publish,
            kept=service.lookups.kept,
            champions=lambda customer: service.watch.of(customer, deployment.stages.models),
            customers=service.customers,
        )
        keep_few_arenas()
        sys.setswitchinterval(SWITCH_SECONDS)
        await asyncio.to_thread(server.gate.look)
        await asyncio.to_thread(service.watch.look)
        await asyncio.to_thread(service.lookups.look)
        await asyncio.to_thread(import_libraries)
        keep_for_good()
        works = [service.watch.run, service.lookups.run, refresher.run]
        server.threads += [threading.Thread(target=work, daemon=True) for work in works]
        for thread in server.threads:
            thread.start()
        if shown is not None:
            shown.begin()
        server.is_ready = True
        warming = asyncio.create_task(keep_hot(service))
        yield
        server.is_ready = False
        warming.cancel()
        service.watch.stop()
        refresher.stop()
        if shown is not None:
            await asyncio.to_thread(shown.end)
        service.cache.close()
        service.lookups.close()

    app = Application(
        CallTable(),
        title="CapFlow answers",
        version=version("capflow-assets"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.server = server
    _add_routes(app, server)
    add_openapi_page(app)
    if shown is not None:
        shown.mount(app)
    _add_problems(app)
    return app


def _add_routes(app: Application, server: Server) -> None:
    from starlette.routing import compile_path

    model, name = "/v1/{customer}/models/{model}", "/v2/models/{name}"
    routes: list[tuple[str, str, Any]] = [
        ("POST", f"{model}/answers", server.charging(server.post_answers)),
        ("GET", f"{model}/answers/{{user:path}}", server.get_answer),
        ("GET", f"{model}/example", server.example),
        ("POST", f"{model}/invocations", server.charging(server.invocations)),
        ("GET", "/v1/{customer}/models", server.models),
        ("GET", "/v2", server.about),
        ("GET", "/v2/health/live", server.live),
        ("GET", "/v2/health/ready", server.ready),
        ("GET", name, server.metadata),
        ("GET", f"{name}/ready", server.model_ready),
        ("POST", f"{name}/infer", server.charging(server.infer)),
        ("GET", f"{name}/versions/{{version}}", server.metadata),
        ("GET", f"{name}/versions/{{version}}/ready", server.model_ready),
        ("POST", f"{name}/versions/{{version}}/infer", server.charging(server.infer)),
        ("GET", "/metrics", server.prometheus),
    ]
    for method, path, handler in routes:
        answer = endpoint(f"{method} {path}", handler, server.metrics)
        for spoken in (method, "HEAD") if method == "GET" else (method,):
            app.calls.add(spoken, compile_path(path)[0], answer)
        extra: dict[str, Any] = {"parameters": _parameters(path)}
        if method == "POST":
            extra["requestBody"] = request_body(path.rpartition("/")[2])
        app.add_api_route(
            path,
            _described,
            methods=[method],
            summary=(handler.__doc__ or "").strip(),
            openapi_extra=extra,
            operation_id=f"{method.lower()} {path}",
        )


async def _described() -> None:
    """What FastAPI knows of a call that is answered before it: the OpenAPI page describes it."""
    raise not_there()


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _add_problems(app: FastAPI) -> None:
    from fastapi import Request, Response
    from starlette.exceptions import HTTPException

    async def worded(_: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        problem = not_there() if status == 404 else ProblemError(status, "see /docs for what there is")
        sent = sent_problem(problem)
        return Response(sent.content, sent.status, media_type=PROBLEM_JSON)

    app.add_exception_handler(HTTPException, worded)

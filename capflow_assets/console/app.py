"""The addresses of the pages. All of them are read; ``POST /decisions`` alone changes something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from capflow_assets.console.access import COOKIE, HINT, Access
from capflow_assets.console.fleet_view import Fleet
from capflow_assets.console.page_views import HEADERS, Pages, own_path
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.serving.tokens import Gate

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

MOST_FORM_BYTES = 10_000
OWN_PAGE = "same-origin"
MOST_SEARCHED_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Console:
    """The pages of one process, which may stand behind Dagster's guard. ``dagster_url`` is where its page is."""

    fleet: Fleet
    gate: Gate
    dagster_url: str
    is_guarded: bool = False

    def mount(self, app: Starlette) -> None:
        """Serve the pages beside what an application serves already."""
        app.router.routes.extend(routes(self.fleet, self.gate, self.dagster_url, is_guarded=self.is_guarded))

    def begin(self) -> None:
        """Look at the fleet from now on."""
        self.fleet.begin()

    def end(self) -> None:
        """Look at it no more."""
        self.fleet.end()


def routes(fleet: Fleet, gate: Gate, dagster_url: str, *, is_guarded: bool = False) -> list[Route]:
    """The pages of a fleet by address. Beside Dagster's page, whose own is ``/``, the last night is at ``/night``."""
    from starlette.routing import Route

    pages = Pages(fleet, dagster_url, may_sign_in=not is_guarded)  # the guard lets no form through
    endpoints = _Endpoints(Access(fleet.deployment.home, gate, is_guarded), pages)
    reading = {
        "/": endpoints.night,
        "/night": endpoints.night,
        "/queue": endpoints.queue,
        "/models": endpoints.models,
        "/models/{model}": endpoints.model,
        "/customers/{customer}": endpoints.customer,
        "/customers/{customer}/report": endpoints.report,
        "/customers/{customer}/models/{model}": endpoints.card,
        "/customers/{customer}/models/{model}/{version:int}/{picture}": endpoints.picture,
        "/deliveries": endpoints.deliveries,
        "/features": endpoints.features,
        "/waiting": endpoints.waiting,
        "/console.css": endpoints.style,
        "/sign-in": endpoints.sign_in,
    }
    return [
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in reading.items()),
        Route("/sign-in", endpoints.signed_in, methods=["POST"]),
        Route("/decisions", endpoints.decisions, methods=["POST"]),
    ]


class _Endpoints:
    """What each address does, for whom it may."""

    def __init__(self, access: Access, pages: Pages) -> None:
        self._access, self._pages = access, pages

    def _guarded(self, request: Request, work: Callable[[bool], Response]) -> Response:
        """A page for who may look at it; who could sign in is asked to, others are refused."""
        from starlette.responses import RedirectResponse

        cookie = request.cookies.get(COOKIE)
        client = "" if request.client is None else request.client.host
        if not self._access.may_look(request.headers.get("host", ""), client, cookie):
            if self._access.has_token:
                return RedirectResponse(f"/sign-in?next={quote(request.url.path)}", 303, HEADERS)
            return self._pages.refusal(403, f"These pages are served to this machine alone; for others: {HINT}")
        try:
            return work(self._access.is_operator(cookie))
        except NotFoundError as error:
            return self._pages.refusal(404, str(error))
        except CapflowError as error:
            return self._pages.refusal(409, str(error))

    def night(self, request: Request) -> Response:
        """The last night by customer."""
        return self._guarded(request, lambda _: self._pages.page("night.html", "Last night", request.url.path))

    def queue(self, request: Request) -> Response:
        """What runs and what waits of the nights."""
        return self._guarded(request, lambda _: self._pages.page("queue.html", "The queue", request.url.path))

    def models(self, request: Request) -> Response:
        """Customers by models."""
        title = "Customers and models"
        return self._guarded(request, lambda _: self._pages.page("matrix.html", title, request.url.path))

    def model(self, request: Request) -> Response:
        """One model over all customers."""
        name = request.path_params["model"]
        return self._guarded(request, lambda _: self._pages.model(request.url.path, name))

    def customer(self, request: Request) -> Response:
        """One customer."""
        name = request.path_params["customer"]
        return self._guarded(request, lambda may: self._pages.customer(request.url.path, name, may))

    def report(self, request: Request) -> Response:
        """A customer's report."""
        return self._guarded(request, lambda _: self._pages.report(request.path_params["customer"]))

    def card(self, request: Request) -> Response:
        """A model's card of one customer."""
        customer, model = request.path_params["customer"], request.path_params["model"]
        return self._guarded(request, lambda may: self._pages.card(request.url.path, customer, model, may))

    def picture(self, request: Request) -> Response:
        """A picture of a version."""
        return self._guarded(request, lambda _: self._pages.picture(**request.path_params))

    def deliveries(self, request: Request) -> Response:
        """What was delivered."""
        return self._guarded(request, lambda _: self._pages.page("deliveries.html", "Deliveries", request.url.path))

    def features(self, request: Request) -> Response:
        """Features by name and words."""
        words = request.query_params.get("q", "")[:MOST_SEARCHED_CHARACTERS]
        return self._guarded(request, lambda _: self._pages.features(request.url.path, words))

    def waiting(self, request: Request) -> Response:
        """What waits for a person."""

        def work(may_decide: bool) -> Response:
            return self._pages.page("waiting.html", "What waits", request.url.path, {"may_decide": may_decide})

        return self._guarded(request, work)

    def style(self, request: Request) -> Response:
        """The style of all pages."""
        from starlette.responses import Response

        headers = {"cache-control": "max-age=3600"}
        return Response(self._pages.text("console.css"), media_type="text/css", headers=headers)

    def sign_in(self, request: Request) -> Response:
        """Where the token is given."""
        return self._pages.sign_in(own_path(request.query_params.get("next", "/")), is_wrong=False)

    async def signed_in(self, request: Request) -> Response:
        """The token is checked, and kept as a cookie that no other site's page can send."""
        from starlette.responses import RedirectResponse

        form = await _form(request)
        place = own_path(form.get("next", "/"))
        token = form.get("token", "").strip()
        if not self._access.is_operator(token):
            return self._pages.sign_in(place, is_wrong=True)
        answer = RedirectResponse(place, 303, HEADERS)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    async def decisions(self, request: Request) -> Response:
        """A decision of somebody who has signed in."""
        from starlette.concurrency import run_in_threadpool

        form = await _form(request)
        if not self._access.is_operator(request.cookies.get(COOKIE)):
            return self._pages.refusal(403, "Deciding wants the token: sign in first")
        # Pages of other ports and names of this site have the cookie sent with their forms; the browser says so.
        if request.headers.get("sec-fetch-site", OWN_PAGE) != OWN_PAGE:
            return self._pages.refusal(403, "A page of another server sent this: decide on a page of this one")
        return await run_in_threadpool(self._guarded, request, lambda _: self._pages.decide(form))


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; nothing where the body is too large for one."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}

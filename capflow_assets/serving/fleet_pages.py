"""The pages at ``/``: the fleet, one customer, one model, features, and what waits for a person.

A browser asks for the operator's token as the password of any user name. Buttons need it too, are taken from these
pages alone, and what they did is logged and kept with the version. What is shown is read anew in the background.
"""

from __future__ import annotations

import base64
import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from capflow_assets.blueprint.stages import Stages
from capflow_assets.errors import CapflowError
from capflow_assets.serving import fleet
from capflow_assets.serving.endpoints import body_of
from capflow_assets.serving.fleet import ACTIONS, SIGNS, UNKNOWN, Fleet, FleetState
from capflow_assets.serving.problems import ProblemError, not_there
from capflow_assets.serving.tokens import OPERATOR, Gate

if TYPE_CHECKING:
    from fastapi import Request, Response

EVERY_SECONDS = 30.0
LOOKS = {"ready": "ready", "at risk": "risk", "not ready": "not"}
MOST_REASON = 500
LOG = logging.getLogger("capflow.serving")
# Nothing of a page runs, and no other page shows it in a frame.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass
class FleetPages:
    """The pages of one process. ``dagster_url`` is where Dagster's page is, for links; empty for none."""

    fleet: Fleet
    stages: Stages
    gate: Gate
    dagster_url: str = ""
    _state: FleetState | None = None
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _is_wanted: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Read the fleet again and again while somebody looks at it, until ``stop``."""
        while not self._stop.is_set():
            self._is_wanted.wait()
            self._is_wanted.clear()
            if not self._stop.is_set():
                self.read()
                self._stop.wait(EVERY_SECONDS)

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()
        self._is_wanted.set()

    def read(self) -> FleetState:
        """Read the fleet now; what was read last stays where it fails, and the log says why."""
        with self._reading:
            try:
                self._state = self.fleet.state()
            except CapflowError as error:
                LOG.warning({"what": "the fleet cannot be read", "error": str(error)[:500]})
                self._state = self._state or FleetState(datetime.now(UTC))
            return self._state

    def state(self) -> FleetState:
        """What was read last; read now where nothing was."""
        self._is_wanted.set()
        return self._state or self.read()

    def overview(self, request: Request) -> Response:
        """Last night by customer, and customers × models."""
        self.require_operator(request)
        state = self.state()
        return self._page("fleet", "Fleet", state, nights=state.nights, matrix=fleet.matrix(state.rows))

    def customer(self, request: Request) -> Response:
        """One customer's models."""
        self.require_operator(request)
        state, name = self.state(), request.path_params["customer"]
        rows = [row for row in state.rows if row["customer"] == name]
        if not rows:
            raise not_there()
        return self._page("customer", name, state, rows=rows)

    def model(self, request: Request) -> Response:
        """One model over all customers."""
        self.require_operator(request)
        state, name = self.state(), request.path_params["model"]
        if name not in self.stages.models:
            raise not_there()
        rows = fleet.fares(state.rows, name)
        champions = sum(row["champion"] is not None for row in rows)
        question = self.stages.model(name).model.question
        return self._page("model", name, state, rows=rows, champions=champions, question=question)

    def waiting(self, request: Request, said: str = "") -> Response:
        """What waits for a person, with the buttons."""
        self.require_operator(request)
        state = self.state()
        return self._page("waiting", "What waits for a person", state, said, rows=fleet.waiting(state.rows))

    def features(self, request: Request) -> Response:
        """Features by words: name, description, formula, unit, source, models."""
        self.require_operator(request)
        customers = sorted({row["customer"] for row in self.state().rows})
        customer = request.query_params.get("customer") or next(iter(customers), "")
        words = request.query_params.get("q", "")[:200]
        rows = fleet.matching(self.fleet.features(customer), words) if customer in customers else []
        return self._page("features", "Features", None, customer=customer, customers=customers, words=words, rows=rows)

    async def decide(self, request: Request) -> Response:
        """Carry out a button: promote, roll back, freeze or thaw."""
        import asyncio

        self.require_operator(request)
        _require_own_page(request)
        form = {
            name: values[0] for name, values in parse_qs((await body_of(request)).decode("utf-8", "replace")).items()
        }
        action, customer, model = (form.get(name, "") for name in ("action", "customer", "model"))
        reason = form.get("reason", "").strip()[:MOST_REASON]
        if action not in ACTIONS or not reason:
            raise ProblemError(422, f"expected one of {', '.join(ACTIONS)}, and a reason")
        line = {"what": "decided on a page", "action": action, "customer": customer, "model": model, "reason": reason}
        try:
            said = await asyncio.to_thread(self.fleet.decide, action, customer, model, reason)
        except CapflowError as error:
            said = str(error)
            LOG.warning({**line, "refused": said[:300]})
        else:
            LOG.warning({**line, "done": said})
        await asyncio.to_thread(self.read)
        return self.waiting(request, said)

    def require_operator(self, request: Request) -> None:
        """Refuse whoever has no operator's token: as a bearer, or as a browser sends it.

        Raises:
            LoginError: a browser shall ask for it.
        """
        kind, _, sent = request.headers.get("authorization", "").partition(" ")
        token = sent.strip()
        if kind.lower() == "basic":
            try:
                token = base64.b64decode(token, validate=True).decode("utf-8").partition(":")[2]
            except ValueError:
                token = ""
        if kind.lower() not in ("basic", "bearer") or self.gate.owner(token) != OPERATOR:
            raise LoginError

    @cached_property
    def _template(self) -> Any:
        from jinja2 import Environment, StrictUndefined

        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.globals |= {
            "sign": lambda name: SIGNS.get(name, UNKNOWN),
            "look": lambda name: LOOKS.get(name, "none"),
            "shown": lambda value: "" if value is None else f"{value:,}" if isinstance(value, int) else str(value),
            "figure": lambda value: f"{value:.3g}" if isinstance(value, (int, float)) else "",
        }
        return environment.from_string(files("capflow_assets.serving").joinpath("fleet.html").read_text("utf-8"))

    def _page(self, page: str, title: str, state: FleetState | None, said: str = "", **shown: Any) -> Response:
        from fastapi.responses import HTMLResponse

        at = "" if state is None else state.at.strftime("%Y-%m-%d %H:%M:%S UTC")
        text = self._template.render(page=page, title=title, said=said, at=at, dagster=self.dagster_url, **shown)
        return HTMLResponse(text, headers=HEADERS)


class LoginError(ProblemError):
    """A person has not shown the operator's token."""

    challenge = 'Basic realm="CapFlow, the operator", charset="UTF-8"'

    def __init__(self) -> None:
        words = "the operator's token is the password, any name goes: capflow serve token --operator"
        super().__init__(401, words)


def _require_own_page(request: Request) -> None:
    """Refuse forms of other pages, which a browser would send with the token it remembers."""
    origin = request.headers.get("origin")
    if origin is None and request.headers.get("sec-fetch-site") in (None, "same-origin"):
        return
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(422, "buttons are pressed on these pages alone")

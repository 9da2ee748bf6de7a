"""What each address of the pages answers, drawn from the fleet's view and from a customer's lake and registry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.console.features_index import features_of, matching
from capflow_assets.console.fleet_view import NIGHT_STATES, STATES, Fleet, state_of
from capflow_assets.errors import NotFoundError

if TYPE_CHECKING:
    from starlette.responses import Response

ACTIONS = ("promote", "rollback", "freeze", "thaw")
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
# A report draws itself with styles of its own.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


def own_path(path: str) -> str:
    """A path of these pages; the first page for anything that leads elsewhere.

    >>> own_path("/models"), own_path("//evil.example"), own_path("https://evil.example")
    ('/models', '/', '/')
    """
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


class Pages:
    """What each address answers."""

    def __init__(self, fleet: Fleet, dagster_url: str, *, may_sign_in: bool = True) -> None:
        from jinja2 import Environment, PackageLoader

        self.fleet, self.deployment = fleet, fleet.deployment
        self._templates = Environment(loader=PackageLoader("capflow_assets.console"), autoescape=True)
        self._templates.filters |= {"moment": _moment, "ago": _ago, "seconds": _seconds, "minute": _minute}
        self._templates.globals |= {
            "dagster": dagster_url.rstrip("/"),
            "may_sign_in": may_sign_in,
            "states": STATES,
            "night_states": NIGHT_STATES,
            "state_of": state_of,
        }
        self._features = features_of(fleet.deployment.stages)

    def page(self, template: str, title: str, path: str, values: Mapping[str, Any] | None = None) -> Response:
        """A page of the view; ``path`` is its own address."""
        given = {"view": self.fleet.view(), **(values or {})}
        return self._html(template, 200, title=title, path=path, **given)

    def sign_in(self, next_path: str, *, is_wrong: bool) -> Response:
        """Where the token is given; ``is_wrong`` says that it was another one."""
        return self._html(
            "sign_in.html",
            403 if is_wrong else 200,
            title="Sign in",
            path="",
            view=None,
            next=next_path,
            is_wrong=is_wrong,
        )

    def _html(self, template: str, status: int, **values: Any) -> Response:
        from starlette.responses import HTMLResponse

        return HTMLResponse(self._templates.get_template(template).render(**values), status, HEADERS)

    def refusal(self, status: int, words: str) -> Response:
        """Why there is no page."""
        return self._html("refusal.html", status, title="No page", words=words, path="", view=None)

    def text(self, name: str) -> str:
        """A file of the templates as it is."""
        return self._templates.get_template(name).render()

    def customer(self, path: str, name: str, may_decide: bool) -> Response:
        """One customer: its night, its models, its deliveries, what it took."""
        self.deployment.require(name)
        view = self.fleet.view()
        night = next((night for night in view.nights if night.customer == name), None)
        queued = next((row for row in view.queue if row["customer"] == name), None)
        receipts = [receipt for receipt in view.receipts if receipt["customer"] == name]
        rows = view.of_customer(name)
        values = {
            "customer": name,
            "night": night,
            "queued": queued,
            "receipts": receipts,
            "rows": rows,
            "may_decide": may_decide,
        }
        return self.page("customer.html", name, path, {"view": view, **values})

    def report(self, name: str) -> Response:
        """A customer's report, drawn from the lake as it is."""
        from starlette.responses import HTMLResponse

        from capflow_assets.pages.report import read_page

        self.deployment.require(name)
        html = read_page(self.deployment.lake, self.deployment.customer(name))
        return HTMLResponse(html, headers={**HEADERS, "content-security-policy": REPORT_POLICY})

    def card(self, path: str, customer: str, model: str, may_decide: bool) -> Response:
        """A model's card of one customer."""
        from capflow_assets.graph.status import explain
        from capflow_assets.pages.card_content import lines, tables

        self.deployment.require(customer, model)
        card = explain(self.deployment, self.fleet.instance, customer, model)
        view = self.fleet.view()
        values = {
            "view": view,
            "customer": customer,
            "model": model,
            "card": card,
            "row": view.cells.get((customer, model)),
            "lines": list(lines(card)) if card["version"] else [],
            "tables": list(tables(card)) if card["version"] else [],
            "pictures": [place.rpartition("/")[2] for place in card.get("plots", ())],
            "may_decide": may_decide,
        }
        return self.page("card.html", f"{customer}.{model}", path, values)

    def picture(self, customer: str, model: str, version: int, picture: str) -> Response:
        """A picture that was kept beside a version."""
        from starlette.responses import Response

        self.deployment.require(customer, model)
        registry = self.deployment.registry
        names = [place.rpartition("/")[2] for place in registry.plots(customer, model, version)]
        if picture not in names:
            raise NotFoundError.among(f"picture of {customer}.{model}", picture, names)
        return Response(registry.file(customer, model, version, picture), media_type="image/png", headers=HEADERS)

    def model(self, path: str, name: str) -> Response:
        """One model over all customers."""
        spec = self.deployment.stages.model(name)
        view = self.fleet.view()
        values = {"view": view, "model": name, "spec": spec, "rows": view.of_model(name)}
        return self.page("model.html", name, path, values)

    def features(self, path: str, words: str) -> Response:
        """Features by name."""
        values = {"words": words, "entries": matching(self._features, words)}
        return self.page("features.html", "Features", path, values)

    def decide(self, form: Mapping[str, str]) -> Response:
        """Carry a person's decision out, and go back to where it was taken."""
        from starlette.responses import RedirectResponse

        from capflow_assets.graph.decisions import promote, rollback
        from capflow_assets.graph.many_decisions import freeze_one

        action, customer, model = (form.get(name, "") for name in ("action", "customer", "model"))
        if action not in ACTIONS:
            raise NotFoundError.among("action", action, ACTIONS)
        reason = form.get("reason", "").strip() or f"{action} on the page"
        if action == "promote":
            version = form.get("version", "")
            number = int(version) if version.isdecimal() else None
            promote(self.deployment, self.fleet.instance, customer, model, number, reason)
        elif action == "rollback":
            rollback(self.deployment, self.fleet.instance, customer, model, reason)
        else:
            freeze_one(
                self.deployment,
                self.fleet.instance,
                customer,
                model,
                "freeze" if action == "freeze" else "thaw",
                reason,
            )
        self.fleet.refresh()
        return RedirectResponse(own_path(form.get("next", "/waiting")), 303, HEADERS)


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "–"


def _minute(moment: str | None) -> str:
    """An ISO time in UTC as people read it.

    >>> _minute("2031-06-01T22:05+00:00")
    '2031-06-01 22:05 UTC'
    """
    return moment[:16].replace("T", " ") + " UTC" if moment else "–"


def _ago(at: datetime) -> str:
    seconds = (datetime.now(UTC) - at).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return "–"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"

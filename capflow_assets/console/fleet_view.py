"""What the pages are drawn from: gathered of all customers beside the requests, so that a page takes no time.

The lake, the event log and MLflow are asked once a minute, or when a decision was taken; a page says how old its
figures are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.last_runs import Night, last_nights
from capflow_assets.graph.newest import newest
from capflow_assets.graph.night_status import night_rows, sensor_cursor
from capflow_assets.graph.onboarding import refusals_in
from capflow_assets.graph.status import status_rows

REFRESH_SECONDS = 60.0
# How long a page waits for the first view of all before it says that there is none yet (s).
FIRST_WAIT_SECONDS = 20.0
RECEIPTS = "delivery/receipts"
MOST_RECEIPTS = 50
# How a customer stands with a model, the sign that says it without colour, and its words.
STATES: Mapping[str, tuple[str, str]] = {
    "own": ("●", "its own model answers"),
    "pooled": ("◐", "the vertical's model answers"),
    "rule": ("○", "the rule answers"),
    "asks": ("?", "a person is asked"),
    "broken": ("!", "the champion is broken"),
    "not ready": ("✗", "the evidence is not enough"),
    "nobody": ("–", "nobody answers yet"),
    "off": ("·", "the customer is not to have it"),
}
# How a night may stand, in the order in which the queue's page shows them.
NIGHT_STATES = ("running", "waits", "failed", "refused", "late", "done", "not begun")
# Of needs that are not met, one that is so near is close.
CLOSE = "close"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet at one moment: a status row for each customer and model, and what ran, was delivered and took time."""

    taken_at: datetime
    customers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    nights: tuple[Night, ...] = ()
    # How the last night of each customer that has one stands, as ``capflow status --night`` says it.
    queue: tuple[Mapping[str, Any], ...] = ()
    receipts: tuple[Mapping[str, Any], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    # TOMLs in the customers' folder of which no customer comes in, and why.
    refused: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    # Nothing was gathered yet: what is empty here is not known to be so.
    is_first_look: bool = False

    @property
    def cells(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """The rows by customer and model."""
        return {(row["customer"], row["model"]): row for row in self.rows}

    def of_customer(self, name: str) -> list[Mapping[str, Any]]:
        """A customer's rows."""
        return [row for row in self.rows if row["customer"] == name]

    def of_model(self, name: str) -> list[Mapping[str, Any]]:
        """A model's rows, those that want a look first."""
        order = list(STATES)
        wanted = {"broken": 0, "asks": 1}
        rows = [row for row in self.rows if row["model"] == name]
        return sorted(
            rows, key=lambda row: (wanted.get(state_of(row), 2 + order.index(state_of(row))), row["customer"])
        )

    def counts(self) -> Counter[str]:
        """How many customer and model pairs are in each state."""
        return Counter(map(state_of, self.rows))

    @property
    def queued(self) -> list[Mapping[str, Any]]:
        """The nights of ``queue``: what runs, then what waits, who is first let through first, then the others."""
        order = {state: place for place, state in enumerate(NIGHT_STATES)}
        return sorted(
            self.queue, key=lambda row: (order[row["state"]], row["until"] or "9", row["night"] or "", row["customer"])
        )

    @property
    def waiting(self) -> list[Mapping[str, Any]]:
        """The rows that a person should look at: asked about, broken, or drifted."""
        return [row for row in self.rows if state_of(row) in ("asks", "broken") or row.get("drifted")]


def state_of(row: Mapping[str, Any]) -> str:
    """How a customer stands with a model, one of ``STATES``.

    >>> state_of({"status": "promoted", "readiness": "ready", "champion": 3, "rung": "own", "broken": ""})
    'own'
    """
    if row["readiness"] == "off" or row["status"] == "off":
        return "off"
    if row["broken"]:
        return "broken"
    if row["status"] == "asks":
        return "asks"
    if row["champion"] is not None:
        return row.get("rung") or "own"
    return "not ready" if row["readiness"] == "not ready" else "nobody"


class Fleet:
    """Gathers the view again and again, in a thread of its own."""

    def __init__(
        self,
        deployment: Deployment,
        instance: dg.DagsterInstance,
        every: float = REFRESH_SECONDS,
        first_wait: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self.deployment, self.instance = deployment, instance
        self._every, self._first_wait = every, first_wait
        self._seen_tomls: dict[str, list[str]] = {}
        self._wanted, self._is_over, self._is_there = threading.Event(), threading.Event(), threading.Event()
        self._view = FleetView(datetime.now(UTC), is_first_look=True)
        self._thread = threading.Thread(target=self._work, name="fleet-view", daemon=True)

    def begin(self) -> None:
        """Gather from now on."""
        self._thread.start()

    def end(self) -> None:
        """Gather no more."""
        self._is_over.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def view(self) -> FleetView:
        """The newest view; the first one is waited for, for a while."""
        self._is_there.wait(self._first_wait)
        return self._view

    def refresh(self, wait: float = 20.0) -> None:
        """Gather anew, since something was decided, and wait for it for a while."""
        before, until = self._view, time.monotonic() + wait
        self._wanted.set()
        while self._view is before and time.monotonic() < until and not self._is_over.is_set():
            time.sleep(0.05)

    def _work(self) -> None:
        while not self._is_over.is_set():
            self._wanted.clear()
            try:
                self._view = gathered(self.deployment, self.instance, seen_tomls=self._seen_tomls)
            except Exception as error:  # a store that is down: the last figures stay, and the page says so
                log.warning("the fleet cannot be looked at: %s", type(error).__name__)
                self._view = _with_problem(self._view, error)
            self._is_there.set()
            self._wanted.wait(self._every)


def _with_problem(view: FleetView, error: Exception) -> FleetView:
    words = str(error).splitlines()[0] if isinstance(error, CapflowError) else f"{type(error).__name__}: {error}"
    return replace(view, problem=words[:300], is_first_look=False)


def gathered(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    now: datetime | None = None,
    seen_tomls: dict[str, list[str]] | None = None,
) -> FleetView:
    """The view of this moment; ``seen_tomls`` keeps from one to the next which TOMLs are refused."""
    moment, customers = now or datetime.now(UTC), deployment.customers()
    return FleetView(
        moment,
        tuple(customers),
        tuple(deployment.stages.models),
        tuple(status_rows(deployment, instance, customers)),
        tuple(last_nights(instance, customers, moment)),
        tuple(night_rows(deployment.stages, instance, sensor_cursor(instance), moment.timestamp(), customers)),
        tuple(_receipts(deployment, customers)),
        _seconds(deployment, instance, customers),
        refusals_in(deployment, seen_tomls),
    )


def _seconds(deployment: Deployment, instance: dg.DagsterInstance, customers: Sequence[str]) -> dict[str, float]:
    """How long the newest making of all of a customer's assets took."""
    parts = [f"{part}/{name}" for name in deployment.stages.models for part in ("models", "predictions", "health")]
    entries = {key: frozenset({"seconds"}) for key in (*deployment.stages.tables, *parts)}
    totals = dict.fromkeys(customers, 0.0)
    for of_asset in newest(instance, entries, customers).values():
        for customer, metadata in of_asset.items():
            totals[customer] += float(metadata.get("seconds") or 0.0)
    return totals


def _receipts(deployment: Deployment, customers: Sequence[str]) -> list[dict[str, Any]]:
    """The newest receipts of deliveries of each customer, the newest first."""
    receipts = []
    for name in customers:
        try:
            if deployment.lake.exists(name, RECEIPTS):
                rows = sorted(deployment.lake.arrow(name, RECEIPTS).to_pylist(), key=_when, reverse=True)
                receipts += [{"customer": name, **row} for row in rows[:MOST_RECEIPTS]]
        except Exception as error:  # a lake that is broken in whatever way leaves the others to be seen
            log.warning("the receipts of %s cannot be read: %s", name, type(error).__name__)
    return sorted(receipts, key=_when, reverse=True)


def _when(receipt: Mapping[str, Any]) -> str:
    return str(next((receipt[name] for name in ("began_at", "as_of") if receipt.get(name)), ""))

"""All destinations of one model of one customer: each on its own, so that one that is down stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Finding
from capflow_assets.customers.customer import Customer
from capflow_assets.customers.delivery_settings import DeclaredDelivery
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.foreign import words_of
from capflow_assets.nights.delivered_rows import USER
from capflow_assets.nights.delivering import Way, way_of
from capflow_assets.nights.door_rules import Doors
from capflow_assets.nights.ledger import CARRIED, KEPT_DAYS, OPEN, Ledger, Receipt
from capflow_assets.paths.fence import within

CHECK = "reconciles"
NO_PREDICTIONS = "there are no predictions yet"
# A delivery that failed is tried again after five minutes, then after three times as long, four times in all.
FIRST_PAUSE, LONGER_BY, MOST_TRIES = timedelta(minutes=5), 3, 5
OF_NO_USERS = "its rows are of no users, whom one could contact; contact = false delivers them"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one destination: a receipt, or why there is none; ``failure`` where something is wrong.

    ``problem`` is what the destination says that does not fit the receipt. ``again_at`` is when it is worth to deliver
    again: quiet hours end for somebody who waits, or a destination that was down may be up.
    """

    destination: str
    receipt: Receipt | None = None
    reason: str = ""
    failure: str = ""
    problem: str = ""
    again_at: datetime | None = None


def deliver_all(
    deployment: Deployment, customer: Customer, spec: ModelSpec, at: datetime | None = None
) -> list[Delivered]:
    """Deliver a model's newest predictions to every destination that takes them.

    It is ``at`` that moment; or it is asked anew for each, since one before may have taken until the quiet hours.
    """
    chosen = [declared for declared in customer.delivery if declared.takes(spec.name)]
    if not chosen:
        return []
    with within(deployment.fence(customer)):
        results = [_delivered(deployment, customer, spec, declared, at or datetime.now(UTC)) for declared in chosen]
    # As far as a cap looks back, it is known who was carried.
    days = [KEPT_DAYS, *(cap.days + 1 for cap in customer.contact.caps)]
    Ledger(deployment.lake, customer.name).forget_old(at or datetime.now(UTC), max(days))
    return results


def _delivered(
    deployment: Deployment, customer: Customer, spec: ModelSpec, declared: DeclaredDelivery, now: datetime
) -> Delivered:
    name = declared.name
    if declared.contact and USER not in spec.model.subject.key:
        return Delivered(name, reason=OF_NO_USERS)
    way: Way | None = None
    try:
        way = way_of(deployment, customer, spec, declared, now)
        if way is None:
            return Delivered(name, reason=NO_PREDICTIONS)
        receipt = way.deliver()
        return Delivered(name, receipt, problem=_problem(way, receipt), again_at=_again_at(way, receipt))
    except CapflowError as error:
        failure = str(error)
    except Exception as error:  # whatever a destination breaks with must not stop the others
        failure = words_of(error)
    begun = _newest(way)
    again_at = _again_at(way, begun) if way and begun else None
    return Delivered(name, begun, failure=failure, again_at=again_at)


def _again_at(way: Way, receipt: Receipt) -> datetime | None:
    """When to deliver again, where that may change anything."""
    if receipt.status == "waiting":
        return Doors(way.deployment, way.customer, way.ledger, way.now).waits_until(way.declared)
    may_change = receipt.status == "failed" or (receipt.status in OPEN and way.destination.resend != "never")
    if not may_change or not 0 < receipt.tries < MOST_TRIES:
        return None
    return way.now + FIRST_PAUSE * LONGER_BY ** (receipt.tries - 1)


def _newest(way: Way | None) -> Receipt | None:
    """The receipt of a delivery that failed, where it got that far."""
    return None if way is None else way.ledger.receipt(way.delivery().id)


def _problem(way: Way, receipt: Receipt) -> str:
    """What is wrong with a receipt; empty where every row is accounted for, and the destination says the same."""
    if not receipt.adds_up:
        return f"of {receipt.scored:,} rows it is not known what became of all"
    if receipt.status not in ("delivered", "waiting") or not way.destination.tells:
        return ""
    delivery = way.delivery(receipt.number)
    held = way.destination.held(way.options, delivery)
    if held is None:
        return f"it does not hold the {receipt.delivered:,} rows that it took"
    of_users = delivery.key == (delivery.user,)
    is_whole = held.rows in (None, receipt.delivered) or (of_users and held.rows == _not_erased(way, receipt))
    if not is_whole:
        return f"it holds {held.rows:,} rows, and took {receipt.delivered:,}"
    if held.checksum and receipt.checksum and held.checksum != receipt.checksum:
        return "it holds as many rows as it took, and others"
    return ""


def _not_erased(way: Way, receipt: Receipt) -> int:
    """How many users of a delivery have not been erased since: with them, what it carried is forgotten as well."""
    return len(way.ledger.rows(CARRIED, [USER], [receipt.delivery])[USER].unique())


def reconciled(results: Sequence[Delivered]) -> Finding:
    """Whether scored = delivered + held back + refused + unknown everywhere, and the destinations say the same."""
    receipts = [result.receipt for result in results if result.receipt is not None]
    names = ("scored", "delivered", "held_back", "refused", "unknown")
    rows = {name: sum(getattr(receipt, name) for receipt in receipts) for name in names}
    wrong = [f"{result.destination}: {text}" for result in results if (text := _first_line(result))]
    figures = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items())
    message = f"{'; '.join(wrong)} ({figures})" if wrong else figures
    return Finding(CHECK, not wrong, message, found=rows)


def _first_line(result: Delivered) -> str:
    return result.problem or (result.failure.splitlines()[0] if result.failure else "")

"""Taking back what was delivered: all of a model's deliveries, or single users of all of them.

Each is asked of the destination, and the receipt says what came of it, or why the destination cannot do it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Delivery, ErasesUsers, Withdrawn
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, in_one_line
from capflow_assets.foreign import words_of
from capflow_assets.nights.delivered_rows import USER
from capflow_assets.nights.door_rules import selected
from capflow_assets.nights.ledger import CARRIED, OPEN, Ledger, Receipt, ended
from capflow_assets.paths.fence import within

if TYPE_CHECKING:
    import pyarrow as pa

# What may have arrived, and so can be taken back: what failed may have got there in part.
ARRIVED = ("delivered", "waiting", *OPEN, "failed")
# Who was in these is not known, or not of all.
PERHAPS = ("sending", "failed")
GONE = "the customer's TOML no longer declares this destination"
WHOLE_ONLY = "this kind of destination takes back whole deliveries, and no single users: capflow withdraw"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """One delivery, and what its destination did; ``reason`` is why it did nothing."""

    receipt: Receipt
    rows: int | None
    reason: str = ""


def arrived(ledger: Ledger, model: str | None = None, destination: str | None = None) -> list[Receipt]:
    """The deliveries that have arrived, or may have, newest first: what is taken back goes from the top."""
    receipts = ledger.receipts(model, destination)
    return [receipt for receipt in reversed(receipts) if receipt.status in ARRIVED]


def withdraw(
    deployment: Deployment, customer: Customer, receipts: Sequence[Receipt], now: datetime
) -> Iterator[TakenBack]:
    """Take back deliveries, one after another, and mark those that were: nothing is sent again under their ids."""
    ledger = Ledger(deployment.lake, customer.name)
    with within(deployment.fence(customer)):
        for receipt in receipts:
            result = _asked(deployment, customer, receipt, None)
            if not result.reason:
                rows = "rows" if result.rows is None else f"{result.rows:,} rows"
                ledger.write(ended(receipt, "withdrawn", now, reason=f"{rows} were taken back"))
            yield TakenBack(receipt, result.rows, result.reason)


def erase(
    deployment: Deployment, customer: Customer, users: Sequence[str], besides: Collection[str] = ()
) -> Iterator[TakenBack]:
    """Delete users from every delivery that carried one of them, or say why that cannot be done.

    ``besides`` are ids of deliveries that are asked in any case: of earlier tries, which the ledger has forgotten.
    """
    ledger = Ledger(deployment.lake, customer.name)
    receipts = {receipt.delivery: receipt for receipt in arrived(ledger)}
    carrying = _carrying(deployment, ledger, receipts, users)
    carrying += [delivery for delivery in receipts if delivery in besides and delivery not in carrying]
    if not carrying:
        return
    with within(deployment.fence(customer)):
        for delivery in carrying:
            result = _asked(deployment, customer, receipts[delivery], users)
            yield TakenBack(receipts[delivery], result.rows, result.reason)


def _carrying(deployment: Deployment, ledger: Ledger, receipts: dict[str, Receipt], users: Sequence[str]) -> list[str]:
    """The deliveries that carried one of the users, or may have: it is not known of all who was in them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: pa.Table = ledger.rows(CARRIED, ["delivery", USER], receipts)
    theirs = set(
        rows.filter(pc.is_in(rows[USER], value_set=pa.array(list(users), pa.string())))["delivery"].to_pylist()
    )
    known = ledger.known(CARRIED)
    of_users = {spec.name for spec in deployment.stages.models.values() if USER in spec.model.subject.key}

    def may_have(name: str, receipt: Receipt) -> bool:
        is_forgotten = name not in known and bool(receipt.delivered or receipt.unknown)
        return receipt.model in of_users and (is_forgotten or receipt.status in PERHAPS)

    return [name for name, receipt in receipts.items() if name in theirs or may_have(name, receipt)]


def _asked(deployment: Deployment, customer: Customer, receipt: Receipt, users: Sequence[str] | None) -> Withdrawn:
    """What a destination does about a delivery; of ``users`` alone, where they are given."""
    declared = next((one for one in customer.delivery if one.name == receipt.destination), None)
    if declared is None or declared.kind != receipt.kind:
        return Withdrawn(None, GONE)
    destination = deployment.stages.destinations[declared.kind]
    try:
        options = destination.options.model_validate(declared.options)
        delivery = _delivery_of(deployment, customer, receipt)
        if users is None:
            return destination.withdraw(options, delivery)
        if not isinstance(destination, ErasesUsers):
            return Withdrawn(None, WHOLE_ONLY)
        return destination.erase(options, delivery, users)
    except CapflowError as error:
        return Withdrawn(None, in_one_line(error))
    except Exception as error:  # whatever a destination breaks with must stop neither its neighbours nor an erasure
        return Withdrawn(None, " ".join(words_of(error).split()))


def _delivery_of(deployment: Deployment, customer: Customer, receipt: Receipt) -> Delivery:
    """The delivery that a receipt is of, with the columns of its destination as they are declared now."""
    declared = next(one for one in customer.delivery if one.name == receipt.destination)
    selection = selected(deployment, customer, deployment.stages.model(receipt.model), declared)
    return Delivery(
        id=receipt.delivery,
        customer=receipt.customer,
        model=receipt.model,
        version=receipt.version,
        as_of=receipt.as_of,
        valid_until=receipt.valid_until,
        destination=receipt.destination,
        columns=tuple(column for _, column in selection.sources),
        key=tuple(selection.delivered_name(name) for name in selection.key),
        user=selection.delivered_name(USER),
    )

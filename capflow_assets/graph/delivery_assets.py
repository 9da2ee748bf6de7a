"""``delivery/{model}``, one of a model's assets: its newest predictions, brought to the customer's destinations."""

from collections.abc import Sequence

import dagster as dg

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Finding
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.nights.destinations import CHECK, Delivered, deliver_all, reconciled
from capflow_assets.nights.ledger import Receipt

PART = "delivery"
NO_DESTINATION = "no destination"
DESCRIPTION = "The newest predictions at the customer's destinations; receipts: capflow show delivery/receipts."
CHECK_DESCRIPTION = "Scored = delivered + held back + refused + unknown, and destinations hold what receipts say."


def delivered_outcome(deployment: Deployment, spec: ModelSpec, customer: Customer) -> Outcome:
    """What became of the newest predictions at every destination of the customer that takes them."""
    key = dg.AssetKey([PART, spec.name])
    results = deliver_all(deployment, customer, spec)
    if not results:
        reason = f"no [[delivery]] of {customer.name}'s TOML takes {spec.name}"
        finding = Finding(CHECK, True, f"Nothing to do: {reason}")
        return Outcome(key, {"status": NO_DESTINATION, "reason": reason}, ((key, finding),))
    failures = [f"{result.destination}: {result.failure}" for result in results if result.failure]
    metadata = {
        "status": "done",
        "deliveries": dg.MetadataValue.table([_record(result) for result in results]),
        "delivered": sum(result.receipt.delivered for result in results if result.receipt),
    }
    again_at = min((result.again_at for result in results if result.again_at), default=None)
    return Outcome(key, metadata, ((key, reconciled(results)),), failure="\n".join(failures), again_at=again_at)


def not_scored(spec: ModelSpec) -> Outcome:
    """The predictions have failed: the last good ones stay, and were delivered before."""
    parent = f"predictions/{spec.name}"
    key = dg.AssetKey([PART, spec.name])
    return Outcome(key, failure=f"{parent} was not made, so there is nothing new to deliver", consequence_of=(parent,))


def _record(result: Delivered) -> dg.TableRecord:
    receipt = result.receipt
    return dg.TableRecord(
        {
            "destination": result.destination,
            "status": receipt.status if receipt else "failed" if result.failure else "nothing to do",
            "delivered": receipt.delivered if receipt else 0,
            "held back": _held_back(receipt) if receipt else "",
            "refused": receipt.refused if receipt else 0,
            "unknown": receipt.unknown if receipt else 0,
            "reason": (result.problem or result.failure or result.reason or (receipt.reason if receipt else ""))[:500],
        }
    )


def _held_back(receipt: Receipt) -> str:
    parts: Sequence[str] = [f"{count:,} {reason}" for reason, count in sorted(receipt.held_back_by.items())]
    return ", ".join(parts) or "0"

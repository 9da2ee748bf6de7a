"""Stripe twice: the export of payments, and its balance transactions as JSON, in cents and seconds of the epoch."""

from __future__ import annotations

import json
from pathlib import Path

from capflow_assets_tests.shapes.shop import Bill, Order, Truth, orders, write_csv

HEADER = (
    "id,Description,Seller Message,Created (UTC),Amount,Amount Refunded,Currency,Converted Amount,"
    "Converted Amount Refunded,Fee,Tax,Converted Currency,Mode,Status,Statement Descriptor,Customer ID,"
    "Customer Description,Customer Email,Captured,Card ID,Card Last4,Card Brand,Card Funding,Card Exp Month,"
    "Card Exp Year,Card Name,Card Address Line1,Card Address Line2,Card Address City,Card Address State,"
    "Card Address Country,Card Address Zip,Card Issue Country,Card Fingerprint,Card CVC Status,Card AVS Zip Status,"
    "Card AVS Line1 Status,Card Tokenization Method,Disputed Amount,Dispute Status,Dispute Reason,Dispute Date (UTC),"
    "Dispute Evidence Due (UTC),Invoice ID,Payment Source Type,Destination,Transfer,Interchange Costs,"
    "Merchant Service Charge,Transfer Group,PaymentIntent ID"
)


def write_payments(folder: Path) -> Truth:
    """Write ``unified_payments.csv``: a payment a row, in UTC, refunds beside it. Some failed, or wait for capture."""
    shop = orders(seed=5)
    write_csv(folder / "unified_payments.csv", HEADER, map(_payment, shop))
    truth = Truth()
    for order in shop:
        if order.is_paid and order.number % 7:
            amount = order.amount - order.refunded
            truth.bills[f"ch_{order.number}"] = Bill(order.user, order.at, amount, None)
    truth.left_out = {"raw/bills": len(shop) - len(truth.bills)}
    return truth


def write_balance(folder: Path) -> Truth:
    """Write ``balance_transactions.json``: a refund is a transaction of its own; payouts and fees are no sales."""
    shop = [order for order in orders(seed=6) if order.is_paid]
    records = [record for order in shop for record in (_charge(order), *_refunds(order))]
    records += [
        _record(f"txn_po{place}", "payout", -100_000 * place, 1_704_500_000 + place, None) for place in (1, 2, 3)
    ]
    document = {"object": "list", "data": records, "has_more": False, "url": "/v1/balance_transactions"}
    (folder / "balance_transactions.json").write_text(json.dumps(document, indent=1))
    truth = Truth(left_out={"raw/bills": 3})
    for order in shop:
        truth.bills[f"txn_{order.number}"] = Bill(order.user, order.at, order.amount, None)
        if order.returned:
            truth.bills[f"txn_{order.number}r"] = Bill(order.user, order.returned_at, -order.refunded, None)
    return truth


def _payment(order: Order) -> dict[str, object]:
    """Every seventh is in another currency, and counts elsewhere."""
    whole = bool(order.returned) and order.refunded == order.amount
    status = {"paid": "Refunded" if whole else "Paid", "unpaid": "Uncaptured", "cancelled": "Failed"}[order.status]
    currency = "usd" if order.number % 7 else "cad"
    return {
        "id": f"ch_{order.number}",
        "Description": "Payment, for an order",
        "Seller Message": "Payment complete.",
        "Created (UTC)": f"{order.at:%Y-%m-%d %H:%M:%S}",
        "Amount": order.amount,
        "Amount Refunded": order.refunded,
        "Currency": currency,
        "Converted Amount": order.amount,
        "Converted Amount Refunded": order.refunded,
        "Fee": "0.59",
        "Tax": "0.00",
        "Converted Currency": "usd",
        "Mode": "Live",
        "Status": status,
        "Customer ID": f"cus_{order.user}" if order.user else "",
        "Customer Email": "ann@example.com",
        "Captured": str(order.is_paid).lower(),
        "Card Last4": "0012",
        "Card Name": "Ann Example",
    }


def _charge(order: Order) -> dict[str, object]:
    source = {"id": f"ch_{order.number}", "object": "charge", "customer": order.user and f"cus_{order.user}"}
    return _record(f"txn_{order.number}", "charge", int(order.amount * 100), int(order.at.timestamp()), source)


def _refunds(order: Order) -> list[dict[str, object]]:
    if not order.returned:
        return []
    charge = {"id": f"ch_{order.number}", "object": "charge", "customer": order.user and f"cus_{order.user}"}
    source = {"id": f"re_{order.number}", "object": "refund", "charge": charge}
    cents, seconds = -int(order.refunded * 100), int(order.returned_at.timestamp())
    return [_record(f"txn_{order.number}r", "refund", cents, seconds, source)]


def _record(id: str, kind: str, cents: int, seconds: int, source: dict[str, object] | None) -> dict[str, object]:
    fee = 59 if kind == "charge" else 0
    return {
        "id": id,
        "object": "balance_transaction",
        "amount": cents,
        "available_on": seconds + 172_800,
        "created": seconds,
        "currency": "usd",
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": cents - fee,
        "reporting_category": kind,
        "source": source,
        "status": "available",
        "type": kind,
    }

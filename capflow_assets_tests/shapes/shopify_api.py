"""Shopify's REST API: orders with their line items, discounts on the lines, times with their offset."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Line, Order, Truth, orders

ZONE = ZoneInfo("Europe/Berlin")
SHIPPING = Decimal("4.90")
STATUS = {"paid": "paid", "unpaid": "pending", "cancelled": "voided"}


def write(folder: Path) -> Truth:
    """Write ``orders.json``; a bill is what its lines come to."""
    shop = orders(seed=25)
    (folder / "orders.json").write_text(json.dumps({"orders": [_record(order) for order in shop]}))
    truth = Truth()
    for order in shop:
        if order.is_paid:
            truth.bills[str(5_550_000_000 + order.number)] = Bill(order.user, order.at, order.amount, order.pieces)
    return truth


def _record(order: Order) -> dict[str, object]:
    number = (order.user or "").lstrip("abcdefghijklmnopqrstuvwxyz")
    return {
        "id": 5_550_000_000 + order.number,
        "name": f"#{order.number}",
        "order_number": order.number,
        "email": "ann@example.com",
        "created_at": order.at.astimezone(ZONE).isoformat(),
        "currency": "EUR",
        "financial_status": STATUS[order.status],
        "fulfillment_status": "fulfilled" if order.is_paid else None,
        "subtotal_price": str(order.amount),
        "total_price": str(order.amount + SHIPPING),
        "total_discounts": str(order.discount),
        "customer": {"id": 900 + int(number), "email": "ann@example.com"} if number else None,
        "line_items": [_line(order, line, place) for place, line in enumerate(order.lines)],
    }


def _line(order: Order, line: Line, place: int) -> dict[str, object]:
    return {
        "id": order.number * 100 + place,
        "product_id": 7_000 + ARTICLES.index(line.article),
        "title": line.article.name,
        "sku": line.article.sku,
        "vendor": "Acme",
        "quantity": line.pieces,
        "price": str(line.article.price),
        "total_discount": str(line.discount),
    }

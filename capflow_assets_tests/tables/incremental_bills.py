"""Bills of which newer rows come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    pass


NAMES = ("no", "card", "at", "total", "changed")
COLUMNS = {"bill_id": "no", "user_id": "card", "billed_at": "at", "amount": "total"}
NEWER: dict[str, Any] = {"columns": COLUMNS, "watermark": "changed"}
LINES = {"bill_id": "no", "item_id": "item", "quantity": "qty", "amount": "total"}


def bill(number: object, amount: object = 1.5, changed: object = 1) -> tuple[object, ...]:
    return number, f"u{number}", "2024-05-02 10:00:00", amount, changed


def amounts(shop: Shop) -> dict[str, float]:
    return {row["bill_id"]: row["amount"] for row in shop.rows("raw/bills")}

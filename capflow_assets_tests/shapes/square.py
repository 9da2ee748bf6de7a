"""Square's items detail: a row an item sold or given back, money as text with its sign, times of the till's zone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Line, Order, Truth, orders, write_csv

ZONE = ZoneInfo("America/New_York")
HEADER = (
    "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,Discounts,Net Sales,Tax,"
    "Transaction ID,Payment ID,Device Name,Notes,Details,Event Type,Location,Dining Option,Customer ID,Customer Name,"
    "Customer Reference ID,Unit,Count,GTIN,Itemization Type,Commission,Employee,Fulfillment Note,Channel,Token,"
    "Card Brand,PAN Suffix"
)


def write(folder: Path) -> Truth:
    """Write ``items.csv``. A refund is a bill of its own, with the day on which the money went back."""
    shop = [order for order in orders(seed=2) if order.is_paid]
    rows = [row for order in shop for row in (*_rows(order), *_refund(order))]
    write_csv(folder / "items.csv", HEADER, rows)
    truth = Truth(items={article.sku for article in ARTICLES})
    truth.no_goods = {article.sku for article in ARTICLES if not article.is_goods}
    for order in shop:
        sale, refund = f"T{order.number}", f"P{order.number}R-refund"
        truth.bills[sale] = Bill(order.user, order.at, order.amount, order.pieces)
        for line in order.lines:
            truth.add_line(sale, line.article.sku, line.pieces, line.amount)
        if order.returned:
            back = -sum(line.pieces for line in order.returned)
            truth.bills[refund] = Bill(order.user, order.returned_at, -order.refunded, back)
        for line in order.returned:
            truth.add_line(refund, line.article.sku, -line.pieces, -line.amount)
    return truth


def _rows(order: Order) -> list[dict[str, object]]:
    local = order.at.astimezone(ZONE)
    return [
        _row(order, line, 1) | {"Date": f"{local:%Y-%m-%d}", "Time": f"{local:%H:%M:%S}", "Event Type": "Payment"}
        for line in order.lines
    ]


def _refund(order: Order) -> list[dict[str, object]]:
    local = order.returned_at.astimezone(ZONE)
    own = {"Date": f"{local:%Y-%m-%d}", "Time": f"{local:%H:%M:%S}", "Event Type": "Refund"}
    return [_row(order, line, -1) | own | {"Payment ID": f"P{order.number}R"} for line in order.returned]


def _row(order: Order, line: Line, sign: int) -> dict[str, object]:
    return {
        "Time Zone": "Eastern Time (US & Canada)",
        "Category": line.article.category,
        "Item": line.article.name,
        "Qty": f"{sign * line.pieces}.0",
        "Price Point Name": "Regular",
        "SKU": line.article.sku,
        "Gross Sales": _money(sign * line.gross),
        "Discounts": _money(-sign * line.discount),
        "Net Sales": _money(sign * line.amount),
        "Tax": "$0.00",
        "Transaction ID": f"T{order.number}",
        "Payment ID": f"P{order.number}",
        "Location": ("Main St", "Autumn Fair")[order.number % 2],
        "Customer ID": f"SQ-{order.user}" if order.user else "",
        "Customer Name": "Dee Example" if order.user else "",
        "Unit": "ea",
        "Count": line.pieces,
        "Itemization Type": "Physical Good" if line.article.is_goods else "Custom Amount",
        "Commission": "$0.00",
        "Card Brand": "Visa",
        "PAN Suffix": "0012",
    }


def _money(amount: Decimal) -> str:
    return f"(${-amount:,.2f})" if amount < 0 else f"${amount:,.2f}"

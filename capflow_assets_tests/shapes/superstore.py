"""Superstore, Tableau's sample: a row a line with everything of its order on it; days as 11/8/2016."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Line, Order, Truth, orders, write_csv

HEADER = (
    "Row ID,Order ID,Order Date,Ship Date,Ship Mode,Customer ID,Customer Name,Segment,Country,City,State,Postal Code,"
    "Region,Product ID,Category,Sub-Category,Product Name,Sales,Quantity,Discount,Profit"
)


def write(folder: Path) -> Truth:
    """Write ``superstore.csv`` in Windows' encoding; sales are after discounts."""
    shop = [order for order in orders(seed=21) if order.is_paid]
    rows = [_row(order, line) for order in shop for line in order.lines]
    write_csv(folder / "superstore.csv", HEADER, [{"Row ID": n, **row} for n, row in enumerate(rows, 1)], "cp1252")
    truth = Truth(items={_product(line) for order in shop for line in order.lines})
    for order in shop:
        day = datetime(order.at.year, order.at.month, order.at.day, tzinfo=UTC)
        bill = f"CA-2024-{order.number}"
        truth.bills[bill] = Bill(f"C-{order.user}", day, order.amount, order.pieces)
        for line in order.lines:
            truth.add_line(bill, _product(line), line.pieces, line.amount)
    return truth


def _product(line: Line) -> str:
    return f"FUR-{1000 + ARTICLES.index(line.article)}"


def _row(order: Order, line: Line) -> dict[str, object]:
    return {
        "Order ID": f"CA-2024-{order.number}",
        "Order Date": f"{order.at.month}/{order.at.day}/{order.at.year}",
        "Ship Date": f"{order.returned_at.month}/{order.returned_at.day}/{order.returned_at.year}",
        "Ship Mode": "Second Class",
        "Customer ID": f"C-{order.user}",
        "Customer Name": "Ann Example",
        "Segment": ("Consumer", "Corporate")[order.number % 2],
        "Country": "United States",
        "City": "Los Angeles",
        "State": "California",
        "Postal Code": "90036",
        "Region": "West",
        "Product ID": _product(line),
        "Category": line.article.category,
        "Sub-Category": "Others",
        "Product Name": line.article.name.replace("Wool", "Wool naïve").replace("Mug", "Café mug"),
        "Sales": line.amount,
        "Quantity": line.pieces,
        "Discount": Decimal("0.1") if line.discount else Decimal(0),
        "Profit": (line.amount / 4).quantize(Decimal("0.01")),
    }

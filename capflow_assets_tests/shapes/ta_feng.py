"""Ta-Feng, a grocer of Taiwan: rows of users and days without a bill's number; AMOUNT is pieces."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from capflow_assets_tests.shapes.shop import ARTICLES, NOTHING, Bill, Truth, orders, write_csv

HEADER = "TRANSACTION_DT,CUSTOMER_ID,AGE_GROUP,PIN_CODE,PRODUCT_SUBCLASS,PRODUCT_ID,AMOUNT,ASSET,SALES_PRICE"


def write(folder: Path) -> Truth:
    """Write ``ta_feng.csv``; a bill is what a user buys on a day. Rows are in order of days."""
    shop = sorted((order for order in orders(seed=23) if order.is_paid and order.user), key=lambda order: order.at)
    groups = sorted({article.category for article in ARTICLES})
    rows = []
    truth = Truth()
    paid: Counter[str] = Counter()
    for order in shop:
        user = f"{1_000 + int((order.user or '').lstrip('abcdefghijklmnopqrstuvwxyz')):08}"
        day = datetime(order.at.year, order.at.month, order.at.day, tzinfo=UTC)
        bill = f"{user}|{day:%Y-%m-%d}"
        before = truth.bills.get(bill, Bill(user, day, NOTHING, 0))
        total = sum((line.gross for line in order.lines), NOTHING)
        truth.bills[bill] = Bill(user, day, before.amount + total, (before.pieces or 0) + order.pieces)
        for line in order.lines:
            paid[bill] += 1
            rows.append({
                "TRANSACTION_DT": f"{day.month}/{day.day}/{day.year}",
                "CUSTOMER_ID": user,
                "AGE_GROUP": ("25-29", "45-49", ">65")[order.number % 3],
                "PIN_CODE": "115",
                "PRODUCT_SUBCLASS": 130_000 + groups.index(line.article.category),
                "PRODUCT_ID": 4_710_000_000_000 + ARTICLES.index(line.article),
                "AMOUNT": line.pieces,
                "ASSET": round(line.gross * 4 / 5),
                "SALES_PRICE": line.gross,
            })  # fmt: skip
    write_csv(folder / "ta_feng.csv", HEADER, rows)
    return truth

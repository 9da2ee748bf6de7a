"""Shopify's export of orders: a row a line item, with what is of the order in its first row alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, NOTHING, Bill, Order, Truth, orders, write_csv

ZONE = ZoneInfo("Europe/Berlin")
SHIPPING = Decimal("4.90")
HEADER = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,"
    "Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,"
    "Lineitem fulfillment status,Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,"
    "Billing City,Billing Zip,Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,"
    "Shipping Address1,Shipping Address2,Shipping Company,Shipping City,Shipping Zip,Shipping Province,"
    "Shipping Country,Shipping Phone,Notes,Note Attributes,Cancelled at,Payment Method,Payment Reference,"
    "Refunded Amount,Vendor,Outstanding Balance,Employee,Location,Device ID,Id,Tags,Risk Level,Source,"
    "Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,Tax 3 Name,Tax 3 Value,Tax 4 Name,Tax 4 Value,"
    "Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,Billing Province Name,Shipping Province Name,Payment ID,"
    "Payment Terms Name,Next Payment Due At,Payment References"
)


def write(folder: Path) -> Truth:
    """Write ``orders_export.csv``; revenue is Shopify's net sales: after discounts and refunds, without shipping."""
    shop = orders(seed=1)
    write_csv(folder / "orders_export.csv", HEADER, (row for order in shop for row in _rows(order)))
    truth = Truth(items={article.sku for article in ARTICLES})
    for order in shop:
        if order.is_paid:
            bill = f"#{order.number}"
            truth.bills[bill] = Bill(order.user, order.at, order.amount - order.refunded, order.pieces)
            for line in order.lines:
                truth.add_line(bill, line.article.sku, line.pieces, line.amount)
    rows = sum(len(order.lines) for order in shop)
    truth.left_out = {"raw/bills": rows - len(truth.bills)}
    return truth


def _rows(order: Order) -> list[dict[str, object]]:
    created = f"{order.at.astimezone(ZONE):%Y-%m-%d %H:%M:%S %z}"
    email = f"{order.user.upper() if order.number % 2 else order.user}@example.com" if order.user else ""
    rows: list[dict[str, object]] = [
        {
            "Name": f"#{order.number}",
            "Email": email,
            "Created at": created,
            "Lineitem quantity": line.pieces,
            "Lineitem name": line.article.name,
            "Lineitem price": line.article.price,
            "Lineitem sku": line.article.sku,
            "Lineitem requires shipping": "true",
            "Lineitem taxable": "true",
            "Lineitem fulfillment status": "fulfilled",
            "Vendor": "Acme",
            "Lineitem discount": line.discount,
        }
        for line in order.lines
    ]
    return [rows[0] | _head(order, created), *rows[1:]]


def _head(order: Order, created: str) -> dict[str, object]:
    status = {"paid": "paid", "unpaid": "pending", "cancelled": "voided"}[order.status]
    if order.returned:
        status = "refunded" if order.refunded == order.amount else "partially_refunded"
    return {
        "Financial Status": status,
        "Paid at": created if order.is_paid else "",
        "Fulfillment Status": "fulfilled" if order.is_paid else "unfulfilled",
        "Accepts Marketing": "no",
        "Currency": "EUR",
        "Subtotal": order.amount,
        "Shipping": SHIPPING,
        "Taxes": (order.amount * 19 / 119).quantize(SHIPPING),
        "Total": order.amount + SHIPPING,
        "Discount Code": "SPRING" if order.discount else "",
        "Discount Amount": order.discount,
        "Shipping Method": "Standard",
        "Billing Name": "Ann Example",
        "Billing Address1": "1 Main St\nback yard",
        "Billing Zip": "'75008",
        "Cancelled at": created if order.status == "cancelled" else "",
        "Payment Method": "Shopify Payments",
        # An order that goes back as a whole is refunded with its shipping.
        "Refunded Amount": order.refunded + (SHIPPING if status == "refunded" else NOTHING),
        "Outstanding Balance": "0.00",
        "Id": 5_550_000_000 + order.number,
        "Risk Level": "Low",
        "Source": "web",
    }

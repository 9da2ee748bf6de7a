"""WooCommerce twice: the export with a column a line item (``line_item_1``, ...), and the REST API's orders as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Line, Order, Truth, orders, write_csv

ZONE = ZoneInfo("Europe/London")
MOST_LINES = 5
SHIPPING, TAX = Decimal("3.00"), Decimal("0.60")
HEADER = (
    "order_id,order_number,order_date,paid_date,status,shipping_total,shipping_tax_total,fee_total,fee_tax_total,"
    "tax_total,cart_discount,order_discount,discount_total,order_total,order_subtotal,order_currency,payment_method,"
    "payment_method_title,transaction_id,customer_ip_address,customer_user_agent,shipping_method,customer_id,"
    "customer_user,customer_email,billing_first_name,billing_last_name,billing_company,billing_email,billing_phone,"
    "billing_address_1,billing_address_2,billing_postcode,billing_city,billing_state,billing_country,"
    "shipping_first_name,shipping_last_name,shipping_company,shipping_phone,shipping_address_1,shipping_address_2,"
    "shipping_postcode,shipping_city,shipping_state,shipping_country,customer_note,wt_import_key,shipping_items,"
    "fee_items,tax_items,coupon_items,refund_items,order_notes,download_permissions,"
    + ",".join(f"line_item_{number}" for number in range(1, MOST_LINES + 1))
)
STATUS = {"unpaid": "on-hold", "cancelled": "cancelled"}


def write_columns(folder: Path) -> Truth:
    """Write ``orders.csv``: an order a row. Of what was given back it tells whole orders alone: no sales."""
    shop = orders(seed=3)
    write_csv(folder / "orders.csv", HEADER, map(_row, shop))
    truth = _truth([order for order in shop if order.is_paid and order.returned != order.lines], is_net=False)
    truth.left_out = {"raw/bills": len(shop) - len(truth.bills)}
    return truth


def write_json(folder: Path) -> Truth:
    """Write ``orders.json``; a bill is what was paid for its goods less what was given back."""
    shop = orders(seed=4)
    (folder / "orders.json").write_text(json.dumps([_record(order) for order in shop], ensure_ascii=False))
    truth = _truth([order for order in shop if order.is_paid], is_net=True)
    unpaid = [order for order in shop if not order.is_paid]
    truth.left_out = {"raw/bills": len(unpaid), "raw/line_items": sum(len(order.lines) for order in unpaid)}
    return truth


def _truth(shop: list[Order], *, is_net: bool) -> Truth:
    truth = Truth(items={article.sku for article in ARTICLES})
    for order in shop:
        amount = order.amount - order.refunded if is_net else order.amount
        truth.bills[str(order.number)] = Bill(order.user, order.at, amount, order.pieces)
        for line in order.lines:
            truth.add_line(str(order.number), line.article.sku, line.pieces, line.amount)
    return truth


def _status(order: Order) -> str:
    paid = "refunded" if order.returned == order.lines else ("completed", "processing")[order.number % 2]
    return STATUS.get(order.status, paid)


def _customer(order: Order) -> int:
    return 0 if order.user is None else 10 + int(order.user.lstrip("abcdefghijklmnopqrstuvwxyz"))


def _row(order: Order) -> dict[str, object]:
    lines = {f"line_item_{place}": _text(line) for place, line in enumerate(order.lines, 1)}
    head = {
        "order_id": order.number,
        "order_number": order.number,
        "order_date": f"{order.at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
        "status": _status(order),
        "shipping_total": SHIPPING,
        "tax_total": TAX,
        "discount_total": order.discount,
        "order_total": order.amount + SHIPPING + TAX,
        "order_subtotal": order.amount + order.discount,
        "order_currency": "GBP",
        "customer_id": _customer(order),
        "billing_first_name": "Ann",
        "billing_email": "ann@example.com",
    }
    return {**head, **lines}


def _text(line: Line) -> str:
    name = line.article.name.replace('"', "&quot;")
    number = ARTICLES.index(line.article) + 500
    return (
        f"name:{name}|product_id:{number}|sku:{line.article.sku}|quantity:{line.pieces}|total:{line.amount}"
        f"|sub_total:{line.gross}"
    )


def _record(order: Order) -> dict[str, object]:
    local = order.at.astimezone(ZONE).replace(tzinfo=None)
    refunds = [{"id": 9000 + order.number, "reason": "", "total": f"-{order.refunded}"}] if order.returned else []
    return {
        "id": order.number,
        "number": str(order.number),
        "status": STATUS.get(order.status, "refunded" if order.returned == order.lines else "completed"),
        "currency": "GBP",
        "prices_include_tax": False,
        "date_created": local.isoformat(),
        "date_created_gmt": order.at.replace(tzinfo=None).isoformat(),
        "discount_total": str(order.discount),
        "shipping_total": str(SHIPPING),
        "total": str(order.amount + SHIPPING + TAX),
        "total_tax": str(TAX),
        "customer_id": _customer(order),
        "billing": {"first_name": "Ann", "last_name": "Example", "email": "ann@example.com"},
        "meta_data": [{"id": 1, "key": "_paid", "value": {"by": "card"}}],
        "line_items": [_line_record(order, line, place) for place, line in enumerate(order.lines, 1)],
        "refunds": refunds,
    }


def _line_record(order: Order, line: Line, place: int) -> dict[str, object]:
    return {
        "id": order.number * 10 + place,
        "name": line.article.name,
        "product_id": ARTICLES.index(line.article) + 500,
        "variation_id": 0,
        "quantity": line.pieces,
        "subtotal": str(line.gross),
        "total": str(line.amount),
        "total_tax": "0.00",
        "sku": line.article.sku,
        "price": float(line.article.price),
        "taxes": [],
    }

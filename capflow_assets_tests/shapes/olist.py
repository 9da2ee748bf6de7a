"""Olist's marketplace: orders, their pieces, payments, people, products and sellers in seven files to be joined."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Order, Truth, orders, write_csv

ZONE = ZoneInfo("America/Sao_Paulo")
FREIGHT = Decimal("2.37")
SELLERS = 4
STATUS = {"paid": "delivered", "unpaid": "unavailable", "cancelled": "canceled"}
HEADERS = {
    "orders": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,"
    "order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date",
    "order_items": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value",
    "order_payments": "order_id,payment_sequential,payment_type,payment_installments,payment_value",
    "customers": "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state",
    "products": "product_id,product_category_name,product_name_lenght,product_description_lenght,product_photos_qty,"
    "product_weight_g,product_length_cm,product_height_cm,product_width_cm",
    "sellers": "seller_id,seller_zip_code_prefix,seller_city,seller_state",
}
CATEGORIES = {"Tops": "blusas", "Socks": "meias", "Scarves": "cachecois", "Coats": "casacos", "Home": "casa"}


def write(folder: Path) -> Truth:
    """Write the files. A row of items is one piece; an order is paid in one or two payments, freight included.

    Each order has a ``customer_id`` of its own; who one is says ``customer_unique_id``.
    """
    shop = orders(seed=8)
    rows = {
        "orders": [_order(order) for order in shop],
        "order_items": [row for order in shop for row in _pieces(order)],
        "order_payments": [row for order in shop for row in _payments(order)],
        "customers": [_person(order) for order in shop],
        "products": [
            {"product_id": f"p-{article.sku}", "product_category_name": CATEGORIES.get(article.category, "")}
            for article in ARTICLES
        ],
        "sellers": [
            {"seller_id": f"s{place}", "seller_city": "são paulo", "seller_state": "SP"} for place in range(SELLERS)
        ],
    }
    for name, header in HEADERS.items():
        write_csv(folder / f"olist_{name}_dataset.csv", header, rows[name])
    translation = [
        {"product_category_name": name, "product_category_name_english": english}
        for english, name in CATEGORIES.items()
    ]
    header = "product_category_name,product_category_name_english"
    write_csv(folder / "product_category_name_translation.csv", header, translation, encoding="utf-8-sig")
    truth = Truth(items={f"p-{article.sku}" for article in ARTICLES})
    truth.listed_users = {_unique(order) for order in shop}
    for order in shop:
        if order.is_paid:
            bill = f"o{order.number}"
            truth.bills[bill] = Bill(_unique(order), order.at, _total(order), order.pieces)
            for line in order.lines:
                for _ in range(line.pieces):
                    truth.add_line(bill, f"p-{line.article.sku}", 1, line.article.price)
    return truth


def _unique(order: Order) -> str:
    return f"u-{order.user or order.number}"


def _total(order: Order) -> Decimal:
    return sum((line.gross for line in order.lines), Decimal("0.00")) + FREIGHT * order.pieces


def _order(order: Order) -> dict[str, object]:
    return {
        "order_id": f"o{order.number}",
        "customer_id": f"c{order.number}",
        "order_status": STATUS[order.status],
        "order_purchase_timestamp": f"{order.at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
    }


def _pieces(order: Order) -> list[dict[str, object]]:
    articles = [line.article for line in order.lines for _ in range(line.pieces)]
    return [
        {
            "order_id": f"o{order.number}",
            "order_item_id": place,
            "product_id": f"p-{article.sku}",
            "seller_id": f"s{(order.number + place) % SELLERS}",
            "price": article.price,
            "freight_value": FREIGHT,
        }
        for place, article in enumerate(articles, 1)
    ]


def _payments(order: Order) -> list[dict[str, object]]:
    total = _total(order)
    voucher = Decimal("5.00") if order.number % 3 == 0 else Decimal("0.00")
    values = [("credit_card", total - voucher), ("voucher", voucher)]
    return [
        {
            "order_id": f"o{order.number}",
            "payment_sequential": place,
            "payment_type": kind,
            "payment_installments": 1,
            "payment_value": value,
        }
        for place, (kind, value) in enumerate(values, 1)
        if value
    ]


def _person(order: Order) -> dict[str, object]:
    return {
        "customer_id": f"c{order.number}",
        "customer_unique_id": _unique(order),
        "customer_zip_code_prefix": "01000",
        "customer_city": ("são paulo", "campinas")[order.number % 2],
        "customer_state": "SP",
    }

"""Etsy's sold orders and sold order items: days as 03/15/24, and no time of day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Order, Truth, orders, write_csv

ZONE = ZoneInfo("America/Chicago")
ORDERS = (
    "Sale Date,Order ID,Buyer User ID,Full Name,First Name,Last Name,Number of Items,Payment Method,Date Shipped,"
    "Street 1,Street 2,Ship City,Ship State,Ship Zipcode,Ship Country,Currency,Order Value,Coupon Code,Coupon Details,"
    "Discount Amount,Shipping Discount,Shipping,Sales Tax,Order Total,Status,Card Processing Fees,Order Net,"
    "Adjusted Order Total,Adjusted Card Processing Fees,Adjusted Net Order Amount,Buyer,Order Type,Payment Type,"
    "InPerson Discount,InPerson Location,SKU"
)
ITEMS = (
    "Sale Date,Item Name,Buyer,Quantity,Price,Coupon Code,Coupon Details,Discount Amount,Shipping Discount,"
    "Order Shipping,Order Sales Tax,Item Total,Currency,Transaction ID,Listing ID,Date Paid,Date Shipped,Ship Name,"
    "Ship Address1,Ship Address2,Ship City,Ship State,Ship Zipcode,Ship Country,Order ID,Variations,Order Type,"
    "Listings Type,Payment Type,InPerson Discount,InPerson Location,VAT Paid by Buyer,SKU"
)


def write(folder: Path) -> Truth:
    """Write both files. Guests have no ``Buyer User ID``."""
    shop = [order for order in orders(seed=7) if order.is_paid]
    write_csv(folder / "EtsySoldOrders2024.csv", ORDERS, map(_head, shop))
    write_csv(folder / "EtsySoldOrderItems2024.csv", ITEMS, (row for order in shop for row in _items(order)))
    truth = Truth(items={_listing(place) for place in range(len(ARTICLES))})
    for order in shop:
        day = order.at.astimezone(ZONE).date()
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
        truth.bills[str(order.number)] = Bill(order.user, midnight, order.amount, order.pieces)
        for line in order.lines:
            item = _listing(ARTICLES.index(line.article))
            truth.add_line(str(order.number), item, line.pieces, line.amount)
    return truth


def _listing(place: int) -> str:
    return str(150_100 + place)


def _head(order: Order) -> dict[str, object]:
    return {
        "Sale Date": f"{order.at.astimezone(ZONE):%m/%d/%y}",
        "Order ID": order.number,
        "Buyer User ID": order.user or "",
        "Full Name": "Ann Example",
        "First Name": "Ann",
        "Last Name": "Example",
        "Number of Items": order.pieces,
        "Currency": "USD",
        "Order Value": order.amount + order.discount,
        "Coupon Code": "WELCOME10" if order.discount else "",
        "Discount Amount": order.discount,
        "Shipping Discount": "0.00",
        "Shipping": "4.50",
        "Sales Tax": "0.00",
        "Order Total": order.amount + 4,
        "Status": "Completed",
        "Buyer": f"Ann Example ({order.user})",
        "Order Type": "online",
        "Payment Type": "online_cc",
    }


def _items(order: Order) -> list[dict[str, object]]:
    day = f"{order.at.astimezone(ZONE):%m/%d/%y}"
    return [
        {
            "Sale Date": day,
            "Item Name": line.article.name,
            "Buyer": order.user or "guest",
            "Quantity": line.pieces,
            "Price": line.article.price,
            "Coupon Code": "WELCOME10" if line.discount else "",
            "Discount Amount": line.discount,
            "Order Shipping": "4.50",
            "Item Total": line.gross,
            "Currency": "USD",
            "Transaction ID": order.number * 10 + place,
            "Listing ID": _listing(ARTICLES.index(line.article)),
            "Date Paid": day,
            "Order ID": order.number,
            "Variations": "Style: Matte",
            "Order Type": "online",
            "SKU": line.article.sku,
        }
        for place, line in enumerate(order.lines)
    ]

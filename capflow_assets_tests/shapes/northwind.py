"""Northwind twice: the database as SQLite, and its tables as CSV. Orders have no amounts; discounts are fractions."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Order, Truth, orders

ZONE = ZoneInfo("Europe/London")
TABLES = {
    "Orders": "OrderID INTEGER, CustomerID TEXT, EmployeeID INTEGER, OrderDate DATETIME, RequiredDate DATETIME, "
    "ShippedDate DATETIME, ShipVia INTEGER, Freight NUMERIC, ShipName TEXT, ShipCity TEXT, ShipCountry TEXT",
    "Order Details": "OrderID INTEGER, ProductID INTEGER, UnitPrice NUMERIC, Quantity INTEGER, Discount REAL",
    "Customers": "CustomerID TEXT, CompanyName TEXT, ContactName TEXT, ContactTitle TEXT, City TEXT, Country TEXT, "
    "Phone TEXT",
    "Products": "ProductID INTEGER, ProductName TEXT, SupplierID INTEGER, CategoryID INTEGER, QuantityPerUnit TEXT, "
    "UnitPrice NUMERIC, UnitsInStock INTEGER, Discontinued TEXT",
    "Categories": "CategoryID INTEGER, CategoryName TEXT, Description TEXT",
}
FRACTIONS = (Decimal("0"), Decimal("0.05"), Decimal("0.15"), Decimal("0.25"))
GROUPS = sorted({article.category for article in ARTICLES})
NOBODY_YET = "ZZZZZ"


def write_database(folder: Path) -> Truth:
    """Write ``northwind.db``."""
    shop = orders(seed=9)
    with closing(sqlite3.connect(folder / "northwind.db")) as database, database:
        for name, columns in TABLES.items():
            database.execute(f'CREATE TABLE "{name}" ({columns})')
            rows = _rows(name, shop)
            marks = ", ".join("?" * (columns.count(",") + 1))
            values = [[float(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in rows]
            database.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
    return _truth(shop)


def write_files(folder: Path) -> Truth:
    """Write a file a table, its name in small letters."""
    shop = orders(seed=10)
    for name, columns in TABLES.items():
        header = [column.split()[0] for column in columns.split(", ")]
        with (folder / f"{name.lower().replace(' ', '_')}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[column[0].lower() + column[1:] for column in header], *_rows(name, shop)])
    return _truth(shop)


def _truth(shop: list[Order]) -> Truth:
    truth = Truth(items={str(place) for place in range(1, len(ARTICLES) + 1)})
    truth.listed_users = {_company(order) for order in shop} | {NOBODY_YET}
    for order in shop:
        bill = str(order.number)
        amounts = [_amount(row) for row in _details(order)]
        pieces = sum(row[3] for row in _details(order))
        truth.bills[bill] = Bill(_company(order), _midnight(order), sum(amounts, Decimal(0)), pieces)
        for row, amount in zip(_details(order), amounts, strict=True):
            truth.add_line(bill, str(row[1]), row[3], amount)
    return truth


def _company(order: Order) -> str:
    return (order.user or "alfki").upper()


def _midnight(order: Order) -> datetime:
    local = order.at.astimezone(ZONE)
    return datetime(local.year, local.month, local.day, tzinfo=ZONE).astimezone(UTC)


def _details(order: Order) -> list[tuple[int, int, Decimal, int, Decimal]]:
    """An order has an article once: the key of the table."""
    articles = {line.article: line.pieces for line in order.lines}
    return [
        (order.number, place, article.price, articles[article], FRACTIONS[(order.number + place) % len(FRACTIONS)])
        for place, article in enumerate(ARTICLES, 1)
        if article in articles
    ]


def _amount(row: tuple[int, int, Decimal, int, Decimal]) -> Decimal:
    _, _, price, pieces, fraction = row
    return price * pieces * (1 - fraction)


def _rows(table: str, shop: list[Order]) -> list[tuple[object, ...]]:
    if table == "Orders":
        ship = (32.38, "Vins et alcools", "Reims", "France")
        return [
            (order.number, _company(order), 5, f"{order.at.astimezone(ZONE):%Y-%m-%d} 00:00:00", None, None, 3, *ship)
            for order in shop
        ]
    if table == "Order Details":
        return [row for order in shop for row in _details(order)]
    if table == "Customers":
        companies = sorted({_company(order) for order in shop} | {NOBODY_YET})
        return [(company, "Alfreds", "Ann Example", "Owner", "Berlin", "Germany", "030-007") for company in companies]
    if table == "Products":
        return [
            (place, article.name, 1, GROUPS.index(article.category) + 1, "10 boxes", article.price, 39, "0")
            for place, article in enumerate(ARTICLES, 1)
        ]
    return [(place, name, f"All {name}") for place, name in enumerate(GROUPS, 1)]

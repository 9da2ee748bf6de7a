"""Chinook, the sample database of a music shop, as SQLite: invoices, their lines, customers, tracks and genres."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Order, Truth, orders

TABLES = {
    "Genre": "GenreId INTEGER PRIMARY KEY, Name NVARCHAR(120)",
    "Album": "AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160), ArtistId INTEGER",
    "Track": "TrackId INTEGER PRIMARY KEY, Name NVARCHAR(200), AlbumId INTEGER REFERENCES Album(AlbumId), "
    "GenreId INTEGER REFERENCES Genre(GenreId), Composer NVARCHAR(220), Milliseconds INTEGER, Bytes INTEGER, "
    "UnitPrice NUMERIC(10,2)",
    "Employee": "EmployeeId INTEGER PRIMARY KEY, LastName NVARCHAR(20), FirstName NVARCHAR(20), Title NVARCHAR(30)",
    "Customer": "CustomerId INTEGER PRIMARY KEY, FirstName NVARCHAR(40), LastName NVARCHAR(20), Company NVARCHAR(80), "
    "Address NVARCHAR(70), City NVARCHAR(40), State NVARCHAR(40), Country NVARCHAR(40), PostalCode NVARCHAR(10), "
    "Phone NVARCHAR(24), Fax NVARCHAR(24), Email NVARCHAR(60), SupportRepId INTEGER REFERENCES Employee(EmployeeId)",
    "Invoice": "InvoiceId INTEGER PRIMARY KEY, CustomerId INTEGER REFERENCES Customer(CustomerId), "
    "InvoiceDate DATETIME, "
    "BillingAddress NVARCHAR(70), BillingCity NVARCHAR(40), BillingState NVARCHAR(40), BillingCountry NVARCHAR(40), "
    "BillingPostalCode NVARCHAR(10), Total NUMERIC(10,2)",
    "InvoiceLine": "InvoiceLineId INTEGER PRIMARY KEY, InvoiceId INTEGER REFERENCES Invoice(InvoiceId), "
    "TrackId INTEGER REFERENCES Track(TrackId), UnitPrice NUMERIC(10,2), Quantity INTEGER",
}
GROUPS = sorted({article.category for article in ARTICLES})


def write(folder: Path) -> Truth:
    """Write ``chinook.db``."""
    shop = [order for order in orders(seed=22) if order.is_paid and order.user]
    users = sorted({order.user or "" for order in shop})
    truth = Truth(items={str(place) for place in range(1, len(ARTICLES) + 1)})
    truth.listed_users = {str(place) for place in range(1, len(users) + 1)}
    rows: dict[str, list[tuple[object, ...]]] = {
        "Genre": list(enumerate(GROUPS, 1)),
        "Album": [(1, "Greatest hits", 1)],
        "Track": [
            (place, article.name, 1, GROUPS.index(article.category) + 1, "A. Composer", 180_000, 5_000_000,
             float(article.price))
            for place, article in enumerate(ARTICLES, 1)
        ],
        "Employee": [(3, "Peacock", "Jane", "Sales Support Agent")],
        "Customer": [
            (place, "Ann", user, None, "1 Main St", "Oslo", None, "Norway", "0171", "+47 22 44 22 22", None,
             f"{user}@example.com", 3)
            for place, user in enumerate(users, 1)
        ],
    }  # fmt: skip
    for order in shop:
        total = sum((line.gross for line in order.lines), Decimal(0))
        at = datetime(order.at.year, order.at.month, order.at.day, tzinfo=UTC)
        user = users.index(order.user or "") + 1
        bill = (
            order.number,
            user,
            f"{at:%Y-%m-%d} 00:00:00",
            "1 Main St",
            "Oslo",
            None,
            "Norway",
            "0171",
            float(total),
        )
        rows.setdefault("Invoice", []).append(bill)
        truth.bills[str(order.number)] = Bill(str(user), at, total, order.pieces)
        _add_lines(rows.setdefault("InvoiceLine", []), order, truth)
    with closing(sqlite3.connect(folder / "chinook.db")) as database, database:
        for name, columns in TABLES.items():
            database.execute(f'CREATE TABLE "{name}" ({columns})')
            marks = ", ".join("?" * len(rows[name][0]))
            database.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows[name])
    return truth


def _add_lines(rows: list[tuple[object, ...]], order: Order, truth: Truth) -> None:
    for line in order.lines:
        track = ARTICLES.index(line.article) + 1
        rows.append((len(rows) + 1, order.number, track, float(line.article.price), line.pieces))
        truth.add_line(str(order.number), str(track), line.pieces, line.gross)

"""A German till: semicolons, decimal commas, days and clocks apart, a banner, sums, numbers that restart."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from capflow_assets_tests.shapes.shop import ARTICLES, Bill, Order, Truth, orders

ZONE = ZoneInfo("Europe/Berlin")
HEADER = "Filiale;Bon-Nr.;Datum;Uhrzeit;Kundenkarte;Artikel-Nr.;Bezeichnung;Warengruppe;Menge;Einzelpreis;Rabatt;Betrag"


def write(folder: Path) -> Truth:
    """Write ``kasse.csv``; each shop's numbers begin anew with each day."""
    shop = sorted((order for order in orders(seed=24, count=120) if order.is_paid), key=lambda order: order.at)
    lines = ["Kassenjournal Müller GmbH", "Zeitraum 01.01.2024 - 30.06.2024", "", HEADER]
    truth = Truth(items={_article(place) for place in range(len(ARTICLES))})
    numbers: dict[tuple[str, str], int] = {}
    total = Decimal(0)
    for order in shop:
        local = order.at.astimezone(ZONE).replace(second=0)
        store, day = ("Mitte", "Köln-Süd")[order.number % 2], f"{local:%Y-%m-%d}"
        number = numbers[store, day] = numbers.get((store, day), 0) + 1
        truth.bills[f"{store}|{day}|{number}"] = Bill(order.user, local, order.amount, order.pieces)
        lines += [f"{store};{number};{local:%d.%m.%Y};{local:%H:%M};{row}" for row in _rows(order)]
        total += order.amount
        for line in order.lines:
            item = _article(ARTICLES.index(line.article))
            truth.add_line(f"{store}|{day}|{number}", item, line.pieces, line.amount)
    lines.append(f"Summe;;;;;;;;;;;{_money(total)}")
    (folder / "kasse.csv").write_text("\r\n".join(lines) + "\r\n", encoding="cp1252")
    return truth


def _article(place: int) -> str:
    return f"{4000 + place}"


def _rows(order: Order) -> list[str]:
    return [
        f"{order.user or ''};{_article(ARTICLES.index(line.article))};{line.article.name.replace(chr(34), '')};"
        f"{line.article.category};{line.pieces};{_money(line.article.price)};{_money(line.discount)};{_money(line.amount)}"
        for line in order.lines
    ]


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,")) + " €"

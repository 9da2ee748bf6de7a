"""A small shop whose truth is known: orders invented from a seed, and what they add up to in exact decimals.

Each file beside this one writes the orders as another program exports them, and says what of them counts there.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

FIRST = datetime(2024, 1, 3, tzinfo=UTC)
DAYS = 170  # the clocks go forward in between, in Europe and in America
NOTHING = Decimal("0.00")


@dataclass(frozen=True)
class Article:
    sku: str
    name: str
    category: str
    price: Decimal
    is_goods: bool = True


@dataclass(frozen=True)
class Line:
    article: Article
    pieces: int
    discount: Decimal = NOTHING

    @property
    def gross(self) -> Decimal:
        return self.article.price * self.pieces

    @property
    def amount(self) -> Decimal:
        return self.gross - self.discount


@dataclass(frozen=True)
class Order:
    """``returned`` are lines of it that went back at ``returned_at``; ``user`` is None for a guest."""

    number: int
    user: str | None
    at: datetime
    lines: tuple[Line, ...]
    status: Literal["paid", "unpaid", "cancelled"]
    returned: tuple[Line, ...]
    returned_at: datetime

    @property
    def amount(self) -> Decimal:
        return sum((line.amount for line in self.lines), NOTHING)

    @property
    def discount(self) -> Decimal:
        return sum((line.discount for line in self.lines), NOTHING)

    @property
    def refunded(self) -> Decimal:
        return sum((line.amount for line in self.returned), NOTHING)

    @property
    def pieces(self) -> int:
        return sum(line.pieces for line in self.lines)

    @property
    def is_paid(self) -> bool:
        return self.status == "paid"


@dataclass(frozen=True)
class Bill:
    """``pieces`` is None where the export does not say."""

    user: str | None
    at: datetime
    amount: Decimal
    pieces: int | None


@dataclass
class Truth:
    """What must lie in the clean tables: bills by id; lines as (bill, item, pieces, amount), None where none are sent.

    ``left_out`` has, by raw table, the rows that the customer's ``where`` leaves out.
    """

    bills: dict[str, Bill] = field(default_factory=dict)
    lines: Counter[tuple[str, str, int, Decimal]] | None = None
    items: set[str] | None = None
    no_goods: set[str] = field(default_factory=set)
    listed_users: set[str] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)

    def add_line(self, bill: str, item: str, pieces: int, amount: Decimal) -> None:
        self.lines = self.lines if self.lines is not None else Counter()
        self.lines[bill, item, pieces, amount] += 1


ARTICLES = (
    Article("TEE-BLK-S", "Crew tee, black / S", "Tops", Decimal("19.90")),
    Article("TEE-WHT-M", 'Crew tee "Élan", white / M', "Tops", Decimal("19.90")),
    Article("0012", "Wool socks", "Socks", Decimal("7.35")),
    Article("12", "Linen scarf", "Scarves", Decimal("24.00")),
    Article("COAT-1", "Overcoat: heavy", "Coats", Decimal("1234.50")),
    Article("MUG", "Mug", "Home", Decimal("9.99")),
    Article("WRAP", "Gift wrapping", "Services", Decimal("3.50"), is_goods=False),
)


def orders(seed: int, count: int = 60) -> list[Order]:
    """The same orders for the same seed: some cancelled or unpaid, some with returns, some of guests, in no order.

    Every eighth has two equal lines; one line in four has a discount, and one in ten is above 1,000.
    """
    rng = random.Random(seed)
    users = [f"{name}{place}" for place, name in enumerate(("ann", "bo", "cy", "dee", "eva", "finn", "gus", "ida") * 2)]
    return [_order(rng, 1000 + place, users) for place in rng.sample(range(count), count)]


def _order(rng: random.Random, number: int, users: Sequence[str]) -> Order:
    at = FIRST + timedelta(seconds=rng.randrange(DAYS * 86_400))
    lines = [_line(rng, article) for article in rng.sample(ARTICLES, rng.randint(1, 4))]
    if number % 8 == 0:
        lines.append(lines[0])
    status = rng.choices(("paid", "unpaid", "cancelled"), (8, 1, 1))[0]
    returned: tuple[Line, ...] = ()
    if status == "paid" and number % 6 == 0:
        returned = tuple(lines) if number % 12 == 0 else (lines[0],)
    user = None if rng.random() < 0.2 else rng.choice(users)
    later = at + timedelta(days=rng.randint(2, 20), seconds=rng.randrange(3600))
    return Order(number, user, at, tuple(lines), status, returned, later)


def _line(rng: random.Random, article: Article) -> Line:
    pieces = rng.randint(1, 3)
    discount = (article.price * pieces / 10).quantize(Decimal("0.01")) if rng.random() < 0.25 else NOTHING
    return Line(article, pieces, discount)


def write_csv(path: Path, header: str, rows: Iterable[Mapping[str, object]], encoding: str = "utf-8") -> None:
    """Rows by the names of a header; what a row does not name is blank."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, header.split(","))
        writer.writeheader()
        writer.writerows(rows)

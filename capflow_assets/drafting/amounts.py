"""What was paid for a line, out of the columns there are: which product or difference holds row by row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, pstdev

from capflow_assets.drafting.parts import Guess, quoted
from capflow_assets.drafting.profiles import PLAIN, number_formats, number_of
from capflow_assets.drafting.samples import Sample
from capflow_assets.landing.number_formats import NumberFormat

MOST_ROWS = 5_000
ENOUGH = 0.97
CENT = 0.011
MOST_DISCOUNTED = 0.7
FEWEST_SEVERAL = 5


@dataclass(frozen=True, slots=True)
class LineColumns:
    """The columns of a line that may be money or pieces; blank where there is none."""

    quantity: str = ""
    price: str = ""
    amounts: Sequence[str] = ()
    discount: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True)
class LineMoney:
    """What was paid for a line and what was taken off it, as expressions, and what was paid by row (``values``)."""

    amount: Guess | None
    discount: Guess | None = None
    values: Sequence[float | None] = ()


def line_money(sample: Sample, columns: LineColumns) -> LineMoney:
    """The expression of what was paid for a line, and of what was taken off it.

    Held against the rows: an amount that is pieces times price is before discounts, one that is less by the discount is
    after them. What no row tells is unsure.
    """
    rows = _Rows(sample, columns)
    if columns.amounts:
        return _of_amounts(rows, columns)
    if not columns.price:
        return LineMoney(None)
    price = quoted(columns.price)
    if not columns.quantity:
        return _less(rows, Guess(price), rows.numbers[columns.price])
    if columns.item and rows.is_total(columns.price):
        amount = Guess(price, f"{columns.price} grows with {columns.quantity}: it is that of all pieces")
        return _less(rows, amount, rows.numbers[columns.price])
    product = f"{price} * {quoted(columns.quantity)}"
    products = [rows.product(place) for place in range(rows.count)]
    if columns.discount and rows.is_fraction:
        off = quoted(columns.discount)
        amount = Guess(f"{product} * (1 - {off})", f"{columns.discount} is a fraction")
        paid = [rows.after_discount(place) for place in range(rows.count)]
        return LineMoney(amount, Guess(f"{product} * {off}", "a fraction of the price"), paid)
    return _less(rows, Guess(product, "no column has what a line costs"), products)


def is_product(sample: Sample, amount: str, pieces: str, price: str) -> bool:
    """Whether a column is pieces times price in nearly all rows, of which some have more pieces than one."""
    rows = _Rows(sample, LineColumns(pieces, price, (amount,)))
    several = [number for number in rows.of(pieces) if number is not None and abs(number) != 1]
    return len(several) >= FEWEST_SEVERAL and rows.holds(amount, rows.product)


def _less(rows: _Rows, amount: Guess, values: Sequence[float | None]) -> LineMoney:
    """An amount before discounts, less the discount where there is one."""
    discount = rows.discount
    if discount is None or rows.has_no_discount:
        return LineMoney(amount, discount, values)
    why = f"{amount.why}; is it before {rows.columns.discount}?".removeprefix("; ")
    less = Guess(f"{amount.value} - coalesce({discount.value}, 0)", why, is_unsure=True)
    return LineMoney(less, discount, rows.less_discount(values))


def _of_amounts(rows: _Rows, columns: LineColumns) -> LineMoney:
    first, discount = columns.amounts[0], rows.discount
    if not columns.quantity or not columns.price:
        return _unproven(rows, columns)
    product = f"{columns.quantity} times {columns.price}"
    is_discounted = bool(columns.discount) and not rows.has_no_discount
    net = next((name for name in columns.amounts if is_discounted and rows.holds(name, rows.after_discount)), "")
    if net:  # what is net of the discount before what is not
        return LineMoney(Guess(quoted(net), f"{product} less {columns.discount}, row by row"), discount, rows.of(net))
    lower = next((name for name in columns.amounts if not columns.discount and rows.share_below(name)), "")
    if lower:
        less = f"less in {100 * rows.share_below(lower):.0f} % of the rows: after discounts"
        return LineMoney(Guess(quoted(lower), f"{product}, and {less}"), None, rows.of(lower))
    gross = next((name for name in columns.amounts if rows.holds(name, rows.product)), "")
    if gross and (discount is None or not is_discounted):
        return LineMoney(Guess(quoted(gross), f"{product}, row by row"), discount, rows.of(gross))
    if gross and discount is not None:
        why = f"{gross} is {product}, so before {columns.discount}"
        less = f"{quoted(gross)} - coalesce({discount.value}, 0)"
        return LineMoney(Guess(less, why), discount, rows.less_discount(rows.of(gross)))
    return LineMoney(Guess(quoted(first), f"it is not {product}", is_unsure=True), discount, rows.of(first))


def _unproven(rows: _Rows, columns: LineColumns) -> LineMoney:
    """The first amount, where no price times pieces can tell whether it is before discounts or after."""
    first = columns.amounts[0]
    if columns.discount and rows.is_fraction:
        why = f"after discounts? {columns.discount} is a fraction, and no price tells"
        return LineMoney(Guess(quoted(first), why, is_unsure=True), None, rows.of(first))
    others = [name for name in columns.amounts[1:] if not rows.are_equal(first, name)]
    why = f"or is it {' or '.join(others)}?" if others else ""
    return LineMoney(Guess(quoted(first), why, is_unsure=bool(others)), rows.discount, rows.of(first))


class _Rows:
    """The numbers of a sample's lines."""

    def __init__(self, sample: Sample, columns: LineColumns) -> None:
        self.columns = columns
        named = [columns.quantity, columns.price, columns.discount, *columns.amounts]
        names = [name for name in dict.fromkeys(named) if name]
        form = form_of(sample, names)
        self.numbers = {
            name: [number_of(value, form) for value in sample.columns[name].values[:MOST_ROWS]] for name in names
        }
        self.items = sample.columns[columns.item].values[:MOST_ROWS] if columns.item else ()

    def of(self, name: str) -> list[float | None]:
        """The numbers of a column, row by row."""
        return self.numbers[name]

    @property
    def count(self) -> int:
        """How many rows are looked at."""
        return len(next(iter(self.numbers.values()), ()))

    @property
    def discount(self) -> Guess | None:
        """What was taken off, as a positive amount; None where no column says it, or it is a fraction."""
        name = self.columns.discount
        if not name or self.is_fraction:
            return None
        numbers = [number for number in self.numbers[name] if number]
        if numbers and max(numbers) <= 0:
            return Guess(f"-{quoted(name)}", "it is written below 0")
        if self._is_below_on_returns(name):
            why = "below 0 on returns alone, from which nothing is taken off"
            return Guess(f"if({quoted(name)} < 0, 0, {quoted(name)})", why)
        return Guess(quoted(name))

    def _is_below_on_returns(self, name: str) -> bool:
        """Whether a discount is below 0 on some rows, all of pieces or amounts below 0, as returns take it back."""
        others = [column for column in (self.columns.quantity, *self.columns.amounts[:1]) if column]
        below = [place for place, number in enumerate(self.numbers[name]) if number is not None and number < 0]
        return bool(below) and all(any((self.numbers[one][place] or 0) < 0 for one in others) for place in below)

    @property
    def has_no_discount(self) -> bool:
        """Whether nothing was ever taken off."""
        return not any(self.numbers[self.columns.discount])

    @property
    def is_fraction(self) -> bool:
        """Whether discounts are shares of the price: between 0 and 1, and of few values."""
        numbers = [number for number in self.numbers[self.columns.discount] if number]
        return bool(numbers) and min(numbers) > 0 and max(numbers) <= 1 and len(set(numbers)) <= 20

    def product(self, place: int) -> float | None:
        """Pieces times price of one row."""
        pieces, price = self.numbers[self.columns.quantity][place], self.numbers[self.columns.price][place]
        return None if pieces is None or price is None else pieces * price

    def after_discount(self, place: int) -> float | None:
        """The same after the discount."""
        product = self.product(place)
        off = self.numbers[self.columns.discount][place] or 0.0
        if product is None:
            return None
        return product * (1 - off) if self.is_fraction else product - abs(off) * (1 if product >= 0 else -1)

    def holds(self, name: str, formula: Callable[[int], float | None]) -> bool:
        """Whether a column is what a formula gives, where discounts make a difference and elsewhere."""
        amounts = self.numbers[name]
        pairs = [(amount, formula(place)) for place, amount in enumerate(amounts) if amount is not None]
        known = [(amount, value) for amount, value in pairs if value is not None]
        fitting = sum(abs(amount - value) <= max(CENT, 0.005 * abs(value)) for amount, value in known)
        return bool(known) and fitting >= ENOUGH * len(known)

    def share_below(self, name: str) -> float:
        """The share of the rows whose amount is less than pieces times price, where no row has more; else 0."""
        pairs = [(amount, self.product(place)) for place, amount in enumerate(self.numbers[name]) if amount is not None]
        known = [(abs(amount), abs(value)) for amount, value in pairs if value is not None]
        if not known or any(amount > value + CENT for amount, value in known):
            return 0.0
        share = sum(amount < value - CENT for amount, value in known) / len(known)
        return share if share < MOST_DISCOUNTED else 0.0

    def less_discount(self, values: Sequence[float | None]) -> list[float | None]:
        """Amounts less the discounts of their rows."""
        offs = self.numbers[self.columns.discount]
        return [value if value is None else value - abs(off or 0.0) for value, off in zip(values, offs, strict=True)]

    def are_equal(self, name: str, other: str) -> bool:
        """Whether two columns say the same in nearly all rows."""
        same = sum(one == two for one, two in zip(self.numbers[name], self.numbers[other], strict=True))
        return same >= ENOUGH * self.count

    def is_total(self, price: str) -> bool:
        """Whether a price is that of all pieces of its row: by the piece it varies less, item by item."""
        by_item: dict[object, list[tuple[float, float]]] = {}
        for item, pieces, money in zip(
            self.items, self.numbers[self.columns.quantity], self.numbers[price], strict=True
        ):
            if item is not None and pieces and money is not None:
                by_item.setdefault(item, []).append((pieces, money))
        votes = []
        for rows in by_item.values():
            if len({pieces for pieces, _ in rows}) > 1:
                whole, apiece = [money for _, money in rows], [money / pieces for pieces, money in rows]
                votes.append(_spread(apiece) < _spread(whole))
        return bool(votes) and sum(votes) > 0.6 * len(votes)


def form_of(sample: Sample, names: Sequence[str]) -> NumberFormat:
    """How the numbers of some columns are written, as one way reads them all."""
    return next(iter(number_formats([sample.columns[name] for name in names])), PLAIN)


def _spread(numbers: Sequence[float]) -> float:
    middle = abs(median(numbers)) or 1.0
    return pstdev(numbers) / middle

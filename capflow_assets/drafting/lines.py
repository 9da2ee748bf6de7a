"""The line items of a draft: the bill's number or what makes one, the item, pieces and money, heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capflow_assets.drafting import words as w
from capflow_assets.drafting.amounts import LineColumns, LineMoney, is_product, line_money
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.roles import Roles
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import drafted, store_of, user_id
from capflow_assets.drafting.times import moment

# As the check of bill numbers has it.
MOST_SEVERAL = 0.03
HEAD_FILLED = 0.97
LEAST_ROWS_A_BILL, MOST_ROWS_A_BILL = 1.05, 80
NO_AMOUNT = frozenset({w.ID, w.TAX, w.DISCOUNT, w.SHIPPING, w.COST})


@dataclass(frozen=True, slots=True)
class Lines:
    """The table of line items, the source's column of the bill's number, and what was paid for the sample's lines."""

    table: TableDraft
    bill: str
    money: LineMoney


def line_items(roles: Roles, questions: list[str]) -> Lines | None:
    """The table of line items; None where no sample is one."""
    if roles.lines is None:
        return None
    meanings, sample = roles.lines, roles.lines.sample
    table = drafted("line_items", sample)
    bill = bill_number(meanings)
    if bill:
        table.columns["bill_id"] = bill
    item, name = _item(meanings)
    table.columns["item_id"] = item
    if name:
        table.columns["item_name"] = Guess(name)
    _add_line_number(table, meanings, str(bill.value) if bill else "")
    when = moment(meanings) if roles.bills is None else None
    if roles.bills is None:
        _add_heads(table, meanings, questions)
    if when is not None:
        table.columns["billed_at"] = when.value
        table.options |= when.options
        questions += when.questions
    elif roles.bills is None:
        questions.append(f"{sample.name}: no column says when it was paid. Its columns are {', '.join(sample.names)}")
    money = _add_money(table, meanings, questions)
    if not bill:
        _add_bill_key(table, questions)
    elif roles.bills is None:
        add_restarting(table, meanings, str(bill.value), questions)
    return Lines(table, str(bill.value) if bill else "", money)


def bill_number(meanings: Meanings) -> Guess | None:
    """The column of the bill's number: by its name, else by what it determines."""
    sample = meanings.sample
    names = meanings.all("bill_id")
    if sample.array:
        names = sorted(names, key=lambda name: name.startswith(f"{sample.array}."))
    repeated = [name for name in names if sample.columns[name].repeats]
    if repeated and _size(sample, repeated[0]) < MOST_ROWS_A_BILL * 10:
        return Guess(repeated[0])
    name = _by_content(meanings)
    if name:
        why = "no name says so: its rows have one time, and one user where there is one"
        return Guess(name, why, is_unsure=True)
    return Guess(names[0]) if names else None


def _by_content(meanings: Meanings) -> str:
    sample = meanings.sample
    heads = [name for name in (meanings.best("billed_at"), meanings.best("user_id")) if name]
    taken = {meanings.best(concept) for concept in ("item_id", "item_name", "quantity", "amount", "unit_price")}
    sizes = {}
    for name, column in sample.columns.items():
        if name in taken or name in heads or column.kind not in ("text", "number") or not heads:
            continue
        if column.kind == "number" and not column.is_whole:
            continue
        if LEAST_ROWS_A_BILL < _size(sample, name) < MOST_ROWS_A_BILL and sample.determines(name, *heads, at_most=0.01):
            sizes[name] = len(column.counts)
    return max(sizes, key=lambda name: sizes[name], default="")


def _size(sample: Sample, name: str) -> float:
    column = sample.columns[name]
    return column.filled / max(len(column.counts), 1)


def _item(meanings: Meanings) -> tuple[Guess, str]:
    """What is bought, and the column of its name."""
    sample = meanings.sample
    names = _of_the_line(sample, meanings.all("item_id"))
    ids = [name for name in names if sample.columns[name].repeats or not sample.is_whole] or names
    called = _of_the_line(sample, meanings.all("item_name"))
    name = next((one for one in called if one not in ids[:1]), "") or _called(meanings, ids[:1])
    if not ids:
        return Guess(name, "no column has an id: items are told apart by their names", is_unsure=True), name
    best = next((one for one in ids if _is_full(sample, one)), "")
    if best:
        other = next((one for one in ids if one != best and sample.determines(best, one)), "")
        return Guess(best, f"or {other}" if other else ""), name
    second = name or (ids[1] if len(ids) > 1 else "")
    if not second:
        return Guess(ids[0]), name
    filled = sample.columns[ids[0]].filled / len(sample.rows)
    why = f"{ids[0]} stands in {100 * filled:.0f} % of the rows"
    return Guess(f"coalesce({quoted(ids[0])}, {quoted(second)})", why), name


def _called(meanings: Meanings, ids: Sequence[str]) -> str:
    """A column that is called a name of nothing, and is the items': one for each of them."""
    sample = meanings.sample
    names = _of_the_line(sample, [name for name in sample.names if meanings.tags[name] - {w.BILL} == {w.NAME}])
    return next((name for name in names for item in ids if sample.determines(item, name)), "")


def _is_full(sample: Sample, name: str) -> bool:
    return sample.columns[name].filled >= 0.99 * len(sample.rows)


def _of_the_line(sample: Sample, names: Sequence[str]) -> list[str]:
    """Of an array, the names in its elements: what the record around it says is of the bill."""
    return [name for name in names if name.startswith(f"{sample.array}.")] if sample.array else list(names)


def _add_line_number(table: TableDraft, meanings: Meanings, bill: str) -> None:
    sample = meanings.sample
    for name in _of_the_line(sample, meanings.all("line_no")):
        column = sample.columns[name]
        pairs = list(sample.pairs(bill, name)) if bill else []
        if column.kind == "number" and column.is_whole and len(set(pairs)) == len(pairs) and _is_full(sample, name):
            table.columns["line_no"] = Guess(name, "another one on each row of a bill")
            return


def _add_heads(table: TableDraft, meanings: Meanings, questions: list[str]) -> None:
    guess, personal = user_id(meanings)
    if guess is not None:
        table.columns["user_id"] = guess
        table.personal = personal
    else:
        questions.append("no column says who bought: bills are anonymous")
    if store := store_of(meanings):
        table.columns["store_id"] = Guess(store)


def _add_money(table: TableDraft, meanings: Meanings, questions: list[str]) -> LineMoney:
    sample = meanings.sample
    quantity = next(iter(_of_the_line(sample, meanings.all("quantity"))), "")
    prices, amounts = (_of_the_line(sample, meanings.all(concept)) for concept in ("unit_price", "amount"))
    amounts = [name for name in amounts if name not in prices[:1]]
    pieces = next((name for name in amounts if _are_pieces(sample, name)), "") if prices or len(amounts) > 1 else ""
    if pieces and not quantity:
        quantity, amounts = pieces, [name for name in amounts if name != pieces]
        table.notes.append(f"{quantity} has small whole numbers beside a price: it is taken for the pieces")
    discount = next(iter(_of_the_line(sample, meanings.all("discount"))), "")
    if prices and not quantity:
        quantity, amounts = _by_product(meanings, prices[0], amounts) or (quantity, amounts)
        if quantity:
            table.notes.append(f"{quantity} times {prices[0]} is {amounts[0]}, row by row: it is taken for the pieces")
    item = next(iter(_of_the_line(sample, meanings.all("item_id"))), "")
    columns = LineColumns(quantity, next(iter(prices), ""), tuple(amounts), discount, item)
    table.columns["quantity"] = Guess(quantity) if quantity else Guess("1", "no column says how many: a row is a piece")
    money = line_money(sample, columns)
    amount = money.amount
    if amount is None:
        amount = Guess("0", "no column says what was paid", is_unsure=True)
        questions.append(f"{sample.name}: which column says what was paid? Its columns are {', '.join(sample.names)}")
    elif amount.is_unsure:
        questions.append(f"{sample.name}: is what was paid for a line {amount.value}? {amount.why}")
    table.columns["amount"] = amount
    if money.discount is not None:
        table.columns["discount"] = money.discount
    return money


def _by_product(meanings: Meanings, price: str, amounts: Sequence[str]) -> tuple[str, list[str]] | None:
    """The pieces and the amounts of lines, by what pieces times ``price`` is, where no name says the pieces."""
    sample = meanings.sample
    numbers = [name for name in sample.names if sample.columns[name].kind == "number" and name != price]
    numbers = [name for name in _of_the_line(sample, numbers) if len(sample.columns[name].counts) > 1]
    others = [name for name in numbers if name not in amounts and not meanings.tags[name] & NO_AMOUNT]
    for pieces in (name for name in numbers if not meanings.tags[name] & {w.ID, w.AMOUNT, w.TAX, w.DISCOUNT}):
        for amount in (name for name in (*amounts, *others) if name != pieces):
            if is_product(sample, amount, pieces, price):
                return pieces, [amount, *(name for name in amounts if name not in (amount, pieces))]
    return None


def _are_pieces(sample: Sample, name: str) -> bool:
    column = sample.columns[name]
    numbers = column.numbers
    return column.is_whole and bool(numbers) and max(map(abs, numbers)) <= 10_000 and len(numbers) < 0.2 * column.filled


def _add_bill_key(table: TableDraft, questions: list[str]) -> None:
    parts = [word for word, column in (("store", "store_id"), ("user", "user_id")) if column in table.columns]
    if "billed_at" in table.columns:
        parts.append("day")
    if {"user", "day"} <= set(parts):
        table.bill_key = Guess(parts, "no column has the number of a bill: one for each user and day")
        questions.append(f"{table.location}: no column has the number of a bill; is a bill what a user buys on a day?")


def add_restarting(table: TableDraft, meanings: Meanings, bill: str, questions: list[str]) -> None:
    """A key of several parts where a bill's number stands on bills of several days, stores or users."""
    sample = meanings.sample
    columns = {"store": "store_id", "day": "billed_at", "user": "user_id"}
    several = {}
    for word, column in columns.items():
        name = meanings.best(column) if column in table.columns else ""
        if name in sample.columns:
            several[word] = _share_of_days(sample, bill, name) if word == "day" else sample.share_of_several(bill, name)
    parts = [word for word in ("store", "day") if several.get(word, 0) > MOST_SEVERAL]
    if not parts:
        return
    table.bill_key = Guess([*parts, "bill"], f"{bill} restarts: of its numbers {_percents(several)}")
    questions.append(f"{bill} stands on several bills: is a bill told apart by {', '.join(parts)} and number?")
    till = meanings.best("till_id")
    if till and sample.share_of_several(bill, till) > MOST_SEVERAL:
        table.bill_key = Guess([*parts, till, "bill"], table.bill_key.why)


def _share_of_days(sample: Sample, bill: str, name: str) -> float:
    days: dict[object, set[str]] = {}
    for number, value in sample.pairs(bill, name):
        if number is not None and value is not None:
            days.setdefault(number, set()).add(value[:10].split(" ")[0] if isinstance(value, str) else str(value)[:10])
    return sum(len(several) > 1 for several in days.values()) / max(len(days), 1)


def _percents(several: dict[str, float]) -> str:
    return ", ".join(
        f"{100 * share:.0f} % have several {word}s" for word, share in several.items() if share > MOST_SEVERAL
    )


def heads_apart(meanings: Meanings, bill: str) -> list[str]:
    """The columns that stand on the first row of each bill alone, where bills have several rows."""
    sample = meanings.sample
    first: dict[object, int] = {}
    for place, number in enumerate(sample.columns[bill].values):
        first.setdefault(number, place)
    firsts = set(first.values())
    if len(firsts) > 0.9 * len(sample.rows):
        return []
    apart = []
    for name, column in sample.columns.items():
        places = [place for place, value in enumerate(column.values) if value is not None]
        on_first = sum(place in firsts for place in places)
        if places and on_first == len(places) and on_first > 0.5 * len(firsts):
            apart.append(name)
    return apart

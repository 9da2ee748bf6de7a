"""A draft put together: who each sample is, its tables, and what is left to be asked. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from capflow_assets.drafting import (
    bill_amounts,
    corrections,
    deletions,
    doubts,
    lines,
    marketing,
    minor_units,
    money,
    returns,
    statuses,
    tables,
    united,
    users,
)
from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Draft, Guess, TableDraft, quoted
from capflow_assets.drafting.roles import Roles, roles
from capflow_assets.drafting.samples import Sample
from capflow_assets.errors import listed

DIGITS = re.compile(r"[0-9]+")
ANSWERS = ("name", "vertical", "currency", "time_zone")


def assembled(samples: Sequence[Sample], answers: dict[str, str], name: str) -> Draft:
    """The draft of a customer's samples; ``answers`` are what a person has said, ``name`` is what to call it else.

    What nothing tells is a question of the draft; no value is made up in silence.
    """
    known = roles(samples, marketing.LIKENESS)
    questions: list[str] = []
    head_where = _heads_of_lines(known)
    of_lines = lines.line_items(known, questions)
    of_bills = tables.bills(known, questions)
    if of_bills is not None:
        users.name_returning_users(of_bills, known)
        _add_amounts(of_bills, known, of_lines, questions)
        of_bills.where = head_where
        if of_lines is None and known.bills is not None and "bill_id" in of_bills.columns:
            lines.add_restarting(of_bills, known.bills, str(of_bills.columns["bill_id"].value), questions)
    _leave_out(of_bills, of_lines, known, questions, answers.get("currency", ""))
    corrections.add_later_records(of_bills, of_lines, known, questions)
    others = [
        users.users(known, questions),
        tables.items(known, of_lines.table if of_lines else None),
        tables.stores(known),
        *marketing.marketing_tables(known, questions),
    ]
    drafts = [table for table in (of_bills, of_lines.table if of_lines else None, *others) if table is not None]
    _share_hashing(drafts)
    not_a_user = users.nobody(known, questions)
    currency = money.currency(known.every)
    of_items = known.items or known.lines
    owners = {"bills": known.bills, "line_items": known.lines, "users": known.users, "items": of_items,
              "stores": known.stores, **known.marketing}  # fmt: skip
    for table in drafts:
        owner = owners[table.name]
        if owner is not None:
            _add_number_options(table, owner.sample, questions)
            minor_units.in_whole_units(table, owner.sample, questions)
            if table.name in ("bills", "line_items"):
                returns.taken_back(table, owner.sample, questions)
            united.by_all_names(table, owner.sample)
            questions += owner.sample.questions
    if currency.is_unsure and "currency" not in answers:
        questions.append(f"in which currency are amounts? {currency.why}")
    if "time_zone" not in answers:
        questions.append("in which time zone are local days and times? Files do not tell")
    if "vertical" not in answers:
        questions.append("what does the customer sell (vertical)? Checks have defaults for some")
    head = {
        "name": Guess(name),
        "vertical": Guess("retail", "grocery, fashion, footwear, electronics, …", is_unsure=True),
        "currency": currency,
        "time_zone": Guess("UTC", "where the shops are, such as Europe/Berlin", is_unsure=True),
    }
    head |= {key: Guess(answers[key]) for key in ANSWERS if answers.get(key)}
    questions += doubts.of(known)
    notes = _left_out(known)
    if of_bills is None and of_lines is None and drafts:
        notes.append(marketing.WITHOUT_BILLS)
    return Draft(head, drafts, notes, list(dict.fromkeys(questions)), not_a_user)


def _left_out(known: Roles) -> list[str]:
    """Which samples are no table, and why; those that differ in digits alone are named together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one, why in known.others:
        groups.setdefault((DIGITS.sub("", one.sample.name), why), []).append(one.sample.name)
    return [f"{listed(names, most=3)}: left out, {why}" for (_, why), names in groups.items()]


def _heads_of_lines(known: Roles) -> Guess | None:
    """Make bills of the rows of lines that hold the head of each bill, where no sample is of bills."""
    if known.lines is None or known.bills is not None or known.lines.sample.array:
        return None
    bill = lines.bill_number(known.lines)
    if bill is None:
        return None
    apart = lines.heads_apart(known.lines, str(bill.value))
    heads = [name for name in apart if known.lines.tags[name] & {w.USER, w.DATE, w.STATUS, w.AMOUNT, w.EMAIL, w.SALES}]
    if not heads:
        return None
    sample = known.lines.sample
    place = sample.names.index(heads[0])
    rows = tuple(row for row in sample.rows if row[place] is not None)
    known.bills = Meanings(dataclasses.replace(sample, rows=rows, questions=[]))
    return Guess(f"{quoted(heads[0])} is not null", f"the first row of each bill alone has {', '.join(heads[:4])}")


def _add_amounts(bills: TableDraft, known: Roles, of_lines: lines.Lines | None, questions: list[str]) -> None:
    assert known.bills is not None  # noqa: S101  (its caller asks)
    key = str(bills.columns["bill_id"].value) if "bill_id" in bills.columns else ""
    sample = known.lines.sample if known.lines else None
    amount = bill_amounts.bill_amount(known.bills, key, of_lines if key else None, sample)
    names = known.bills.all("amount")
    if amount is not None:
        bills.columns["amount"] = amount
        if amount.is_unsure:
            questions.append(f"what was paid for a bill: {amount.value}? {amount.why}")
    elif of_lines is not None and names:
        bills.notes.append(f"no amount is mapped: what lines add up to is taken, which {' or '.join(names[:4])} is not")
        questions.append(f"is a bill what its lines add up to, or is it {' or '.join(names[:4])}?")
    elif of_lines is None:
        bills.columns["amount"] = Guess("0", "no column says what was paid", is_unsure=True)
        questions.append(f"which column says what was paid? The columns are {', '.join(known.bills.sample.names)}")
    if discount := known.bills.best("discount"):
        bills.columns["discount"] = Guess(discount)
    if (quantity := known.bills.best("quantity")) and of_lines is None:
        bills.columns["quantity"] = Guess(quantity)


def _leave_out(
    bills: TableDraft | None, of_lines: lines.Lines | None, known: Roles, questions: list[str], currency: str
) -> None:
    """Leave out rows that are no purchases: where their own status says so, or that of their bill.

    ``currency`` is the one that a person has said; blank where the files tell.
    """
    lines_table = of_lines.table if of_lines else None
    head = known.bills or known.lines
    if head is None:
        return
    where = _purchases(head, known, questions, currency)
    if bills is not None and where is not None:
        bills.where = whole = where if bills.where is None else _joined(bills.where, where)
        if lines_table is not None and of_lines is not None and known.lines is not None and known.bills is not None:
            if known.lines.sample.array and known.lines.sample.location == known.bills.sample.location:
                lines_table.where = where
            elif "bill_id" in bills.columns:
                key = str(bills.columns["bill_id"].value)
                _joined_with_head(lines_table, of_lines.bill, bills, key, str(whole.value), known)
    elif lines_table is not None and where is not None:
        lines_table.where = where
    if lines_table is not None and known.lines is not None and (known.lines.sample.array or head is not known.lines):
        own = deletions.kept_rows(known.lines, of_the_line=True)
        lines_table.where = _both(lines_table.where, own) if own else lines_table.where


def _purchases(head: Meanings, known: Roles, questions: list[str], currency: str) -> Guess | None:
    """The condition on a bill's own row that it is a purchase: by its status, not deleted, of the one currency."""
    condition, _, asked = statuses.purchases(head)
    questions += asked
    where = _both(condition, deletions.kept_rows(head))
    code = currency or money.currency(known.every).value
    if other := money.other_currencies(head, code):
        questions.append(f"{other}, and never {code}: all rows are taken for {code}; is that meant?")
    if one := money.one_currency(head, code):
        questions.append(f"amounts are in several currencies: rows in others than {code} are left out")
        where = _both(where, Guess(one, "" if condition else "amounts of one currency"))
    return where


def _both(one: Guess | None, other: Guess | None) -> Guess | None:
    """Two conditions as one, where there are two."""
    return one or other if one is None or other is None else _joined(one, other)


def _joined(one: Guess, other: Guess) -> Guess:
    """Two conditions as one, with the reasons of both."""
    return Guess(f"{one.value} and {other.value}", "; ".join(filter(None, (one.why, other.why))))


def _joined_with_head(table: TableDraft, bill: str, bills: TableDraft, head: str, condition: str, known: Roles) -> None:
    """Lines of bills that are purchases, by a query over both."""
    on = f"on head.{quoted(head)} = line.{quoted(bill)}"
    why = "lines of bills that are no purchases are left out as well"
    qualified = _qualified(condition, known.bills.sample.names if known.bills else ())
    table.query = Guess(f"select line.*\nfrom lines line\njoin heads head {on}\nwhere {qualified}", why)
    table.inputs = {
        "lines": TableDraft("lines", table.source, table.location, dict(table.options)),
        "heads": TableDraft("heads", bills.source, bills.location, dict(bills.options)),
    }


def _qualified(condition: str, names: Sequence[str]) -> str:
    """A condition whose columns are those of the heads, where lines may have some of the same name.

    >>> _qualified("coalesce(status, '') not in ('status') and `Paid at` is not null", ["status", "Paid at"])
    "coalesce(head.status, '') not in ('status') and head.`Paid at` is not null"
    """
    columns = {quoted(name) for name in names}
    tokens = re.compile(r"'(?:[^']|'')*'|`(?:[^`]|``)+`|[A-Za-z_][\w.]*")
    return tokens.sub(lambda match: f"head.{match[0]}" if match[0] in columns else match[0], condition)


def _add_number_options(table: TableDraft, sample: Sample, questions: list[str]) -> None:
    options = money.number_options(table, sample, questions)
    table.options |= options
    for inner in table.inputs.values():
        inner.options |= options


def _share_hashing(drafts: Sequence[TableDraft]) -> None:
    """Hash users' ids in every table, or in none: they would not meet otherwise."""
    hashed = next((table.personal for table in drafts if table.personal is not None), None)
    for table in drafts:
        if hashed is not None and "user_id" in table.columns:
            table.personal = hashed

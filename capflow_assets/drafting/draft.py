"""A draft of a customer's files as one call: looked at, understood, written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from capflow_assets.drafting import programs
from capflow_assets.drafting.assembling import assembled
from capflow_assets.drafting.containers import Seen, look
from capflow_assets.drafting.marketing import is_of_marketing
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.toml_draft import text_of
from capflow_assets.errors import CapflowError, SourceError, listed
from capflow_assets.landing.personal_names import plain_name
from capflow_assets.landing.time_zones import known_zone

NEEDED = (
    "lines with a bill's number (or a user and a time), an item, and pieces or an amount; or bills with a user, a time "
    "and an amount; or messages with a user and a campaign, coupons that were used, or reviews"
)
ENOUGH = frozenset({"bills", "line_items", "messages", "redemptions", "reviews"})
SHOWN_TABLES, SHOWN_COLUMNS = 6, 12


@dataclass(frozen=True, slots=True)
class Drafted:
    """The TOML's ``text``, the ``questions`` that it leaves open, and what of the files was ``refused``, with why."""

    text: str
    questions: Sequence[str]
    refused: Sequence[str]
    tables: Sequence[str]
    program: str = ""


def draft(
    places: Sequence[str],
    start: Path | None,
    answers: Mapping[str, str],
    user: str = "",
    password_variable: str = "",
    *,
    knows_programs: bool = True,
) -> Drafted:
    """A customer's TOML of files, folders, globs and databases' addresses; its locations are relative to ``start``.

    Some megabytes of each file are read, and the first rows of each table of a database. ``answers`` are the name,
    vertical, currency and time zone, where a person says them. Without ``knows_programs`` every column is guessed at.

    Raises:
        SourceError: nothing in the files is a table of bills, lines, messages, used coupons or reviews; says what was
            seen and what is needed.
        CapflowError: an answer is none that a TOML may have.
    """
    answers = _checked(answers)
    seen = look(places, start, user, password_variable)
    name = answers.get("name") or _name(places)
    of_what = " ".join(listed((PurePosixPath(place).name or place for place in places), most=3).split())
    program, placed = programs.recognized(seen.samples) if knows_programs else ("", {})
    if program:
        known = {id(sample) for sample in placed.values()}
        beside = [one.name for one in seen.samples if id(one) not in known and is_of_marketing(one)]
        text, questions = programs.drafted(program, placed, {"name": name, **answers}, of_what, beside)
        return Drafted(text, questions, seen.refused, programs.tables_of(program), program)
    proposal = assembled(seen.samples, answers, name)
    if not ENOUGH & {table.name for table in proposal.tables}:
        raise _nothing(seen, places)
    return Drafted(
        text_of(proposal, of_what), proposal.questions, seen.refused, tuple(table.name for table in proposal.tables)
    )


def _checked(answers: Mapping[str, str]) -> dict[str, str]:
    """The answers as a TOML may have them: a currency in capitals."""
    checked = dict(answers)
    if currency := checked.get("currency"):
        checked["currency"] = currency.strip().upper()
        if not re.fullmatch("[A-Z]{3}", checked["currency"]):
            raise CapflowError("--currency", expected="three letters, such as EUR", came=repr(currency))
    try:
        known_zone(checked.get("time_zone") or "UTC")
    except ValueError as error:
        raise CapflowError("--time-zone", expected=str(error), came=repr(checked["time_zone"])) from None
    return checked


def _nothing(seen: Seen, places: Sequence[str]) -> SourceError:
    received = [_described(sample) for sample in seen.samples[:SHOWN_TABLES]]
    received += [_said(one) for one in seen.refused[:SHOWN_TABLES]]
    if more := max(0, len(seen.samples) - SHOWN_TABLES) + max(0, len(seen.refused) - SHOWN_TABLES):
        received.append(f"{more:,} more")
    return SourceError(
        "No table of bills or of their lines was recognised" if seen.samples else "Nothing could be read",
        expected=NEEDED,
        came="; ".join(received) or "nothing",
        where=listed(places),
        do="name the file that has them; or write the TOML by hand: docs/own_customer.md shows one",
    )


def _said(refusal: str) -> str:
    """A refusal in one line: what is wrong, what came or else was expected, and where."""
    first, *others = refusal.split("\n")
    parts = {line.strip().partition(": ")[0]: line.strip().partition(": ")[2] for line in others}
    expected = [f"expected {parts['Expected']}"] if parts.get("Expected") and not parts.get("Came") else []
    more = expected + [parts[name] for name in ("Came", "Where", "To do") if parts.get(name)]
    return "; ".join([first.rstrip("."), *more])


def _described(sample: Sample) -> str:
    columns = [f"{name} ({column.kind})" for name, column in sample.columns.items()]
    return f"{sample.name}, {sample.rows_total:,} rows of {listed(columns, most=SHOWN_COLUMNS)}"


def _name(places: Sequence[str]) -> str:
    """A customer's name out of where its files lie."""
    place = places[0].partition("?")[0].rstrip("/")
    path = PurePosixPath(place)
    last = path.parent.name if path.suffix and path.parent.name not in ("", ".", "exports", "data", "in") else path.stem
    name = plain_name(last).replace("_", "-").strip("-*")[:63]
    return name or "brand"

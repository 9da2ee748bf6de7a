"""Types, and values whose kind is named: days, times, intervals, bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from capflow_assets.landing.row_expressions import conversions, kinds
from capflow_assets.landing.row_expressions import vocabulary as words
from capflow_assets.landing.row_expressions.reader import Reader
from capflow_assets.landing.row_expressions.tree import Name, Node, Phrase, Text

MOST_DIGITS = 4
WRITTEN_TIME = re.compile(r"[+-]?[0-9][0-9A-Za-z_:./+ -]*")
WRITTEN_SPAN = re.compile(r"[+-]?[0-9][0-9:. -]*")
UNIT = f"(?:{'|'.join(sorted(words.INTERVALS, key=len, reverse=True))})"
WRITTEN_INTERVAL = re.compile(rf"\s*(?:interval\s+)?(?:[+-]?\s*[0-9]+(?:[.][0-9]+)?\s*{UNIT}\s*)+", re.IGNORECASE)
BYTES = re.compile(r"(?:[0-9A-Fa-f]{2})*")
KINDS = {
    "DATE": kinds.DAY,
    "TIME": kinds.TIME,
    "TIMESTAMP": kinds.INSTANT,
    "TIMESTAMP_LTZ": kinds.INSTANT,
    "TIMESTAMP_NTZ": kinds.LOCAL,
}
CLOCK = frozenset(("now", "today", "tomorrow", "yesterday"))


def typed(reader: Reader) -> Node | None:
    """A value behind the name of its kind, such as ``DATE '2024-05-01'``; None where there is none."""
    token, following = reader.next, reader.ahead(1)
    if token.word == "interval" and (
        following.kind in ("text", "number") or (following.kind == "sign" and following.value in ("+", "-"))
    ):
        return _interval(reader)
    if following.kind != "text" or not (token.word in words.TYPED or token.word == "x"):
        return None
    reader.advance()
    written = following.value.strip()
    if token.word == "x":
        if not BYTES.fullmatch(following.value):
            reader.unexpected("bytes as pairs of hexadecimal digits")
        reader.advance()
        return Phrase((f"X'{following.value}'",), closed=True)
    if not WRITTEN_TIME.fullmatch(written):
        reader.unexpected("a day or time that begins with a digit; what the clock says changes every time")
    reader.advance()
    node = Phrase((f"{words.TYPED[token.word]} ", Text(written)), closed=True, kind=KINDS[words.TYPED[token.word]])
    is_local = node.kind == kinds.INSTANT and not re.search(conversions.NAMES_ITS_ZONE, written)
    return conversions.in_utc(reader.meaning, node) if reader.meaning is not None and is_local else node


def refuse_clock(reader: Reader, value: Node) -> None:
    """Refuse a text that Spark takes for what the clock says."""
    if isinstance(value, Text) and value.value.strip().lower() in CLOCK:
        reader.unexpected(f"a day or time, not {value.value!r}, which {words.CHANGES}")


def _interval(reader: Reader) -> Node:
    reader.expect("INTERVAL")
    if reader.next.kind == "text" and WRITTEN_INTERVAL.fullmatch(reader.next.value) and not _unit(reader, 1):
        written = reader.advance().value
        return Phrase(("INTERVAL ", Text(written)), closed=True, kind=_span(re.findall(r"[A-Za-z]+", written)))
    parts: list[Node | str] = ["INTERVAL"]
    while reader.next.kind in ("text", "number") or (_is_sign(reader) and _unit(reader, 2)) or len(parts) == 1:
        sign = reader.sign("-", "+")
        token = reader.next
        if token.kind not in ("text", "number") or not WRITTEN_SPAN.fullmatch(token.value):
            reader.unexpected("a number, or one in quotes")
        if not (unit := _unit(reader, 1)):
            reader.unexpected("a number and its unit, such as 1 DAY")
        reader.advance()
        reader.advance()
        value: Node = Text(token.value) if token.kind == "text" else Phrase((token.value,), closed=True)
        parts += [f" {sign}", value, f" {unit}"]
        if reader.word("to"):
            until = reader.advance().word.upper()
            if until not in words.INTERVALS:
                reader.unexpected("the smaller unit, such as MONTH")
            parts.append(f" TO {until}")
    units = [part.split()[-1] for part in parts if isinstance(part, str) and part.strip()]
    return Phrase(tuple(parts), closed=True, kind=_span(units))


def _span(units: Sequence[str]) -> str:
    """Whether a calendar or a stop-watch counts what a span is made of."""
    is_calendar = any(unit.upper() in kinds.CALENDAR_UNITS for unit in units)
    return kinds.CALENDAR_SPAN if is_calendar else kinds.EXACT_SPAN


def _is_sign(reader: Reader) -> bool:
    return reader.next.kind == "sign" and reader.next.value in ("-", "+") and reader.ahead(1).kind == "text"


def _unit(reader: Reader, ahead: int) -> str:
    unit = reader.ahead(ahead).word.upper()
    return unit if unit in words.INTERVALS else ""


def type_of(reader: Reader) -> Node:
    """The type that comes next."""
    reader.deeper()
    token = reader.advance()
    name = token.word
    if name in words.PLAIN_TYPES:
        node: Node = Phrase((words.PLAIN_TYPES[name],), closed=True)
    elif name in words.SIZED_TYPES:
        node = _sized(reader, *words.SIZED_TYPES[name])
    elif name == "array":
        reader.expect("<")
        node = Phrase(("ARRAY<", type_of(reader), ">"), closed=True)
        _close(reader)
    elif name == "map":
        reader.expect("<")
        key = type_of(reader)
        reader.expect(",")
        node = Phrase(("MAP<", key, ", ", type_of(reader), ">"), closed=True)
        _close(reader)
    elif name == "struct":
        node = _struct(reader)
    else:
        do = "name one such as string, double, decimal(12, 2), date or timestamp"
        reader.refuse("A mapping names a type that there is not", token, do)
    reader.shallower()
    return node


def _sized(reader: Reader, name: str, most: int) -> Node:
    numbers: list[str] = []
    if reader.sign("("):
        while not numbers or reader.sign(","):
            token = reader.next
            if token.kind != "number" or not token.value.isdigit() or len(token.value) > MOST_DIGITS:
                reader.unexpected("a whole number")
            numbers.append(reader.advance().value)
        reader.expect(")")
    if len(numbers) > most:
        reader.unexpected(f"at most {most} numbers in {name}")
    return Phrase((f"{name}({', '.join(numbers)})" if numbers else name,), closed=True)


def _struct(reader: Reader) -> Node:
    reader.expect("<")
    parts: list[Node | str] = ["STRUCT<"]
    while len(parts) == 1 or reader.sign(","):
        if reader.next.kind not in ("word", "name"):
            reader.unexpected("the name of a part")
        name = Name(reader.advance().value)
        reader.sign(":")
        parts += [*([", "] if len(parts) > 1 else []), name, ": ", type_of(reader)]
    _close(reader)
    return Phrase((*parts, ">"), closed=True)


def _close(reader: Reader) -> None:
    """Read the end of a type's parts; two or three ends side by side came as one sign."""
    if not reader.split(">"):
        reader.unexpected(">")

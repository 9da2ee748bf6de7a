"""Values of one kind made of another, as Spark makes them where it is not strict: text that is none gives null.

What a customer converts without a word for the case that it cannot be is kept in ``unread``, so that the row can be
rejected: ``try_cast``, ``coalesce`` and the like say what is meant instead. Times follow one rule, that of an engine
whose session is in the customer's zone: text and days are local to it, and a clock is read as it shows there. Where
nothing is known of the columns all stays as it is written. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from capflow_assets.expressions.ids import BLANKS
from capflow_assets.landing import values
from capflow_assets.landing.row_expressions import kinds
from capflow_assets.landing.row_expressions.kinds import DAY, INSTANT, LOCAL, NULL, NUMBER, TEXT, TRUTH, Meaning
from capflow_assets.landing.row_expressions.tree import Name, Node, Phrase, Text, first_of

SHOWN_CHARACTERS = 100
WHOLE = r"^([+-]?[0-9]+)(?:[.][0-9]*)?$"
# A time of day and, behind it, an offset from UTC or the name of a zone.
NAMES_ITS_ZONE = r"[0-9]:[0-9]{2}[0-9:.,]*\s*(?:[+-][0-9]{1,2}(?::?[0-9]{2})*|[A-Za-z][A-Za-z_/+0-9-]*)$"
WORDS = {"DOUBLE": "a number", "INT": "a whole number", "BIGINT": "a whole number", "BOOLEAN": "true or false"}
WHOLE_TYPES = ("TINYINT", "SMALLINT", "INT", "BIGINT")


def rewritten(node: Node, before: str, after: str, kind: str, **more: object) -> Phrase:
    """The node between two words of ours."""
    return Phrase((before, node, after), closed=True, kind=kind, **more)  # type: ignore[arg-type]


def checked(node: Phrase, source: Node, what: str) -> Phrase:
    """A conversion of ``source``, which tells the rows in which that is not blank and gives nothing."""
    shown = _shown(source)
    words = Phrase(("concat(", Text("'"), ", ", shown, ", ", Text(f"' is not {what}"), ")"), closed=True)
    there = (bare(source), " <> ''") if source.kind == TEXT else (source, " IS NOT NULL")
    failed = Phrase(
        ("CASE WHEN ", Phrase(there, closed=True), " AND ", node, " IS NULL THEN ", words, " END"), closed=True
    )
    return replace(node, unread=first_of([source.unread, failed]))


def tried(node: Node) -> Node:
    """The same value, of which nobody is told that it could not be read."""
    return node if node.unread is None else replace(node, unread=None)


def number(meaning: Meaning, node: Node, type: str = "DOUBLE", *, strict: bool = True) -> Node:
    """Text as a number of an engine's type; all else as it is."""
    if node.kind != TEXT:
        return node
    if type in WHOLE_TYPES:
        digits = Phrase(("regexp_extract(", _plain(meaning, node), ", ", Text(WHOLE), ", 1)"), closed=True)
    elif _is_column(node) and not meaning.numbers.is_plain:
        digits = _plain(meaning, node)
    else:
        digits = Phrase(("regexp_extract(", bare(node), ", ", Text(values.NUMBER), ", 0)"), closed=True)
    phrase = Phrase(("TRY_CAST(nullif(", digits, f", '') AS {type})"), closed=True, kind=NUMBER)
    what = WORDS.get(type, f"a number that fits {type}")
    return checked(phrase, node, what) if strict else replace(phrase, unread=node.unread)


def truth(node: Node, *, strict: bool = True) -> Node:
    """Text as true or false; all else as it is."""
    if node.kind != TEXT:
        return node
    phrase = rewritten(bare(node), "TRY_CAST(", " AS BOOLEAN)", TRUTH)
    return checked(phrase, node, WORDS["BOOLEAN"]) if strict else replace(phrase, unread=node.unread)


def text(meaning: Meaning, node: Node) -> Node:
    """Any value as text; an instant as a clock of the customer's zone shows it."""
    if node.kind in (TEXT, NULL, kinds.UNKNOWN):
        return node
    return rewritten(clock(meaning, node), "CAST(", " AS STRING)", TEXT, instant=node if node.kind == INSTANT else None)


def instant(meaning: Meaning, node: Node, *, strict: bool = True) -> Node:
    """Any time as an instant."""
    if node.instant is not None:
        return node.instant
    if node.kind == TEXT:
        read = rewritten(bare(node), "TRY_CAST(", " AS TIMESTAMP)", INSTANT)
        here = in_utc(meaning, read)
        phrase = here if here is read else replace(_by_zone(node, read, here), as_written=read)
        return checked(phrase, node, "a time") if strict else replace(phrase, unread=node.unread)
    if node.kind in (DAY, LOCAL):
        return in_utc(meaning, rewritten(node, "CAST(", " AS TIMESTAMP)", INSTANT))
    return node


def clock(meaning: Meaning, node: Node) -> Node:
    """A time as a value whose fields, to an engine in UTC, are those that a clock shows in the customer's zone."""
    if node.kind == INSTANT:
        return shown_in(node, meaning.zone)
    if node.kind == TEXT:
        read = rewritten(bare(node), "TRY_CAST(", " AS TIMESTAMP)", INSTANT)
        here = shown_in(read, meaning.zone)
        return checked(read if here is read else _by_zone(node, here, read), node, "a time")
    return node


def local(meaning: Meaning, node: Node, *, strict: bool = True) -> Node:
    """Any time as a local one."""
    if node.kind == TEXT:
        phrase = rewritten(bare(node), "TRY_CAST(", " AS TIMESTAMP_NTZ)", LOCAL)
        return checked(phrase, node, "a time") if strict else replace(phrase, unread=node.unread)
    if node.kind == INSTANT:
        return rewritten(clock(meaning, node), "CAST(", " AS TIMESTAMP_NTZ)", LOCAL, instant=node)
    return rewritten(node, "CAST(", " AS TIMESTAMP_NTZ)", LOCAL) if node.kind == DAY else node


def day(meaning: Meaning, node: Node, *, strict: bool = True) -> Node:
    """Any time as its day in the customer's zone."""
    if node.kind == TEXT:
        phrase = rewritten(bare(node), "TRY_CAST(", " AS DATE)", DAY)
        return checked(phrase, node, "a day") if strict else replace(phrase, unread=node.unread)
    if node.kind in (INSTANT, LOCAL):
        return rewritten(clock(meaning, node), "CAST(", " AS DATE)", DAY)
    return node


def in_utc(meaning: Meaning, node: Phrase) -> Phrase:
    """The instant at which a clock of the customer's zone shows what one in UTC shows at ``node``."""
    if meaning.zone == "UTC":
        return node
    parts = ("to_utc_timestamp(", node, ", ", Text(meaning.zone), ")")
    return Phrase(parts, closed=True, kind=INSTANT, as_written=node)


def shown_in(node: Node, zone: str) -> Node:
    """What a clock of a zone shows at an instant, as what an engine in UTC takes for a time."""
    if zone == "UTC":
        return node
    return Phrase(("from_utc_timestamp(", node, ", ", Text(zone), ")"), closed=True, kind=INSTANT)


def compared(meaning: Meaning, nodes: Sequence[Node]) -> list[Node]:
    """Values that are held against each other, each of one kind."""
    there = {node.kind for node in nodes} - {NULL}
    if TEXT not in there or len(there) == 1 or kinds.UNKNOWN in there:
        return [instant(meaning, node) for node in nodes] if INSTANT in there and len(there) > 1 else list(nodes)
    if there == {TEXT, NUMBER}:
        if any(isinstance(node, Text) and not _is_number(node.value) for node in nodes):
            return [text(meaning, node) for node in nodes]
        return [number(meaning, node) for node in nodes]
    if there == {TEXT, TRUTH}:
        return [truth(node) for node in nodes]
    if INSTANT in there:
        return [instant(meaning, node) for node in nodes]
    if LOCAL in there:
        return [local(meaning, node) for node in nodes]
    return [day(meaning, node) for node in nodes] if there == {TEXT, DAY} else list(nodes)


def unified(meaning: Meaning, nodes: Sequence[Node]) -> tuple[list[Node], str]:
    """Values of which one is chosen, all of one kind, and that kind: text where they have no more in common."""
    there = {node.kind for node in nodes} - {NULL}
    if len(there) <= 1 or kinds.UNKNOWN in there:
        return list(nodes), next(iter(there), NULL) if len(there) <= 1 else kinds.UNKNOWN
    if INSTANT in there and there <= {INSTANT, LOCAL, DAY, TEXT}:
        return [instant(meaning, node) for node in nodes], INSTANT
    if LOCAL in there and there <= {LOCAL, DAY, TEXT}:
        return [local(meaning, node) for node in nodes], LOCAL
    if TEXT in there:
        return [text(meaning, node) for node in nodes], TEXT
    return list(nodes), kinds.UNKNOWN


def _by_zone(node: Node, named: Node, here: Node) -> Phrase:
    """One reading where text names its own zone, the other where it does not."""
    is_named = Phrase((bare(node), " RLIKE ", Text(NAMES_ITS_ZONE)), closed=True)
    return Phrase(
        ("CASE WHEN ", is_named, " THEN ", named, " ELSE ", here, " END"),
        closed=True,
        kind=INSTANT,
        doubles=1,
        unread=None,
    )


def bare(node: Node) -> Phrase:
    """Text without the blanks around it."""
    return Phrase(("btrim(", node, ", ", Text(BLANKS), ")"), closed=True, kind=TEXT)


def _shown(node: Node) -> Phrase:
    value = bare(node) if node.kind == TEXT else rewritten(node, "CAST(", " AS STRING)", TEXT)
    return rewritten(value, "substring(", f", 1, {SHOWN_CHARACTERS})", TEXT)


def _is_column(node: Node) -> bool:
    """Whether the text stands in the source as it is; what an expression has made of it is written otherwise."""
    return isinstance(node, Name)


def _plain(meaning: Meaning, node: Node) -> Phrase:
    """The text of a number as engines read one."""
    plain = bare(node)
    for step, what, by in meaning.numbers.steps if _is_column(node) and not meaning.numbers.is_plain else ():
        if step == "extract":
            plain = Phrase(("regexp_extract(", plain, ", ", Text(what), ", 0)"), closed=True, kind=TEXT)
        else:
            function = {"remove": "replace", "replace": "regexp_replace", "translate": "translate"}[step]
            plain = Phrase((f"{function}(", plain, ", ", Text(what), ", ", Text(by), ")"), closed=True, kind=TEXT)
    return plain


def _is_number(written: str) -> bool:
    return re.fullmatch(values.NUMBER[1:-1], written.strip()) is not None

"""Conversions that a customer writes: ``cast``, ``try_cast``, ``::`` and functions called as types. Pure."""

from __future__ import annotations

from dataclasses import replace

from capflow_assets.landing.row_expressions import conversions, kinds
from capflow_assets.landing.row_expressions.kinds import Meaning
from capflow_assets.landing.row_expressions.tree import Node, Phrase, spelled

KINDS = {
    **dict.fromkeys(("STRING", "VARCHAR", "CHAR"), kinds.TEXT),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"), kinds.NUMBER),
    "BOOLEAN": kinds.TRUTH,
    "DATE": kinds.DAY,
    "TIMESTAMP": kinds.INSTANT,
    "TIMESTAMP_LTZ": kinds.INSTANT,
    "TIMESTAMP_NTZ": kinds.LOCAL,
    "TIME": kinds.TIME,
}
WIDE = ("FLOAT", "DOUBLE")


def cast(meaning: Meaning | None, node: Node, type: Node | str, *, strict: bool = True) -> Node:
    """The node as an engine's type; where not ``strict``, what cannot be is null by the customer's own word."""
    word = "CAST" if strict else "TRY_CAST"
    name = (type if isinstance(type, str) else spelled(type)).upper()
    to = KINDS.get(name.partition("(")[0], kinds.UNKNOWN)
    plain = Phrase((f"{word}(", node, " AS ", type, ")"), closed=True, kind=to)
    if meaning is None:
        return plain
    cast = _known(meaning, plain, node, name, strict=strict)
    return cast if strict else conversions.tried(cast)


def _known(meaning: Meaning, plain: Phrase, node: Node, name: str, *, strict: bool) -> Node:
    to, kind = plain.kind, node.kind
    if to == kinds.TEXT and kind == kinds.INSTANT:
        clock = conversions.clock(meaning, node)
        return replace(plain, parts=(plain.parts[0], clock, *plain.parts[2:]), instant=node)
    if to == kinds.INSTANT and (kind in (*kinds.TIMES, kinds.TEXT) or node.instant is not None):
        return conversions.instant(meaning, node, strict=strict)
    if to == kinds.LOCAL and kind in (*kinds.TIMES, kinds.TEXT):
        return conversions.local(meaning, node, strict=strict)
    if to == kinds.DAY and kind in (*kinds.TIMES, kinds.TEXT):
        return conversions.day(meaning, node, strict=strict)
    if to == kinds.NUMBER and kind == kinds.TEXT:
        return conversions.number(meaning, node, name, strict=strict)
    if to == kinds.NUMBER and kind == kinds.NUMBER and strict and name not in WIDE:
        cast = replace(plain, parts=("TRY_CAST(", *plain.parts[1:]))
        return conversions.checked(cast, node, f"a number that fits {name}")
    if to == kinds.TRUTH and kind == kinds.TEXT:
        return conversions.truth(node, strict=strict)
    if to == kinds.TIME and kind == kinds.INSTANT:
        return replace(plain, parts=(plain.parts[0], conversions.clock(meaning, node), *plain.parts[2:]))
    return plain

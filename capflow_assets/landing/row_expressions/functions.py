"""What a function makes of its arguments where the columns are known: each is given the kind of value that it reads.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capflow_assets.landing.row_expressions import casts, choices, conversions, kinds, times
from capflow_assets.landing.row_expressions.kinds import INSTANT, NUMBER, TEXT, Meaning
from capflow_assets.landing.row_expressions.tree import Node, Phrase

TYPES = {
    name: name.upper()
    for name in [
        "bigint",
        "boolean",
        "date",
        "double",
        "float",
        "int",
        "smallint",
        "string",
        "timestamp",
        "tinyint",
        "binary",
    ]
} | {"decimal": "DECIMAL(10, 0)"}
DIVISIONS = {"mod": "mod", "pmod": "pmod", "div": "div", "try_mod": "mod", "try_divide": "/"}
SUMS = {"try_add": " + ", "try_subtract": " - "}


def special(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """The tree of a function that is spelled otherwise than it is written; None for all others."""
    if not arguments:
        return None
    if name in TYPES and len(arguments) == 1:
        return casts.cast(meaning, arguments[0], TYPES[name])
    if name in SUMS and {argument.kind for argument in arguments} == {TEXT, NUMBER}:
        numbers = [conversions.number(meaning, argument, strict=False) for argument in arguments]
        return conversions.tried(Phrase((numbers[0], SUMS[name], numbers[1]), kind=NUMBER))
    if name in DIVISIONS and len(arguments) == 2:
        return _division(meaning, name, arguments)
    make = times.FUNCTIONS.get(name) or choices.FUNCTIONS.get(name)
    return make(meaning, name, arguments) if make else None


def arguments_of(meaning: Meaning, name: str, arguments: Sequence[Node]) -> list[Node]:
    """The arguments as the function reads them."""
    return [_argument(meaning, name, place, argument) for place, argument in enumerate(arguments)]


def name_of(name: str) -> str:
    """What the engine is asked for: of a list's element that is not there, nothing comes."""
    return "try_element_at" if name == "element_at" else name


def kind_of(name: str, arguments: Sequence[Node]) -> tuple[str, Any]:
    """The kind of a function's value, and the engine's type of what has parts."""
    first = arguments[0].type if arguments else None
    if name in ("element_at", "try_element_at", "get"):
        element = kinds.element_of(first)
        return kinds.kind_of(element), element
    if name in ("split", "regexp_extract_all"):
        return kinds.UNKNOWN, kinds.TEXTS
    if name == "concat" or name in SUMS:
        there = {argument.kind for argument in arguments}
        return (next(iter(there)) if len(there) == 1 else TEXT if name == "concat" and "" not in there else ""), None
    return kinds.RESULTS.get(name, kinds.UNKNOWN), None


def _argument(meaning: Meaning, name: str, place: int, node: Node) -> Node:
    strict = not name.startswith("try_")
    for places, type in ((kinds.NUMERIC_ARGUMENTS, "DOUBLE"), (kinds.WHOLE_ARGUMENTS, "BIGINT")):
        if name in places and (not places[name] or place in places[name]):
            whole = "INT" if place == 1 and type == "BIGINT" else type
            return conversions.number(meaning, node, whole, strict=strict)
    if place in kinds.OF_DAYS.get(name, ()):
        return conversions.day(meaning, node)
    if place in kinds.OF_CLOCKS.get(name, ()):
        return conversions.clock(meaning, node)
    if name in kinds.OF_INSTANTS:
        return conversions.instant(meaning, node)
    reads_text = name in kinds.READ_TEXTS or (place == 0 and name in kinds.READ_TEXT)
    is_number_in_list = name == "concat_ws" and node.kind == NUMBER
    if reads_text and (node.kind == INSTANT or is_number_in_list):
        return conversions.text(meaning, node)
    return node


def _division(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node:
    strict = not name.startswith("try_")
    left, right = (conversions.number(meaning, argument, strict=strict) for argument in arguments)
    right = divisor(right)
    if DIVISIONS[name] == "/":
        quotient = Phrase((left, " / ", right), kind=NUMBER)
    else:
        quotient = Phrase((f"{DIVISIONS[name]}(", left, ", ", right, ")"), closed=True, kind=NUMBER, doubles=1)
    return quotient if strict else conversions.tried(quotient)


def divisor(node: Node) -> Node:
    """A number by which another is divided: nothing comes of 0, as where Spark is not strict."""
    if node.kind != NUMBER or (isinstance(node, Phrase) and _is_written(node)):
        return node
    return conversions.rewritten(node, "nullif(", ", 0)", NUMBER)


def _is_written(node: Phrase) -> bool:
    """Whether a number is written there that is not 0."""
    return (
        len(node.parts) == 1 and isinstance(node.parts[0], str) and any(sign in "123456789" for sign in node.parts[0])
    )

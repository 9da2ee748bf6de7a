"""Functions in an expression: the sanctioned ones, and the few that have a grammar of their own. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from math import prod

from capflow_assets.landing.row_expressions import casts, conversions, functions, kinds, literals
from capflow_assets.landing.row_expressions import vocabulary as words
from capflow_assets.landing.row_expressions.lexing import Token
from capflow_assets.landing.row_expressions.reader import Reader
from capflow_assets.landing.row_expressions.tree import Node, Phrase, Text, listed, spelled

WRITTEN = re.compile(r"(?<![A-Za-z\\])(?:[0-9]{1,300}[.]?[0-9]{0,300}|[.][0-9]{1,300})(?:[eE][+]?[0-9]{1,3})?")
# What makes a large number of small ones.
POWERS = re.compile(r" << |\b(?:exp|factorial|pow|power|shiftleft)\(")


def call(reader: Reader) -> Node:
    """A function and its arguments, in backquotes or not."""
    token = reader.advance()
    name = token.value.lower() if token.value.isascii() else ""
    reader.expect("(")
    if token.kind == "word" and name in SPECIAL:
        return SPECIAL[name](reader, name)
    if name not in words.FUNCTIONS:
        _refuse_function(reader, token, name)
    arguments = _arguments(reader, name)
    if len(arguments) < words.LEAST_ARGUMENTS.get(name, 0):
        do = f"give {name} the column that it shall read"
        reader.refuse(f"A mapping uses '{name}()', which {words.CHANGES}", token, do)
    doubles, times, is_loop = words.weight(name), _times(name, arguments), name in words.TAKE_LAMBDAS
    if reader.meaning is None:
        return listed(arguments, f"{name}(", ")", doubles=doubles, times=times, is_loop=is_loop)
    if (node := functions.special(reader.meaning, name, arguments)) is not None:
        return node
    kind, type = functions.kind_of(name, arguments)
    arguments = functions.arguments_of(reader.meaning, name, arguments)
    node = listed(
        arguments, f"{functions.name_of(name)}(", ")", doubles=doubles, times=times, is_loop=is_loop, kind=kind
    )
    node = node if type is None else replace(node, type=type)
    return conversions.tried(node) if name.startswith("try_") else node


def _times(name: str, arguments: list[Node]) -> int:
    """How many times as large as its arguments a function's value may be, by the numbers that are written there."""
    if name not in words.SIZES:
        return 1
    place = words.SIZES[name]
    return max(1, *map(_largest, arguments if place is None else arguments[place : place + 1]))


def _largest(node: Node) -> int:
    """The largest number that a value may be, by those that are written in it; in a format, the widest width."""
    text = node.value if isinstance(node, Text) else re.sub("`[^`]*`", "", spelled(node))
    if POWERS.search(text):
        return words.BEYOND
    numbers = [int(min(float(number), words.BEYOND)) for number in WRITTEN.findall(text)]
    return prod(filter(None, numbers)) if " * " in text else max(numbers, default=0)


def _refuse_function(reader: Reader, token: Token, name: str) -> None:
    if reason := words.REASONS.get(name):
        reader.refuse_word(token, reason)
    near = get_close_matches(name, words.FUNCTIONS, n=3, cutoff=0.7)
    do = f"did you mean {' or '.join(near)}?" if near else "use functions of text, numbers, times, choices and hashes"
    what = f"A mapping cannot be read: {token.value[:64]!r} is no function of one row that may be used"
    reader.refuse(what, token, do, expected="a function of Spark SQL that depends on its arguments alone")


def _arguments(reader: Reader, name: str) -> list[Node]:
    arguments: list[Node] = []
    while not reader.sign(")"):
        if arguments:
            reader.expect(",")
        if reader.next.value == "*" and reader.next.kind == "sign":
            arguments += reader.every_column(reader.advance())
            continue
        following = reader.ahead(1)
        if following.value == "=>" and following.kind == "sign":
            reader.refuse("A mapping names an argument", following, "write the arguments in their order")
        arguments.append(_argument(reader, name, is_first=not arguments))
    return arguments


def _argument(reader: Reader, name: str, *, is_first: bool) -> Node:
    token, following = reader.next, reader.ahead(1)
    if is_first and name in words.TAKE_UNITS and token.word.upper() in words.UNITS and following.value == ",":
        return Phrase((reader.advance().word.upper(),), closed=True)
    if name in words.TAKE_LAMBDAS and (parameters := _parameters(reader)):
        return _lambda(reader, parameters)
    return reader.expression()


def _parameters(reader: Reader) -> list[str]:
    """The parameters of a function that is an argument, read with its arrow; none where the argument is a value."""
    if reader.ahead(1).value == "->" and reader.next.kind in ("word", "name"):
        token = reader.advance()
        reader.expect("->")
        return [token.value.lower()]
    names, place = [], 1
    while reader.next.value == "(" and reader.ahead(place).kind in ("word", "name"):
        names.append(reader.ahead(place).value.lower())
        place += 2
        if reader.ahead(place - 1).value != ",":
            break
    is_one = names and [reader.ahead(place - 1).value, reader.ahead(place).value] == [")", "->"]
    if not is_one:
        return []
    for _ in range(place + 1):
        reader.advance()
    return names


def _lambda(reader: Reader, names: list[str]) -> Node:
    scope = {name: reader.variable() for name in names}
    reader.scopes.append(scope)
    body = reader.expression()
    reader.scopes.pop()
    head = listed(list(scope.values()), "(", ")") if len(scope) > 1 else next(iter(scope.values()))
    # What could not be read of a part cannot be told of the row.
    return Phrase((head, " -> ", body), closed=True, unread=None)


def _cast(reader: Reader, name: str) -> Node:
    value = reader.expression()
    reader.expect("AS")
    kind = literals.type_of(reader)
    reader.expect(")")
    literals.refuse_clock(reader, value)
    return casts.cast(reader.meaning, value, kind, strict=name == "cast")


def _extract(reader: Reader, name: str) -> Node:
    token = reader.advance()
    part = token.value.upper() if token.kind in ("word", "text") and token.value.isascii() else ""
    if part not in words.PARTS:
        do = "name one, such as year, month, day, dayofweek or hour"
        reader.refuse("A mapping extracts what is no part of a time", token, do)
    reader.expect("FROM")
    value = reader.expression()
    reader.expect(")")
    shown = value if reader.meaning is None else conversions.clock(reader.meaning, value)
    return Phrase((f"EXTRACT({part} FROM ", shown, ")"), closed=True, doubles=1, kind=kinds.NUMBER)


def _trim(reader: Reader, name: str) -> Node:
    # A column may have the name of one of the ends.
    side = ""
    if reader.next.word in ("both", "leading", "trailing") and reader.ahead(1).value not in (")", ","):
        side = f"{reader.advance().word.upper()} "
    if side and reader.word("from"):
        return Phrase((f"TRIM({side}FROM ", _last(reader), ")"), closed=True, doubles=1, kind=kinds.TEXT)
    first = _text(reader)
    if reader.word("from"):
        return Phrase((f"TRIM({side}", first, " FROM ", _last(reader), ")"), closed=True, doubles=1, kind=kinds.TEXT)
    if side:
        reader.unexpected("FROM")
    return listed([first, *_others(reader)], "trim(", ")", doubles=1, kind=kinds.TEXT)


def _substring(reader: Reader, name: str) -> Node:
    first = _text(reader)
    if not reader.word("from"):
        return listed([first, *_others(reader)], f"{name}(", ")", doubles=1, kind=kinds.TEXT)
    parts: list[Node | str] = [f"{name}(", first, " FROM ", reader.expression()]
    if reader.word("for"):
        parts += [" FOR ", reader.expression()]
    reader.expect(")")
    return Phrase((*parts, ")"), closed=True, doubles=1, kind=kinds.TEXT)


def _position(reader: Reader, name: str) -> Node:
    first = reader.value()
    if reader.word("in"):
        return Phrase(("position(", first, " IN ", _last(reader), ")"), closed=True, doubles=1, kind=kinds.NUMBER)
    return listed([first, *_others(reader)], "position(", ")", doubles=1, kind=kinds.NUMBER)


def _overlay(reader: Reader, name: str) -> Node:
    first = _text(reader)
    if not reader.word("placing"):
        return listed([first, *_others(reader)], "overlay(", ")", doubles=1, kind=kinds.TEXT)
    parts: list[Node | str] = ["overlay(", first, " PLACING ", reader.expression()]
    reader.expect("FROM")
    parts += [" FROM ", reader.expression()]
    if reader.word("for"):
        parts += [" FOR ", reader.expression()]
    reader.expect(")")
    return Phrase((*parts, ")"), closed=True, doubles=1, kind=kinds.TEXT)


def _text(reader: Reader) -> Node:
    """An expression that is read as text."""
    node = reader.expression()
    return node if reader.meaning is None or node.kind != kinds.INSTANT else conversions.text(reader.meaning, node)


def _others(reader: Reader) -> list[Node]:
    """The arguments behind the first one."""
    return reader.listed() if reader.sign(",") else _none(reader)


def _none(reader: Reader) -> list[Node]:
    reader.expect(")")
    return []


def _last(reader: Reader) -> Node:
    value = reader.expression()
    reader.expect(")")
    return value


SPECIAL = {
    "cast": _cast,
    "try_cast": _cast,
    "extract": _extract,
    "trim": _trim,
    "substring": _substring,
    "substr": _substring,
    "position": _position,
    "overlay": _overlay,
}

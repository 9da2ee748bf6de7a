"""Spark's grammar of an expression over one row: from tokens to a tree; what is no part of it is refused. Pure.

Written by hand over the library's tokens, because the library's own grammar binds otherwise than Spark (``a || b + c``,
``a = b is null``, ``a & b | c``), rewrites functions and intervals, and takes a great deal that is no expression.
"""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.landing.row_expressions import calls, casts, choices, conversions, kinds, literals, operators
from capflow_assets.landing.row_expressions import vocabulary as words
from capflow_assets.landing.row_expressions.kinds import Meaning
from capflow_assets.landing.row_expressions.lexing import DeepError, snippet
from capflow_assets.landing.row_expressions.reader import Reader
from capflow_assets.landing.row_expressions.tree import Name, Node, Phrase, Text, enclosed, listed

MOST_DEEP, MOST_DOUBLED, MOST_GROWN = 256, 8, 100_000
LIKES = ("like", "ilike", "rlike", "regexp")


def read(text: str, columns: Sequence[str] | None, meaning: Meaning | None = None) -> tuple[Node, tuple[str, ...]]:
    """The tree of a text and the columns that it uses; of ``columns`` if they are known, with what they hold.

    Raises:
        MappingError: says which part is no expression over one row, and what to write instead.
    """
    reader = Reader(text, columns, expression, _value, meaning)
    try:
        node = reader.expression()
    except RecursionError:
        reader.too_deep()
    if reader.next.kind != "end":
        reader.unexpected("an operator or the end")
    if node.depth > MOST_DEEP:
        reader.too_deep()
    if node.doubled > MOST_DOUBLED:
        do = "give one coalesce all of its arguments, or make the column where the rows are exported"
        expected = f"at most {MOST_DOUBLED} functions within each other, and at most two lists or parts"
        raise DeepError("A mapping is nested too deep", expected=expected, came=snippet(text, 0, len(text)), do=do)
    if node.grown > MOST_GROWN:
        do = "write a smaller number: no cell of a table needs so much"
        expected = f"numbers in repeat, lpad, space, sequence and the like that make at most {MOST_GROWN:,} of one"
        raise DeepError(
            "A mapping makes too much of one row", expected=expected, came=snippet(text, 0, len(text)), do=do
        )
    return node, tuple(reader.used)


def expression(reader: Reader) -> Node:
    """An expression of any kind."""
    reader.deeper()
    node = _operation(reader, 1)
    reader.shallower()
    return node


def _operation(reader: Reader, least: int) -> Node:
    """Operands and operators that bind at least as tightly as ``least``."""
    most = max(words.OPERATORS.values())
    if least <= words.NOT_LEVEL and (reader.word("not") or reader.sign("!")):
        reader.deeper()
        operand = _operation(reader, words.NOT_LEVEL)
        left: Node = Phrase(("NOT ", conversions.truth(operand) if reader.meaning else operand), kind=kinds.TRUTH)
        reader.shallower()
        most = words.NOT_LEVEL
    else:
        left = _signed(reader)
    while True:
        level = _level(reader)
        if level == words.PREDICATE_LEVEL and least <= level <= most:
            left, most = _predicate(reader, left), words.NOT_LEVEL
        elif least <= level <= most:
            left = _chain(reader, left, level)
        else:
            return left


def _level(reader: Reader) -> int:
    """How tightly the operator binds that comes next; 0 where none does."""
    token = reader.next
    if token.kind == "sign":
        return words.OPERATORS.get(token.value, 0)
    word = token.word
    if word in ("is", "between", "in", *LIKES) or (word == "not" and reader.ahead(1).word in ("between", "in", *LIKES)):
        return words.PREDICATE_LEVEL
    return words.OPERATORS.get(word.upper(), 0)


def _chain(reader: Reader, left: Node, level: int) -> Node:
    """Operands of one level, from left to right, however many."""
    parts: list[Node | str] = [left]
    while _level(reader) == level:
        token = reader.advance()
        sign = next(known for known in words.OPERATORS if known == token.value.upper())
        parts += [f" {sign} ", _operation(reader, level + 1)]
    if reader.meaning is not None:
        return operators.chain(reader.meaning, parts, level)
    if set(parts[1::2]) == {" || "} and len(parts) > 3:
        # The same, and quick: the embedded engine takes seconds over a hundred signs.
        return listed([part for part in parts[::2] if not isinstance(part, str)], "concat(", ")")
    return Phrase(tuple(parts), added=len(parts) // 2, doubles=parts.count(" DIV "))


def _predicate(reader: Reader, left: Node) -> Node:
    if reader.word("is"):
        return _is(reader, left)
    no = "NOT " if reader.word("not") else ""
    if reader.word("between"):
        least = _value(reader)
        reader.expect("AND")
        left, least, most = _compared(reader, [left, least, _value(reader)])
        return Phrase((left, f" {no}BETWEEN ", least, " AND ", most), doubles=1, kind=kinds.TRUTH)
    if reader.word("in"):
        reader.expect("(")
        values = reader.listed()
        if not values:
            reader.unexpected("at least one value")
        left, *values = _compared(reader, [left, *values])
        return Phrase((left, f" {no}IN ", listed(values, "(", ")")), kind=kinds.TRUTH)
    kind = reader.word(*LIKES).upper()
    kind = "RLIKE" if kind == "REGEXP" else kind
    left = operators.like(reader.meaning, left) if reader.meaning else left
    if kind != "RLIKE" and (every := reader.word("any", "some", "all")):
        reader.expect("(")
        return Phrase((left, f" {no}{kind} {every.upper()} ", listed(reader.listed(), "(", ")")), kind=kinds.TRUTH)
    pattern = _value(reader)
    if kind != "RLIKE" and reader.word("escape"):
        if reader.next.kind != "text" or len(reader.next.value) != 1:
            reader.unexpected("one character in quotes")
        return Phrase((left, f" {no}{kind} ", pattern, " ESCAPE ", Text(reader.advance().value)), kind=kinds.TRUTH)
    return Phrase((left, f" {no}{kind} ", pattern), kind=kinds.TRUTH)


def _is(reader: Reader, left: Node) -> Node:
    no = "NOT " if reader.word("not") else ""
    if reader.word("distinct"):
        reader.expect("FROM")
        left, right = _compared(reader, [left, _value(reader)])
        return Phrase((left, f" IS {no}DISTINCT FROM ", right), kind=kinds.TRUTH)
    kind = reader.word("null", "true", "false", "unknown")
    if not kind:
        reader.unexpected("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
    if reader.meaning is not None:
        # Whether a value could be read is what is asked.
        left = conversions.tried(left if kind == "null" else conversions.truth(left))
    return Phrase((left, f" IS {no}{kind.upper()}"), kind=kinds.TRUTH)


def _compared(reader: Reader, nodes: Sequence[Node]) -> list[Node]:
    """Values that are held against each other."""
    return list(nodes) if reader.meaning is None else conversions.compared(reader.meaning, nodes)


def _value(reader: Reader) -> Node:
    return _operation(reader, words.COMPARISON_LEVEL)


def _signed(reader: Reader) -> Node:
    sign = reader.sign("-", "+", "~")
    if not sign:
        return _with_parts(reader, _primary(reader))
    reader.deeper()
    node = _signed(reader)
    reader.shallower()
    if reader.meaning is not None:
        node = conversions.number(reader.meaning, node, "BIGINT" if sign == "~" else "DOUBLE")
    return Phrase((sign, node), kind=node.kind)


def _with_parts(reader: Reader, node: Node) -> Node:
    """A value and what is taken from it or made of it: ``[0]``, ``.part``, ``::type``."""
    while True:
        if reader.sign("["):
            node = _element(reader, node, reader.expression())
            reader.expect("]")
        elif reader.sign("::"):
            node = casts.cast(reader.meaning, node, literals.type_of(reader))
        elif reader.sign("."):
            if reader.next.kind not in ("word", "name"):
                reader.unexpected("the name of a part")
            name = reader.advance().value
            part = kinds.part_of(node.type, name)
            node = Phrase((enclosed(node), ".", Name(name)), closed=True, kind=kinds.kind_of(part), type=part)
        else:
            return node


def _element(reader: Reader, node: Node, place: Node) -> Node:
    """A list's element or a map's value; of what is not there, nothing comes where the columns are known."""
    element = kinds.element_of(node.type)
    kind = kinds.kind_of(element)
    if reader.meaning is not None and element is not None and node.type.typeName() == "array":
        return Phrase(("get(", node, ", ", place, ")"), closed=True, kind=kind, type=element)
    return Phrase((enclosed(node), "[", place, "]"), closed=True, kind=kind, type=element)


def _primary(reader: Reader) -> Node:
    token = reader.next
    if token.kind == "text":
        return Text(reader.advance().value)
    if token.kind == "number":
        return Phrase((reader.advance().value,), closed=True, kind=kinds.NUMBER)
    if reader.sign("("):
        node = reader.expression()
        if reader.next.value == "," and reader.next.kind == "sign":
            reader.refuse("A mapping holds a list", reader.next, "write the values behind IN, or in a function")
        reader.expect(")")
        return node
    if token.value == "*" and token.kind == "sign":
        reader.refuse("A mapping uses '*', which is every column", token, "name the columns one by one")
    if token.kind not in ("word", "name"):
        reader.unexpected("a column, a value or a function")
    following = reader.ahead(1)
    if following.value == "(" and following.kind == "sign" and token.word not in words.STRUCTURE - words.FUNCTIONS:
        return calls.call(reader)
    return _named(reader)


def _named(reader: Reader) -> Node:
    token, following = reader.next, reader.ahead(1)
    if token.word in ("null", "true", "false"):
        kind = kinds.NULL if token.word == "null" else kinds.TRUTH
        return Phrase((reader.advance().word.upper(),), closed=True, kind=kind)
    if token.word == "case":
        return _case(reader)
    literal = literals.typed(reader)
    if literal is not None:
        return literal
    if following.value == "->" and following.kind == "sign":
        reader.refuse("A mapping holds a function of its own", following, "write it into transform, filter or the like")
    if token.word in words.NEVER_COLUMNS:
        reader.refuse_word(token, words.REASONS[token.word])
    if token.word in words.STRUCTURE:
        reader.unexpected("a column, a value or a function")
    for scope in reversed(reader.scopes):
        if token.value.lower() in scope:
            reader.advance()
            return scope[token.value.lower()]
    return reader.column(reader.advance())


def _case(reader: Reader) -> Node:
    reader.expect("CASE")
    operand = reader.expression() if reader.next.word != "when" else None
    if reader.next.word != "when":
        reader.unexpected("WHEN")
    branches: list[tuple[Node, Node]] = []
    while reader.word("when"):
        condition = reader.expression()
        reader.expect("THEN")
        branches.append((condition, reader.expression()))
    otherwise = reader.expression() if reader.word("else") else None
    reader.expect("END")
    if reader.meaning is not None:
        return choices.case(reader.meaning, operand, branches, otherwise)
    parts: list[Node | str] = ["CASE", *([" ", operand] if operand else [])]
    for condition, value in branches:
        parts += [" WHEN ", condition, " THEN ", value]
    parts += [" ELSE ", otherwise] if otherwise else []
    return Phrase((*parts, " END"), closed=True, doubles=int(operand is not None))

"""Spark's grammar of an expression over one row: from tokens to a tree; what is no part of it is refused. Pure.

Written by hand over the library's tokens, because the library's own grammar binds otherwise than Spark (``a || b + c``,
``a = b is null``, ``a & b | c``), rewrites functions and intervals, and takes a great deal that is no expression.
"""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.landing.row_expressions import calls, literals
from capflow_assets.landing.row_expressions import vocabulary as words
from capflow_assets.landing.row_expressions.lexing import DeepError, snippet
from capflow_assets.landing.row_expressions.reader import Reader
from capflow_assets.landing.row_expressions.tree import Name, Node, Phrase, Text, enclosed, listed

MOST_DEEP, MOST_DOUBLED, MOST_GROWN = 256, 8, 100_000
LIKES = ("like", "ilike", "rlike", "regexp")


def read(text: str, columns: Sequence[str] | None) -> tuple[Node, tuple[str, ...]]:
    """The tree of a text and the columns that it uses; of ``columns`` if they are known.

    Raises:
        MappingError: says which part is no expression over one row, and what to write instead.
    """
    reader = Reader(text, columns, expression, _value)
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
        left: Node = Phrase(("NOT ", _operation(reader, words.NOT_LEVEL)))
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
        return Phrase((left, f" {no}BETWEEN ", least, " AND ", _value(reader)), doubles=1)
    if reader.word("in"):
        reader.expect("(")
        values = reader.listed()
        if not values:
            reader.unexpected("at least one value")
        return Phrase((left, f" {no}IN ", listed(values, "(", ")")))
    kind = reader.word(*LIKES).upper()
    kind = "RLIKE" if kind == "REGEXP" else kind
    if kind != "RLIKE" and (every := reader.word("any", "some", "all")):
        reader.expect("(")
        return Phrase((left, f" {no}{kind} {every.upper()} ", listed(reader.listed(), "(", ")")))
    pattern = _value(reader)
    if kind != "RLIKE" and reader.word("escape"):
        if reader.next.kind != "text" or len(reader.next.value) != 1:
            reader.unexpected("one character in quotes")
        return Phrase((left, f" {no}{kind} ", pattern, " ESCAPE ", Text(reader.advance().value)))
    return Phrase((left, f" {no}{kind} ", pattern))


def _is(reader: Reader, left: Node) -> Node:
    no = "NOT " if reader.word("not") else ""
    if reader.word("distinct"):
        reader.expect("FROM")
        return Phrase((left, f" IS {no}DISTINCT FROM ", _value(reader)))
    kind = reader.word("null", "true", "false", "unknown")
    if not kind:
        reader.unexpected("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
    return Phrase((left, f" IS {no}{kind.upper()}"))


def _value(reader: Reader) -> Node:
    return _operation(reader, words.COMPARISON_LEVEL)


def _signed(reader: Reader) -> Node:
    sign = reader.sign("-", "+", "~")
    if not sign:
        return _with_parts(reader, _primary(reader))
    reader.deeper()
    node: Node = Phrase((sign, _signed(reader)))
    reader.shallower()
    return node


def _with_parts(reader: Reader, node: Node) -> Node:
    """A value and what is taken from it or made of it: ``[0]``, ``.part``, ``::type``."""
    while True:
        if reader.sign("["):
            node = Phrase((enclosed(node), "[", reader.expression(), "]"), closed=True)
            reader.expect("]")
        elif reader.sign("::"):
            node = Phrase(("CAST(", node, " AS ", literals.type_of(reader), ")"), closed=True)
        elif reader.sign("."):
            if reader.next.kind not in ("word", "name"):
                reader.unexpected("the name of a part")
            node = Phrase((enclosed(node), ".", Name(reader.advance().value)), closed=True)
        else:
            return node


def _primary(reader: Reader) -> Node:
    token = reader.next
    if token.kind == "text":
        return Text(reader.advance().value)
    if token.kind == "number":
        return Phrase((reader.advance().value,), closed=True)
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
        return Phrase((reader.advance().word.upper(),), closed=True)
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
    parts: list[Node | str] = ["CASE"]
    if has_operand := reader.next.word != "when":
        parts += [" ", reader.expression()]
    if reader.next.word != "when":
        reader.unexpected("WHEN")
    while reader.word("when"):
        parts += [" WHEN ", reader.expression()]
        reader.expect("THEN")
        parts += [" THEN ", reader.expression()]
    if reader.word("else"):
        parts += [" ELSE ", reader.expression()]
    reader.expect("END")
    return Phrase((*parts, " END"), closed=True, doubles=int(has_operand))

"""Choices between values, and truths about them: what each makes of text beside numbers, and of rows unread. Pure.

A value that was not chosen is nothing that a row could be rejected for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from capflow_assets.landing.row_expressions import conversions, kinds
from capflow_assets.landing.row_expressions.kinds import NUMBER, TEXT, TRUTH, Meaning
from capflow_assets.landing.row_expressions.tree import Node, Phrase, first_of, listed

NO_WORDS = Phrase(("CAST(NULL AS STRING)",), closed=True)


def case(meaning: Meaning, operand: Node | None, branches: Sequence[tuple[Node, Node]], otherwise: Node | None) -> Node:
    """``CASE`` with each condition and its value."""
    values, kind = conversions.unified(meaning, [value for _, value in branches] + ([otherwise] if otherwise else []))
    conditions = [condition for condition, _ in branches]
    if operand is not None:
        operand, *conditions = conversions.compared(meaning, [operand, *conditions])
    else:
        conditions = [conversions.truth(condition) for condition in conditions]
    parts: list[Node | str] = ["CASE", *([" ", operand] if operand is not None else [])]
    for condition, value in zip(conditions, values, strict=False):
        parts += [" WHEN ", condition, " THEN ", value]
    if otherwise is not None:
        parts += [" ELSE ", values[-1]]
    if operand is not None:
        conditions = [Phrase((operand, " = ", condition), kind=TRUTH) for condition in conditions]
    unread = _of_branches(conditions, values)
    return Phrase((*parts, " END"), closed=True, doubles=int(operand is not None), kind=kind, unread=unread)


def chosen(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``if``."""
    if len(arguments) != 3:
        return None
    condition = conversions.truth(arguments[0])
    values, kind = conversions.unified(meaning, arguments[1:])
    node = listed([condition, *values], f"{name}(", ")", kind=kind)
    return replace(node, unread=_of_branches([condition], values))


def first(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``coalesce`` and its kin: where one of the values could be read, it is what the customer wants."""
    values, kind = conversions.unified(meaning, arguments)
    node = listed(values, f"{name}(", ")", kind=kind, doubles=1)
    unread = first_of([value.unread for value in values])
    if unread is None:
        return node
    return replace(node, unread=Phrase(("CASE WHEN ", node, " IS NULL THEN ", unread, " END"), closed=True))


def either(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``nvl2``: whether there is a value at all is what is asked of the first."""
    if len(arguments) != 3:
        return None
    values, kind = conversions.unified(meaning, arguments[1:])
    return listed([conversions.tried(arguments[0]), *values], f"{name}(", ")", kind=kind)


def unless_equal(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``nullif``: the first value as it is, however the two were compared; what is not alike is not equal."""
    if len(arguments) != 2:
        return None
    value = arguments[0]
    left, right = (conversions.tried(argument) for argument in conversions.compared(meaning, arguments))
    if {value.kind, arguments[1].kind} <= {left.kind} or kinds.UNKNOWN in (left.kind, right.kind):
        return listed(arguments, f"{name}(", ")", kind=value.kind)
    parts = ("CASE WHEN ", Phrase((left, " = ", right)), " THEN NULL ELSE ", value, " END")
    return Phrase(parts, closed=True, kind=value.kind, type=value.type, doubles=1, unread=value.unread)


def extreme(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``greatest`` and ``least``: numbers beside text are held against numbers."""
    there = {argument.kind for argument in arguments} - {kinds.NULL}
    if there == {TEXT, NUMBER}:
        values, kind = [conversions.number(meaning, argument) for argument in arguments], NUMBER
    else:
        values, kind = conversions.unified(meaning, arguments)
    return listed(values, f"{name}(", ")", kind=kind)


def is_there(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``isnull`` and ``isnotnull``: whether a value could be read is what is asked."""
    return listed([conversions.tried(argument) for argument in arguments], f"{name}(", ")", kind=TRUTH, doubles=1)


def equal(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``equal_null``."""
    return listed(conversions.compared(meaning, arguments), f"{name}(", ")", kind=TRUTH, doubles=1)


def unless_decided(node: Phrase, sign: str) -> Phrase:
    """A chain of ``AND`` or ``OR``: what could not be read matters where the other operands leave it open."""
    if node.unread is None:
        return node
    decides = "FALSE" if sign == "AND" else "TRUE"
    open_ = Phrase(("(", node, f") IS NOT {decides}"), closed=True)
    return replace(node, unread=Phrase(("CASE WHEN ", open_, " THEN ", node.unread, " END"), closed=True))


def _of_branches(conditions: Sequence[Node], values: Sequence[Node]) -> Node | None:
    """What could not be read of the conditions up to the one that holds, and of its value."""
    if all(node.unread is None for node in (*conditions[1:], *values)):
        return conditions[0].unread
    parts: list[Node | str] = ["CASE"]
    for condition, value in zip(conditions, values, strict=False):
        if condition.unread is not None:
            is_unread = Phrase((condition.unread, " IS NOT NULL"))
            parts += [" WHEN ", is_unread, " THEN ", condition.unread]
        parts += [" WHEN ", conversions.tried(condition), " THEN ", value.unread or NO_WORDS]
    if len(values) > len(conditions):
        parts += [" ELSE ", values[-1].unread or NO_WORDS]
    return Phrase((*parts, " END"), closed=True, unread=None)


FUNCTIONS: dict[str, Callable[[Meaning, str, Sequence[Node]], Node | None]] = {
    "if": chosen,
    **dict.fromkeys(("coalesce", "ifnull", "nvl"), first),
    "nvl2": either,
    "nullif": unless_equal,
    **dict.fromkeys(("greatest", "least"), extreme),
    **dict.fromkeys(("isnull", "isnotnull"), is_there),
    "equal_null": equal,
}

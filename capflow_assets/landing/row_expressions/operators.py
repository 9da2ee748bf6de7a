"""Operators where the columns are known: each operand is given the kind of value that the operator reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.landing.row_expressions import choices, conversions, kinds, times
from capflow_assets.landing.row_expressions import vocabulary as words
from capflow_assets.landing.row_expressions.functions import divisor
from capflow_assets.landing.row_expressions.kinds import INSTANT, NUMBER, TEXT, TRUTH, Meaning
from capflow_assets.landing.row_expressions.tree import Node, Phrase, listed

SUM_LEVEL, PRODUCT_LEVEL = 10, 11


def chain(meaning: Meaning, parts: Sequence[Node | str], level: int) -> Node:
    """Operands of one level with the signs between them, from left to right."""
    operands = [part for part in parts if not isinstance(part, str)]
    signs = [part.strip() for part in parts if isinstance(part, str)]
    if level <= 2:
        return choices.unless_decided(
            _flat([conversions.truth(operand) for operand in operands], signs, TRUTH), signs[0]
        )
    if level == words.COMPARISON_LEVEL:
        node = operands[0]
        for sign, operand in zip(signs, operands[1:], strict=True):
            node = Phrase(_joined(conversions.compared(meaning, [node, operand]), [sign]), kind=TRUTH)
        return node
    if level == SUM_LEVEL:
        return _sum(meaning, operands, signs)
    if level != PRODUCT_LEVEL:
        return _flat([conversions.number(meaning, operand, "BIGINT") for operand in operands], signs, NUMBER)
    spans = [operand.kind for operand in operands if operand.kind in kinds.SPANS]
    numbers = [conversions.number(meaning, operand, "BIGINT" if "DIV" in signs else "DOUBLE") for operand in operands]
    divided = [
        divisor(operand) if sign in "/%DIV" else operand for sign, operand in zip(signs, numbers[1:], strict=True)
    ]
    return _flat([numbers[0], *divided], signs, spans[0] if spans else NUMBER)


def like(meaning: Meaning, node: Node) -> Node:
    """What is held against a pattern of text."""
    return node if node.kind == TRUTH else conversions.text(meaning, node)


def _sum(meaning: Meaning, operands: Sequence[Node], signs: Sequence[str]) -> Node:
    if set(signs) == {"||"}:
        texts = [conversions.text(meaning, operand) if operand.kind == INSTANT else operand for operand in operands]
        return listed(texts, "concat(", ")", kind=_concatenated(texts)) if len(texts) > 2 else _flat(texts, signs, TEXT)
    if "||" not in signs and not any(operand.kind in (*kinds.TIMES, *kinds.SPANS) for operand in operands):
        return _flat([conversions.number(meaning, operand) for operand in operands], signs, NUMBER)
    node = operands[0]
    for sign, operand in zip(signs, operands[1:], strict=True):
        node = _pair(meaning, node, sign, operand)
    return node


def _pair(meaning: Meaning, left: Node, sign: str, right: Node) -> Node:
    if sign == "||":
        texts = [
            conversions.text(meaning, operand) if operand.kind == INSTANT else operand for operand in (left, right)
        ]
        return _flat(texts, [sign], _concatenated(texts))
    if (moved := times.shifted(meaning, left, sign, right)) is not None:
        return moved
    spans = [operand.kind for operand in (left, right) if operand.kind in kinds.SPANS]
    numbers = [conversions.number(meaning, operand) for operand in (left, right)]
    is_known = all(operand.kind == NUMBER for operand in numbers)
    return _flat(numbers, [sign], NUMBER if is_known else spans[0] if spans else kinds.UNKNOWN)


def _concatenated(texts: Sequence[Node]) -> str:
    return kinds.UNKNOWN if all(operand.kind == kinds.UNKNOWN for operand in texts) else TEXT


def _flat(operands: Sequence[Node], signs: Sequence[str], kind: str) -> Phrase:
    parts = _joined(operands, signs)
    return Phrase(parts, added=len(parts) // 2, doubles=signs.count("DIV"), kind=kind)


def _joined(operands: Sequence[Node], signs: Sequence[str]) -> tuple[Node | str, ...]:
    parts: list[Node | str] = [operands[0]]
    for sign, operand in zip(signs, operands[1:], strict=True):
        parts += [f" {sign} ", operand]
    return tuple(parts)

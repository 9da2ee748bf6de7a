"""One record of a JSON file, read exactly: whole numbers of any length, numbers as they were written, and no guessing.

What other readers pass over is told here, with the reason: NaN, a key that stands twice, nesting without end. It
costs a row only what reads that field.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import partial
from typing import Any

from capflow_assets.sources.json.record_text import UNDECODABLE
from capflow_assets.sources.reading.shapes import Unfit

# Deeper than any export; far from what a parser's stack bears.
MOST_LEVELS = 100
SHOWN_CHARACTERS = 100
MOST_DIGITS = 4_000


class Written(float):
    """A number that remembers how it was written: mixed with text, ``12.10`` stays that."""

    text: str

    def __new__(cls, text: str, decimal_comma: bool = False) -> Written:
        """The number of a text; it is told with a comma where all text of the source has one."""
        number = super().__new__(cls, text)
        number.text = text.replace(".", ",") if decimal_comma else text
        return number

    def __repr__(self) -> str:
        return self.text


def parsed(record: bytes, decimal_comma: bool = False) -> dict[str, Any]:
    """One record. A value that is at fault, in an object that is sound, comes as what is said of it.

    >>> parsed(b'{"id": 9007199254740993, "n": 1.50}')
    {'id': 9007199254740993, 'n': 1.50}
    >>> parsed(b'{"id": 1, "n": NaN}')
    {'id': 1, 'n': Unfit(said='NaN', is_sentence=False)}

    Raises:
        ValueError: it is no object, no JSON, or nests too deep for a parser.
    """
    if record.startswith(UNDECODABLE):
        raise ValueError(record.removeprefix(UNDECODABLE).decode())
    text = record.decode()
    shown = repr(text[:SHOWN_CHARACTERS])
    loads = partial(
        json.loads,
        object_pairs_hook=partial(_once, shown=shown),
        parse_constant=Unfit,
        parse_float=partial(_number, decimal_comma=decimal_comma),
    )
    try:
        try:
            value = loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a whole number of more digits than Python reads
            value = loads(text, parse_int=_whole)
        return _held(value, text, shown)
    except RecursionError:
        raise ValueError(f"is nested too deep: {shown}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error.msg} at character {error.pos + 1}): {shown}") from None


def _held(value: Any, text: str, shown: str) -> dict[str, Any]:
    """The object, without what nests too deep for columns, and without text that cannot be written."""
    if not isinstance(value, dict):
        raise ValueError(f"is no JSON object: {shown}")
    if text.count("{") + text.count("[") > MOST_LEVELS:
        deep = Unfit(f"is nested deeper than {MOST_LEVELS} levels: {shown}", is_sentence=True)
        value = {name: deep if _levels(inner) >= MOST_LEVELS else inner for name, inner in value.items()}
    if "\\ud" in text.lower():
        said = f"holds half of a character (a lone surrogate): {shown}"
        if not all(_is_written(name) for name in value):
            raise ValueError(said)
        value = {name: inner if _is_written(inner) else Unfit(said, is_sentence=True) for name, inner in value.items()}
    return value


def _is_written(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


def _once(pairs: list[tuple[str, Any]], shown: str) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) < len(pairs):
        names = Counter(name for name, _ in pairs)
        whole |= {
            name: Unfit(f"has the key {name!r} twice: {shown}", is_sentence=True)
            for name, count in names.items()
            if count > 1
        }
    return whole


def _number(text: str, decimal_comma: bool) -> Any:
    number = Written(text, decimal_comma)
    return (
        Unfit(f"holds the number {text[:40]}, which is too large", is_sentence=True) if math.isinf(number) else number
    )


def _whole(text: str) -> Any:
    return (
        int(text)
        if len(text) <= MOST_DIGITS
        else Unfit(f"holds a number of {len(text):,} digits: {text[:40]}…", is_sentence=True)
    )

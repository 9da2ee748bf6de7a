"""One record of a JSON file, read exactly: whole numbers of any length, numbers as they were written, and no guessing.

What other readers pass over is refused here, with the reason: NaN, a key that stands twice, nesting without end.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

from capflow_assets.sources._json_text import UNDECODABLE

# Deeper than any export; far from what a parser's stack bears.
MOST_LEVELS = 100
SHOWN_CHARACTERS = 100


class Written(float):
    """A number that remembers how it was written: mixed with text, ``12.10`` stays that."""

    text: str

    def __new__(cls, text: str, decimal_comma: bool = False) -> Written:
        """The number of a text; it is told with a comma where all text of the source has one."""
        number = super().__new__(cls, text)
        if math.isinf(number):
            raise ValueError(f"holds the number {text[:40]}, which is too large")
        number.text = text.replace(".", ",") if decimal_comma else text
        return number

    def __repr__(self) -> str:
        return self.text


def parsed(record: bytes, decimal_comma: bool = False) -> dict[str, Any]:
    """One record.

    >>> parsed(b'{"id": 9007199254740993, "n": 1.50}')
    {'id': 9007199254740993, 'n': 1.50}
    >>> parsed(b'{"id": 1, "id": 2}')
    Traceback (most recent call last):
    ...
    ValueError: has the key 'id' twice: '{"id": 1, "id": 2}'
    """
    if record.startswith(UNDECODABLE):
        raise ValueError(record.removeprefix(UNDECODABLE).decode())
    text = record.decode()
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_refused,
            parse_float=partial(Written, decimal_comma=decimal_comma),
        )
        _held(value, text)
    except RecursionError:
        raise ValueError(f"is nested too deep: {text[:SHOWN_CHARACTERS]!r}") from None
    except json.JSONDecodeError as error:
        why = f"is no JSON ({error.msg} at character {error.pos + 1})"
        raise ValueError(f"{why}: {text[:SHOWN_CHARACTERS]!r}") from None
    except ValueError as error:
        raise ValueError(f"{error}: {text[:SHOWN_CHARACTERS]!r}") from None
    return value


def _held(value: Any, text: str) -> None:
    """Refuse what is no object, nests too deep, or is text that cannot be written."""
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")
    if text.count("{") + text.count("[") > MOST_LEVELS and _levels(value) > MOST_LEVELS:
        raise ValueError(f"is nested deeper than {MOST_LEVELS} levels")
    if "\\ud" in text.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a character (a lone surrogate)") from None


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"has the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return whole


def _refused(constant: str) -> None:
    raise ValueError(f"holds {constant}, which is no JSON")

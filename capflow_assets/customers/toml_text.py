"""A customer's TOML from text to data, within limits that keep a text from taking the machine.

Belongs here: what no TOML of anybody's holds. Does not belong here: what the keys mean (``customer.py``). Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from capflow_assets.errors import CapflowError, CustomerError

MOST_PARTS, MOST_LEVELS, LARGEST_BITS = 32, 32, 63
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
# tomllib takes memory by the square of the parts of a key: gigabytes for one of a few hundred kilobytes.
MANY_PARTS = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+[.][ \t]*+{_PART}){{{MOST_PARTS}}}")


def parsed(text: str, file: str) -> dict[str, Any]:
    """The data of a TOML text; ``file`` names it in errors.

    Raises:
        CustomerError: the text is empty or no TOML, nested deeper than anybody means, or holds a NUL or a number beyond
            64 bits, which no file, store or engine takes.
    """
    if not text.strip():
        raise CustomerError("The file is empty", expected="name, vertical, currency, time_zone, [tables.…]", where=file)
    if MANY_PARTS.search(text):
        raise _too_deep(file)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(file) from None
    except ValueError as error:  # tomllib's own, or of a number with thousands of digits
        raise CustomerError("The file is not TOML", came=str(error), where=file, do="mend that place") from error
    if _is_deep(data):
        raise _too_deep(file)
    problems = [CapflowError(key, expected=expected, do="mend it") for key, expected in _unfit(data)]
    if problems:
        raise CustomerError.listing(file, problems)
    return data


def _too_deep(file: str) -> CustomerError:
    expected = f"keys of at most {MOST_PARTS} parts, and at most {MOST_LEVELS} levels of tables and lists"
    do = "take out what does not belong there"
    return CustomerError("The file is nested too deep", expected=expected, where=file, do=do)


def _is_deep(data: dict[str, Any]) -> bool:
    """Whether tables and lists are nested deeper than what reads them after us can follow."""
    level: list[Any] = [data]
    for _ in range(MOST_LEVELS):
        values = [value for part in level for value in (part.values() if isinstance(part, dict) else part)]
        level = [value for value in values if isinstance(value, (dict, list))]
    return bool(level)


def _unfit(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The dotted keys of what TOML lets pass and nothing else takes, each with what was expected in its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            dotted = ".".join(part for part in (key, name) if part)
            yield from [(dotted, "a name without NUL characters")] if "\0" in name else _unfit(inner, dotted)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _unfit(inner, f"{key}.{place}")
    elif isinstance(value, str) and "\0" in value:
        yield key, "text without NUL characters"
    elif isinstance(value, int) and value.bit_length() > LARGEST_BITS:
        yield key, f"a number of at most {LARGEST_BITS} bits and a sign"

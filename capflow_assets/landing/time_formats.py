"""How times are written in a customer's files: the formats that may be declared, and what text fits them.

A format is Spark's datetime pattern, narrowed to the parts that every engine reads alike. The engines differ in what
they forgive (one takes ``1`` for ``MM``, the other does not), so text is held against ``fitting`` before it is parsed.
Pure.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
PARTS = {
    "yyyy": "[0-9]{4}",
    "MMM": f"(?:{MONTHS.replace(' ', '|')})",
    "MM": "[0-9]{2}",
    "M": "[0-9]{1,2}",
    "dd": "[0-9]{2}",
    "d": "[0-9]{1,2}",
    "HH": "[0-9]{2}",
    "H": "[0-9]{1,2}",
    "hh": "[0-9]{2}",
    "h": "[0-9]{1,2}",
    "mm": "[0-9]{2}",
    "ss": "[0-9]{2}",
    "a": "(?:AM|PM)",
    "XXX": "(?:Z|[+-][0-9]{2}:[0-9]{2})",
}
TOKEN = re.compile(r"'(?P<quoted>[^']*)'|(?P<fraction>S+)|(?P<letters>([A-Za-z])\4*)|(?P<other>[^A-Za-z'])")
ISO_LOCAL = "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?)?"
ISO_OFFSET = " ?(?:Z|[+-][0-9]{2}:?[0-9]{2})"


def checked(format: str) -> str:
    """The same format, if it is one.

    >>> checked("dd/MM/yyyy HH:mm")
    'dd/MM/yyyy HH:mm'
    >>> checked("DD/MM/YYYY")
    Traceback (most recent call last):
    ...
    ValueError: 'DD' is not a part of a time format; the parts are yyyy MMM MM M dd d HH H hh h mm ss a XXX S..SSSSSS
    """
    fitting(format)
    return format


TimeFormat = Annotated[str, AfterValidator(checked)]


def fitting(format: str) -> str:
    """The regular expression of the text that fits ``format``.

    >>> fitting("d.M.yyyy")
    '[0-9]{1,2}[.][0-9]{1,2}[.][0-9]{4}'
    >>> fitting("yyyy-MM-dd'T'HH:mm")
    '[0-9]{4}[-][0-9]{2}[-][0-9]{2}T[0-9]{2}[:][0-9]{2}'
    """
    tokens = _tokens(format)
    if not any(letters == "yyyy" for letters, _ in tokens):
        raise ValueError("a time format needs the year as yyyy (two-digit years name no century)")
    return "".join(pattern for _, pattern in tokens)


def has_offset(format: str) -> bool:
    """Whether text of this format says its own offset from UTC, and so names an instant.

    >>> has_offset("yyyy-MM-dd'T'HH:mm:ssXXX"), has_offset("yyyy-MM-dd'XXX'")
    (True, False)
    """
    return any(letters == "XXX" for letters, _ in _tokens(format))


def _tokens(format: str) -> list[tuple[str, str]]:
    """The parts of ``format`` in order: its letters ('' for literal text) and the expression that it reads."""
    matches = list(TOKEN.finditer(format))
    if sum(len(match[0]) for match in matches) != len(format):
        raise ValueError(f"{format!r} has a quote that does not end")
    return [_token(match) for match in matches]


def _token(match: re.Match[str]) -> tuple[str, str]:
    letters = match["fraction"] or match["letters"] or ""
    if match["fraction"] and len(letters) <= 6:
        return letters, f"[0-9]{{{len(letters)}}}"
    if letters in PARTS:
        return letters, PARTS[letters]
    if letters:
        parts = " ".join(PARTS)
        raise ValueError(f"{letters!r} is not a part of a time format; the parts are {parts} S..SSSSSS")
    text = match["quoted"] if match["quoted"] is not None else match["other"]
    return "", "".join(char if char.isalnum() or char == " " else f"[{char}]" for char in text)

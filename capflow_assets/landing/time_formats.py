"""How times are written in a customer's files: the formats that may be declared, and what text fits them.

A format is Spark's datetime pattern, narrowed to the parts that every engine reads alike, or a word for a count of
seconds, milliseconds or days. The engines differ in what they forgive (one takes ``1`` for ``MM``, the other does not),
so text is held against ``fitting`` before it is parsed. Pure.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
FULL_MONTHS = "January February March April May June July August September October November December"
# RFC 822's, and Europe's: names that stand for one offset only. (BST, IST and AST are those of several countries.)
ZONE_OFFSETS = {
    **dict.fromkeys(("UTC", "GMT", "UT", "Z", "WET"), "+00:00"),
    "EST": "-05:00",
    "EDT": "-04:00",
    "CST": "-06:00",
    "CDT": "-05:00",
    "MST": "-07:00",
    "MDT": "-06:00",
    "PST": "-08:00",
    "PDT": "-07:00",
    "WEST": "+01:00",
    "CET": "+01:00",
    "CEST": "+02:00",
    "EET": "+02:00",
    "EEST": "+03:00",
    "MSK": "+03:00",
}
PARTS = {
    "yyyy": "[0-9]{4}",
    "yy": "[0-9]{2}",
    "MMMM": f"(?i:{FULL_MONTHS.replace(' ', '|')})",
    "MMM": f"(?i:{MONTHS.replace(' ', '|').replace('Sep', 'Sept?')})[.]?",
    "MM": "[0-9]{2}",
    "M": "[0-9]{1,2}",
    "dd": "[0-9]{2}",
    "d": "[0-9]{1,2}",
    "HH": "[0-9]{2}",
    "H": "[0-9]{1,2}",
    "hh": "(?:0[1-9]|1[0-2])",
    "h": "(?:1[0-2]|0?[1-9])",
    "mm": "[0-9]{2}",
    "ss": "[0-9]{2}",
    "a": "(?i:[AP][.]?M[.]?)",
    "XXX": "(?:Z|[+-][0-9]{2}:[0-9]{2})",
    "XX": "(?:Z|[+-][0-9]{4})",
    "Z": "[+-][0-9]{4}",
    "VV": "[A-Za-z][A-Za-z0-9_+/-]*",
    "z": f"(?:{'|'.join(sorted(ZONE_OFFSETS, key=len, reverse=True))})",
}
OFFSETS = ("XXX", "XX", "Z", "VV", "z")
# Those that one engine or the other reads in its own way, or not at all: they are read here.
OWN = ("yy", "MMMM", "MMM", "a", "XX", "Z", "VV", "z")
# Two digits of a year are those of 1969 to 2068, as POSIX has it.
FIRST_OF_LAST_CENTURY = 69
EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a local day)
# What a count is of, in microseconds. Excel's days are local, the others count from 1970 in UTC.
COUNTS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "excel_days": 86_400_000_000}
TOKEN = re.compile(r"'(?P<quoted>[^']*)'|(?P<fraction>S+)|(?P<letters>([A-Za-z])\4*)|(?P<other>[^A-Za-z'])")
ISO_LOCAL = "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?)?"
ISO_OFFSET = " ?(?:Z|[+-][0-9]{2}:?[0-9]{2})"


def checked(format: str) -> str:
    """The same format, if it is one.

    >>> checked("dd/MM/yyyy HH:mm"), checked("epoch_ms")
    ('dd/MM/yyyy HH:mm', 'epoch_ms')
    >>> checked("DD/MM/YYYY")
    Traceback (most recent call last):
    ...
    ValueError: 'DD' is not a part of a time format; the parts are yyyy yy MMMM MMM MM M dd d HH H hh h mm ss a XXX XX Z VV z S..SSSSSS, and whole formats are epoch_s epoch_ms excel_days
    """  # noqa: E501
    if format not in COUNTS:
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
    _refuse_without_year(tokens)
    return "".join(pattern for _, pattern in tokens)


def groups(format: str) -> tuple[str, dict[str, int]]:
    """The same with a group for each part of a time, and the number of each group by its letters.

    >>> groups("d.M.yy")
    ('([0-9]{1,2})[.]([0-9]{1,2})[.]([0-9]{2})', {'d': 1, 'M': 2, 'yy': 3})
    """
    tokens = _tokens(format)
    numbers: dict[str, int] = {}
    parts = [letters for letters, _ in tokens if letters]
    for number, letters in enumerate(parts, 1):
        numbers.setdefault("S" if letters.startswith("S") else letters, number)
    return "".join(f"({pattern})" if letters else pattern for letters, pattern in tokens), numbers


def is_own(format: str) -> bool:
    """Whether text of this format is read part by part, since engines read some part of it in ways of their own."""
    return any(letters in OWN for letters, _ in _tokens(format))


def has_offset(format: str) -> bool:
    """Whether text of this format says its own offset from UTC, and so names an instant.

    >>> has_offset("yyyy-MM-dd'T'HH:mm:ssXXX"), has_offset("yyyy-MM-dd'XXX'"), has_offset("epoch_s")
    (True, False, True)
    """
    if format in COUNTS:
        return format != "excel_days"
    return any(letters in OFFSETS for letters, _ in _tokens(format))


def written(moment: datetime, format: str) -> str:
    """A local time as text of a format that says no offset.

    >>> written(datetime(2024, 3, 1, 18, 5), "d MMMM yy, h:mm a"), written(datetime(2024, 3, 1, 18), "excel_days")
    ('1 March 24, 6:05 PM', '45352.75')
    """
    if format == "excel_days":
        return f"{(moment - EXCEL_EPOCH) / timedelta(days=1):.15g}"
    hour = (moment.hour + 11) % 12 + 1
    parts = {
        "yyyy": f"{moment.year:04}",
        "yy": f"{moment.year % 100:02}",
        "MMMM": FULL_MONTHS.split()[moment.month - 1],
        "MMM": MONTHS.split()[moment.month - 1],
        "MM": f"{moment.month:02}",
        "M": str(moment.month),
        "dd": f"{moment.day:02}",
        "d": str(moment.day),
        "HH": f"{moment.hour:02}",
        "H": str(moment.hour),
        "hh": f"{hour:02}",
        "h": str(hour),
        "mm": f"{moment.minute:02}",
        "ss": f"{moment.second:02}",
        "a": "AM" if moment.hour < 12 else "PM",
    }

    def part(match: re.Match[str]) -> str:
        if match["fraction"]:
            return f"{moment.microsecond:06}"[: len(match["fraction"])]
        return parts[match["letters"]] if match["letters"] else (match["quoted"] or match["other"] or "")

    return TOKEN.sub(part, format)


def _refuse_without_year(tokens: list[tuple[str, str]]) -> None:
    if not any(letters in ("yyyy", "yy") for letters, _ in tokens):
        raise ValueError("a time format needs the year as yyyy, or as yy where two digits stand for 1969 to 2068")


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
        parts, counts = " ".join(PARTS), " ".join(COUNTS)
        raise ValueError(
            f"{letters!r} is not a part of a time format; the parts are {parts} S..SSSSSS, "
            f"and whole formats are {counts}"
        )
    text = match["quoted"] if match["quoted"] is not None else match["other"]
    return "", "".join(char if char.isalnum() or char == " " else f"[{char}]" for char in text)

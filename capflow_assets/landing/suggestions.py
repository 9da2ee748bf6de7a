"""The option of a source that would have read a value that was rejected. Pure: words about words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

from capflow_assets.landing import time_formats
from capflow_assets.landing.number_formats import ANY_SIGN, NumberFormat

REASON = re.compile(
    r"'(?P<value>[^']*(?:'[0-9][^']*)*)' is not (?:(?P<number>an? (?:double|int|bigint|number|whole number))|"
    r"a (?P<time>timestamp|date) written as )"
)
# What Unicode calls a currency's sign, for Python, whose expressions have no name for it.
SIGNS = "[$¢£¤¥֏؋৲৳₠-⃀฿₿₪₫€₹₺₽₩﷼＄￡￥]"
# What is no sign of Unicode's: EUR, kr., and words of other letters, of which few are currencies.
WORD = "([A-Za-z][A-Za-z.]{0,7}|z\u0142|K\u010d|円|元|원|руб[.]?|р[.]|грн[.]?|лв[.]?)"
LETTERS = re.compile(rf"^[+-]?{WORD}[ \u00a0]?[(0-9]|[0-9)][ \u00a0]?{WORD}$")
DAYS = (
    "d/M/yyyy",
    "M/d/yyyy",
    "d.M.yyyy",
    "d-M-yyyy",
    "yyyy/M/d",
    "yyyyMMdd",
    "d MMM yyyy",
    "d-MMM-yyyy",
    "d MMMM yyyy",
    "MMM d, yyyy",
    "MMMM d, yyyy",
    "d/M/yy",
    "M/d/yy",
    "d.M.yy",
    "d-M-yy",
    "d-MMM-yy",
    "yyyy-MM-dd",
)
CLOCKS = ("", " H:mm", " H:mm:ss", " h:mm a", " h:mm:ss a", "'T'HH:mm:ss", " H:mm:ss.SSS")
ZONES = ("", "XXX", " XXX", "XX", " XX", " z", " VV")


def option_for(reason: str) -> str:
    """What to write into the table's options, by a reason of a rejected row; blank where nothing is known.

    >>> option_for("amount: '1,234.50' is not a double")
    'thousands = "," reads \\'1,234.50\\''
    >>> option_for("billed_at: '3/14/24 6:05 pm' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199")
    'timestamp_format = "M/d/yy h:mm a" reads \\'3/14/24 6:05 pm\\''
    >>> option_for("amount: 'free' is not a double")
    ''
    """
    match = REASON.search(reason)
    if match is None or not match["value"].strip():
        return ""
    value = match["value"]
    times = [] if match["number"] else [f'{match["time"]}_format = "{form}"' for form in formats(value)]
    options = number_options(value) if match["number"] else times
    return f"{' or '.join(options[:2])} reads {value!r}" if options else ""


def number_options(value: str) -> list[str]:
    """The options that read a number which is written so: the fewest, and a second reading where there is one.

    >>> number_options("1,234"), number_options("€ 1.234,50")
    (['thousands = ","', 'decimal_comma = true'], ['decimal_comma = true, currency_sign = true'])
    """
    letters = LETTERS.search(value)
    readings = [form for form in number_formats((letters[1] or letters[2]) if letters else "") if reads(form, value)]
    fewest = min((len(written_options(form)) for form in readings), default=0)
    return [", ".join(written_options(form)) for form in readings if len(written_options(form)) == fewest]


def formats(value: str) -> list[str]:
    """The formats of times that a text is written in; two where day and month could be either.

    >>> formats("14.03.2024 18:05"), formats("03/04/2024"), formats("1709287200")
    (['d.M.yyyy H:mm'], ['d/M/yyyy', 'M/d/yyyy'], ['epoch_s'])
    """
    for pattern, count in ((r"[0-9]{10}([.][0-9]+)?", "epoch_s"), (r"[0-9]{13}", "epoch_ms")):
        if re.fullmatch(pattern, value):
            return [count]
    if re.fullmatch(r"[2-6][0-9]{4}([.][0-9]+)?", value):
        return ["excel_days"]
    return [format for format, pattern in _patterns() if (match := pattern.fullmatch(value)) and _is_day(format, match)]


def is_in_format(value: str, format: str) -> bool:
    """Whether a text is a time of a format, with a month up to 12 and a day up to 31."""
    match = re.fullmatch(time_formats.groups(format)[0], value)
    return match is not None and _is_day(format, match)


def _is_day(format: str, match: re.Match[str]) -> bool:
    if "VV" in format and "/" not in match[0].rpartition(" ")[2]:
        return False
    _, numbers = time_formats.groups(format)
    day, month = (int(match[numbers[letter]]) if letter in numbers else 1 for letter in ("d", "M"))
    return day <= 31 and month <= 12


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    every = ["".join(parts) for parts in product(DAYS, CLOCKS, ZONES) if parts[1] or not parts[2]]
    return [(form, re.compile(time_formats.groups(form)[0])) for form in every]


def number_formats(letters: str = "") -> Iterator[NumberFormat]:
    """All ways of writing numbers that may be declared, with ``letters`` for a currency's sign among them."""
    signs: list[bool | str] = [False, True, *([letters] if letters else [])]
    for comma, mark, sign, negative in product(
        (False, True), ("", ",", " ", "'"), signs, ("minus", "parentheses", "trailing_minus")
    ):
        if mark != ("," if comma else "."):
            yield NumberFormat(comma, mark, sign, negative)


def reads(format: NumberFormat, value: str) -> bool:
    """Whether a text is a number that is written so."""
    return re.fullmatch(format.pattern.replace(ANY_SIGN, SIGNS), value) is not None


def written_options(format: NumberFormat) -> list[str]:
    """The options that say a way of writing, as they stand in a TOML."""
    sign = format.currency_sign
    written = ["decimal_comma = true"] if format.decimal_comma else []
    written += [f'thousands = "{format.thousands}"'] if format.thousands else []
    written += [f'currency_sign = "{sign}"' if isinstance(sign, str) else "currency_sign = true"] if sign else []
    return [*written, f'negative = "{format.negative}"'] if format.negative != "minus" else written

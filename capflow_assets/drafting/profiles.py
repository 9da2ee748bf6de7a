"""What a column's values look like: times and their format, numbers and how they are written, truths, texts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

from capflow_assets.landing import suggestions, time_formats
from capflow_assets.landing.number_formats import PLAIN, NumberFormat

ISO = re.compile(time_formats.ISO_LOCAL + f"(?:{time_formats.ISO_OFFSET})?")
PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?")
# Letters that stand beside an amount of money.
CURRENCY_LETTERS = (
    "EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BRL|MXN|CAD|AUD|NZD|JPY|CNY|INR|TRY|ZAR|AED|KRW|SGD|HKD|RMB|"
    "R|Rs[.]?|kr[.]?|z\u0142|K\u010d|Ft|lei|TL|Fr[.]|CA|AU|US|NT|円|元|원|руб[.]?|р[.]|грн[.]?|лв[.]?"
)
_SIGN = f"[^0-9A-Za-z\u0100-\u024f#/]{{0,4}}(?:{CURRENCY_LETTERS})?[^0-9A-Za-z\u0100-\u024f#/]{{0,3}}"
LIKE_A_NUMBER = re.compile(f"{_SIGN}[0-9][0-9.,' \u00a0\u2009\u202f\u2019]*{_SIGN}")
CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[AaPp][.]?[Mm][.]?)?|[0-9]{1,2}h[0-9]{2}")
TRUTHS = frozenset({"true", "false", "yes", "no", "y", "n", "ja", "nein", "oui", "non", "si", "t", "f"})
# What programs write where they know nothing.
NULL_WORDS = frozenset({"NULL", "null", "NA", "N/A", "n/a", "NaN", "nan", "None", "none", "\\N", "#N/A", "-", "--"})
MOST_JUDGED = 3_000
MOST_BROKEN = 0.02
NUMBERS = (int, float, Decimal)
# The years in which a shop's bills lie; counts of seconds and days are told from other numbers by them.
FIRST_YEAR, LAST_YEAR = 1990, 2050
COUNTS = {"epoch_s": (631_152_000, 2_524_608_000), "epoch_ms": (631_152_000_000, 2_524_608_000_000)}
DATE8 = re.compile(r"(?:19[9]|20[0-4])[0-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")


class Column:
    """One column of a sample and what its values are."""

    def __init__(self, name: str, values: tuple[Any, ...]) -> None:
        self.name, self.values = name, values

    @cached_property
    def counts(self) -> Counter[Any]:
        """How often each value stands; what cannot be counted, such as a list, by its text."""
        return Counter(value if value.__hash__ else str(value) for value in self.values if value is not None)

    @property
    def filled(self) -> int:
        """How many rows have a value."""
        return self.counts.total()

    @property
    def repeats(self) -> bool:
        """Whether a value stands more than once."""
        return self.filled > len(self.counts)

    @property
    def is_key(self) -> bool:
        """Whether every row has a value of its own."""
        return bool(self.values) and self.filled == len(self.values) and not self.repeats

    @cached_property
    def judged(self) -> list[Any]:
        """Different values, the most frequent first, without words for nothing."""
        return [value for value, _ in self.counts.most_common(MOST_JUDGED) if value not in NULL_WORDS]

    @cached_property
    def null_words(self) -> list[str]:
        """The words for nothing among the values, where the others are no words."""
        return sorted(word for word in self.counts if isinstance(word, str) and word in NULL_WORDS)

    @cached_property
    def is_text(self) -> bool:
        """Whether the store gives text."""
        return all(isinstance(value, str) for value in self.judged)

    @cached_property
    def kind(self) -> str:
        """``empty``, ``time``, ``clock`` (a time of day alone), ``number``, ``truth`` or ``text``."""
        if not self.judged:
            return "empty"
        if not self.is_text:
            return self._typed_kind()
        if self.formats or self.mixed_formats:
            return "time"
        if self._most(CLOCK.fullmatch):
            return "clock"
        if self._is_of_numbers:
            return "number"
        return "truth" if {value.lower() for value in self.judged} <= TRUTHS else "text"

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """The formats that read the times of text, but for 2 % of them; ``iso`` where no format needs to be named.

        Two where each day and month could be either.
        """
        if not self.is_text or not self.judged or not any(character.isdigit() for character in str(self.judged[0])):
            return ()
        if self._most(ISO.fullmatch):
            return ("iso",)
        if self._most(DATE8.fullmatch):
            return ("yyyyMMdd",)
        tried = {form for value in self.judged[:20] for form in suggestions.formats(value) if len(value) <= 40}
        tried -= {"excel_days", "epoch_s", "epoch_ms", "yyyyMMdd"}
        broken = {form: self._broken(form) for form in sorted(tried)}
        least = min(broken.values(), default=1.0)
        if least > MOST_BROKEN:
            return ()
        best = [form for form in broken if broken[form] == least]
        return tuple(sorted(best, key=lambda form: (len(form), not form.startswith("d"))))

    @cached_property
    def mixed_formats(self) -> dict[str, float]:
        """Where no format reads nearly all times, the few that do together, with the share of each; else nothing."""
        if not self.is_text or self.formats or not self.judged:
            return {}
        left, shares = list(self.judged), dict[str, float]()
        for _ in range(3):
            tried = Counter(form for value in left[:200] if len(value) <= 40 for form in suggestions.formats(value)[:1])
            tried = Counter({form: n for form, n in tried.items() if form not in ("excel_days", "epoch_s", "epoch_ms")})
            if not tried or not left:
                break
            form = tried.most_common(1)[0][0]
            rest = [value for value in left if not suggestions.is_in_format(value, form)]
            shares[form], left = (len(left) - len(rest)) / len(self.judged), rest
        is_all = len(left) <= MOST_BROKEN * len(self.judged)
        return shares if len(shares) > 1 and is_all and self._most(lambda text: len(text) > 5) else {}

    @cached_property
    def count_format(self) -> str:
        """``epoch_s``, ``epoch_ms`` or ``excel_days`` where numbers may be times, ``yyyyMMdd`` where whole ones are."""
        numbers = self.numbers
        if not numbers:
            return ""
        low, high = min(numbers), max(numbers)
        for form, (first, last) in COUNTS.items():
            if first <= low <= high <= last:
                return form
        if 32_874 <= low <= high <= 54_788:  # 1990 to 2049
            return "excel_days"
        return "yyyyMMdd" if self._most(lambda value: DATE8.fullmatch(str(value))) else ""

    @cached_property
    def numbers(self) -> list[float]:
        """The different numbers, as the likeliest way of writing reads them; nothing for other columns."""
        if self.is_text and not self._is_of_numbers:
            return []
        form = next(iter(number_formats([self])), PLAIN)
        return [number for value in self.judged if (number := number_of(value, form)) is not None]

    @cached_property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        return bool(self.numbers) and all(number == int(number) for number in self.numbers)

    @cached_property
    def _is_of_numbers(self) -> bool:
        return self._most(LIKE_A_NUMBER.fullmatch) and bool(number_formats([self]))

    def _typed_kind(self) -> str:
        kinds = {type(value) for value in self.judged}
        if kinds <= {datetime, date}:
            return "time"
        if kinds <= {time}:
            return "clock"
        if kinds <= {bool}:
            return "truth"
        return "number" if all(issubclass(kind, NUMBERS) for kind in kinds) else "text"

    def _most(self, fits: Any) -> bool:
        misses = sum(not fits(value) for value in self.judged)
        return bool(self.judged) and misses <= MOST_BROKEN * len(self.judged)

    def _broken(self, form: str) -> float:
        misses = sum(not suggestions.is_in_format(value, form) for value in self.judged)
        return 1.0 if misses > MOST_BROKEN * len(self.judged) else misses / len(self.judged)


def number_formats(columns: list[Column]) -> list[NumberFormat]:
    """The ways of writing that read all numbers of text columns, but for 2 %: the plainest first.

    Several of one plainness where ``1,234`` may be either.
    """
    texts = [value for column in columns if column.is_text for value in column.judged]
    if all(PLAIN_NUMBER.fullmatch(text.strip()) for text in texts):
        return [PLAIN]
    signs = [match for text in texts[:200] if (match := suggestions.LETTERS.search(text))]
    letters = next((match[1] or match[2] for match in signs), "")
    odd = [text.strip() for text in texts if not PLAIN_NUMBER.fullmatch(text.strip())]
    plain = [text.strip() for text in texts if PLAIN_NUMBER.fullmatch(text.strip())]
    fitting: list[tuple[int, NumberFormat]] = []
    for form in dict.fromkeys(suggestions.number_formats(letters)):
        broken = sum(not suggestions.reads(form, text) for text in (*odd, *plain[:500]))
        if broken <= MOST_BROKEN * len(texts) and broken < len(odd):
            fitting.append((len(suggestions.written_options(form)), form))
    fewest = min((size for size, _ in fitting), default=0)
    return [form for size, form in fitting if size == fewest]


def number_of(value: Any, form: NumberFormat = PLAIN) -> float | None:
    """The number that a value is, written so; None where it is none.

    >>> number_of("1.234,50 €", NumberFormat(decimal_comma=True)), number_of("(5.00)")
    (1234.5, -5.0)
    """
    if isinstance(value, NUMBERS):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not PLAIN_NUMBER.fullmatch(text) or form.decimal_comma:
        is_negative = text.startswith("(") or "-" in text or "\u2212" in text
        digits = re.sub(r"[^0-9,.eE]", "", text).replace("." if form.decimal_comma else ",", "").replace(",", ".")
        text = ("-" if is_negative else "") + digits.strip("eE")
    return float(text) if PLAIN_NUMBER.fullmatch(text) else None

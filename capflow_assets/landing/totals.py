"""Rows that sum others up: an export's last line that says *Total* where others have the number of a bill.

Such a row is set aside with its line, and counted apart from the broken ones: as a bill, it would double what it sums
up. Only the whole of a bill's number counts, or of a time that could not be read, in the words of the languages that
tills speak; a user, a store or an item may well be called so. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

COLUMN = "bill_id"
LABELS = (COLUMN, "billed_at")
TOTAL = "total: the row sums others up, and is no bill"
WORDS = (
    "total", "totals", "grand total", "subtotal", "sub total", "sub-total", "sum", "summe", "gesamt", "gesamtsumme",
    "endsumme", "zwischensumme", "total general", "total général", "totaal", "totale", "totale generale", "suma",
    "razem", "итого", "всего", "合計", "合计", "总计", "小计", "toplam", "yhteensä", "summa", "totalt", "i alt",
)  # fmt: skip
BETWEEN = "/"


def spellings() -> list[str]:
    """Every word as people write it: small, capital, and with a colon behind it.

    >>> [word for word in spellings() if word.lower().startswith("grand")][:4]
    ['GRAND TOTAL', 'GRAND TOTAL:', 'Grand Total', 'Grand Total:']
    """
    cased = {spelling for word in WORDS for spelling in (word, word.upper(), word.title(), word.capitalize())}
    return sorted({spelling + end for spelling in cased for end in ("", ":")})


def is_word(text: str) -> bool:
    """Whether a text is a word for a sum, or such words of several languages.

    >>> is_word("Grand total:"), is_word("Summe / Total"), is_word("Total Wine"), is_word("/")
    (True, True, False, False)
    """
    return all(part.strip() in WORDS for part in text.lower().strip().rstrip(":").split(BETWEEN))


def is_one(value: Expression) -> Expression:
    """Whether a bill's number is a word for a sum."""
    from pyspark.sql import functions as F

    # Numbers of bills begin otherwise: their first digit tells at once.
    words = spellings()
    longest = max(map(len, words))
    one = (F.length(value) <= longest) & value.isin(*words)
    plain = F.regexp_replace(F.regexp_replace(F.lower(value), ":$", ""), f" *{BETWEEN} *", BETWEEN)
    parts = F.split(plain, BETWEEN)
    several = (
        value.contains(BETWEEN) & (F.length(value) <= 2 * longest) & F.forall(parts, lambda part: part.isin(*WORDS))
    )
    return (value >= F.lit(min(words))) & (one | several)


def reason(otherwise: Expression, mapping: Collection[str]) -> Expression:
    """Why a row cannot land: as one that sums others up where its number or its time says so, else ``otherwise``."""
    from pyspark.sql import functions as F

    from capflow_assets.landing import mappings, values

    labels = [values.trimmed(mappings.source(name).cast("string")) for name in LABELS if name in mapping]
    if not labels:
        return otherwise
    return F.when(F.coalesce(reduce(or_, map(is_one, labels)), F.lit(False)), F.lit(TOTAL)).otherwise(otherwise)

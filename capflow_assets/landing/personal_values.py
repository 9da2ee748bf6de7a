"""Columns that nobody calls personal, and whose values look it: e-mail addresses, phones, payment cards, IBANs.

Counted over all rows beside the other sums of a landing. A payment card has to keep Luhn's rule (ISO/IEC 7812-1), and
most of what looks like one has to: one in ten numbers of that length keeps it by chance. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, Table
from capflow_assets.errors import listed
from capflow_assets.landing import personal

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

CHECK = "personal_data"
E_MAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+[.][A-Za-z]{2,}"
# Written with a plus, a zero in front, or in groups: bare digits are numbers of something.
PHONE = r"^([+][0-9]|00[1-9]|0[1-9]|[(]0?[0-9]+[)]|[0-9]{2,4}[ /-][0-9]{2,})[0-9 ()/-]{6,16}[0-9]$"
DIGITS_OF_PHONE = "^([^0-9]*[0-9]){9,15}[^0-9]*$"
DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
CARD = "^[2-6][0-9]{3}([ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}$"
CARD_DIGITS = 19
IBAN = (
    "^(AD|AE|AL|AT|AZ|BA|BE|BG|BH|BR|CH|CR|CY|CZ|DE|DK|DO|EE|EG|ES|FI|FO|FR|GB|GE|GI|GL|GR|GT|HR|HU|IE|IL|IQ|IS|IT|JO|"
    "KW|KZ|LB|LI|LT|LU|LV|MC|MD|ME|MK|MR|MT|MU|NL|NO|PK|PL|PS|PT|QA|RO|RS|SA|SE|SI|SK|SM|TN|TR|UA|VA|VG|XK)"
    "[0-9]{2}( ?[A-Z0-9]{4}){2,7} ?[A-Z0-9]{0,3}$"
)
LEAST_SHARE = 0.01
WORDS = {"email": "e-mail addresses", "phone": "phone numbers", "card": "payment cards", "iban": "IBANs"}
COUNTED = ("all", "likecard", *WORDS)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of columns besides the counts: shares of a hundred, by name, and words."""

    shares: dict[str, float]
    words: tuple[str, ...]


def suspects(table: Table, mapping: Collection[str], hashed: Collection[str]) -> tuple[str, ...]:
    """The mapped columns that are kept as they come and that the table does not declare."""
    return tuple(name for name in mapping if name not in table.names and name not in hashed)


def sums(columns: Sequence[str], is_good: Expression) -> dict[str, Expression]:
    """What ``finding`` wants to know of the rows, by name."""
    from pyspark.sql import functions as F

    expressions: dict[str, Expression] = {}
    for place, name in enumerate(columns):
        value = F.btrim(F.when(is_good, F.col(name)))
        is_card = value.rlike(CARD)
        is_phone = value.rlike(PHONE) & value.rlike(DIGITS_OF_PHONE) & ~value.rlike(DATE)
        kinds = {
            "all": value.isNotNull(),
            "email": value.rlike(E_MAIL),
            "phone": is_phone & ~is_card,
            "likecard": is_card,
            "card": F.when(is_card, _keeps_luhn(value)),
            "iban": value.rlike(IBAN),
        }
        expressions |= {f"_kept_{place}_{kind}": F.count_if(is_one) for kind, is_one in kinds.items()}
    return expressions


def finding(
    table: Table,
    columns: Sequence[str],
    sums: Mapping[str, Any],
    plain: Collection[str] = (),
    named: Looked | None = None,
) -> Finding:
    """Whether a kept column looks personal, by its values or, unless it is said to be ``plain``, by its name.

    ``named`` is what else was seen of columns that are kept (``kept_columns``).
    """
    shares: dict[str, float] = {}
    words: list[str] = []
    if named is not None:
        shares, words = dict(named.shares), list(named.words)
    for place, name in enumerate(columns):
        counts = {kind: int(sums[f"_kept_{place}_{kind}"]) for kind in COUNTED}
        for kind in WORDS:
            if _is_found(kind, counts):
                share = 100 * counts[kind] / counts["all"]
                shares[f"{name}_{kind}_share_pct"] = round(share, 2)
                words.append(f"{name}: {share:.3g} % are {WORDS[kind]}")
        is_named = any(column.name == personal.OWNER for column in table.columns) and personal.is_personal_name(name)
        if is_named and name not in plain and not any(word.startswith(f"{name}: ") for word in words):
            words.append(f"{name}: called as what is personal")
    how = "name them in personal = […] of the table, or take them out of its columns; plain = […] if they name nobody"
    do = f"; {how}" if words else ""
    message = listed(words, "; ") + do or "no column that is kept as it comes looks personal"
    return Finding(CHECK, not words, message, "warn", shares)


def _is_found(kind: str, counts: Mapping[str, int]) -> bool:
    enough = counts[kind] and counts[kind] >= LEAST_SHARE * counts["all"]
    if kind == "card":
        return bool(enough) and 2 * counts["card"] >= counts["likecard"]
    return bool(counts["email"] if kind == "email" else enough)


def _keeps_luhn(value: Expression) -> Expression:
    """Every second digit from the right doubled, and its digits added: the sum of all is a multiple of ten."""
    from pyspark.sql import functions as F

    digits = F.lpad(F.regexp_replace(value, "[ -]", ""), CARD_DIGITS, "0")
    total = F.lit(0)
    for place in range(CARD_DIGITS):
        digit = F.substring(digits, CARD_DIGITS - place, 1).try_cast("int")
        total = total + (digit * 2 - F.when(digit > 4, F.lit(9)).otherwise(F.lit(0)) if place % 2 else digit)
    return total % 10 == 0

"""How numbers are written in a customer's files: marks for thousands and decimals, signs of a currency and of debts.

A way of writing is a pattern that the text has to match, and a few steps that leave a number as engines read one; both
engines take the same steps, from here or from an expression. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

# What looks the same, and is another character: blanks that do not break, apostrophes that a program has made round.
ALIKE = {" ": " \u00a0\u2009\u202f", "'": "'\u2019", ".": ".", ",": ",", "_": "_"}
ANY_SIGN = r"\p{Sc}"
Step = tuple[Literal["extract", "remove", "replace", "translate"], str, str]


def _as_mark(mark: str) -> str:
    if mark and mark not in ALIKE:
        raise ValueError(f"one of {' '.join(map(repr, ALIKE))}")
    return mark


def _as_sign(sign: bool | str) -> bool | str:
    if isinstance(sign, str) and re.search(r"[0-9+\-()]", sign):
        raise ValueError('a sign such as "$" or "EUR", without digits, plus, minus or parentheses; true for any')
    return sign.strip() if isinstance(sign, str) else sign


class NumberOptions(BaseModel):
    """The options of every source whose text may hold numbers."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    thousands: Annotated[str, AfterValidator(_as_mark)] = Field(
        "", description="The mark between thousands, such as , in 1,234.50."
    )
    currency_sign: Annotated[bool | Annotated[str, Field(max_length=8)], AfterValidator(_as_sign)] = Field(
        False,
        description="A currency's sign before or behind numbers, such as $ or EUR; true for any of one character.",
    )
    negative: Literal["minus", "parentheses", "trailing_minus"] = Field(
        "minus", description="How numbers below 0 are written besides -12.00: (12.00) or 12.00-."
    )

    @model_validator(mode="after")
    def _one_meaning_a_mark(self) -> NumberOptions:
        decimal = "," if getattr(self, "decimal_comma", False) else "."
        if self.thousands == decimal:
            other = "decimal_comma = true" if decimal == "." else 'thousands = "."'
            raise ValueError(f"another mark for thousands than {decimal!r}, which stands before decimals: {other}")
        return self


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a source writes numbers. ``thousands`` is a mark, ``currency_sign`` a text or true for any sign."""

    decimal_comma: bool = False
    thousands: str = ""
    currency_sign: bool | str = False
    negative: str = "minus"

    @classmethod
    def of(cls, options: Any) -> NumberFormat:
        """That of a source's options, which may lack any of them."""
        return cls(**{name: getattr(options, name, getattr(PLAIN, name)) for name in cls.__slots__})

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as every engine reads them."""
        return self == PLAIN

    @property
    def has_signs(self) -> bool:
        """Whether more than a comma for the decimals is special."""
        return self != NumberFormat(self.decimal_comma)

    @property
    def pattern(self) -> str:
        """The regular expression of a number that is written so, without the blanks around it.

        >>> dollars = NumberFormat(thousands=",", currency_sign="$", negative="parentheses")
        >>> texts = ("1,234.50", "$ 5", "-$5", "(12.00)", "($12.00)", "12.50 $", "1,23.4", "(5", "5-", "€5")
        >>> [text for text in texts if re.fullmatch(dollars.pattern, text)]
        ['1,234.50', '$ 5', '-$5', '(12.00)', '($12.00)', '12.50 $']
        """
        grouped = self._grouped()
        whole = f"(?:{grouped}|[0-9]+)" if grouped else "[0-9]+"
        number = (
            f"{whole}(?:,[0-9]+)?" if self.decimal_comma else rf"(?:{whole}[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?"
        )
        sign = f"(?:{self._sign()}[ \u00a0]?)?" if self.currency_sign else ""
        behind = f"(?:[ \u00a0]?{self._sign()})?" if self.currency_sign else ""
        minus = f"(?:[+\u2212-] ?{sign}|{sign}[+\u2212-]?)"
        ways = [minus + number + behind]
        if self.negative == "parentheses":
            ways.append(rf"{sign}[(] ?{sign}{number}{behind} ?[)]{behind}")
        if self.negative == "trailing_minus":
            ways.append(f"{sign}{number}(?:{behind} ?[\u2212-]| ?[\u2212-]{behind})")
        return f"^(?:{'|'.join(ways)})$"

    @property
    def steps(self) -> list[Step]:
        """What makes of such a text one that engines read: blank where the text is no such number.

        ``extract`` leaves what matches a pattern, ``remove`` takes a text out, ``replace`` puts a text in the place of
        what matches a pattern, and ``translate`` puts a character in the place of another.
        """
        steps: list[Step] = [("extract", self.pattern, "")]
        if isinstance(self.currency_sign, str) and self.currency_sign:
            steps.append(("remove", self.currency_sign, ""))
        steps.append(("translate", "\u2212", "-"))
        if self.negative == "parentheses":
            steps.append(("replace", "^[^(]*[(]", "-"))
        if self.negative == "trailing_minus":
            steps.append(("replace", "^([^-]*[0-9][^-]*)-[^0-9]*$", "-$1"))
        steps.append(("replace", "[^0-9,+-]" if self.decimal_comma else "[^0-9.eE+-]", ""))
        return [*steps, ("translate", ",", ".")] if self.decimal_comma else steps

    def plain(self, written: Expression) -> Expression:
        """The text without blanks around it as engines read numbers; blank where it is none that is written so."""
        from pyspark.sql import functions as F

        for step, what, by in self.steps:
            if step == "extract":
                written = F.regexp_extract(written, what, 0)
            elif step == "remove":
                written = F.replace(written, F.lit(what), F.lit(by))
            elif step == "replace":
                written = F.regexp_replace(written, what, by)
            else:
                written = F.translate(written, what, by)
        return written

    def _grouped(self) -> str:
        mark = self.thousands or ("." if self.decimal_comma else "")
        # Lakhs and crores stand in pairs of digits.
        return f"[0-9]{{1,3}}(?:[{ALIKE[mark]}][0-9]{{2,3}})*[{ALIKE[mark]}][0-9]{{3}}" if mark else ""

    def _sign(self) -> str:
        return ANY_SIGN if self.currency_sign is True else re.escape(str(self.currency_sign))


PLAIN = NumberFormat()

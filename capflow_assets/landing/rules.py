"""Why a row cannot land, in words: the column, what came, what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column
from capflow_assets.landing import mappings, totals, values

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

SHOWN_CHARACTERS = 100
HIDDEN = "(not shown)"
UNREAD = "a value (not shown) is not what its expression reads"
KINDS = {"int": "an int", "double": "a double", "bigint": "a bigint", "boolean": "a boolean"}


def is_unfit() -> Expression:
    """Whether the source itself complains of the row."""
    from pyspark.sql import functions as F

    return F.col(mappings.CORRUPT).isNotNull()


def unfit_row(*, is_shown: bool = True) -> Expression:
    """The source's own complaint: the row does not fit the columns. Null where it does.

    What stands behind its first colon may be a value of any column; it is left out where one of them is personal.
    """
    from pyspark.sql import functions as F

    complaint = F.col(mappings.CORRUPT)
    return F.concat(F.lit("the row "), complaint if is_shown else F.regexp_replace(complaint, "(?s):.*", ": " + HIDDEN))


def broken(column: Column, written: Expression, is_read: bool = True) -> list[Expression]:
    """What is true (else false or null) of a value that breaks a rule of ``column``: where ``reason`` gives words.

    Where not ``is_read``, the frame says what the column's expression could not read.
    """
    from pyspark.sql import functions as F

    value = F.col(column.name)
    conditions = [condition for condition, _ in _rules(column)]
    conditions += [] if is_read else [mappings.unread(column.name).isNotNull()]
    if column.required:
        return [value.isNull(), *conditions]
    # Text that is not blank is a text.
    return conditions if column.type == "string" else [value.isNull() & (values.trimmed(written) != ""), *conditions]


def reason(
    column: Column, written: Expression, reading: values.Reading, is_shown: bool = True, is_read: bool = True
) -> Expression:
    """The first rule of ``column`` that its value breaks; null where it breaks none.

    ``written`` is what came, as text; the typed value stands in the frame under the column's name.
    """
    from pyspark.sql import functions as F

    value = F.col(column.name)
    bare = values.trimmed(written)
    shown = F.substring(bare, 1, SHOWN_CHARACTERS) if is_shown else F.lit(HIDDEN)
    cases = []
    if not is_read:
        words = mappings.unread(column.name)
        cases.append((words.isNotNull(), F.concat(F.lit(f"{column.name}: "), words if is_shown else F.lit(UNREAD))))
    # Text is always read; an id that stands for nobody is none all the same.
    is_unread = F.lit(False) if column.type == "string" else value.isNull() & (bare != "")
    cases.append((is_unread, _unread(column, bare, shown, reading)))
    if column.required:
        cases.append((value.isNull(), F.lit(f"{column.name} is empty")))
    cases += [(broken, F.concat(F.lit(f"{column.name}: "), shown, F.lit(words))) for broken, words in _rules(column)]
    chosen = F.when(*cases[0])
    for condition, words in cases[1:]:
        chosen = chosen.when(condition, words)
    return chosen


def _rules(column: Column) -> list[tuple[Expression, str]]:
    """What breaks each declared rule, and how the message ends."""
    from pyspark.sql import functions as F

    value = F.col(column.name)
    rules: list[tuple[Expression, str]] = []
    if column.at_least is not None:
        rules.append((value < column.at_least, f" is below {column.at_least:g}"))
    if column.above is not None:
        rules.append((value <= column.above, f" is not above {column.above:g}"))
    if column.at_most is not None:
        rules.append((value > column.at_most, f" is above {column.at_most:g}"))
    if column.one_of:
        rules.append((~value.isin(*column.one_of), f" is none of {', '.join(column.one_of)}"))
    if column.name == totals.COLUMN and column.type == "string":
        rules.append((totals.is_one(value), " is a word for a sum, and no bill"))
    if column.matches is not None:
        rules.append((~value.rlike(rf"^(?:{column.matches})\z"), f" does not match {column.matches}"))
    return rules


def _unread(column: Column, bare: Expression, shown: Expression, reading: values.Reading) -> Expression:
    from pyspark.sql import functions as F

    start = F.concat(F.lit(f"{column.name}: '"), shown)
    if column.type in ("date", "timestamp"):
        iso = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}[column.type]
        written = " or ".join(reading.formats) or iso
        years = f"{values.FIRST_YEAR} to {values.LAST_YEAR}"
        return F.concat(start, F.lit(f"' is not a {column.type} written as {written}, years {years}"))
    wrong = F.concat(start, F.lit(f"' is not {KINDS.get(column.type, column.type)}"))
    if column.type != "double":
        return wrong
    number = values.COMMA_NUMBER if reading.decimal_comma else values.NUMBER
    number = reading.numbers.pattern if reading.numbers.has_signs else number
    is_number = F.lower(bare).rlike(values.NOT_FINITE) | bare.rlike(number)
    return F.when(is_number, F.concat(start, F.lit("' is not a finite number"))).otherwise(wrong)

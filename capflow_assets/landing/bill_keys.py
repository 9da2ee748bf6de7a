"""A bill's id made of several parts, for customers whose bill numbers restart by store, till or day.

``bill_key = ["store", "day", "bill"]`` makes ``A|2024-03-01|17`` of the number 17. A part is a word of ours or a column
of the table, else a column of the source. Bills and line items of the same parts meet, and whatever is behind them sees
one id as before. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Table
from capflow_assets.errors import CapflowError, MappingError, listed, nearest, shortened
from capflow_assets.expressions.days import local_day
from capflow_assets.landing import mappings, values

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

BILL, DAY = "bill_id", "day"
WORDS = {"bill": BILL, "store": "store_id", "user": "user_id"}
# Nobody may know who bought, or where; without any other part the bill cannot be told from others.
MAY_BE_BLANK = frozenset({"store_id", "user_id"})
SEPARATOR, ESCAPE = "|", "\\"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bill's key: the ``column`` of the table that it is or is made of, or of the source (``extra``)."""

    name: str
    column: str
    is_day: bool = False
    extra: str = ""

    @property
    def may_be_blank(self) -> bool:
        """Whether a bill may be without it."""
        return self.column in MAY_BE_BLANK and not self.extra


def column_of(part: str, table: Table) -> str | None:
    """The column of the table that a part is, or is made of; None where it can only be the source's.

    >>> from capflow_assets.raw.bills import TABLE
    >>> column_of("store", TABLE), column_of("day", TABLE), column_of("user_id", TABLE), column_of("till", TABLE)
    ('store_id', 'billed_at', 'user_id', None)
    """
    if part == DAY:
        return table.time
    name = WORDS.get(part, part)
    return name if name in table.names else None


def makes_bill(table: Table, bill_key: Collection[str]) -> bool:
    """Whether landing makes the bill's id of other parts than its number, which need not be mapped then."""
    return bool(bill_key) and BILL in table.names and all(column_of(part, table) != BILL for part in bill_key)


def problems(key: str, table: Table, declared: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with a table's ``bill_key`` before its source is known; ``key`` is its table's place."""
    parts, columns = declared.get("bill_key", []), declared["columns"]
    if not isinstance(parts, list) or not parts:
        return []
    place = f"{key}.bill_key"
    if BILL not in table.names:
        expected = "no bill_key: rows of this table stand on no bill"
        return [CapflowError(place, expected=expected, came=listed(map(repr, parts)), do="take it out")]
    wrong = []
    for part in map(str, parts):
        column = column_of(part, table)
        if column is not None and column not in columns:
            expected = f"parts whose columns are mapped: {listed(_words(table, columns))}, or columns of the source"
            do = f"map {column}, or name another column"
            wrong.append(CapflowError(place, expected=expected, came=repr(shortened(part)), do=do))
        elif column is not None and part != DAY and table.column(column).type not in ("string", "timestamp"):
            expected = "parts that are ids, texts or times"
            wrong.append(CapflowError(place, expected=expected, came=repr(part), do="take it out"))
    if len(set(parts)) < len(parts):
        wrong.append(CapflowError(place, expected="each part once", came=listed(map(repr, parts))))
    return wrong


def between(tables: Mapping[str, Mapping[str, Any]]) -> list[CapflowError]:
    """What is wrong with the keys of bills and line items beside each other: those of other parts never meet."""
    sizes = {
        name: len(tables[name].get("bill_key") or ())
        for name in ("bills", "line_items")
        if name in tables and isinstance(tables[name].get("bill_key", []), list)
    }
    if len(set(sizes.values())) < 2:
        return []
    fewer, more = sorted(sizes, key=lambda name: sizes[name])
    expected = f"as many parts as the bill_key of tables.{more}: line items are found by their bill's id"
    received = f"{sizes[fewer]} parts instead of {sizes[more]}" if sizes[fewer] else "nothing"
    parts = ", ".join(f'"{part}"' for part in tables[more]["bill_key"])
    do = f"write the same parts there: bill_key = [{parts}]"
    return [CapflowError(f"tables.{fewer}.bill_key", expected=expected, came=received, do=do)]


def parts_of(
    bill_key: Sequence[str], table: Table, mapping: Mapping[str, str], columns: Sequence[str], name: str
) -> tuple[Part, ...]:
    """The parts, each with the column that it is read from.

    Raises:
        MappingError: a part is neither a word of ours, nor a mapped column, nor a column of the source.
    """
    key_parts = []
    for place, part in enumerate(bill_key):
        column = column_of(part, table)
        # What the source calls so may be mapped, and hashed, as a column of the table.
        names = (column for column in table.names if column != table.time)
        mapped = next((mapped for mapped in names if mapping.get(mapped) == part), None)
        if column in mapping:
            key_parts.append(Part(part, str(column), is_day=part == DAY))
        elif mapped is not None and table.column(mapped).type == "string":
            key_parts.append(Part(part, mapped))
        elif part in columns:
            key_parts.append(Part(part, part, extra=f"_part_{place}"))
        else:
            known = list(dict.fromkeys([*_words(table, mapping), *columns]))
            near = nearest(part, known)
            raise MappingError(
                "A part of the bill_key is no column",
                expected=listed(map(repr, known)),
                came=repr(shortened(part)),
                where=name,
                do=f"did you mean {near!r}?" if near else "name one of them, or map the column",
            )
    return tuple(key_parts)


def extra_columns(parts: Collection[Part]) -> dict[str, str]:
    """The source's columns that a mapping has to carry for the parts, by the names that they are to have."""
    return {part.extra: part.column for part in parts if part.extra}


def hashed(
    bill_key: Sequence[str], table: Table, mapping: Mapping[str, str], hidden: Collection[str], secret: Collection[str]
) -> tuple[str, ...]:
    """The bill's id, where a part of it is a ``hidden`` column of the table or a ``secret`` one of the source."""
    is_secret = any(column_of(part, table) in hidden or part in secret for part in bill_key)
    return (BILL,) if is_secret and BILL not in hidden else ()


def bill_id(
    parts: Sequence[Part], types: Mapping[str, Any], zone: str, typed: Callable[[str], Expression]
) -> Expression:
    """The id of the parts, over an applied frame; null where a part is blank that must not be.

    ``typed`` gives the value of a column of the table. A separator within a part is escaped, so that no two lists of
    parts make the same id.
    """
    from pyspark.sql import functions as F

    written = []
    for part in parts:
        text = _text(part, types, zone, typed)
        for sign in (ESCAPE, SEPARATOR):
            text = F.replace(text, F.lit(sign), F.lit(ESCAPE + sign))
        written.append(F.coalesce(text, F.lit("")) if part.may_be_blank else text)
    # Unlike concat_ws, concat is null where a part is. An id of nothing but blank parts is none.
    joined = [piece for text in written for piece in (F.lit(SEPARATOR), text)][1:]
    joined_id = F.concat(*joined)
    return F.when(joined_id != SEPARATOR * (len(parts) - 1), joined_id) if parts else F.lit(None).cast("string")


def reason(
    parts: Sequence[Part], types: Mapping[str, Any], zone: str, typed: Callable[[str], Expression]
) -> Expression:
    """Why a row has no bill's id, naming the parts that are blank; null where it has one."""
    from pyspark.sql import functions as F

    needed = [part for part in parts if not part.may_be_blank] or parts
    blank = (F.when(_text(part, types, zone, typed).isNull(), F.lit(part.name)) for part in needed)
    words = F.concat(F.lit(f"{BILL}: parts of its bill_key are empty: "), F.concat_ws(", ", *blank))
    return F.when(F.col(BILL).isNull(), words)


def _text(part: Part, types: Mapping[str, Any], zone: str, typed: Callable[[str], Expression]) -> Expression:
    from pyspark.sql import functions as F

    if part.is_day:
        return local_day(typed(part.column), zone).cast("string")
    if part.extra:
        text = values.text(mappings.source(part.extra), types[part.extra])
    else:
        text = typed(part.column).cast("string")
    bare = values.trimmed(text)
    return F.when(bare != "", bare)


def _words(table: Table, mapping: Collection[str]) -> list[str]:
    """The parts that can be written of the mapped columns."""
    words = [part for part in (*WORDS, DAY) if column_of(part, table) in mapping]
    taken = {column_of(part, table) for part in words}
    fit = ("string", "timestamp")
    return words + [c.name for c in table.columns if c.name in mapping and c.type in fit and c.name not in taken]

"""A customer's expression over the columns of one row: read, held to what it may be, and spelled anew for the engine.

Belongs here: what a text of a TOML may compute. What reaches the engine is built from the tree; the text never does.
    lexing       where words, texts and comments begin and end, by sqlglot's tokenizer
    grammar      operators, predicates, CASE
    calls        functions
    literals     types, and values whose kind is named
    vocabulary   the words that may be used, and why others are refused
    tree         what was read, and its spelling
    reader       where the reading stands
    kinds        text, numbers, days, local times, instants: what functions read and make
    conversions  one kind made of another, in the customer's zone, and what of a row could not be
    operators    … of operands; functions, of arguments; choices, of what is chosen; casts, as types; times, of times
Does not belong here: what a mapping's value has to be (``landing``). Pure; libraries are loaded when a text needs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from capflow_assets.errors import MappingError
from capflow_assets.landing.row_expressions.lexing import DeepError, UnreadableError

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

    from capflow_assets.landing.row_expressions.kinds import Meaning

REMEMBERED = 1024
LONGEST_NAME = 255
PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")
# Words, and more words in parentheses.
_WORDS = r"""[^`'"|();=<>\\]"""
LIKE_A_NAME = re.compile(rf"\w{_WORDS}*(?:[(]{_WORDS}+[)]?)?{_WORDS}*")


def expression(text: str, columns: Sequence[str]) -> Expression:
    """What a text means over ``columns``: the column of that name, whatever is in it, or an expression over one row.

    Raises:
        MappingError: says which part is no expression over one row, and what to write instead.
    """
    from pyspark.sql import functions as F

    from capflow_assets.landing.row_expressions.tree import quoted_alone

    if text not in columns:
        return F.expr(_read(text, tuple(columns))[0])
    twins = [column for column in columns if column.lower() == text.lower()]
    if len(twins) > 1:
        expected = f"columns that differ in more than capital letters: {', '.join(map(repr, twins))} do not"
        do = "rename one of them where the rows are exported"
        raise MappingError("A mapping's column is ambiguous", expected=expected, came=repr(text), do=do)
    return F.col(quoted_alone(text))


def columns_used(text: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a text reads.

    Raises:
        MappingError: as ``expression``.
    """
    return (text,) if text in columns else _read(text, tuple(columns))[1]


def spelling(text: str, columns: Sequence[str] | None = None) -> str:
    """The SQL that an expression becomes, over any columns where none are given.

    >>> spelling("upper(Name) || -- a comment \\n ' ' || `a b`", ["name", "a b"])
    "concat(upper(`name`), ' ', `a b`)"
    """
    return _read(text, None if columns is None else tuple(columns))[0]


def problem(text: str) -> MappingError | None:
    """What is wrong with a text before the columns are known; None where it may be a column or an expression.

    A column may be called anything, ``Total (net)`` as well as ``sum(amount)``: what looks like such a name is left to
    the landing, which knows the columns.

    >>> problem("Total (net)") is problem("upper(name)") is None
    True
    >>> print(str(problem("now()")).splitlines()[0])
    A mapping uses 'now', which gives something else every time.
    """
    if PLAIN_NAME.fullmatch(text):
        return None
    is_short = len(text) <= LONGEST_NAME
    try:
        _read(text, None)
    except DeepError as error:
        return error
    except UnreadableError as error:
        return None if is_short else error
    except MappingError as error:
        return None if is_short and LIKE_A_NAME.fullmatch(text) else error
    return None


def converted(
    text: str, columns: Sequence[str], meaning: Meaning, to: str = ""
) -> tuple[Expression, Expression | None]:
    """What a text means over columns of which the types are known, and what of a row it could not read.

    Text is made numbers, truths and times where they are asked for, as Spark does it where it is not strict; times are
    in the customer's zone. The second is null in the rows of which all could be read, and else says what could not;
    None where nothing is converted. ``to`` is the canonical type that is wanted.

    Raises:
        MappingError: as ``expression``.
    """
    from pyspark.sql import functions as F

    from capflow_assets.landing.row_expressions.grammar import read
    from capflow_assets.landing.row_expressions.tree import spelled

    if text in columns:
        return expression(text, columns), None
    node, _ = read(text, columns, meaning)
    value = node.instant if node.instant is not None and to in ("timestamp", "date") else node
    unread = None if node.unread is None else F.expr(spelled(node.unread))
    return F.expr(spelled(value)), unread


@lru_cache(REMEMBERED)
def _read(text: str, columns: tuple[str, ...] | None) -> tuple[str, tuple[str, ...]]:
    from capflow_assets.landing.row_expressions.grammar import read
    from capflow_assets.landing.row_expressions.tree import spelled

    node, used = read(text, columns)
    return spelled(node), used

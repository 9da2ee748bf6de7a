"""Which complaints of a source about a row count: those about the whole row, and about values that somebody reads.

A source that can tell names the columns at fault (``_unfit_columns``), dotted inside structs. A column that no mapping
reads costs no row. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyspark.sql.types as st
    from pyspark.sql import Column as Expression

UNFIT_COLUMNS = "_unfit_columns"


def counted(complaint: Expression, paths: Collection[str]) -> Expression:
    """The complaint where it is about the whole row, or about a value at one of these paths; else null."""
    from pyspark.sql import functions as F

    about = F.col(UNFIT_COLUMNS)
    is_read = F.arrays_overlap(about, F.array(*map(F.lit, sorted(paths)))) if paths else F.lit(False)
    return F.when(about.isNull() | is_read, complaint)


def paths_read(schema: st.StructType, columns: Collection[str], texts: Collection[str]) -> list[str]:
    """The paths of values that texts read of these columns, rather too many than too few.

    >>> import pyspark.sql.types as st
    >>> inner = st.StructType().add("id", "string").add("until", "timestamp")
    >>> paths_read(st.StructType().add("card", inner).add("note", "string"), ["card"], ["card.id"])
    ['card', 'card.id']
    >>> paths_read(st.StructType().add("card", inner), ["card"], ["to_json(card)"])
    ['card', 'card.id', 'card.until']
    """
    paths: list[str] = []
    for field in schema.fields:
        if field.name in columns:
            is_whole = any(_is_read_whole(field.name, text) for text in texts)
            inner = _inner(field.dataType, field.name)
            paths += [field.name, *(path for path, name in inner if is_whole or _is_named(name, texts))]
    return paths


def _inner(kind: st.DataType, path: str) -> Iterator[tuple[str, str]]:
    """The paths inside a type, each with its last name; elements of an array are at the array's path."""
    from pyspark.sql.types import ArrayType, StructType

    if isinstance(kind, ArrayType):
        yield from _inner(kind.elementType, path)
    elif isinstance(kind, StructType):
        for field in kind.fields:
            yield f"{path}.{field.name}", field.name
            yield from _inner(field.dataType, f"{path}.{field.name}")


def _is_named(name: str, texts: Collection[str]) -> bool:
    return any(name.casefold() in text.casefold() for text in texts)


def _is_read_whole(column: str, text: str) -> bool:
    """Whether a text names a column without going on to a field of it."""
    ends = (match.end() for match in re.finditer(re.escape(column), text, re.IGNORECASE))
    return any(not text[end:].lstrip("` ").startswith((".", "[")) for end in ends)

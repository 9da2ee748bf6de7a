"""A customer's mapping applied to the source's columns: each value is a column or an expression over one row.

``row_expressions`` say what an expression may be; what its value has to be, and what is kept of the source beside it,
is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.contract import Table
from capflow_assets.errors import MappingError
from capflow_assets.landing import row_expressions, values
from capflow_assets.landing.keys import id_columns
from capflow_assets.landing.row_expressions.kinds import Meaning
from capflow_assets.landing.unfit_values import UNFIT_COLUMNS, counted, paths_read

if TYPE_CHECKING:
    import pyspark.sql.types as st
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

CORRUPT = "_corrupt_record"
POSITION = "_position"
LABEL = "_source_export"
TOLD = (CORRUPT, POSITION, LABEL, UNFIT_COLUMNS)
SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Applied:
    """A mapping applied: a ``frame`` of the mapped values (see ``source``), and what the source says of each row.

    ``types`` are those of the values, ``text_columns`` which column of the frame has the text of each source column
    that is used, and ``unread`` the mapped columns of which the frame says what could not be read (see ``unread``).
    """

    frame: DataFrame
    types: Mapping[str, st.DataType]
    text_columns: Mapping[str, str]
    unread: frozenset[str]


def applied(
    frame: DataFrame,
    mapping: Mapping[str, str],
    name: str,
    more: Mapping[str, Expression] | None = None,
    looked_at: Mapping[str, str] = values.NOTHING_SEEN,
    also_read: Collection[str] = (),
    *,
    reading: values.Reading = values.PLAIN_READING,
    canonical_types: Mapping[str, str] = values.NOTHING_SEEN,
) -> Applied:
    """The mapped values of each row of a source, with what the source says of the row, and the text that it is made of.

    ``more`` are further expressions over the source's columns, by the names that they are to have. Of the columns
    ``looked_at`` the source tells values of a type as well: no name alone says so, for it may be the customer's own.
    A complaint of the source about a column counts where the mapping, or one of the texts ``also_read``, reads it.

    Raises:
        MappingError: names the table, the canonical column, the expression and the source's columns.
    """
    from pyspark.sql import functions as F

    columns = of_source(frame.columns, looked_at)
    meaning = _meaning(frame, reading)
    mapped = {
        column: _expression(frame, columns, name, column, text, meaning, canonical_types)
        for column, text in mapping.items()
    }
    named = [value.alias(f"_from_{column}") for column, (value, _) in mapped.items()]
    unreads = [words.alias(f"_unread_{column}") for column, (_, words) in mapped.items() if words is not None]
    seen = [
        F.col(quoted(values.SEEN + text)).alias(values.SEEN + column)
        for column, text in mapping.items()
        if text in looked_at
    ]
    plain = {text: f"_from_{column}" for column, text in mapping.items()}
    used = {column: (text, is_text) for column, text, is_text in _texts(frame, columns, mapping)}
    # The more columns a plan carries on, the longer it takes to make.
    text_columns = {
        column: plain[column] if is_text and column in plain else f"_text_{column}"
        for column, (_, is_text) in used.items()
    }
    texts = [
        text.alias(text_columns[column])
        for column, (text, _) in used.items()
        if text_columns[column] not in plain.values()
    ]
    others = [expression.alias(column) for column, expression in (more or {}).items()]
    said = _said_by_source(frame, columns, [*mapping.values(), *also_read])
    raw = frame.select(*named, *seen, *said, *texts, *others, *unreads)
    types = dict(zip(mapping, (field.dataType for field in raw.schema.fields), strict=False))
    _refuse_nested(types, mapping, name)
    unread = frozenset(column for column, (_, words) in mapped.items() if words is not None)
    return Applied(raw, types, text_columns, unread)


def _said_by_source(frame: DataFrame, columns: Sequence[str], texts: Sequence[str]) -> list[Expression]:
    """What the source says of each row: its complaint, if it is about what the texts read, and the row's place."""
    from pyspark.sql import functions as F

    complaint, place = (
        (F.col(column) if column in frame.columns else F.lit(None)).cast("string") for column in (CORRUPT, POSITION)
    )
    if UNFIT_COLUMNS in frame.columns:
        complaint = counted(complaint, paths_read(frame.schema, mentioned(columns, texts), texts))
    return [complaint.alias(CORRUPT), place.alias(POSITION)]


def _refuse_nested(types: Mapping[str, st.DataType], mapping: Mapping[str, str], name: str) -> None:
    for column, kind in types.items():
        if kind.simpleString().startswith(("array", "map", "struct", "interval", "variant")):
            raise MappingError(
                "A mapping gives no plain value",
                expected="text, a number, a truth value or a time",
                came=kind.simpleString(),
                where=_where(name, column, mapping[column]),
            )


def of_source(columns: Sequence[str], looked_at: Collection[str] = ()) -> list[str]:
    """The columns of a frame that are the source's own: not what it tells of rows, nor what it has looked at."""
    apart = {*TOLD, *(values.SEEN + column_name for column_name in looked_at)}
    return [column for column in columns if column not in apart]


def condition(
    frame: DataFrame,
    text: str,
    key: str,
    name: str,
    looked_at: Mapping[str, str] = values.NOTHING_SEEN,
    reading: values.Reading = values.PLAIN_READING,
) -> Expression:
    """What the ``text`` at ``key`` says of each row of a source: true, false or null; null of what cannot be read.

    Raises:
        MappingError: it is no expression over one row, or gives something else than a truth value.
    """
    columns = of_source(frame.columns, looked_at)
    holds, _ = _expression(frame, columns, name, key, text, _meaning(frame, reading), {})
    kind = frame.select(holds.alias(key)).schema[key].dataType.simpleString()
    if kind != "boolean":
        expected = "true or false of each row, such as Status = 'Paid'"
        do = f"compare it with something: {quoted(text)} = 'true'" if text in columns else "compare it with something"
        where = _where(name, key, text)
        raise MappingError(f"A {key} gives no truth value", expected=expected, came=kind, where=where, do=do)
    return holds


def _meaning(frame: DataFrame, reading: values.Reading) -> Meaning:
    return Meaning({field.name: field.dataType for field in frame.schema.fields}, reading.zone, reading.numbers)


def mentioned(columns: Sequence[str], texts: Collection[str]) -> list[str]:
    """The source columns that some mappings' texts use."""
    used = {column for text in texts for column in row_expressions.columns_used(text, columns)}
    return [column for column in columns if column in used]


def plain_kinds(table: Table, mapping: Mapping[str, str]) -> dict[str, str]:
    """The source's columns, if they are such, of which times, numbers or ids are made as they are; each of one kind."""
    kinds = {column.name: column.type for column in table.columns if column.type in ("timestamp", "double")}
    kinds |= dict.fromkeys(id_columns(table, mapping), values.ID)
    return {text: kinds[name] for name, text in mapping.items() if name in kinds}


def position() -> Expression:
    """Where each row of an applied frame stands in its source, if that tells."""
    from pyspark.sql import functions as F

    return F.col(POSITION)


def row_json(text_columns: Mapping[str, str]) -> Expression:
    """The source columns that the mapping uses, as JSON of text: ``text_columns`` of an applied frame."""
    from pyspark.sql import functions as F

    parts = [part for column, name in text_columns.items() for part in (F.lit(column), F.col(quoted(name)))]
    return F.to_json(F.create_map(*parts)) if parts else F.lit("{}")


def source(column: str) -> Expression:
    """The mapped value of a canonical column in an applied frame."""
    from pyspark.sql import functions as F

    return F.col(f"_from_{column}")


def unread(column: str) -> Expression:
    """What an expression could not read of its row in an applied frame, in words; null where it could."""
    from pyspark.sql import functions as F

    return F.col(f"_unread_{column}")


def seen(column: str) -> Expression:
    """What the source has told of a canonical column in an applied frame."""
    from pyspark.sql import functions as F

    return F.col(values.SEEN + column)


def quoted(column: str) -> str:
    """A source column's name as Spark SQL reads it: blanks, dots and all."""
    return "`" + column.replace("`", "``") + "`"


def _where(name: str, column: str, text: str) -> str:
    shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
    return f"{name + ', ' if name else ''}{column} = {shown!r}"


def _texts(
    frame: DataFrame, columns: Sequence[str], mapping: Mapping[str, str]
) -> Iterator[tuple[str, Expression, bool]]:
    """The text of each source column that the mapping uses, and whether it came as text."""
    from pyspark.sql import functions as F

    types = {field.name: field.dataType for field in frame.schema.fields}
    for column in mentioned(columns, mapping.values()):
        yield column, values.text(F.col(quoted(column)), types[column]), types[column].typeName() == "string"


def _expression(
    frame: DataFrame,
    columns: Sequence[str],
    name: str,
    column: str,
    text: str,
    meaning: Meaning,
    canonical_types: Mapping[str, str],
) -> tuple[Expression, Expression | None]:
    from pyspark.errors import PySparkException

    where = _where(name, column, text)
    try:
        expression, unread = row_expressions.converted(text, columns, meaning, canonical_types.get(column, ""))
    except MappingError as error:
        raise error.at(where) from None
    if text in columns:
        return expression, None
    both = [expression.alias("value"), *([] if unread is None else [unread.alias("unread")])]
    try:
        _ = frame.select(*both).schema
    except PySparkException as error:
        received = str(error).strip().split("\n")[0][:200]
        do = "write it as the engine expects it; cast or try_cast make one type of another"
        expected = "an expression that the engine can compute over " + _shown(columns)
        raise MappingError("A mapping cannot be read", expected=expected, came=received, where=where, do=do) from error
    return expression, unread


def _shown(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(column) for column in columns)
    return shown if len(shown) < 2000 else shown[:2000] + " …"

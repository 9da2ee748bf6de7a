"""A customer's mapping applied to the source's columns: each value is a column or an expression over one row.

The words below keep an expression inside its row: it neither sums up, multiplies nor looks at other rows, reads no
other table (another customer's, say), and gives the same every time. Engines would let most of that pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from capflow_assets.errors import MappingError
from capflow_assets.landing import values

if TYPE_CHECKING:
    import pyspark.sql.types as st
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

CORRUPT = "_corrupt_record"
POSITION = "_position"
TOLD = (CORRUPT, POSITION)
ROW_ONLY = "a mapping is an expression over the columns of one row"
WORDS_REFUSED = {
    **dict.fromkeys(("select", "table", "values"), "reads another table"),
    **dict.fromkeys(("current_date", "current_timestamp"), "gives something else every time"),
}
CALLS_REFUSED = {
    **dict.fromkeys(("read_files", "reflect", "java_method", "try_reflect"), "reaches outside the row"),
    **dict.fromkeys(
        ("explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack", "json_tuple"),
        "makes several rows of one",
    ),
    **dict.fromkeys(
        ("rand", "random", "randn", "randstr", "uniform", "uuid", "shuffle", "now", "curdate", "localtimestamp"),
        "gives something else every time",
    ),
    **dict.fromkeys(("monotonically_increasing_id", "spark_partition_id"), "gives something else every time"),
    "over": "looks at other rows",
}
# What Sail and Spark say of it.
UNKNOWN_COLUMN = ("is missing from the schema", "UNRESOLVED_COLUMN")
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/[*].*?[*]/""", re.DOTALL)


def applied(
    frame: DataFrame,
    mapping: Mapping[str, str],
    name: str,
    more: Mapping[str, Expression] | None = None,
    looked_at: Mapping[str, str] = values.NOTHING_SEEN,
) -> tuple[DataFrame, dict[str, st.DataType], dict[str, str]]:
    """The mapped values of each row (see ``source``), what the source says of the row, what it is made of.

    With it come the types of the values, and which of its columns has the text of each source column that is used.

    ``more`` are further expressions over the source's columns, by the names that they are to have. Of the columns
    ``looked_at`` the source tells values of a type as well: no name alone says so, for it may be the customer's own.

    Raises:
        MappingError: names the table, the canonical column, the expression and the source's columns.
    """
    from pyspark.sql import functions as F

    apart = {*TOLD, *(values.SEEN + each for each in looked_at)}
    columns = [column for column in frame.columns if column not in apart]
    named = [_expression(frame, columns, name, each, mapping[each]).alias(f"_from_{each}") for each in mapping]
    seen = [
        F.col(quoted(values.SEEN + text)).alias(values.SEEN + each)
        for each, text in mapping.items()
        if text in looked_at
    ]
    told = [
        (F.col(each) if each in frame.columns else F.lit(None)).cast("string").alias(each)
        for each in (CORRUPT, POSITION)
    ]
    plain = {text: f"_from_{each}" for each, text in mapping.items()}
    used = {column: (text, is_text) for column, text, is_text in _texts(frame, columns, mapping)}
    # The more columns a plan carries on, the longer it takes to make.
    held = {
        column: plain[column] if is_text and column in plain else f"_text_{column}"
        for column, (_, is_text) in used.items()
    }
    texts = [text.alias(held[column]) for column, (text, _) in used.items() if held[column] not in plain.values()]
    others = [expression.alias(each) for each, expression in (more or {}).items()]
    raw = frame.select(*named, *seen, *told, *texts, *others)
    types = dict(zip(mapping, (field.dataType for field in raw.schema.fields), strict=False))
    for column, kind in types.items():
        if kind.simpleString().startswith(("array", "map", "struct", "interval", "variant")):
            expected = "text, a number, a truth value or a time"
            where = _where(name, column, mapping[column])
            raise MappingError(
                "A mapping gives no plain value", expected=expected, came=kind.simpleString(), where=where
            )
    return raw, types, held


def mentioned(columns: Sequence[str], texts: Collection[str]) -> list[str]:
    """The source columns that some mappings' texts use."""
    return [column for column in columns if any(_mentions(text, column) for text in texts)]


def position() -> Expression:
    """Where each row of an applied frame stands in its source, if that tells."""
    from pyspark.sql import functions as F

    return F.col(POSITION)


def row_json(held: Mapping[str, str]) -> Expression:
    """The source columns that the mapping uses, as JSON of text: ``held`` names their columns in an applied frame."""
    from pyspark.sql import functions as F

    parts = [part for column, each in held.items() for part in (F.lit(column), F.col(quoted(each)))]
    return F.to_json(F.create_map(*parts)) if parts else F.lit("{}")


def source(column: str) -> Expression:
    """The mapped value of a canonical column in an applied frame."""
    from pyspark.sql import functions as F

    return F.col(f"_from_{column}")


def seen(column: str) -> Expression:
    """What the source has told of a canonical column in an applied frame."""
    from pyspark.sql import functions as F

    return F.col(values.SEEN + column)


def quoted(column: str) -> str:
    """A source column's name as Spark SQL reads it: blanks, dots and all."""
    return "`" + column.replace("`", "``") + "`"


def _where(name: str, column: str, text: str) -> str:
    return f"{name + ', ' if name else ''}{column} = {text!r}"


def _texts(
    frame: DataFrame, columns: Sequence[str], mapping: Mapping[str, str]
) -> Iterator[tuple[str, Expression, bool]]:
    """The text of each source column that the mapping uses, and whether it came as text."""
    from pyspark.sql import functions as F

    types = {field.name: field.dataType for field in frame.schema.fields}
    for each in mentioned(columns, mapping.values()):
        yield each, values.text(F.col(quoted(each)), types[each]), types[each].typeName() == "string"


def _expression(frame: DataFrame, columns: Sequence[str], name: str, column: str, text: str) -> Expression:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    if text in columns:
        return F.col(quoted(text))
    where = _where(name, column, text)
    word, why = _refused(text)
    if word:
        raise MappingError(f"A mapping uses {word!r}, which {why}", came=text, where=where, do=ROW_ONLY)
    expression = F.expr(text).alias("value")
    try:
        # An aggregate may stand alone and never beside a column.
        _ = frame.select(F.col(quoted(columns[0])), expression).schema
    except PySparkException as error:
        if _sums_up(frame, columns, expression):
            raise MappingError("A mapping sums up many rows", came=text, where=where, do=ROW_ONLY) from error
        raise _misread(columns, text, where, error) from error
    return expression


def _sums_up(frame: DataFrame, columns: Sequence[str], expression: Expression) -> bool:
    """Whether an expression is only wrong over one row: grouped by everything it would be right."""
    from pyspark.errors import PySparkException

    try:
        return bool(frame.groupBy(*(quoted(column) for column in columns)).agg(expression).schema)
    except PySparkException:
        return False


def _refused(text: str) -> tuple[str, str]:
    """The first word of an expression that it must not use, and why not; two blanks where there is none.

    >>> _refused("concat(`select`, ' now()')")
    ('', '')
    >>> _refused("coalesce(a, (SELECT max(b) FROM c))")
    ('select', 'reads another table')
    >>> _refused("Explode (split(a, ','))")
    ('explode', 'makes several rows of one')
    """
    bare = QUOTED.sub(" ", text.lower())
    if re.fullmatch(r"\s*(\w*\s*[.])?\s*[*]\s*", bare):
        return "*", "is every column"
    for word in re.findall(r"\w+", bare):
        if word in WORDS_REFUSED:
            return word, WORDS_REFUSED[word]
    for word in re.findall(r"(\w+)\s*\(", bare):
        if word in CALLS_REFUSED:
            return word, CALLS_REFUSED[word]
    return ("from", "reads another table") if re.search(r"[(]\s*from\b", bare) else ("", "")


def _misread(columns: Sequence[str], text: str, where: str, error: Exception) -> MappingError:
    lower = {column.lower(): column for column in columns}
    words = [text, *(word.strip("`") for word in re.findall(r"`[^`]+`|\w+", text))]
    near = (get_close_matches(word.lower(), lower, n=1, cutoff=0.7) for word in words)
    elsewise = "name one of them; if they look wrong, so are delimiter, header or encoding in the table's options"
    hint = next((f"did you mean {lower[match[0]]!r}?" for match in near if match), elsewise)
    shown = ", ".join(repr(column) for column in columns)
    expected = "a source column or a Spark SQL expression over " + (shown if len(shown) < 2000 else shown[:2000] + " …")
    told = str(error).strip().split("\n")[0][:200]
    is_unknown = any(sign in told for sign in UNKNOWN_COLUMN)
    came = f"{text!r}, which is or names another" if is_unknown else told
    return MappingError("A mapping cannot be read", expected=expected, came=came, where=where, do=hint)


def _mentions(text: str, column: str) -> bool:
    return text == column or bool(re.search(rf"(?<!\w){re.escape(column)}(?!\w)", text, re.IGNORECASE))

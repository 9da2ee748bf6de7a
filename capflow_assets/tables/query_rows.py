"""The rows of a table that is made of several inputs: each opened as any source is, and the customer's query over them.

What the engine gets is the judged query alone (``landing.queries``). Its inputs are temporary views, whose names and
columns nobody else can guess, and which are gone when the landing ends. A row of which an input itself complains cannot
take part; it is rejected, by its place alone. Other rejected rows have no line: their key says which they are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer
from capflow_assets.customers.table_inputs import InputSource
from capflow_assets.errors import CapflowError, MappingError
from capflow_assets.landing import mappings, queries, rules
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.rejections import POSITION, REASON, SOURCE_ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

INPUT = "_input"
MOST_PLACES = 3
TIME_OPTIONS = ("timestamp_format", "date_format")
# How engines speak of a text that is no number or time.
UNREAD = re.compile(
    r"(?:Cannot cast string |CAST_INVALID_INPUT\] The value )'(?P<cast>.*?)' (?:to value )?of "
    r"|(?:invalid (?:timestamp|date)|Error parsing (?:timestamp|date) from|could not be parsed):? '?(?P<parsed>[^']*)"
)
# One engine does not see the columns of LATERAL VIEW in the WHERE beside it.
LATERAL_DO = "put the SELECT with LATERAL VIEW under WITH, and ask for its columns by a WHERE outside of it"


def query_rows(
    spark: SparkSession, sources: Mapping[str, Source], customer: Customer, table: str, views: ExitStack
) -> tuple[DataFrame, DataFrame | None]:
    """What a table's query gives, and the rows that could not take part; the views live as long as ``views``.

    Raises:
        SourceError: an input cannot be opened.
        MappingError: the query is not what a query may be, or the engine cannot compute it.
    """
    declared = customer.tables[table]
    where = f"[tables.{table}] of {customer.name}, query"
    inputs = _inputs(spark, sources, customer, table)
    columns = {name: _columns(frame) for name, frame in inputs.items()}
    instants = {column.lower() for frame in inputs.values() for column, kind in frame.dtypes if kind == "timestamp"}
    prefix = f"q{secrets.token_hex(16)}"
    try:
        texts = _texts(inputs, sources, declared.inputs)
        judged = queries.judged(declared.query or "", columns, prefix, instants, texts)
    except MappingError as error:
        raise error.at(where) from None
    for name, frame in inputs.items():
        names = {column: judged.names[column.lower()] for column in columns[name]}
        _offer(spark, judged.names[name], _fit(frame), names, views)
    return _answer(spark, judged, where), _unfit(inputs)


def with_unfit(conformed: DataFrame, unfit: DataFrame | None) -> DataFrame:
    """A conformed frame with the rows of inputs that could not take part, as rejected ones."""
    from pyspark.sql import functions as F

    if unfit is None:
        return conformed
    reserved = {
        REASON: rules.unfit_row(is_shown=False),
        POSITION: F.coalesce(mappings.position(), F.col(INPUT)),
        SOURCE_ROW: F.lit("{}"),
    }
    columns = [
        reserved[name].alias(name) if name in reserved else F.lit(None).cast(kind).alias(name)
        for name, kind in conformed.dtypes
    ]
    return conformed.unionByName(unfit.select(*columns))


def placed_by_key(conformed: DataFrame, key: Sequence[str]) -> DataFrame:
    """A conformed frame whose rejected rows are placed by their key: no line of a file is theirs."""
    from pyspark.sql import functions as F

    parts = [F.concat(F.lit(f"{name} "), F.col(name).cast("string")) for name in key]
    placed = F.coalesce(F.col(POSITION), F.concat_ws(", ", *parts))
    return conformed.withColumn(POSITION, F.when(F.col(REASON).isNotNull() & (placed != ""), placed))


def unread_value(
    spark: SparkSession, sources: Mapping[str, Source], customer: Customer, table: str, received: str
) -> MappingError | None:
    """What to say of an engine's words about a value that a query could not read; None where they are of another thing.

    The inputs are read once more, to say where the value stands.
    """
    from pyspark.errors import PySparkException

    matched = UNREAD.search(received) if customer.tables[table].query else None
    if matched is None:
        return None
    value = matched["cast"] or matched["parsed"] or ""
    places: list[str] = []
    with suppress(CapflowError, PySparkException):  # the value is told of in any case
        for frame in _inputs(spark, sources, customer, table).values():
            places += _places(frame, value)
    standing = f", in {', '.join(places[:MOST_PLACES])}" if places else ""
    return MappingError(
        "A query meets a value that it cannot read",
        came=f"{value[:80]!r}{standing} ({received[:160]})",
        where=f"[tables.{table}] of {customer.name}, query",
        do="write try_cast(column as double), or try_to_timestamp, which is null there, or leave such rows out",
    )


def reading_options(sources: Mapping[str, Source], inputs: Mapping[str, InputSource]) -> Any:
    """How the text that a query hands on is written: as all its inputs say, None where they say different things."""
    options = [sources[declared.source].Options(**declared.options) for declared in inputs.values()]
    ways = {(NumberFormat.of(option), *(getattr(option, name, None) for name in TIME_OPTIONS)) for option in options}
    return options[0] if len(ways) == 1 else None


def _inputs(spark: SparkSession, sources: Mapping[str, Source], customer: Customer, table: str) -> dict[str, DataFrame]:
    return {
        name: sources[declared.source].read(
            spark, customer.located(declared.location), sources[declared.source].Options(**declared.options)
        )
        for name, declared in customer.tables[table].inputs.items()
    }


def _texts(
    inputs: Mapping[str, DataFrame], sources: Mapping[str, Source], declared: Mapping[str, InputSource]
) -> set[str]:
    """The columns, in small letters, that are text in every input that has them, with numbers written plainly."""
    kinds: dict[str, set[bool]] = {}
    for name, frame in inputs.items():
        given = declared[name]
        is_plain = NumberFormat.of(sources[given.source].Options(**given.options)).is_plain
        for column, kind in frame.dtypes:
            kinds.setdefault(column.lower(), set()).add(is_plain and kind == "string")
    return {column for column, said in kinds.items() if said == {True}}


def _places(frame: DataFrame, value: str) -> list[str]:
    """Where a text stands: the places of some rows, and the column of each."""
    from pyspark.sql import functions as F

    names = [name for name, kind in frame.dtypes if kind == "string" and name not in mappings.TOLD]
    if not names or mappings.POSITION not in frame.columns:
        return []
    holds = [F.when(F.trim(F.col(mappings.quoted(name))) == value.strip(), F.lit(name)) for name in names]
    rows = frame.select(F.col(mappings.POSITION).alias("place"), F.coalesce(*holds).alias("name"))
    return [f"{row['place']} ({row['name']})" for row in rows.where("name is not null").limit(MOST_PLACES).collect()]


def _columns(frame: DataFrame) -> list[str]:
    """An input's columns; those that differ in nothing but capital letters cannot be named."""
    own = [column for column in frame.columns if column not in mappings.TOLD]
    lower = [column.lower() for column in own]
    return [column for column in own if lower.count(column.lower()) == 1]


def _fit(frame: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return frame.where(F.col(mappings.CORRUPT).isNull()) if mappings.CORRUPT in frame.columns else frame


def _unfit(inputs: Mapping[str, DataFrame]) -> DataFrame | None:
    """The rows of which an input itself complains: why, and where they stand."""
    from pyspark.sql import functions as F

    def complaints(name: str, frame: DataFrame) -> DataFrame:
        position = F.col(mappings.POSITION) if mappings.POSITION in frame.columns else F.lit(None)
        wanted = F.col(mappings.CORRUPT), position.cast("string").alias(mappings.POSITION), F.lit(name).alias(INPUT)
        return frame.where(F.col(mappings.CORRUPT).isNotNull()).select(*wanted)

    unfit = [complaints(name, frame) for name, frame in inputs.items() if mappings.CORRUPT in frame.columns]
    return reduce(lambda one, other: one.unionByName(other), unfit) if unfit else None


def _offer(spark: SparkSession, view: str, frame: DataFrame, names: Mapping[str, str], views: ExitStack) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    def drop() -> None:
        with suppress(PySparkException):  # a session that is gone has taken it along
            spark.catalog.dropTempView(view)

    frame.select(*(F.col(mappings.quoted(old)).alias(new) for old, new in names.items())).createTempView(view)
    views.callback(drop)


def _answer(spark: SparkSession, judged: queries.JudgedQuery, where: str) -> DataFrame:
    from pyspark.errors import PySparkException

    try:
        frame = spark.sql(judged.text)
        columns = [judged.shown.get(column, column) for column in frame.columns]
    except PySparkException as error:
        received = judged.words(str(error).strip().split("\n")[0])[:300]
        do = "see what each function takes: columns of CSV are text, try_cast(replace(x, ',', '.') as double) a number"
        if "LATERAL VIEW" in judged.text and "cannot resolve" in received:
            do = LATERAL_DO
        raise MappingError("The engine cannot compute a query", came=received, where=where, do=do) from None
    twins = _twins(columns)
    if twins:
        do = "name one of them by AS, or join with USING"
        raise MappingError("A query gives columns of one name", came=", ".join(map(repr, twins)), where=where, do=do)
    return frame.toDF(*columns)


def _twins(columns: Iterable[str]) -> list[str]:
    lower = [column.lower() for column in columns]
    return sorted({column for column in lower if lower.count(column) > 1})

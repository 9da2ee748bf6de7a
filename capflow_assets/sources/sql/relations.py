"""What a table or query of a SQL database holds: its columns, how each is asked for, and as what it arrives.

Belongs here: types. PostgreSQL and MySQL tell them of any query; of other databases a table's are asked for, and a
query's are those of its first rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError, listed
from capflow_assets.sources.reading import arrow_frames
from capflow_assets.sources.sql import database_access

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect

CORRUPT, POSITION = "_corrupt_record", "_position"
TOLD = (CORRUPT, POSITION, arrow_frames.UNFIT_COLUMNS)
MOST_DIGITS = 38
# Spark's own choice for numbers of any size.
ANY_NUMBER = (38, 18)
SAMPLE_ROWS = 1000
BINARY_CHARSET, UNSIGNED = 63, 32
MYSQL_INTEGERS = (1, 2, 3, 8, 9, 13)
MYSQL_TEXTS = range(249, 255)


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """A column as it arrives: its name in the frame and in the database, the SQL that gives it, its Arrow type."""

    name: str
    source: str
    expression: str
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Relation:
    """The rows to be read: what stands after FROM, and for a table its schema, name and primary key."""

    sql: str
    label: str
    schema: str | None = None
    table: str | None = None
    key: tuple[str, ...] = ()


def relation_of(connection: Connection, dialect: Dialect, location: str, table: str | None, query: str) -> Relation:
    """The relation of ``table``, or of ``query`` where there is none.

    Raises:
        SourceError: there is no such table; names those that there are.
    """
    from sqlalchemy import inspect

    if table is None:
        return Relation(query_rows(query), "query")
    schema, name = split_name(table)
    inspector = inspect(connection)
    if not inspector.has_table(name, schema=schema) and name not in _views(inspector, schema):
        known = [*inspector.get_table_names(schema=schema), *_views(inspector, schema)]
        raise database_access.no_table(
            table, [f"{schema}.{table_name}" if schema else table_name for table_name in known], location
        )
    key = tuple(inspector.get_pk_constraint(name, schema=schema).get("constrained_columns") or ())
    return Relation(quoted_table(dialect, schema, name), table, schema, name, key)


def query_rows(query: str) -> str:
    """What stands after FROM for a query, which may end in a comment."""
    return f"({query}\n) capflow_query"


def split_name(table: str) -> tuple[str | None, str]:
    """The schema and the name of a table; a part with a dot in it stands in double quotes.

    >>> split_name('crm."line.items"')
    ('crm', 'line.items')
    """
    parts = [(quoted or plain).replace('""', '"') for quoted, plain in re.findall(r'"((?:[^"]|"")+)"|([^."]+)', table)]
    return ".".join(parts[:-1]) or None, parts[-1]


def quoted_table(dialect: Dialect, schema: str | None, name: str) -> str:
    """The table as the database spells it."""
    preparer = dialect.identifier_preparer
    return (f"{preparer.quote_schema(schema)}." if schema else "") + preparer.quote(name)


def quoted(dialect: Dialect, column: str) -> str:
    """The column as the database spells it."""
    # Oracle and its like fold plain names; quoting those would miss the column.
    always = dialect.name in ("postgresql", "mysql", "mariadb")
    preparer = dialect.identifier_preparer
    return preparer.quote_identifier(column) if always else preparer.quote(column)


def columns_of(
    connection: Connection, dialect: Dialect, relation: Relation, location: str, access: database_access.Access
) -> list[SqlColumn]:
    """The columns of a relation, in its order.

    Raises:
        SourceError: the query is wrong, or two of its columns have one name.
    """
    if dialect.name == "postgresql":
        fields = _of_postgresql(relation, location, access)
    elif dialect.name in ("mysql", "mariadb"):
        fields = _of_mysql(connection, relation)
    elif relation.table:
        fields = _of_table(connection, relation)
    else:
        fields = _of_sample(connection, relation)
    names = [name for name, _, _ in fields]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        do = "name each of them with AS"
        raise SourceError("Columns of a query have one name", came=listed(doubled), where=location, do=do)
    expressions = [cast.format(quoted(dialect, name)) for name, cast, _ in fields]
    shown = frame_names(names)
    types = (kind for _, _, kind in fields)
    return [SqlColumn(*column) for column in zip(shown, names, expressions, types, strict=True)]


def frame_names(names: Iterable[str]) -> list[str]:
    """Names that differ even where case does not count, and from those that the source adds.

    >>> frame_names(["id", "ID", "_position"])
    ['id', 'ID_2', '_position_3']
    """
    unique: list[str] = []
    for place, name in enumerate(names, 1):
        taken = name.lower() in (*TOLD, *(taken_name.lower() for taken_name in unique))
        unique.append(f"{name}_{place}" if taken or not name else name)
    return unique


def decimal(precision: int | None, scale: int | None) -> pa.DataType:
    """The type of a number of so many digits: text where Spark has none for it, 38 digits where none are told."""
    import pyarrow as pa

    if not precision:
        return pa.decimal128(*ANY_NUMBER)
    fits = precision <= MOST_DIGITS and 0 <= (scale or 0) <= precision
    return pa.decimal128(precision, scale or 0) if fits else pa.string()


Found = tuple[str, str, "pa.DataType"]


def _views(inspector: Any, schema: str | None) -> list[str]:
    views = list(inspector.get_view_names(schema=schema))
    try:
        return views + list(inspector.get_materialized_view_names(schema=schema))
    except NotImplementedError:
        return views


def _of_postgresql(relation: Relation, location: str, access: database_access.Access) -> list[Found]:
    from adbc_driver_postgresql import dbapi

    address = database_access.stream_address(location, access)
    with (
        database_access.in_our_words(location, access),
        dbapi.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT * FROM {relation.sql} LIMIT 0")  # noqa: S608
        schema = cursor.fetch_record_batch().schema
    return [(field.name, *_postgresql_type(field)) for field in schema]


def _postgresql_type(field: pa.Field) -> tuple[str, pa.DataType]:
    """The expression around a column and the type in which it arrives; what has no type of its own is text."""
    import pyarrow as pa

    metadata = {key: value.decode() for key, value in (field.metadata or {}).items()}
    name = metadata.get(b"POSTGRESQL:type", "")
    if name == "numeric":
        # 4 more than precision and scale of 16 bits each.
        modifier = int(metadata.get(b"POSTGRESQL:typmod", "-1")) - 4
        scale = ((modifier & 0x7FF) ^ 0x400) - 0x400
        # As text, since the driver writes the binary form out more slowly than the server does.
        return "{}::text", decimal((modifier >> 16) & 0xFFFF if modifier > 0 else None, scale)
    if name == "money":
        return "{}::numeric(19,2)", pa.decimal128(19, 2)
    if pa.types.is_list(field.type):
        return "array_to_json({})::text", pa.string()
    kept = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bytea", "date")
    if name in kept or name.startswith("timestamp"):
        return "{}", field.type
    return "{}::text", pa.string()


def _of_mysql(connection: Connection, relation: Relation) -> list[Found]:
    statement = f"SELECT * FROM {relation.sql} LIMIT 0"  # noqa: S608
    result = connection.exec_driver_sql(statement, None, {"no_parameters": True})
    cursor: Any = result.cursor
    # PyMySQL keeps what else the server told of each column; other drivers do without.
    fields = getattr(getattr(cursor, "_result", None), "fields", None) or [None] * len(cursor.description)
    columns = [
        (description[0], "{}", _mysql_type(description, getattr(field, "flags", 0), getattr(field, "charsetnr", 0)))
        for description, field in zip(cursor.description, fields, strict=True)
    ]
    result.close()
    return columns


def _mysql_type(description: Sequence[Any], flags: int, charset: int) -> pa.DataType:
    import pyarrow as pa

    _, code, _, _, length, scale, *_ = description
    if code in (0, 246):
        return decimal(length - (scale > 0) - (not flags & UNSIGNED), scale)
    if code in MYSQL_INTEGERS:
        return pa.decimal128(20, 0) if code == 8 and flags & UNSIGNED else pa.int64()
    if code in (*MYSQL_TEXTS, 255) and charset == BINARY_CHARSET:
        return pa.binary()
    others = {
        4: pa.float64(),
        5: pa.float64(),
        7: pa.timestamp("us", "UTC"),
        10: pa.date32(),
        12: pa.timestamp("us"),
        16: pa.int64(),
    }
    return others.get(code, pa.string())


def _of_table(connection: Connection, relation: Relation) -> list[Found]:
    from sqlalchemy import inspect

    declared = inspect(connection).get_columns(relation.table or "", schema=relation.schema)
    return [(str(column["name"]), "{}", _declared_type(column["type"])) for column in declared]


def _declared_type(kind: Any) -> pa.DataType:
    import pyarrow as pa
    from sqlalchemy import types

    if isinstance(kind, types.Float):
        return pa.float64()
    if isinstance(kind, types.Numeric):
        return decimal(kind.precision, kind.scale)
    if isinstance(kind, types.DateTime):
        return pa.timestamp("us", "UTC" if kind.timezone else None)
    known = {types.Boolean: pa.bool_(), types.Integer: pa.int64(), types.Date: pa.date32()}
    known |= {types.LargeBinary: pa.binary(), types.BINARY: pa.binary(), types.VARBINARY: pa.binary()}
    return next((arrow for declared, arrow in known.items() if isinstance(kind, declared)), pa.string())


def _of_sample(connection: Connection, relation: Relation) -> list[Found]:
    statement = f"SELECT * FROM {relation.sql}"  # noqa: S608
    result = connection.exec_driver_sql(statement, None, {"no_parameters": True, "stream_results": True})
    names, rows = list(result.keys()), result.fetchmany(SAMPLE_ROWS)
    result.close()
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return [(name, "{}", _sampled_type(values)) for name, values in zip(names, columns, strict=True)]


def _sampled_type(values: Sequence[Any]) -> pa.DataType:
    import datetime as dt
    from decimal import Decimal

    import pyarrow as pa

    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {dt.datetime}:
        zoned = any(value.tzinfo for value in present)
        return pa.timestamp("us", "UTC" if zoned else None)
    order = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), dt.date: pa.date32(), bytes: pa.binary()}
    if len(kinds) == 1 and (kind := kinds.pop()) in order:
        return order[kind]
    if kinds and kinds <= {int, Decimal}:
        return pa.decimal128(*ANY_NUMBER)
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()

"""Conditions that cut a relation into parts, which together hold each of its rows once.

PostgreSQL's tables are cut by where their rows lie, which needs no index and gives parts of equal size. Everything else
is cut by a column: numbers and times evenly between the least and the greatest, text at the places of equal counts.
The first and the last part are open, so a row outside of what was counted is in one of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.sources.sql.relations import Relation, quoted

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect

PART_BYTES = 16 << 20
PART_ROWS = 200_000
MOST_PARTS = 512
RANGES_OF_ROWS = (14, 0)
WITH_ROWS_OF_THEIR_OWN = ("r", "p", "m")
EVERYTHING = ["1 = 1"]


def cut(
    connection: Connection, dialect: Dialect, relation: Relation, split_by: str | None, parts: int | None
) -> list[str]:
    """The conditions of a relation's parts; ``split_by`` names the column, ``parts`` how many, where they are given.

    Raises:
        SourceError: ``split_by`` is neither a number, a time nor text.
    """
    if parts == 1:
        return EVERYTHING
    if dialect.name == "postgresql" and relation.table and not split_by:
        blocks = _blocks(connection, relation)
        if blocks is not None and (connection.dialect.server_version_info or ()) >= RANGES_OF_ROWS:
            return _by_place(*blocks, parts)
    column = split_by or (relation.key[0] if len(relation.key) == 1 else None)
    if column is None:
        return EVERYTHING
    return _by_column(connection, dialect, relation, column, parts or _parts_of_rows(connection, relation.sql))


def newer(
    connection: Connection, dialect: Dialect, relation: Relation, column: str, than: Any, parts: int | None
) -> list[str]:
    """The conditions of the parts of the rows whose ``column`` is at least ``than``; an index on it is used."""
    name, least = quoted(dialect, column), literal(dialect, than)
    since = f"{name} >= {least}"
    rows = f"{relation.sql} WHERE {since}"
    parts = parts or _parts_of_rows(connection, rows)
    if parts == 1 or isinstance(than, str):
        return [since]
    [(greatest,)] = _rows(connection, f"SELECT max({name}) FROM {rows}")  # noqa: S608
    bounds = [literal(dialect, bound) for bound in _between(than, greatest, parts)]
    return _conditions(name, bounds, first=since)


def literal(dialect: Dialect, value: Any) -> str:
    """A value as the database reads it in a statement.

    >>> from sqlalchemy.dialects import postgresql
    >>> literal(postgresql.dialect(paramstyle="named"), "O'Neill")
    "'O''Neill'"
    """
    from sqlalchemy import literal as sql_literal

    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
        # Sessions are in UTC; other databases read no offset.
        value = value if dialect.name == "postgresql" else value.replace(tzinfo=None)
    return str(sql_literal(value).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _rows(connection: Connection, statement: str) -> list[Any]:
    return list(connection.exec_driver_sql(statement, None, {"no_parameters": True}).fetchall())


def _parts_of_rows(connection: Connection, rows: str) -> int:
    [(count,)] = _rows(connection, f"SELECT count(*) FROM {rows}")  # noqa: S608
    return max(1, min(MOST_PARTS, -(-count // PART_ROWS)))


def has_places(connection: Connection, relation: Relation) -> bool:
    """Whether the rows have a ``ctid``: PostgreSQL's tables, not its views."""
    return (
        connection.dialect.name == "postgresql" and bool(relation.table) and _blocks(connection, relation) is not None
    )


def _blocks(connection: Connection, relation: Relation) -> tuple[int, int] | None:
    """The blocks of the largest file below a table and the bytes of all; None where its rows have no place."""
    # ``regclass`` reads the quoted name as FROM does.
    name = relation.sql.replace("'", "''")
    statement = f"""
        WITH RECURSIVE tree AS (
          SELECT '{name}'::regclass::oid AS oid
          UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid
        )
        SELECT max(pg_relation_size(c.oid)) / current_setting('block_size')::bigint, sum(pg_table_size(c.oid)),
               string_agg(DISTINCT c.relkind::text, '')
        FROM tree JOIN pg_class c ON c.oid = tree.oid"""  # noqa: S608
    [(blocks, size, kinds)] = _rows(connection, statement)
    return (int(blocks), int(size)) if set(kinds) <= set(WITH_ROWS_OF_THEIR_OWN) else None


def _by_place(blocks: int, size: int, parts: int | None) -> list[str]:
    count = max(1, min(MOST_PARTS, parts or -(-size // PART_BYTES), blocks))
    places = sorted({blocks * part // count for part in range(1, count)})
    return _conditions("ctid", [f"'({place},0)'::tid" for place in places], nulls=False)


def _by_column(connection: Connection, dialect: Dialect, relation: Relation, column: str, parts: int) -> list[str]:
    if parts == 1:
        return EVERYTHING
    name = quoted(dialect, column)
    [(least, greatest)] = _rows(connection, f"SELECT min({name}), max({name}) FROM {relation.sql}")  # noqa: S608
    if least is None:
        return EVERYTHING
    # Strings of SQLite's and bytes of MySQL's collations compare as the database does only in the database.
    cuts = _at_counts(connection, name, relation, parts) if isinstance(least, str) else _between(least, greatest, parts)
    return _conditions(name, [literal(dialect, bound) for bound in cuts])


def _at_counts(connection: Connection, name: str, relation: Relation, parts: int) -> list[Any]:
    numbered = f"SELECT {name} AS bound, row_number() OVER (ORDER BY {name}) AS place FROM {relation.sql}"  # noqa: S608
    [(count,)] = _rows(connection, f"SELECT count(*) FROM {relation.sql}")  # noqa: S608
    places = ", ".join(str(count * part // parts + 1) for part in range(1, parts))
    statement = (
        f"SELECT DISTINCT bound FROM ({numbered}) n WHERE place IN ({places}) AND bound IS NOT NULL ORDER BY bound"  # noqa: S608
    )
    return [bound for (bound,) in _rows(connection, statement)]


def _between(least: Any, greatest: Any, parts: int) -> list[Any]:
    """Up to ``parts - 1`` values that cut the stretch evenly.

    >>> _between(1, 9, 4)
    [3, 5, 7]
    >>> _between(dt.date(2020, 1, 1), dt.date(2020, 1, 3), 8)
    [datetime.date(2020, 1, 2)]
    """
    if not isinstance(least, int | float | Decimal | dt.date) or isinstance(least, bool):
        expected, do = "a column of numbers, times or text", "name another in options.split_by, or none"
        raise SourceError("Rows cannot be cut by such a column", expected=expected, came=type(least).__name__, do=do)
    try:
        span = greatest - least
        whole = isinstance(span, int)
        bounds = [least + (span * part // parts if whole else span * part / parts) for part in range(1, parts)]
        return [bound for bound in dict.fromkeys(bounds) if least < bound < greatest]
    except (ArithmeticError, TypeError):  # an infinity, or a day beside a moment: one part will do
        return []


def _conditions(name: str, bounds: Sequence[str], first: str = "", nulls: bool = True) -> list[str]:
    """The conditions between bounds in rising order.

    >>> _conditions("id", ["3", "5"])
    ['(id < 3 OR id IS NULL)', 'id >= 3 AND id < 5', 'id >= 5']
    """
    if not bounds:
        return [first] if first else EVERYTHING
    lowest = f"{name} < {bounds[0]}"
    if first:
        lowest = f"{first} AND {lowest}"
    elif nulls:
        lowest = f"({lowest} OR {name} IS NULL)"
    inner = [f"{name} >= {low} AND {name} < {high}" for low, high in pairwise(bounds)]
    return [lowest, *inner, f"{name} >= {bounds[-1]}"]

"""A table of a PostgreSQL: rows are put in the place of those of their key, in one transaction with a receipt's row.

Rows are copied to a temporary table and from there upserted where what is there is not newer. The table is made where
there is none; beside the delivery's columns it has ``capflow_delivery`` and ``capflow_as_of``, by which a delivery is
counted and taken back. ``capflow_receipts`` beside it has one row per delivery. A row that the table refuses is left
out with the database's reason, and the others go on. What a delivery wrote over does not come back by withdrawing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Refused, Sent, Withdrawn
from capflow_assets.errors import DeliveryError, listed
from capflow_assets.transfer.batches import HOPELESS
from capflow_assets.transfer.postgresql import CopyStream, PostgresLogin, commit, connected
from capflow_assets.transfer.secrets import first_line

if TYPE_CHECKING:
    import pyarrow as pa

OURS = {"capflow_delivery": "text not null", "capflow_as_of": "timestamptz not null"}
RECEIPTS = "capflow_receipts"
# Of a column: what stands in statements as it is, and is not cut off by PostgreSQL.
NAME = re.compile(r'[^"%{}\0]{1,63}')
INCOMING, NUMBERED = "capflow_incoming", "capflow_numbered"
NUMBER = "capflow_row"
TYPES = {
    "string": "text",
    "double": "double precision",
    "int": "integer",
    "bigint": "bigint",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}
NUL = "a text with the character NUL, which no PostgreSQL holds"
NEWER = "a newer row of its key is there"


class Options(PostgresLogin):
    """Which database and table."""

    table: str = Field(pattern=r"^[a-z_][a-z0-9_{}]{0,62}$", description="Its name; {model} in it is the model's.")
    in_schema: str = Field(default="public", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The schema it is in.")

    def table_of(self, model: str) -> str:
        """The table of a model, as SQL names it."""
        return f'"{self.in_schema}"."{self.table.replace("{model}", model)}"'

    @property
    def receipts(self) -> str:
        """The table of receipts, as SQL names it."""
        return f'"{self.in_schema}"."{RECEIPTS}"'


class SqlTable:
    """A table of a PostgreSQL: the same delivery twice is there once."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the receipt's row says, and how many rows of the delivery the table has now."""
        table = options.table_of(delivery.model)
        with connected(options) as connection, connection.cursor() as cursor:
            if not _is_there(cursor, options.receipts) or not _is_there(cursor, table):
                return None
            cursor.execute(f"select checksum from {options.receipts} where id = %s", (delivery.id,))  # noqa: S608
            row = cursor.fetchone()
            if row is None:
                return None
            cursor.execute(f"select count(*) from {table} where capflow_delivery = %s", (delivery.id,))  # noqa: S608
            return Held(delivery.id, int(cursor.fetchone()[0]), row[0])

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The newest moment of the receipts' rows."""
        with connected(options) as connection, connection.cursor() as cursor:
            if not _is_there(cursor, options.receipts):
                return None
            where = "customer = %s and model = %s and destination = %s"
            of = (delivery.customer, delivery.model, delivery.destination)
            cursor.execute(f"select max(as_of) from {options.receipts} where {where}", of)  # noqa: S608
            moment: datetime | None = cursor.fetchone()[0]
            return moment

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Copy the rows to a temporary table, upsert them and write the receipt's row, in one transaction."""
        refused: list[Refused] = []
        table = options.table_of(delivery.model)
        names = ", ".join(f'"{column.name}"' for column in delivery.columns)
        with connected(options) as connection, connection.cursor() as cursor:
            _make_tables(cursor, options, delivery)
            stream = CopyStream(_holdable(batches, delivery, refused))
            stream.copy(cursor, f"copy {INCOMING} ({names}) from stdin (format csv)")
            if _upsert(cursor, table, delivery, stream.rows, refused) < stream.rows:
                refused += _newer(cursor, table, delivery)
            cursor.execute(f"select count(*) from {table} where capflow_delivery = %s", (delivery.id,))  # noqa: S608
            rows = int(cursor.fetchone()[0])
            receipt = (
                delivery.id, delivery.customer, delivery.model, delivery.destination, table, delivery.as_of,
                rows, stream.checksum,
            )  # fmt: skip
            cursor.execute(
                f"insert into {options.receipts} values (%s, %s, %s, %s, %s, %s, %s, %s, now()) "  # noqa: S608
                "on conflict (id) do update set rows = excluded.rows, checksum = excluded.checksum, at = excluded.at",
                receipt,
            )
            commit(connection, options.location)
        return Sent(rows, stream.bytes, stream.checksum, tuple(refused))

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Delete the rows that this delivery wrote and nobody has written over, and its receipt's row."""
        table = options.table_of(delivery.model)
        with connected(options) as connection, connection.cursor() as cursor:
            if not _is_there(cursor, table) or not _is_there(cursor, options.receipts):
                return Withdrawn(0)
            cursor.execute(f"delete from {table} where capflow_delivery = %s", (delivery.id,))  # noqa: S608
            rows = cursor.rowcount
            cursor.execute(f"delete from {options.receipts} where id = %s", (delivery.id,))  # noqa: S608
            commit(connection, options.location)
        return Withdrawn(rows)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' rows."""
        table = options.table_of(delivery.model)
        if not delivery.user:
            return Withdrawn(None, "its rows have no column of users")
        with connected(options) as connection, connection.cursor() as cursor:
            if not _is_there(cursor, table):
                return Withdrawn(0)
            where = f'capflow_delivery = %s and "{delivery.user}" = any(%s)'
            cursor.execute(f"delete from {table} where {where}", (delivery.id, list(users)))  # noqa: S608
            rows = cursor.rowcount
            commit(connection, options.location)
        return Withdrawn(rows)


def _is_there(cursor: Any, table: str) -> bool:
    cursor.execute("select to_regclass(%s) is not null", (table,))
    return bool(cursor.fetchone()[0])


def _make_tables(cursor: Any, options: Options, delivery: Delivery) -> None:
    """The table and that of receipts, where there is none; and a temporary one for what comes."""
    table = options.table_of(delivery.model)
    if unfit := [column.name for column in delivery.columns if not NAME.fullmatch(column.name)]:
        expected = 'at most 63 bytes, without ", %, { and }'
        do = f"give it another name in columns of [[delivery]] {delivery.destination}"
        raise DeliveryError("A column cannot be called so in SQL", expected=expected, came=unfit[0], where=table, do=do)
    declared = {column.name: TYPES.get(column.kind, "jsonb") for column in delivery.columns}
    columns = ", ".join(f'"{name}" {kind}' for name, kind in (declared | OURS).items())
    key = ", ".join(f'"{name}"' for name in delivery.key)
    cursor.execute(f"create table if not exists {table} ({columns}, primary key ({key}))")
    cursor.execute(
        f"create table if not exists {options.receipts} (id text primary key, customer text, model text, "
        "destination text, in_table text, as_of timestamptz, rows bigint, checksum text, at timestamptz)"
    )
    cursor.execute(f"select * from {table} limit 0")  # noqa: S608
    there = [column.name for column in cursor.description]
    lacking = [name for name in (*declared, *OURS) if name not in there]
    if lacking:
        kinds = declared | OURS
        do = "; ".join(f'alter table {table} add "{name}" {kinds[name].removesuffix(" not null")}' for name in lacking)
        raise DeliveryError(
            "A table has another schema", expected=listed(kinds), came=listed(there), where=table, do=do
        )
    whose = f"select customer, model from {options.receipts} where in_table = %s and (customer, model) <> (%s, %s)"  # noqa: S608
    cursor.execute(f"{whose} limit 1", (table, delivery.customer, delivery.model))
    if row := cursor.fetchone():
        what, do = "Another model's predictions are in this table", "write {model} in the table's name"
        if row[0] != delivery.customer:
            what, do = "Another customer's predictions are in this table", "name a table or a schema of its own"
        raise DeliveryError(what, came="/".join(row), where=table, do=do)
    plain = ", ".join(f'"{name}" {kind}' for name, kind in declared.items())
    cursor.execute(f"create temporary table {INCOMING} ({plain}) on commit drop")


def _upsert(cursor: Any, table: str, delivery: Delivery, rows: int, refused: list[Refused]) -> int:
    """Upsert the incoming rows, all at once, and count those that were written; a newer row is not written over.

    Where the table refuses some, those are looked for by halving, and none is counted.
    """
    statement = _statement(table, delivery)
    written, error = _tried(cursor, statement.format(source=INCOMING, where="true"), (delivery.id, delivery.as_of))
    if error is None:
        return written
    # Numbered only now: a number for each row takes a tenth of the time.
    rows_numbered = f"select row_number() over () as {NUMBER}, * from {INCOMING}"  # noqa: S608
    cursor.execute(f"create temporary table {NUMBERED} on commit drop as {rows_numbered}")
    cursor.execute(f"create index on {NUMBERED} ({NUMBER})")
    out: list[Refused] = []
    _halved(cursor, statement, delivery, 1, rows, out)
    refused += out
    return 0


def _statement(table: str, delivery: Delivery) -> str:
    """The upsert from a ``source``, of the rows for which ``where`` holds."""
    names = [f'"{column.name}"' for column in delivery.columns]
    both = ", ".join([*names, *OURS])
    key = ", ".join(f'"{name}"' for name in delivery.key)
    changed = ", ".join(f"{name} = excluded.{name}" for name in (*names, *OURS))
    return (
        f"insert into {table} as t ({both}) select {', '.join(names)}, %s, %s from {{source}} where {{where}} "  # noqa: S608
        f"on conflict ({key}) do update set {changed} where excluded.capflow_as_of >= t.capflow_as_of"
    )


def _tried(cursor: Any, statement: str, values: tuple[Any, ...]) -> tuple[int, Exception | None]:
    """How many rows were written; or why the table refuses some of them, of which then none is there."""
    import psycopg2

    cursor.execute("savepoint some_rows")
    try:
        cursor.execute(statement, values)
    except (psycopg2.DataError, psycopg2.IntegrityError) as error:
        cursor.execute("rollback to savepoint some_rows")
        return 0, error
    written = int(cursor.rowcount)
    cursor.execute("release savepoint some_rows")
    return written, None


def _halved(cursor: Any, statement: str, delivery: Delivery, first: int, last: int, refused: list[Refused]) -> None:
    """Upsert the rows from one number to another, without those that are refused."""
    chosen = statement.format(source=NUMBERED, where=f"{NUMBER} between %s and %s")
    if first > last:
        return
    _, error = _tried(cursor, chosen, (delivery.id, delivery.as_of, first, last))
    if error is None:
        return
    if first == last:
        key = ", ".join(f'"{name}"' for name in delivery.key)
        cursor.execute(f"select {key} from {NUMBERED} where {NUMBER} = %s", (first,))  # noqa: S608
        refused.append(Refused(tuple(cursor.fetchone()), first_line(error)))
        if first == HOPELESS == len(refused):  # rows are looked at in their order
            raise DeliveryError(
                f"The table refused the first {HOPELESS} rows",
                came=first_line(error),
                where=delivery.destination,
                do="check the delivery's columns against the table's",
            )
        return
    middle = (first + last) // 2
    _halved(cursor, statement, delivery, first, middle, refused)
    _halved(cursor, statement, delivery, middle + 1, last, refused)


def _newer(cursor: Any, table: str, delivery: Delivery) -> Iterator[Refused]:
    """The rows that stayed out because a newer one of their key is there."""
    same = " and ".join(f't."{name}" = i."{name}"' for name in delivery.key)
    key = ", ".join(f'i."{name}"' for name in delivery.key)
    cursor.execute(
        f"select {key} from {INCOMING} i join {table} t on {same} where t.capflow_as_of > %s",  # noqa: S608
        (delivery.as_of,),
    )
    return (Refused(tuple(row), NEWER) for row in cursor.fetchall())


def _holdable(
    batches: Iterator[pa.RecordBatch], delivery: Delivery, refused: list[Refused]
) -> Iterator[pa.RecordBatch]:
    """The batches without rows that have a text which the database cannot hold."""
    import pyarrow.compute as pc

    texts = [place for place, column in enumerate(delivery.columns) if column.kind in ("string", "list<string>")]
    for batch in batches:
        bad = None
        for place in texts:
            has_nul = _has_nul(batch.column(place))
            bad = has_nul if bad is None else pc.or_(bad, has_nul)
        if bad is None or not pc.any(bad).as_py():
            yield batch
            continue
        for row in batch.filter(bad).to_pylist():
            refused.append(Refused(tuple(row[name] for name in delivery.key), NUL))
        yield batch.filter(pc.invert(bad))


def _has_nul(column: pa.Array) -> pa.Array:
    """Whether each text, or one in each list of texts, has a NUL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_list(column.type):
        return pc.fill_null(pc.match_substring(column, "\0"), False)
    inside = pc.fill_null(pc.match_substring(pc.list_flatten(column), "\0"), False)
    rows = pc.list_parent_indices(column).filter(inside)
    return pc.is_in(pa.array(range(len(column)), rows.type), value_set=rows)


DESTINATION = SqlTable()

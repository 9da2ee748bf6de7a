"""A table of a MySQL or MariaDB: rows are put in the place of those of their key, in one transaction with a receipt.

Rows go to a temporary table and from there into the table, where what is there is not newer. The table is made where
there is none; beside the delivery's columns it has ``capflow_delivery`` and ``capflow_as_of``, by which a delivery is
counted and taken back. ``capflow_receipts`` beside it has one row per delivery. A row that the table refuses is left
out with the database's reason, and the others go on. What a delivery wrote over does not come back by withdrawing it.

Texts are compared character by character, capitals and blanks included: ``ann`` is not ``Ann``. A number that is none
is null there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Refused, Sent, Withdrawn
from capflow_assets.errors import DeliveryError, listed
from capflow_assets.transfer.batches import HOPELESS, Tally, packed, rows_of
from capflow_assets.transfer.mysql import MysqlLogin, commit, connected, plain
from capflow_assets.transfer.secrets import first_line

if TYPE_CHECKING:
    import pyarrow as pa

RECEIPTS, INCOMING, NUMBER = "capflow_receipts", "capflow_incoming", "capflow_row"
OURS = {"capflow_delivery": "varchar(64) not null", "capflow_as_of": "datetime(6) not null"}
TYPES = {
    "string": "longtext",
    "double": "double",
    "int": "int",
    "bigint": "bigint",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime(6)",
}
# Texts of a key are indexed, so they have a longest length.
KEY_TEXT = "varchar(255)"
# The first that the server has; the last, which every one has, takes a text with a blank behind it for one without.
COLLATIONS = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb4_bin")
# Of a column: what stands in statements as it is.
NAME = re.compile(r"[^`%\0]{1,64}")
# What a server says of rows, and not of the statement: null, double, out of range, cut off, no date, without default,
# no such character, too long, of no parent, no JSON, against a check of the table's (MySQL's and MariaDB's numbers).
OF_ROWS = (1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1452, 3140, 3819, 4025)
ROWS_AT_ONCE, BYTES_AT_ONCE = 1_000, 1 << 20
NEWER = "a newer row of its key is there"


class Options(MysqlLogin):
    """Which database and table."""

    table: str = Field(pattern=r"^[a-z_][a-z0-9_{}]{0,63}$", description="Its name; {model} in it is the model's.")

    def table_of(self, model: str) -> str:
        """The table of a model."""
        return self.table.replace("{model}", model)


class MysqlTable:
    """A table of a MySQL or MariaDB: the same delivery twice is there once."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the receipt's row says, and how many rows of the delivery the table has now."""
        table = options.table_of(delivery.model)
        with connected(options) as connection, connection.cursor() as cursor:
            if not _columns(cursor, RECEIPTS) or not _columns(cursor, table):
                return None
            cursor.execute(f"select checksum from {RECEIPTS} where id = %s", (delivery.id,))  # noqa: S608
            row = cursor.fetchone()
            return None if row is None else Held(delivery.id, _count(cursor, table, delivery), row[0])

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The newest moment of the receipts' rows."""
        with connected(options) as connection, connection.cursor() as cursor:
            if not _columns(cursor, RECEIPTS):
                return None
            where = "customer = %s and model = %s and destination = %s"
            of = (delivery.customer, delivery.model, delivery.destination)
            cursor.execute(f"select max(as_of) from {RECEIPTS} where {where}", of)  # noqa: S608
            moment: datetime | None = cursor.fetchone()[0]
            return moment and moment.replace(tzinfo=UTC)

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Bring the rows to a temporary table, upsert them and write the receipt's row, in one transaction."""
        table, tally = options.table_of(delivery.model), Tally()
        with connected(options) as connection, connection.cursor() as cursor:
            _make_tables(cursor, table, delivery)
            connection.begin()
            _bring(cursor, delivery, batches, tally)
            refused: list[Refused] = []
            _upsert(cursor, table, delivery, 1, tally.rows, refused)
            refused += _newer(cursor, table, delivery)
            rows, sent = _count(cursor, table, delivery), tally.sent(is_checked=True)
            cursor.execute(
                f"replace into {RECEIPTS} values (%s, %s, %s, %s, %s, %s, %s, %s, utc_timestamp(6))",  # noqa: S608
                (delivery.id, delivery.customer, delivery.model, delivery.destination, table, _naive(delivery.as_of),
                 rows, sent.checksum),
            )  # fmt: skip
            commit(connection, options.location)
        return Sent(rows, sent.bytes, sent.checksum, tuple(refused))

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Delete the rows that this delivery wrote and nobody has written over, and its receipt's row."""
        table = options.table_of(delivery.model)
        with connected(options) as connection, connection.cursor() as cursor:
            if not _columns(cursor, table) or not _columns(cursor, RECEIPTS):
                return Withdrawn(0)
            rows = cursor.execute(f"delete from `{table}` where capflow_delivery = %s", (delivery.id,))  # noqa: S608
            cursor.execute(f"delete from {RECEIPTS} where id = %s", (delivery.id,))  # noqa: S608
            commit(connection, options.location)
        return Withdrawn(rows)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' rows."""
        table = options.table_of(delivery.model)
        if not delivery.user:
            return Withdrawn(None, "its rows have no column of users")
        with connected(options) as connection, connection.cursor() as cursor:
            if not _columns(cursor, table):
                return Withdrawn(0)
            where = f"capflow_delivery = %s and `{delivery.user}` in %s"
            chosen = [users[start : start + ROWS_AT_ONCE] for start in range(0, len(users), ROWS_AT_ONCE)]
            deletion = f"delete from `{table}` where {where}"  # noqa: S608
            rows = sum(cursor.execute(deletion, (delivery.id, list(some))) for some in chosen)
            commit(connection, options.location)
        return Withdrawn(rows)


def _columns(cursor: Any, table: str) -> list[str]:
    """The columns of a table of the database; none where there is no such table."""
    of_table = "table_schema = database() and table_name = %s order by ordinal_position"
    cursor.execute(f"select column_name from information_schema.columns where {of_table}", (table,))  # noqa: S608
    return [str(name) for (name,) in cursor.fetchall()]


def _count(cursor: Any, table: str, delivery: Delivery) -> int:
    cursor.execute(f"select count(*) from `{table}` where capflow_delivery = %s", (delivery.id,))  # noqa: S608
    return int(cursor.fetchone()[0])


def _make_tables(cursor: Any, table: str, delivery: Delivery) -> None:
    """The table and that of receipts, where there is none; and a temporary one for what comes.

    MySQL makes tables outside of any transaction, so what may be refused is looked at before.
    """
    if unfit := [column.name for column in delivery.columns if not NAME.fullmatch(column.name)]:
        do = f"give it another name in columns of [[delivery]] {delivery.destination}"
        expected = "at most 64 characters, without ` and %"
        raise DeliveryError("A column cannot be called so in SQL", expected=expected, came=unfit[0], where=table, do=do)
    kinds = {column.name: TYPES.get(column.kind, "json") for column in delivery.columns}
    texts = [column.name for column in delivery.columns if column.kind == "string"]
    kept = kinds | {name: KEY_TEXT for name in delivery.key if name in texts} | OURS
    there = _columns(cursor, table)
    lacking = [name for name in kept if there and name not in there]
    if lacking:
        do = "; ".join(f"alter table {table} add `{name}` {kept[name].removesuffix(' not null')}" for name in lacking)
        raise DeliveryError("A table has another schema", expected=listed(kept), came=listed(there), where=table, do=do)
    if _columns(cursor, RECEIPTS):
        _refuse_others(cursor, table, delivery)
    ends = f"engine = InnoDB default character set utf8mb4 collate {_collation(cursor)}"
    columns = ", ".join(f"`{name}` {kind}" for name, kind in kept.items())
    key = ", ".join(f"`{name}`" for name in delivery.key)
    if not there:
        index = "index capflow_of_delivery (capflow_delivery)"
        cursor.execute(f"create table `{table}` ({columns}, primary key ({key}), {index}) {ends}")
    cursor.execute(
        f"create table if not exists {RECEIPTS} (id varchar(64) primary key, customer text, model text, "
        f"destination text, in_table text, as_of datetime(6), row_count bigint, checksum text, at datetime(6)) {ends}"
    )
    plain_columns = ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())
    cursor.execute(
        f"create temporary table {INCOMING} ({NUMBER} bigint auto_increment primary key, {plain_columns}) {ends}"
    )


def _refuse_others(cursor: Any, table: str, delivery: Delivery) -> None:
    """Refuse a table in which the predictions of another customer or model are."""
    whose = f"select customer, model from {RECEIPTS} where in_table = %s and (customer, model) <> (%s, %s)"  # noqa: S608
    cursor.execute(f"{whose} limit 1", (table, delivery.customer, delivery.model))
    if row := cursor.fetchone():
        what, do = "Another model's predictions are in this table", "write {model} in the table's name"
        if row[0] != delivery.customer:
            what, do = "Another customer's predictions are in this table", "name a table or a database of its own"
        raise DeliveryError(what, came="/".join(row), where=table, do=do)


def _collation(cursor: Any) -> str:
    cursor.execute("select collation_name from information_schema.collations where collation_name in %s", (COLLATIONS,))
    names = {str(name) for (name,) in cursor.fetchall()}
    return next(name for name in COLLATIONS if name in names)


def _bring(cursor: Any, delivery: Delivery, batches: Iterator[pa.RecordBatch], tally: Tally) -> None:
    """All rows into the temporary table, numbered from 1 in their order."""
    names = [column.name for column in delivery.columns]
    places = ", ".join(["%s"] * len(names))
    fields = ", ".join(f"`{name}`" for name in names)
    statement = f"insert into {INCOMING} ({NUMBER}, {fields}) values (%s, {places})"  # noqa: S608
    for rows in packed(rows_of(delivery, batches), ROWS_AT_ONCE, BYTES_AT_ONCE):
        first = tally.rows + 1
        values = [(first + place, *map(_value, row.values.values())) for place, row in enumerate(rows)]
        cursor.executemany(statement, values)
        tally.take(rows)


def _value(value: Any) -> Any:
    """A value as the driver takes it."""
    import json

    if isinstance(value, datetime):
        return _naive(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    return json.dumps(value) if isinstance(value, list) else value


def _naive(moment: datetime) -> datetime:
    """A moment as the table has it: in UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _upsert(cursor: Any, table: str, delivery: Delivery, first: int, last: int, refused: list[Refused]) -> None:
    """Upsert the incoming rows from one number to another; those that are refused are looked for by halving."""
    error = _tried(cursor, table, delivery, first, last) if first <= last else None
    if error is None:
        return
    if first == last:
        key = ", ".join(f"`{name}`" for name in delivery.key)
        cursor.execute(f"select {key} from {INCOMING} where {NUMBER} = %s", (first,))  # noqa: S608
        refused.append(Refused(tuple(cursor.fetchone()), first_line(plain(error))))
        if first == HOPELESS == len(refused):  # rows are looked at in their order
            what, do = (
                f"The table refused the first {HOPELESS} rows",
                "check the delivery's columns against the table's",
            )
            raise DeliveryError(what, came=first_line(plain(error)), where=delivery.destination, do=do)
        return
    middle = (first + last) // 2
    _upsert(cursor, table, delivery, first, middle, refused)
    _upsert(cursor, table, delivery, middle + 1, last, refused)


def _tried(cursor: Any, table: str, delivery: Delivery, first: int, last: int) -> Exception | None:
    """Why the table refuses some of the rows, of which then none is there; None where all are."""
    import pymysql

    names = [f"`{column.name}`" for column in delivery.columns]
    # Assigned from left to right, and each looks at the moment that is there: it comes last.
    updated = [*names, "capflow_delivery", "capflow_as_of"]
    is_newer = f"values(capflow_as_of) >= `{table}`.capflow_as_of"
    changes = ", ".join(f"{name} = if({is_newer}, values({name}), `{table}`.{name})" for name in updated)
    statement = (
        f"insert into `{table}` ({', '.join(updated)}) select {', '.join(names)}, %s, %s from {INCOMING} "  # noqa: S608
        f"where {NUMBER} between %s and %s on duplicate key update {changes}"
    )
    try:
        cursor.execute(statement, (delivery.id, _naive(delivery.as_of), first, last))
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in OF_ROWS:
            return error
        raise
    return None


def _newer(cursor: Any, table: str, delivery: Delivery) -> Iterator[Refused]:
    """The rows that stayed out because a newer one of their key is there."""
    same = " and ".join(f"t.`{name}` = i.`{name}`" for name in delivery.key)
    key = ", ".join(f"i.`{name}`" for name in delivery.key)
    chosen = f"select {key} from {INCOMING} i join `{table}` t on {same} where t.capflow_as_of > %s"  # noqa: S608
    cursor.execute(chosen, (_naive(delivery.as_of),))
    return (Refused(tuple(row), NEWER) for row in cursor.fetchall())


DESTINATION = MysqlTable()

"""The rows of one user in a customer's tables: found, dated, and deleted.

A row is the user's where ``user_id`` is theirs, however it is spelled (``expressions.ids``); where no user stands on
it and its bill, its review, its file or that file's content is theirs alone; or where it could not land and its source
row, read as the customer's mapping says, is one of those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.erasure.rejected_rows import RejectedRow, rejected_rows
from capflow_assets.errors import TableError
from capflow_assets.expressions.ids import BLANKS, normal
from capflow_assets.landing.personal import user_pseudonym
from capflow_assets.stores.erased_history import named_files
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.places import opened
from capflow_assets.tables.suppression import SUPPRESSION

if TYPE_CHECKING:
    import pyarrow.dataset as ds

SOURCE_ROW = "source_row"
# What users write and send, by the column that names it, and the column by which tables without users name it too:
# predictions are of a review, vectors are of a file's content.
OWNED = {"review_id": "review_id", "media_id": "media_id", "sha256": "digest"}
# Of ids in one predicate.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Traces:
    """What is there of a user: the bills that are theirs alone, and since when anything is known of them.

    ``users`` are the ids that stand for them (``known_as``). ``since`` is None where no row of theirs has a time;
    ``is_known`` is whether there is any row. ``owned`` are the reviews and files that are theirs alone, by the columns
    by which tables without users name them (``OWNED``).
    """

    users: tuple[str, ...]
    bills: frozenset[str]
    since: datetime | None
    is_known: bool
    owned: Mapping[str, frozenset[str]]

    def of_subject(self, key: str) -> frozenset[str]:
        """The ids of the user's subjects of a kind, by its key: bills, reviews, recordings; none of another kind."""
        return self.bills if key == "bill_id" else self.owned.get(key, frozenset())


@dataclass(frozen=True, slots=True)
class UserRows:
    """The tables of one customer in which rows of users can stand."""

    lake: Lake
    stages: Stages
    customer: Customer
    key: bytes = b""

    def known_as(self, user: str) -> list[str]:
        """The ids that may stand for a user in the lake: their own, and its hash.

        What landed before the TOML said that ids are hashed, or no longer are, may be there still.
        """
        return [user, user_pseudonym(user, self.key)] if self.key else [user]

    def tables(self) -> dict[str, frozenset[str]]:
        """Each table that knows users, what is theirs, or source rows, with its columns."""
        identifying = {"user_id", "bill_id", SOURCE_ROW, *OWNED.values()}
        names = [name for name in self.lake.tables(self.customer.name) if name != SUPPRESSION]
        columns = {name: frozenset(self._dataset(name).schema.names) for name in names}
        return {table: names for table, names in columns.items() if names & identifying}

    def traces(self, user: str) -> Traces:
        """The user's bills and times, from every table that has them."""
        import pyarrow.compute as pc

        users = self.known_as(user)
        bills: set[str] = set()
        times: list[datetime] = []
        is_known = False
        tables = self.tables()
        for name, columns in tables.items():
            if "user_id" not in columns:
                continue
            time = self._time(name, columns)
            known = [column for column in ("bill_id", time) if column in columns]
            rows = self._dataset(name).to_table(
                columns=["user_id", *known], filter=self._spelled(name, "user_id", users)
            )
            is_known = is_known or bool(rows.num_rows)
            if time and rows.num_rows and (first := pc.min(rows.column(time)).as_py()) is not None:
                times.append(first if first.tzinfo else first.replace(tzinfo=UTC))
            if "bill_id" in columns:
                bills |= set(filter(None, map(normal, rows.column("bill_id").to_pylist())))
        rejected = [name for name, columns in tables.items() if SOURCE_ROW in columns]
        for name in rejected:
            for row in self._rejected(name):
                if row.user in users:
                    is_known = True
                    bills |= {row.bill} if row.bill else set()
        of_users = {
            kind: [name for name, columns in tables.items() if {"user_id", kind} <= columns]
            for kind in ("bill_id", *OWNED)
        }
        values = {kind: self._values(of_users[kind], kind, users) for kind in OWNED} | {"bill_id": bills}
        alone = {kind: self._alone(of_users[kind], kind, users, ids) for kind, ids in values.items()}
        owned = {there: alone[here] for here, there in OWNED.items()}
        return Traces(tuple(users), alone["bill_id"], min(times, default=None), is_known, owned)

    def delete(self, traces: Traces, of_nobody: bool) -> dict[str, int]:
        """Delete the user's rows, or those ``of_nobody`` that stand on their bills; rows deleted, by table.

        The rows of nobody go first: only the user's own rows say which bills are theirs, so that a deletion that was
        broken off can be begun again.
        """
        counts: dict[str, int] = {}
        for name, columns in self.tables().items():
            if SOURCE_ROW in columns:
                deleted = self._delete_rejected(name, traces, of_nobody)
            elif of_nobody:
                kinds = {"bill_id": traces.bills, **traces.owned}
                deleted = sum(self._delete_of_nobody(name, columns, kind, ids) for kind, ids in kinds.items())
            else:
                deleted = self._delete_user(name, columns, traces.users)
            if deleted:
                counts[name] = deleted
        return counts

    def _delete_user(self, name: str, columns: frozenset[str], users: Sequence[str]) -> int:
        if "user_id" not in columns:
            return 0
        spellings = self._spellings(name, "user_id", users)
        return self.delete_where(name, _is("user_id", spellings), _is_in_sql("user_id", spellings))

    def _delete_of_nobody(self, name: str, columns: frozenset[str], kind: str, ids: Iterable[str]) -> int:
        """Delete the rows on which no user stands, of the user's bills, reviews or files (``kind`` is their column)."""
        if kind not in columns:
            return 0
        import pyarrow.compute as pc

        deleted = 0
        for some in _portions(ids):
            spellings = self._spellings(name, kind, some)
            condition, predicate = _is(kind, spellings), _is_in_sql(kind, spellings)
            if "user_id" in columns:
                blanks = self._spellings(name, "user_id", [""])
                condition &= pc.field("user_id").is_null() | _is("user_id", blanks)
                predicate += f" AND (user_id IS NULL OR {_is_in_sql('user_id', blanks)})"
            deleted += self.delete_where(name, condition, predicate)
        return deleted

    def _delete_rejected(self, name: str, traces: Traces, of_nobody: bool) -> int:
        def is_theirs(row: RejectedRow) -> bool:
            return (not row.user and row.bill in traces.bills) if of_nobody else row.user in traces.users

        texts = {row.text for row in self._rejected(name) if is_theirs(row)}
        return sum(
            self.delete_where(name, _is(SOURCE_ROW, some), _is_in_sql(SOURCE_ROW, some)) for some in _portions(texts)
        )

    def delete_where(self, name: str, condition: ds.Expression, predicate: str) -> int:
        """Delete the rows under ``condition`` (``predicate`` is the same in SQL), and check that they are gone."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        count = int(self._dataset(name).count_rows(filter=condition))
        if not count:
            return 0
        path = self.lake.path(self.customer.name, name)
        try:
            DeltaTable(path).delete(predicate)
        except DeltaError as error:  # its words may hold the predicate, and that the id
            kind = type(error).__name__
            raise _kept(name, self.customer.name, kind, path) from None
        left = int(self._dataset(name).count_rows(filter=condition))
        if left:
            raise _kept(name, self.customer.name, f"{left:,} of {count:,} rows are still there", path)
        return count

    def _values(self, tables: Iterable[str], column: str, users: Sequence[str]) -> set[str]:
        """What stands in a column of the user's rows, in all of the tables."""
        values: set[str] = set()
        for name in tables:
            theirs = self._spelled(name, "user_id", users)
            rows = self._dataset(name).to_table(columns=[column], filter=theirs)
            values |= set(filter(None, map(normal, rows.column(column).unique().to_pylist())))
        return values

    def _alone(self, tables: Iterable[str], column: str, users: Sequence[str], ids: set[str]) -> frozenset[str]:
        """Those of the ids of a column that stand on no row of somebody else's, in any of the tables."""
        import pyarrow.compute as pc

        shared: set[str] = set()
        for name in tables if ids else ():
            others = pc.field("user_id").is_valid() & ~self._spelled(name, "user_id", [*users, ""])
            for some in _portions(ids):
                theirs = self._spelled(name, column, some) & others
                rows = self._dataset(name).to_table(columns=[column], filter=theirs)
                shared |= set(map(normal, rows.column(column).to_pylist()))
        return frozenset(ids - shared)

    def _rejected(self, name: str) -> list[RejectedRow]:
        texts = [text or "{}" for text in self._dataset(name).to_table(columns=[SOURCE_ROW]).column(0).to_pylist()]
        return rejected_rows(self.lake, self.stages, self.customer, name, texts)

    def _spelled(self, name: str, column: str, ids: Collection[str]) -> ds.Expression:
        """Rows in which a column holds one of the ids, however it is spelled there; never null."""
        return _is(column, self._spellings(name, column, ids))

    def _spellings(self, name: str, column: str, ids: Collection[str]) -> list[str]:
        """The texts of a column whose normal form is one of ``ids``: older versions landed them as they came."""
        import pyarrow as pa
        import pyarrow.compute as pc

        text = pc.field(column)
        trimmed = pc.utf8_trim(text, characters=BLANKS)
        may_be = pc.is_in(trimmed, value_set=pa.array(list(ids), pa.string())) | ~pc.string_is_ascii(text)
        rows = self._dataset(name).to_table(columns=[column], filter=text.is_valid() & may_be)
        return sorted(text for text in rows.column(column).unique().to_pylist() if normal(text) in ids)

    def _time(self, name: str, columns: frozenset[str]) -> str | None:
        spec = self.stages.tables.get(name.removesuffix("_removed"))
        time = spec.table.time if spec else None
        return time if time in columns else None

    def _dataset(self, name: str) -> ds.Dataset:
        """The rows of a table's files. What its log says of their values is not asked: it need not say anything."""
        import pyarrow as pa
        import pyarrow.dataset as ds
        from deltalake import DeltaTable

        path = self.lake.path(self.customer.name, name)
        table = DeltaTable(path)
        schema = pa.schema(table.schema().to_arrow())
        store, root = opened(path)
        files = [f"{root}/{file}" for file in sorted(named_files(path, table))]
        if not files:
            return ds.dataset(schema.empty_table())
        return ds.dataset(files, schema=schema, filesystem=store, format="parquet")


def _is(column: str, values: Iterable[str]) -> ds.Expression:
    """Rows in which a column is one of the values; never null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Not the bare column: its files may hold it as another kind of text than their bounds, which Arrow cannot compare.
    text = pc.coalesce(pc.field(column), "")
    return pc.field(column).is_valid() & pc.is_in(text, value_set=pa.array(list(values), pa.string()))


def _is_in_sql(column: str, values: Collection[str]) -> str:
    """The same in SQL.

    >>> _is_in_sql("user_id", ["U1", "o'neil"]), _is_in_sql("user_id", [])
    ("user_id IN ('U1', 'o''neil')", 'false')
    """
    return f"{column} IN ({', '.join(map(_text, values))})" if values else "false"


def _text(value: str) -> str:
    """A text as SQL writes it.

    >>> print(_text("o'neil"))
    'o''neil'
    """
    return "'" + value.replace("'", "''") + "'"


def _portions(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def _kept(table: str, customer: str, received: str, where: str) -> TableError:
    do = "see that the table can be written and that nothing else writes it, then forget the user again"
    return TableError(f"Rows of {table} of {customer} cannot be deleted", came=received, where=where, do=do)

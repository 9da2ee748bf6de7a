"""The rows of one user in a customer's tables: found, dated, and deleted.

A row is the user's where ``user_id`` is theirs; where no user stands on it and its bill is theirs alone; or where it
could not land and its source row, read as the customer's mapping says, is one of those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.customers import Customer
from capflow_assets.errors import TableError
from capflow_assets.graph.erased_history import named_files, opened
from capflow_assets.graph.forgotten import SUPPRESSION
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.stages import Stages
from capflow_assets.landing.personal import OWNER, user_pseudonym

if TYPE_CHECKING:
    import pyarrow.dataset as ds

SOURCE_ROW = "source_row"
# Of ids in one predicate.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Traces:
    """What is there of a user: the bills that are theirs alone, and since when anything is known of them.

    ``users`` are the ids that stand for them (``known_as``). ``since`` is None where no row of theirs has a time;
    ``is_known`` is whether there is any row.
    """

    users: tuple[str, ...]
    bills: frozenset[str]
    since: datetime | None
    is_known: bool


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
        """Each table that knows users, bills or source rows, with its columns."""
        wanted = {"user_id", "bill_id", SOURCE_ROW}
        names = [name for name in self.lake.tables(self.customer.name) if name != SUPPRESSION]
        columns = {name: frozenset(self._dataset(name).schema.names) for name in names}
        return {name: each for name, each in columns.items() if each & wanted}

    def traces(self, user: str) -> Traces:
        """The user's bills and times, from every table that has them."""
        import pyarrow.compute as pc

        users = self.known_as(user)
        bills: set[str] = set()
        shared: set[str] = set()
        times: list[datetime] = []
        is_known = False
        both = []
        for name, columns in self.tables().items():
            if "user_id" not in columns:
                continue
            time = self._time(name, columns)
            wanted = [each for each in ("bill_id", time) if each in columns]
            rows = self._dataset(name).to_table(columns=["user_id", *wanted], filter=_is("user_id", users))
            is_known = is_known or bool(rows.num_rows)
            if time and rows.num_rows and (first := pc.min(rows.column(time)).as_py()) is not None:
                times.append(first if first.tzinfo else first.replace(tzinfo=UTC))
            if "bill_id" in columns:
                both.append(name)
                bills |= {each.strip(" ") for each in rows.column("bill_id").to_pylist() if each}
        rejected = [name for name, columns in self.tables().items() if SOURCE_ROW in columns]
        for name in rejected:
            for _, owner, bill in self._rejected(name):
                if owner in users:
                    is_known = True
                    bills |= {bill} if bill else set()
        for name in both if bills else ():
            shared |= self._others_bills(name, users, bills)
        return Traces(tuple(users), frozenset(bills - shared), min(times, default=None), is_known)

    def delete(self, traces: Traces, of_nobody: bool) -> dict[str, int]:
        """Delete the user's rows, or those ``of_nobody`` that stand on their bills; rows deleted, by table.

        The rows of nobody go first: which bills are the user's is told by the user's own rows alone, so that a deletion
        that was broken off can be begun again.
        """
        counts: dict[str, int] = {}
        for name, columns in self.tables().items():
            if SOURCE_ROW in columns:
                deleted = self._delete_rejected(name, traces, of_nobody)
            elif of_nobody:
                deleted = self._delete_bills(name, columns, traces.bills)
            else:
                deleted = self._delete_user(name, columns, traces.users)
            if deleted:
                counts[name] = deleted
        return counts

    def _delete_user(self, name: str, columns: frozenset[str], users: Sequence[str]) -> int:
        if "user_id" not in columns:
            return 0
        return self._delete(name, _is("user_id", users), f"trim(user_id) IN ({', '.join(map(_text, users))})")

    def _delete_bills(self, name: str, columns: frozenset[str], bills: Iterable[str]) -> int:
        if "bill_id" not in columns:
            return 0
        import pyarrow.compute as pc

        deleted = 0
        for some in _portions(bills):
            found, said = _is("bill_id", some), f"trim(bill_id) IN ({', '.join(map(_text, some))})"
            if "user_id" in columns:
                found &= pc.field("user_id").is_null() | _is("user_id", [""])
                said += " AND (user_id IS NULL OR trim(user_id) = '')"
            deleted += self._delete(name, found, said)
        return deleted

    def _delete_rejected(self, name: str, traces: Traces, of_nobody: bool) -> int:
        def is_theirs(owner: str, bill: str) -> bool:
            return (not owner and bill in traces.bills) if of_nobody else owner in traces.users

        rows = {row for row, owner, bill in self._rejected(name) if is_theirs(owner, bill)}
        return sum(
            self._delete(name, _is(SOURCE_ROW, some), f"trim({SOURCE_ROW}) IN ({', '.join(map(_text, some))})")
            for some in _portions(rows)
        )

    def _delete(self, name: str, found: ds.Expression, predicate: str) -> int:
        """Delete the rows that are ``found``, which ``predicate`` says in SQL, and look whether they are gone."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        count = int(self._dataset(name).count_rows(filter=found))
        if not count:
            return 0
        path = self.lake.path(self.customer.name, name)
        try:
            DeltaTable(path).delete(predicate)
        except DeltaError as error:  # its words may hold the predicate, and that the id
            kind = type(error).__name__
            raise _kept(name, self.customer.name, kind, path) from None
        left = int(self._dataset(name).count_rows(filter=found))
        if left:
            raise _kept(name, self.customer.name, f"{left:,} of {count:,} rows are still there", path)
        return count

    def _others_bills(self, name: str, users: Sequence[str], bills: set[str]) -> set[str]:
        """Those of the bills on which, in this table, somebody else stands as well."""
        import pyarrow.compute as pc

        found: set[str] = set()
        for some in _portions(bills):
            theirs = _is("bill_id", some) & pc.field("user_id").is_valid() & ~_is("user_id", [*users, ""])
            rows = self._dataset(name).to_table(columns=["bill_id"], filter=theirs)
            found |= {each.strip(" ") for each in rows.column("bill_id").to_pylist()}
        return found

    def _rejected(self, name: str) -> list[tuple[str, str, str]]:
        """The rows that could not land: as text, and their user and bill as the mapping reads them, or blank."""
        texts = [row or "{}" for row in self._dataset(name).to_table(columns=[SOURCE_ROW]).column(0).to_pylist()]
        rows = [json.loads(text) for text in texts]
        declared = self.customer.tables.get(name.split("/")[1].removesuffix("_rejected"))
        mapping = declared.columns if declared else {}
        users, bills = (self._mapped(rows, mapping.get(column)) for column in ("user_id", "bill_id"))
        if declared and OWNER in declared.personal:  # what the mapping would make of hashes says nothing
            users = [str(row.get(OWNER) or user) for row, user in zip(rows, users, strict=True)]
        return list(zip(texts, users, bills, strict=True))

    def _mapped(self, rows: Sequence[Mapping[str, Any]], expression: str | None) -> list[str]:
        """What a mapping makes of source rows, as text without blanks around it; blank where it makes nothing."""
        names = sorted({name for row in rows for name in row})
        if expression is None or not names:
            return [""] * len(rows)
        if expression in names:
            return [str(row.get(expression) or "").strip(" ") for row in rows]
        import pyspark.sql.types as st

        from capflow_assets.landing import row_expressions

        values = [(place, *(row.get(name) for name in names)) for place, row in enumerate(rows)]
        fields = [
            st.StructField("_place", st.IntegerType()),
            *(st.StructField(name, st.StringType()) for name in names),
        ]
        frame = self.lake.spark().createDataFrame(values, st.StructType(fields))
        read = frame.select("_place", row_expressions.expression(expression, names).cast("string")).collect()
        return [(text or "").strip(" ") for _, text in sorted((row[0], row[1]) for row in read)]

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
    """Rows in which a column, but for blanks around it, is one of the values; never null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim(pc.field(column), characters=" ")
    return pc.field(column).is_valid() & pc.is_in(trimmed, value_set=pa.array(list(values), pa.string()))


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


def _kept(table: str, customer: str, came: str, where: str) -> TableError:
    do = "see that the table can be written and that nothing else writes it, then forget the user again"
    return TableError(f"Rows of {table} of {customer} cannot be deleted", came=came, where=where, do=do)

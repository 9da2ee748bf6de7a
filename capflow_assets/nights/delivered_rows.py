"""The rows of a delivery: a model's predictions with the columns that a customer chose, under the names that it gave.

Rows pass in batches of the lake's own order, which stays the same for a version of the table, so that the same
delivery has the same batches each time. Of a ranked list the rows of one subject stand one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import ColumnKind, DeliveredColumn, Delivery
from capflow_assets.customers.delivery_settings import DeclaredDelivery
from capflow_assets.errors import DeliveryError, listed, nearest
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 65_536
USER = "user_id"
# What stands in no table of predictions.
ADDED: Mapping[str, ColumnKind] = {"model": "string", "valid_until": "timestamp"}
RANK = "rank"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of a table of predictions, and what is made of it.

    ``sources`` are our columns in the order in which they are delivered, each with its name there and its kind;
    ``read`` are those that the table is read for; ``key`` tells its rows apart; ``grouped`` are those whose values
    become lists, one row a subject.
    """

    table: str
    sources: tuple[tuple[str, DeliveredColumn], ...]
    read: tuple[str, ...]
    key: tuple[str, ...]
    subject: tuple[str, ...]
    grouped: frozenset[str] = frozenset()

    def delivered_name(self, column: str) -> str:
        """What one of our columns is called there; blank where it does not go there."""
        return next((delivered.name for source, delivered in self.sources if source == column), "")


def selection_of(
    table: str, schema: pa.Schema, declared: DeclaredDelivery, subject: tuple[str, ...], per: tuple[str, ...]
) -> Selection:
    """What a declared delivery takes of a table.

    Raises:
        DeliveryError: it names a column that there is not, or leaves out one of the key.
    """
    is_list = RANK in schema.names and declared.lists == "list"
    own = [name for name in schema.names if not (is_list and name == RANK)]
    known = [*own, *ADDED]
    chosen = dict(declared.columns) or {name: name for name in known}
    key = subject if is_list else (*subject, *per)
    where = f"columns of [[delivery]] {declared.name}"
    for name in chosen:
        if name not in known:
            near = nearest(name, known)
            do = f"did you mean {near!r}?" if near else ""
            raise DeliveryError(
                f"There is no such column in {table}", expected=listed(known), came=name, where=where, do=do
            )
    if lacking := [name for name in key if name not in chosen]:
        do = f'add {lacking[0]} = "{lacking[0]}"'
        raise DeliveryError(
            "A delivery needs the columns that tell its rows apart",
            expected=listed(key),
            came=listed(chosen),
            where=where,
            do=do,
        )
    grouped = frozenset(name for name in (*per, "score", "reasons") if name in schema.names) if is_list else frozenset()
    sources = tuple(
        (name, DeliveredColumn(delivered, kind_of(schema, name, name in grouped))) for name, delivered in chosen.items()
    )
    needed = {*chosen, *key, *({USER} & set(schema.names)), *({"band", "score", "percentile"} & set(schema.names))}
    read = tuple(name for name in schema.names if name in needed)
    return Selection(table, sources, read, key, subject, grouped)


def kind_of(schema: pa.Schema, name: str, is_grouped: bool = False) -> ColumnKind:
    """The kind of a column as it is delivered."""
    import pyarrow.types as types

    if name in ADDED:
        return ADDED[name]
    kind = schema.field(name).type
    tests: dict[ColumnKind, bool] = {
        "boolean": types.is_boolean(kind),
        "int": types.is_int32(kind) or types.is_int16(kind) or types.is_int8(kind),
        "bigint": types.is_int64(kind),
        "double": types.is_floating(kind),
        "date": types.is_date(kind),
        "timestamp": types.is_timestamp(kind),
    }
    if types.is_list(kind) or types.is_large_list(kind):
        return "list<double>" if types.is_floating(kind.value_type) else "list<string>"
    plain: ColumnKind = next((word for word, holds in tests.items() if holds), "string")
    lists: dict[str, ColumnKind] = {"double": "list<double>", "int": "list<int>", "bigint": "list<bigint>"}
    return lists.get(plain, "list<string>") if is_grouped else plain


def rows_read(lake: Lake, customer: str, selection: Selection, version: int) -> Iterator[pa.RecordBatch]:
    """The rows in our own columns, one row per row of the delivery: lists are put together."""
    import pyarrow as pa
    from deltalake import DeltaTable

    dataset = DeltaTable(lake.path(customer, selection.table), version=version).to_pyarrow_dataset()
    scanner = dataset.scanner(
        columns=list(selection.read), batch_size=ROWS_AT_ONCE, batch_readahead=2, fragment_readahead=1
    )
    batches = (batch for batch in scanner.to_reader() if batch.num_rows)
    if not selection.grouped:
        yield from batches
        return
    rest: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        table = table if rest is None else pa.concat_tables([rest, table]).combine_chunks()
        whole = _start_of_last(table, selection.subject)
        if whole:
            yield _grouped(table.slice(0, whole), selection)
        rest = table.slice(whole)
    if rest is not None and rest.num_rows:
        yield _grouped(rest, selection)


def _changes(table: pa.Table, subject: tuple[str, ...]) -> list[int]:
    """The places at which another subject begins."""
    import numpy as np

    is_new = np.zeros(table.num_rows, dtype=bool)
    is_new[0] = True
    for name in subject:
        values = table[name].to_numpy()
        is_new[1:] |= values[1:] != values[:-1]
    return [int(place) for place in np.flatnonzero(is_new)]


def _start_of_last(table: pa.Table, subject: tuple[str, ...]) -> int:
    """Where the last subject begins, whose rows may go on in the next batch."""
    return _changes(table, subject)[-1]


def _grouped(table: pa.Table, selection: Selection) -> pa.RecordBatch:
    import pyarrow as pa

    starts = _changes(table, selection.subject)
    offsets = pa.array([*starts, table.num_rows], pa.int32())
    first = pa.array(starts)
    columns = {}
    for name in selection.read:
        if name == RANK:
            continue
        values = table[name].combine_chunks()
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        is_list = name in selection.grouped
        columns[name] = pa.ListArray.from_arrays(offsets, values) if is_list else values.take(first)
    return pa.RecordBatch.from_pydict(columns)


def as_delivered(batch: pa.RecordBatch, selection: Selection, delivery: Delivery) -> pa.RecordBatch:
    """The rows under the names and in the order of the delivery."""
    import pyarrow as pa

    added = {"model": delivery.model, "valid_until": delivery.valid_until}
    arrays, fields = [], []
    for source, column in selection.sources:
        kind = arrow_type(column.kind)
        if source in ADDED:
            values = pa.repeat(pa.scalar(added[source], kind), batch.num_rows)
        else:
            values = batch.column(source)
            values = values if values.type == kind else values.cast(kind)
        arrays.append(values)
        fields.append(pa.field(column.name, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def arrow_type(kind: ColumnKind) -> pa.DataType:
    """The Arrow type of a delivered column."""
    import pyarrow as pa

    plain: dict[str, pa.DataType] = {
        "string": pa.string(),
        "double": pa.float64(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    inner = kind.removeprefix("list<").removesuffix(">")
    return pa.list_(plain[inner]) if kind != inner else plain[kind]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Which predictions a table holds: the version of the model and the moment; ``table_version`` is Delta's."""

    model_version: int
    as_of: datetime
    table_version: int
    rows: int


def scoring_of(lake: Lake, customer: str, model: str) -> Scoring | None:
    """What the newest predictions are; None where there are none."""
    table = f"predictions/{model}"
    if not lake.exists(customer, table):
        return None
    opened = lake.delta(customer, table)
    first = opened.to_pyarrow_dataset().head(1, columns=["model_version", "as_of"])
    if not first.num_rows:
        return None
    row = first.to_pylist()[0]
    return Scoring(int(row["model_version"]), row["as_of"], int(opened.version()), lake.rows(customer, table))

"""Tables of several as-of moments, one partition each: a moment is replaced or removed, the others stay untouched.

The partition's name is written of plain characters alone, so that no engine and no store spells it another way. Rows
pass through in batches, and nothing needs a Spark session.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import CapflowError
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

# The column of the partition, beside those of the rows.
MOMENT = "moment"
WRITTEN = "%Y%m%dT%H%M%S%fZ"


def partition_of(moment: datetime) -> str:
    """The name of a moment's partition; names are ordered as the moments are.

    >>> partition_of(datetime(2024, 6, 30, 21, 59, 59, 999999, tzinfo=UTC))
    '20240630T215959999999Z'
    """
    return moment.astimezone(UTC).strftime(WRITTEN)


def moments(lake: Lake, customer: str, table: str) -> list[datetime]:
    """The moments that a table holds, oldest first; none where there is no such table. Its log alone is read.

    Raises:
        TableError: the table is damaged.
    """
    if not lake.exists(customer, table):
        return []
    names = {partition[MOMENT] for partition in lake.delta(customer, table).partitions()}
    return sorted(datetime.strptime(name, WRITTEN).replace(tzinfo=UTC) for name in names)


def rows_in_utc(lake: Lake, customer: str, table: str, times: Collection[str]) -> list[dict[str, Any]]:
    """The rows of all moments as plain values, the columns ``times`` in UTC; none where there is no such table.

    One of ``times`` that an earlier release did not write is null.

    Raises:
        TableError: the table is damaged.
    """
    if not lake.exists(customer, table):
        return []
    rows: list[dict[str, Any]] = lake.arrow(customer, table).drop_columns(MOMENT).to_pylist()
    for row in rows:
        row.update({name: at and at.astimezone(UTC) for name in times for at in [row.get(name)]})
    return rows


def replace_moment(lake: Lake, customer: str, table: str, moment: datetime, rows: pa.RecordBatchReader) -> int:
    """Put ``rows`` in the place of those of a moment, in one commit; the table's new version.

    The table is made where there is none. New columns are added to it, null in the rows before.

    Raises:
        TableError: the table is damaged.
        CapflowError: a column has another type than in the table.
    """
    import pyarrow as pa
    from deltalake import WriterProperties, write_deltalake

    predicate = None
    if lake.exists(customer, table):
        stored = pa.schema(lake.delta(customer, table).schema().to_arrow())
        _refuse_other_types(customer, table, rows.schema, stored)
        predicate = _is_one_of([moment])
    path = lake.path(customer, table)
    write_deltalake(
        path,
        _with_partition(rows, partition_of(moment)),
        mode="overwrite",
        partition_by=[MOMENT],
        predicate=predicate,
        schema_mode="merge" if predicate else None,
        writer_properties=WriterProperties(compression="ZSTD"),
    )
    return lake.committed(path)


def remove_moments(lake: Lake, customer: str, table: str, gone: Collection[datetime]) -> None:
    """Remove the rows of some moments in one commit; no file of others is read or written."""
    if gone:
        lake.delta(customer, table).delete(_is_one_of(gone))
        lake.committed(lake.path(customer, table))


def _is_one_of(chosen: Collection[datetime]) -> str:
    names = ", ".join(f"'{partition_of(moment)}'" for moment in sorted(chosen))
    return f"{MOMENT} IN ({names})"


def _with_partition(rows: pa.RecordBatchReader, name: str) -> pa.RecordBatchReader:
    import pyarrow as pa

    schema = rows.schema.append(pa.field(MOMENT, pa.string()))
    batches = (
        pa.RecordBatch.from_arrays([*batch.columns, pa.repeat(name, batch.num_rows)], schema=schema) for batch in rows
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _refuse_other_types(customer: str, table: str, new: pa.Schema, stored: pa.Schema) -> None:
    other = [
        f"{field.name} {field.type} in the place of {stored.field(field.name).type}"
        for field in new
        if field.name in stored.names and stored.field(field.name).type != field.type
    ]
    if other:
        raise CapflowError(
            f"What {table} of {customer} is to keep does not fit what it holds",
            expected="columns of the same types",
            came=", ".join(other),
            do="give the changed column another name, so that what was kept can still be read",
        )

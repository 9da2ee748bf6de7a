"""The newest materializations of many assets and customers: what they say of themselves, in a few queries.

Pictures and reports lie in the same records, tens of kilobytes each; of a record only the named entries are built.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import dagster as dg
from dagster._core.events.log import EventLogEntry

# One statement names so many records, and so many customers.
RECORDS_A_QUERY = 500
MOST_NAMED = 100
# Where the value of an entry stands, in Dagster's own writing.
VALUE_OF = {
    "TextMetadataEntryData": "text",
    "IntMetadataEntryData": "value",
    "FloatMetadataEntryData": "value",
    "BoolMetadataEntryData": "value",
}

Metadata = dict[str, Any]


def latest(instance: dg.DagsterInstance, key: str, customer: str) -> Metadata:
    """The metadata of an asset's newest materialization for a customer, empty where there is none."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=_asset(key), asset_partitions=[customer]), limit=1
    ).records
    event = records[0].asset_materialization if records else None
    return plain(event.metadata) if event else {}


def newest(
    instance: dg.DagsterInstance, entries: Mapping[str, Collection[str]], customers: Sequence[str]
) -> dict[str, dict[str, Metadata]]:
    """For each asset of ``entries`` the metadata of its newest materialization by customer, as far as ``entries``
    names it; a customer without one is not among them.
    """
    storage: Any = instance.event_log_storage
    records: dict[str, dict[str, Metadata]] = {key: {} for key in entries}
    if not hasattr(storage, "index_connection"):  # none that keeps its records in SQL
        for key, customer in product(entries, customers):
            if metadata := latest(instance, key, customer):
                records[key][customer] = _named(metadata, entries[key])
        return records
    key_of = {_asset(key).to_string(): key for key in entries}
    chosen = set(customers)
    with storage.index_connection() as connection:
        newest_ids = _newest_ids(connection, list(key_of), customers if len(customers) <= MOST_NAMED else None)
        owners = {number: (key_of[asset], name) for asset, name, number in newest_ids if name in chosen}
        for number, event in _events(connection, owners):
            key, customer = owners[number]
            records[key][customer] = picked(event, entries[key])
    return records


def recorded_since(instance: dg.DagsterInstance, assets: Collection[str], number: int) -> tuple[set[str], int]:
    """The customers of whom something was recorded of ``assets`` after a record's number, and the newest number.

    Nobody where the storage keeps its records elsewhere than in SQL.
    """
    storage: Any = instance.event_log_storage
    if not hasattr(storage, "index_connection"):
        return set(), number
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import func, select

    query = (
        select(Table.c.partition, func.max(Table.c.id))
        .where(
            Table.c.id > number,
            Table.c.asset_key.in_([_asset(key).to_string() for key in assets]),
            Table.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            Table.c.partition.is_not(None),
        )
        .group_by(Table.c.partition)
    )
    with storage.index_connection() as connection:
        rows = connection.execute(query).fetchall()
    return {name for name, _ in rows}, max((newest for _, newest in rows), default=number)


def _newest_ids(connection: Any, assets: Sequence[str], customers: Sequence[str] | None) -> Iterator[Any]:
    """Asset, customer and number of each newest materialization that was not wiped."""
    from dagster._core.storage.event_log.schema import AssetKeyTable as Assets
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import func, or_, select

    query = (
        select(Table.c.asset_key, Table.c.partition, func.max(Table.c.id))
        .outerjoin(Assets, Assets.c.asset_key == Table.c.asset_key)
        .where(
            Table.c.asset_key.in_(assets),
            Table.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            Table.c.partition.is_not(None) if customers is None else Table.c.partition.in_(customers),
            or_(Assets.c.wipe_timestamp.is_(None), Table.c.timestamp > Assets.c.wipe_timestamp),
        )
        .group_by(Table.c.asset_key, Table.c.partition)
    )
    return iter(connection.execute(query).fetchall())


def _events(connection: Any, numbers: Iterable[int]) -> Iterator[Any]:
    """Number and text of records."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import select

    ordered = sorted(numbers)
    for start in range(0, len(ordered), RECORDS_A_QUERY):
        part = ordered[start : start + RECORDS_A_QUERY]
        yield from connection.execute(select(Table.c.id, Table.c.event).where(Table.c.id.in_(part)))


def picked(event: str, names: Collection[str]) -> Metadata:
    """The named entries of a materialization's metadata, from the record as Dagster writes it."""
    try:
        content = json.loads(event)["dagster_event"]["event_specific_data"]["materialization"]["metadata_entries"]
        named = {entry["label"]: entry["entry_data"] for entry in content if entry["label"] in names}
        return {label: data[VALUE_OF[data["__class__"]]] for label, data in named.items()}
    except (KeyError, TypeError):  # an entry of another kind, or written by another release of Dagster
        materialization = dg.deserialize_value(event, EventLogEntry).asset_materialization
        return _named(plain(materialization.metadata), names) if materialization else {}


def plain(metadata: Mapping[str, dg.MetadataValue]) -> Metadata:
    """Metadata as plain values."""
    return {name: value.value for name, value in metadata.items()}


def _named(metadata: Metadata, names: Collection[str]) -> Metadata:
    return {name: value for name, value in metadata.items() if name in names}


def _asset(key: str) -> dg.AssetKey:
    return dg.AssetKey(key.split("/"))

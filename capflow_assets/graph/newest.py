"""The newest materializations of many assets and customers: what they say of themselves, in a query or two an asset.

Pictures and reports lie in the same records, tens of kilobytes each; of a record only the named entries are built.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry

# A statement names so many records, and so many customers.
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
    return {key: _of_asset(instance, key, names, customers) for key, names in entries.items()}


def _of_asset(
    instance: dg.DagsterInstance, key: str, names: Collection[str], customers: Sequence[str]
) -> dict[str, Metadata]:
    storage: Any = instance.event_log_storage
    if not hasattr(storage, "index_connection"):  # none that keeps its records in SQL
        records = {customer: latest(instance, key, customer) for customer in customers}
        return {customer: _named(metadata, names) for customer, metadata in records.items() if metadata}
    named = set(customers) if len(customers) <= MOST_NAMED else None
    kind = DagsterEventType.ASSET_MATERIALIZATION
    ids = storage.get_latest_storage_id_by_partition(_asset(key), kind, named)
    asked = set(customers)
    customer_of = {number: customer for customer, number in ids.items() if customer in asked}
    return {customer_of[number]: picked(event, names) for number, event in _events(storage, customer_of)}


def _events(storage: Any, ids: Iterable[int]) -> Iterator[tuple[int, str]]:
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import select

    with storage.index_connection() as connection:
        ordered = sorted(ids)
        for start in range(0, len(ordered), RECORDS_A_QUERY):
            part = ordered[start : start + RECORDS_A_QUERY]
            for number, event in connection.execute(select(Table.c.id, Table.c.event).where(Table.c.id.in_(part))):
                yield number, event


def picked(event: str, names: Collection[str]) -> Metadata:
    """The named entries of a materialization's metadata, from the record as Dagster writes it."""
    try:
        content = json.loads(event)["dagster_event"]["event_specific_data"]["materialization"]["metadata_entries"]
        wanted = {entry["label"]: entry["entry_data"] for entry in content if entry["label"] in names}
        return {label: data[VALUE_OF[data["__class__"]]] for label, data in wanted.items()}
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

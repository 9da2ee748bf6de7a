"""Online answers in a table of DynamoDB of their own: an item per subject and version, and one of pointers a customer.

The partition is ``{customer}#{subject}``, the sort key the version's name: one ``BatchGetItem`` answers for a hundred
subjects, and one ``Query`` finds what is kept of a subject in whatever version. A customer's pointers are one item,
``%answers/{customer}``, on whose count of erasures a flip is conditioned. Items end by the table's time to live
(``_expires``): a version that was current is not deleted item by item, which would cost as much as to write it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from capflow_assets.errors import StoreError
from capflow_assets.stores.answer_store import StoredTable
from capflow_assets.transfer.dynamodb_table import DynamoTable, dynamodb_client, dynamodb_error

GET_AT_ONCE, WRITE_AT_ONCE = 100, 25
# What a partition key may have in UTF-8; a longer one is nobody's.
LONGEST_KEY = 2048
SORT = "%pointers"
BLOB, EXPIRES, TABLES, ERASURES = "blob", "_expires", "tables", "erasures"


@dataclass(slots=True)
class DynamoAnswerServer:
    """A table of DynamoDB that keeps answers; its client is shared by threads."""

    options: DynamoTable
    timeout_seconds: float
    tries: int = 1
    keep_seconds: float | None = 7 * 86_400.0
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        self._client = dynamodb_client(
            self.options,
            tries=self.tries,
            connect_seconds=self.timeout_seconds,
            read_seconds=self.timeout_seconds,
            connections=64,
        )

    def tables(self, customers: Sequence[str]) -> dict[str, dict[str, StoredTable]]:
        """The tables of customers as their pointers name them."""
        keys = {self._name(self._pointers(customer)): customer for customer in customers}
        items = self._items([self._pointers(customer) for customer in keys.values()])
        return {keys[self._name(item)]: _tables(item.get(TABLES, {}).get("M", {})) for item in items}

    def erasures(self, customer: str) -> int:
        """How often subjects were forgotten."""
        with self._asked() as client:
            key = self._pointers(customer)
            item = client.get_item(TableName=self.options.table, Key=key, ConsistentRead=True).get("Item", {})
        return int(item.get(ERASURES, {}).get("N", 0))

    def put(self, customer: str, file: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Write subjects' blobs to a version."""
        ends = {"N": str(int(time.time() + (self.keep_seconds or 0)))}
        items = [{**self._key(customer, subject, file), BLOB: {"B": blob}, EXPIRES: ends} for subject, blob in rows]
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def flip(self, customer: str, name: str, table: StoredTable, erasures: int) -> bool:
        """Let the pointer name a version, on the condition that nobody was forgotten since."""
        entry = json.dumps({"file": table.file, "source": table.source, "facts": table.facts})
        self._map_of_tables(customer)
        return self._updated(
            customer,
            UpdateExpression="SET #t.#n = :entry",
            ConditionExpression="#e = :e OR (attribute_not_exists(#e) AND :e = :none)",
            ExpressionAttributeNames={"#t": TABLES, "#n": name, "#e": ERASURES},
            ExpressionAttributeValues={":entry": {"S": entry}, ":e": {"N": str(erasures)}, ":none": {"N": "0"}},
        )

    def drop(self, customer: str, name: str) -> None:
        """Take a pointer away; its items end by their time to live."""
        names = {"#t": TABLES, "#n": name}
        self._map_of_tables(customer)
        self._updated(customer, UpdateExpression="REMOVE #t.#n", ExpressionAttributeNames=names)

    def discard(self, customer: str, file: str) -> None:
        """Nothing: items that no pointer names end by their time to live, and are found by who forgets."""

    def blobs(self, customer: str, file: str, subjects: Sequence[str]) -> dict[str, bytes]:
        """The blobs of those subjects that a version has, a hundred a question."""
        named = [(self._key(customer, subject, file), subject) for subject in subjects if subject]
        keys = {self._name(key): (key, subject) for key, subject in named if len(self._name(key)) <= LONGEST_KEY}
        items = self._items([key for key, _ in keys.values()])
        return {keys[self._name(item)][1]: bytes(item[BLOB]["B"]) for item in items if BLOB in item}

    def sample(self, customer: str, file: str, most: int) -> list[tuple[str, bytes]]:
        """None: to draw some is to read the whole table."""
        return []

    def delete(self, customer: str, ids: Collection[str], others: Mapping[str, Collection[str]]) -> int:
        """Count an erasure, then delete subjects from every version, also from those being written."""
        self._erased(customer)
        of_files = {name.replace("/", "."): chosen for name, chosen in others.items()}
        keys: list[dict[str, Any]] = []
        for subject in dict.fromkeys([*ids, *(one for chosen in others.values() for one in chosen)]):
            for key in self._versions(customer, subject):
                table = key[self.options.sort_key]["S"].rpartition(".")[0]
                if subject in of_files.get(table, ids):
                    keys.append(key)
        self._write([{"DeleteRequest": {"Key": key}} for key in keys])
        return len(keys)

    def remove(self, customer: str) -> None:
        """Delete the pointers at once, then all items of the customer: the whole table is read for it."""
        self._erased(customer)
        self._updated(customer, UpdateExpression="REMOVE #t", ExpressionAttributeNames={"#t": TABLES})
        names = {"#p": self.options.partition_key, "#s": self.options.sort_key}
        with self._asked() as client:
            pages = client.get_paginator("scan").paginate(
                TableName=self.options.table,
                FilterExpression="begins_with(#p, :c)",
                ProjectionExpression="#p, #s",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":c": {"S": f"{customer}#"}},
            )
            for page in pages:
                self._write([{"DeleteRequest": {"Key": key}} for key in page["Items"]])

    def _versions(self, customer: str, subject: str) -> Iterator[dict[str, Any]]:
        """The keys of all that is kept of a subject."""
        names = {"#p": self.options.partition_key, "#s": self.options.sort_key}
        value = self._key(customer, subject, SORT)[self.options.partition_key]
        with self._asked() as client:
            pages = client.get_paginator("query").paginate(
                TableName=self.options.table,
                KeyConditionExpression="#p = :p",
                ProjectionExpression="#p, #s",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":p": value},
                ConsistentRead=True,
            )
            for page in pages:
                yield from page["Items"]

    def _items(self, keys: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        table = self.options.table
        with self._asked() as client:
            for start in range(0, len(keys), GET_AT_ONCE):
                unprocessed = {table: {"Keys": list(keys[start : start + GET_AT_ONCE]), "ConsistentRead": True}}
                for attempt in range(self.tries + 1):
                    answer = client.batch_get_item(RequestItems=unprocessed)
                    yield from answer.get("Responses", {}).get(table, [])
                    unprocessed = answer.get("UnprocessedKeys") or {}
                    if not unprocessed:
                        break
                    time.sleep(0.02 * 2**attempt)
                if unprocessed:
                    raise StoreError("DynamoDB does not process all look-ups", where=table, do="give it more capacity")

    def _write(self, requests: Sequence[dict[str, Any]]) -> None:
        table = self.options.table
        with self._asked() as client:
            for start in range(0, len(requests), WRITE_AT_ONCE):
                unprocessed = {table: list(requests[start : start + WRITE_AT_ONCE])}
                for attempt in range(self.tries + 4):
                    unprocessed = client.batch_write_item(RequestItems=unprocessed).get("UnprocessedItems") or {}
                    if not unprocessed:
                        break
                    time.sleep(min(5.0, 0.05 * 2**attempt))
                if unprocessed:
                    do = "give the table more write capacity; it is tried again at the next look"
                    raise StoreError("DynamoDB does not process all rows", where=table, do=do)

    def _map_of_tables(self, customer: str) -> None:
        """Make the map that pointers stand in, if it is not there yet."""
        self._updated(
            customer,
            UpdateExpression="SET #t = if_not_exists(#t, :none)",
            ExpressionAttributeNames={"#t": TABLES},
            ExpressionAttributeValues={":none": {"M": {}}},
        )

    def _erased(self, customer: str) -> None:
        self._updated(
            customer,
            UpdateExpression="ADD #e :one",
            ExpressionAttributeNames={"#e": ERASURES},
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    def _updated(self, customer: str, **change: Any) -> bool:
        """Whether a change of the pointers was made; not, where its condition does not hold."""
        with self._asked() as client:
            try:
                client.update_item(TableName=self.options.table, Key=self._pointers(customer), **change)
            except client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _pointers(self, customer: str) -> dict[str, Any]:
        return {self.options.partition_key: {"S": f"%answers/{customer}"}, self.options.sort_key: {"S": SORT}}

    def _key(self, customer: str, subject: str, file: str) -> dict[str, Any]:
        return {self.options.partition_key: {"S": f"{customer}#{subject}"}, self.options.sort_key: {"S": file}}

    def _name(self, item: Mapping[str, Any]) -> bytes:
        """The partition key of an item."""
        return str(item[self.options.partition_key]["S"]).encode()

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._client
        except (BotoCoreError, ClientError) as error:
            raise dynamodb_error(error, self.options.table, StoreError, "DynamoDB refuses") from error


def _tables(content: Mapping[str, Any]) -> dict[str, StoredTable]:
    """The tables that the pointers name; an entry that cannot be read is no table."""
    tables: dict[str, StoredTable] = {}
    for name, entry in content.items():
        try:
            tables[name] = StoredTable(**json.loads(entry["S"]))
        except (ValueError, TypeError, KeyError):
            continue
    return tables

"""Items of a DynamoDB table, each written on a condition: requests, and what became of them (``dynamodb``)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from capflow_assets.contract import Delivery
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.batches import json_value

# What DynamoDB takes in one transaction.
ITEMS = 100
# No key of a row is written so: of its signs, % is always followed by 25 or 23.
MARK = "%delivery"
SEPARATOR = "#"
NEWER = "ConditionalCheckFailed"
DONE = "done"
# What is said of two items of one key in a transaction.
TWICE = "multiple operations"
LEAST_NUMBER = 1e-129
# Reasons for which an item of a transaction is not written now, and may be a moment later; "None" is a neighbour's.
LATER = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "None"})


class Items:
    """One table: its items as requests, and requests written until each is done or refused."""

    def __init__(self, client: Any, table: str, keys: tuple[str, str], tries: int) -> None:
        self._client, self._table, self._tries = client, table, tries
        self._partition_key, self._sort_key = keys

    def mark(self, delivery: Delivery) -> Mapping[str, Any]:
        """The item that says which delivery of the model is there."""
        key = self._keys(delivery, MARK)
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        return dict(item)

    def put(self, delivery: Delivery, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """An item, unless a newer one is there, or one that no delivery wrote."""
        written = ((name, json_value(value)) for name, value in values.items())
        item = {name: attribute(value) for name, value in written if value is not None}
        item |= self._keys(delivery, key)
        item |= {"_delivery": {"S": delivery.id}, "_as_of": {"S": stamp(delivery.as_of)}}
        item |= {"_expires": {"N": str(int(delivery.valid_until.timestamp()))}}
        return {
            "Put": {
                "TableName": self._table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(#p) OR #a <= :a",
                "ExpressionAttributeNames": {"#p": self._partition_key, "#a": "_as_of"},
                "ExpressionAttributeValues": {":a": item["_as_of"]},
            }
        }

    def delete(self, delivery: Delivery, key: str, *, of_any: bool = False) -> dict[str, Any]:
        """An item's end, where it is this delivery's; or ``of_any``, where there is one."""
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_exists(#d)" if of_any else "#d = :d",
            "ExpressionAttributeNames": {"#d": "_delivery"},
        }
        if not of_any:
            condition["ExpressionAttributeValues"] = {":d": {"S": delivery.id}}
        return {"Delete": {"TableName": self._table, "Key": self._keys(delivery, key), **condition}}

    def write(self, requests: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Which requests are refused, by place, and why; all others are done.

        Raises:
            DeliveryError: some are still not processed after the last try.
        """
        refusals: dict[int, str] = {}
        waiting, reasons = dict(enumerate(requests)), ["not processed"]
        for attempt in range(self._tries):
            reasons = self._transact(list(waiting.values()))
            if not reasons:
                return refusals
            for place, reason in zip(list(waiting), reasons, strict=True):
                if reason not in LATER:
                    del waiting[place]
                if reason not in LATER and reason != DONE:
                    refusals[place] = reason
            if not waiting:
                return refusals
            if all(reason == "None" or reason not in LATER for reason in reasons):
                continue
            time.sleep(min(20.0, 0.05 * 2**attempt))
        received = ", ".join(sorted(set(reasons) - {"None"}))
        do = "give the table more write capacity, or send at another time; then run it again"
        raise DeliveryError("DynamoDB does not process all rows", came=received, where=self._table, do=do)

    def _transact(self, requests: list[dict[str, Any]]) -> list[str]:
        """Nothing where all are done; else a reason for each (``None`` where it is not this one's fault).

        One item that is not valid stops its whole transaction without being named: it is looked for by halves.
        """
        from botocore.exceptions import ClientError

        try:
            self._client.transact_write_items(TransactItems=requests)
        except self._client.exceptions.TransactionCanceledException as error:
            return [str(reason.get("Code") or "None") for reason in error.response["CancellationReasons"]]
        except self._client.exceptions.TransactionInProgressException:
            return ["TransactionConflict"] * len(requests)
        except ClientError as error:
            said = error.response["Error"]
            if said["Code"] != "ValidationException" or TWICE in said["Message"]:
                raise
            if len(requests) == 1:
                return [f"it is not valid: {said['Message']}"]
            halves = requests[: len(requests) // 2], requests[len(requests) // 2 :]
            return [reason for half in halves for reason in self._transact(half) or [DONE] * len(half)]
        return []

    def keys_of(self, delivery: Delivery) -> Iterator[list[str]]:
        """The partition keys of the items that a delivery wrote, a hundred at a time."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="#d = :d",
            ProjectionExpression="#p",
            ExpressionAttributeNames={"#d": "_delivery", "#p": self._partition_key},
            ExpressionAttributeValues={":d": {"S": delivery.id}},
        )
        for page in pages:
            keys = [item[self._partition_key]["S"] for item in page["Items"]]
            for start in range(0, len(keys), ITEMS):
                yield keys[start : start + ITEMS]

    def _keys(self, delivery: Delivery, key: str) -> dict[str, Any]:
        sort = {"S": f"{delivery.customer}/{delivery.model}"}
        return {self._partition_key: {"S": key}, self._sort_key: sort}


def key_of(values: Sequence[Any]) -> str:
    """The partition key of a row: its key's values, # between them.

    >>> key_of(["u#1", 7]), key_of(["%delivery"])
    ('u%231#7', '%25delivery')
    """
    return SEPARATOR.join(str(json_value(one)).replace("%", "%25").replace(SEPARATOR, "%23") for one in values)


def attribute(value: Any) -> dict[str, Any]:
    """A value as DynamoDB writes it; what is smaller than its least number is 0.

    >>> attribute(0.1), attribute(True), attribute(["a", 2]), attribute(1e-200)
    ({'N': '0.1'}, {'BOOL': True}, {'L': [{'S': 'a'}, {'N': '2'}]}, {'N': '0'})
    """
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": "0" if abs(value) < LEAST_NUMBER else str(Decimal(repr(value)))}
    if isinstance(value, list):
        return {"L": [{"NULL": True} if one is None else attribute(one) for one in value]}
    return {"S": str(value)}


def stamp(moment: datetime) -> str:
    """A moment in UTC as text that sorts as moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")

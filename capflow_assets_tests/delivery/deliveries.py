"""A small delivery, and its rows, for the tests of destinations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from capflow_assets.contract import DeliveredColumn, Delivery

if TYPE_CHECKING:
    import pyarrow as pa

NIGHT = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = (
    DeliveredColumn("user", "string"),
    DeliveredColumn("score", "double"),
    DeliveredColumn("reasons", "string"),
    DeliveredColumn("items", "list<string>"),
    DeliveredColumn("as_of", "timestamp"),
)


def delivery_of(nights: int = 0, model: str = "churn", destination: str = "crm", customer: str = "boots") -> Delivery:
    """The delivery of a night, the first of March 2026 by default."""
    as_of = NIGHT + timedelta(days=nights)
    digest = hashlib.sha256(f"{customer} {model} {as_of} {destination}".encode()).hexdigest()
    until = as_of + timedelta(days=7)
    return Delivery(digest, customer, model, 3, as_of, until, destination, COLUMNS, ("user",), "user")


def rows_of(delivery: Delivery, users: Sequence[str] = ("ann", "bob", "=cmd()"), score: float = 0.5) -> list[dict]:
    """A row for each user: one list of two items, one reason, the same score."""
    return [
        {"user": user, "score": score, "reasons": "no visit, 40 days", "items": ["i1", "i2"], "as_of": delivery.as_of}
        for user in users
    ]


def schema() -> pa.Schema:
    """The Arrow types of ``COLUMNS``."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "double": pa.float64(),
        "list<string>": pa.list_(pa.string()),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(column.name, types[column.kind]) for column in COLUMNS])


def batches_of(rows: list[dict], at_once: int = 2) -> Iterator[pa.RecordBatch]:
    """The rows in batches of two, say."""
    import pyarrow as pa

    for start in range(0, len(rows), at_once):
        yield pa.RecordBatch.from_pylist(rows[start : start + at_once], schema=schema())

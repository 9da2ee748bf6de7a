"""Rows as JSON, in batches of bounded count and bytes; and what becomes of a batch of which one row is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.contract import Delivery, Refused, Sent
from capflow_assets.errors import DeliveryError, shortened

if TYPE_CHECKING:
    import pyarrow as pa

# A destination that has taken nothing and refused so many rows will refuse the others.
HOPELESS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its key, its values, and its bytes as they are sent."""

    key: tuple[Any, ...]
    values: Mapping[str, Any]
    json: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A batch that was not taken whole: ``rows`` says which and why (by place), or it is empty and ``reason`` says why.

    ``others`` are those that are not named: not taken, and to be posted again; taken; or nobody can say.
    """

    reason: str
    rows: Mapping[int, str] = field(default_factory=dict)
    others: Literal["again", "taken", "unknown"] = "again"


# None where the whole batch is taken.
Post = Callable[[Sequence[Row]], "Rejection | None"]


def json_value(value: Any) -> Any:
    """A value as JSON knows it: times in ISO 8601 and UTC, no number that is none.

    >>> json_value(datetime(2024, 5, 1, 6, tzinfo=UTC)), json_value(date(2024, 5, 1)), json_value(float("nan"))
    ('2024-05-01T06:00:00Z', '2024-05-01', None)
    """
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return utc.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if value - value == 0 else None
    return [json_value(one) for one in value] if isinstance(value, list) else value


def rows_of(
    delivery: Delivery,
    batches: Iterable[pa.RecordBatch],
    shape: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values,
) -> Iterator[Row]:
    """The rows of all batches, one at a time; ``shape`` says how the destination writes one."""
    import orjson

    # As ``json_value`` has it: times in UTC, no number that is none.
    option = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
    for batch in batches:
        for values in batch.to_pylist():
            yield Row(tuple(values[name] for name in delivery.key), values, orjson.dumps(shape(values), option=option))


def packed(rows: Iterable[Row], count: int, most_bytes: int) -> Iterator[list[Row]]:
    """Batches of at most ``count`` rows and ``most_bytes`` bytes, a comma a row; a row that is larger stands alone.

    >>> sizes = [1, 1, 8, 1, 1, 1]
    >>> [len(batch) for batch in packed((Row((), {}, b"x" * size) for size in sizes), count=3, most_bytes=10)]
    [2, 1, 3]
    """
    batch: list[Row] = []
    weight = 0
    for row in rows:
        if batch and (len(batch) == count or weight + len(row.json) + 1 > most_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(row)
        weight += len(row.json) + 1
    if batch:
        yield batch


@dataclass(slots=True)
class Tally:
    """What became of the rows so far."""

    rows: int = 0
    bytes: int = 0
    refused: list[Refused] = field(default_factory=list)
    unknown: list[tuple[Any, ...]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, rows: Iterable[Row]) -> None:
        """Rows that the destination has taken."""
        for row in rows:
            self.rows += 1
            self.bytes += len(row.json)
            self.digest.update(row.json + b"\n")

    def refuse(self, row: Row, reason: str) -> None:
        """A row that it would not take.

        Raises:
            DeliveryError: nothing was taken and so many were refused that the fault is in all of them.
        """
        self.refused.append(Refused(row.key, shortened(reason, 300)))
        if not self.rows and len(self.refused) >= HOPELESS:
            do = "check the columns and the options of the delivery against what the destination expects"
            raise DeliveryError(f"The destination refused the first {HOPELESS} rows and took none", came=reason, do=do)

    def sent(self, *, is_checked: bool = False) -> Sent:
        """All of it; with a checksum where the destination has one to compare with."""
        checksum = self.digest.hexdigest() if is_checked else ""
        return Sent(self.rows, self.bytes, checksum, tuple(self.refused), tuple(self.unknown))


def post_apart(batch: Sequence[Row], post: Post, tally: Tally) -> None:
    """Post a batch so that a row which is refused does not take its neighbours with it.

    Where the destination names the rows, the others are posted again if they were not taken; where it does not, the
    batch is halved until the rows are known.
    """
    parts = [list(batch)]
    while parts:
        part = parts.pop()
        rejection = post(part)
        if rejection is None:
            tally.take(part)
            continue
        named = {place: why for place, why in rejection.rows.items() if 0 <= place < len(part)}
        if not named and rejection.others == "again" and len(part) == 1:
            named = {0: rejection.reason}
        others = [row for place, row in enumerate(part) if place not in named]
        if rejection.others == "taken":
            tally.take(others)
        elif rejection.others == "unknown":
            tally.unknown += [row.key for row in others]
        elif named:
            parts += [others] if others else []
        else:
            parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        for place, why in sorted(named.items()):
            tally.refuse(part[place], why)

"""The ledger of deliveries, as tables of the customer: receipts, what was held back, and who was carried.

    delivery/receipts     one row per delivery and round: what was sent where and when, what became of it
    delivery/held_back    one row per row that did not arrive, with the reason: held back, refused or unknown
    delivery/carried      one row per user and delivery, for caps and erasure

A receipt is written before anything is sent (``sending``) and again when it is known what came of it, so that a killed
delivery is seen. Rows of one delivery replace themselves: marking twice is marking once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import DeliveryError
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

RECEIPTS, HELD_BACK, CARRIED = "delivery/receipts", "delivery/held_back", "delivery/carried"
PARTITION = "delivery"
# How long it is kept who was carried and who was not; of the newest delivery to a destination it is always kept.
KEPT_DAYS = 90
Status = Literal["sending", "delivered", "waiting", "unknown", "failed", "older", "withdrawn"]
# After these nothing is sent again under the same id.
SETTLED: tuple[Status, ...] = ("delivered", "waiting", "older", "withdrawn")
# Of these nobody knows whether they have arrived.
OPEN: tuple[Status, ...] = ("sending", "unknown")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of one delivery. ``scored`` = ``delivered`` + ``held_back`` + ``refused`` + ``unknown``.

    ``held_back_by`` counts those by reason. ``waiting`` of them only wait for the end of quiet hours. Times are UTC.
    """

    delivery: str
    number: int
    customer: str
    model: str
    version: int
    as_of: datetime
    valid_until: datetime
    destination: str
    kind: str
    channel: str
    status: Status
    scored: int = 0
    delivered: int = 0
    held_back: int = 0
    waiting: int = 0
    refused: int = 0
    unknown: int = 0
    bytes: int = 0
    checksum: str = ""
    held_back_by: Mapping[str, int] = field(default_factory=dict)
    tries: int = 0
    began_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    ended_at: datetime | None = None
    reason: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be sent under this id any more."""
        return self.status in SETTLED

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.scored == self.delivered + self.held_back + self.refused + self.unknown


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one customer."""

    lake: Lake
    customer: str

    def receipts(self, model: str | None = None, destination: str | None = None) -> list[Receipt]:
        """The receipts, oldest first; of one model or destination, where it is named."""
        if not self.lake.exists(self.customer, RECEIPTS):
            return []
        rows = self.lake.arrow(self.customer, RECEIPTS).to_pylist()
        receipts = [Receipt(**{**row, "held_back_by": json.loads(row["held_back_by"])}) for row in rows]
        chosen = (
            receipt
            for receipt in receipts
            if model in (None, receipt.model) and destination in (None, receipt.destination)
        )
        return sorted(chosen, key=lambda receipt: (receipt.as_of, receipt.destination, receipt.number))

    def receipt(self, delivery: str) -> Receipt | None:
        """The receipt of a delivery; None where it never began."""
        return next((receipt for receipt in self.receipts() if receipt.delivery == delivery), None)

    def write(self, receipt: Receipt) -> None:
        """Put a receipt in the place of the one of the same delivery."""
        import pyarrow as pa

        row = asdict(receipt) | {"held_back_by": json.dumps(dict(receipt.held_back_by), sort_keys=True)}
        self._replace(RECEIPTS, receipt.delivery, iter(pa.Table.from_pylist([row], schema=_schema()).to_batches()), [])

    def mark(
        self,
        receipt: Receipt,
        held_back: Iterable[pa.RecordBatch],
        carried: Iterable[pa.RecordBatch],
    ) -> None:
        """Write what became of a delivery: who was held back and who was carried first, then the receipt."""
        self._replace(HELD_BACK, receipt.delivery, iter(held_back), [PARTITION])
        self.carry(receipt.delivery, carried)
        self.write(receipt)

    def carry(self, delivery: str, carried: Iterable[pa.RecordBatch]) -> None:
        """Write who was carried by a delivery."""
        self._replace(CARRIED, delivery, iter(carried), [PARTITION])

    def known(self, table: str) -> set[str]:
        """The deliveries that have rows in ``held_back`` or ``carried``."""
        if not self.lake.exists(self.customer, table):
            return set()
        return {partition[PARTITION] for partition in self.lake.delta(self.customer, table).partitions()}

    def _replace(self, table: str, delivery: str, rows: Iterator[pa.RecordBatch], partitions: list[str]) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        first = next(rows, None)
        is_there = self.lake.exists(self.customer, table)
        if first is None:
            if is_there:
                self.lake.delta(self.customer, table).delete(f"delivery = '{delivery}'")
            return

        def every() -> Iterator[pa.RecordBatch]:
            yield first
            yield from rows

        path = self.lake.path(self.customer, table)
        write_deltalake(
            path,
            pa.RecordBatchReader.from_batches(first.schema, every()),
            mode="overwrite",
            predicate=f"delivery = '{delivery}'" if is_there else None,
            partition_by=partitions or None,
        )
        self.lake.committed(path)

    def rows(self, table: str, columns: list[str], deliveries: Iterable[str]) -> pa.Table:
        """The rows of some deliveries in ``held_back`` or ``carried``; no other file is read."""
        import pyarrow.dataset as ds

        wanted = sorted(set(deliveries))
        if not wanted or not self.lake.exists(self.customer, table):
            return _none(columns)
        dataset = self.lake.delta(self.customer, table).to_pyarrow_dataset()
        return dataset.to_table(columns=columns, filter=ds.field(PARTITION).isin(wanted))

    def forget_old(self, now: datetime, kept_days: int = KEPT_DAYS) -> None:
        """Remove who was carried and held back long ago, but for the newest delivery of each model and destination."""
        receipts = self.receipts()
        newest = {(receipt.model, receipt.destination): receipt.delivery for receipt in receipts}
        old = [
            receipt.delivery
            for receipt in receipts
            if (receipt.ended_at or receipt.began_at) < now - timedelta(days=kept_days)
            and receipt.delivery not in newest.values()
        ]
        for table in (HELD_BACK, CARRIED):
            gone = sorted(set(old) & self.known(table))
            if gone:
                names = ", ".join(f"'{delivery}'" for delivery in gone)
                self.lake.delta(self.customer, table).delete(f"delivery IN ({names})")


def ended(receipt: Receipt, status: Status, now: datetime, **figures: Any) -> Receipt:
    """The receipt with what became of its delivery."""
    return replace(receipt, status=status, ended_at=now, **figures)


def require_sum(receipt: Receipt) -> Receipt:
    """The receipt, whose figures must account for every row.

    Raises:
        DeliveryError: they do not.
    """
    if not receipt.adds_up:
        parts = (receipt.delivered, receipt.held_back, receipt.refused, receipt.unknown)
        raise DeliveryError(
            "A destination does not say what became of every row",
            expected=f"{receipt.scored:,} rows delivered, held back, refused or unknown",
            came=" + ".join(f"{part:,}" for part in parts),
            where=f"{receipt.destination} ({receipt.kind})",
        )
    return receipt


def _schema() -> pa.Schema:
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    kinds = {"str": pa.string(), "int": pa.int64(), "datetime": moment, "datetime | None": moment}
    types = {name: kinds.get(str(info.type), pa.string()) for name, info in Receipt.__dataclass_fields__.items()}
    return pa.schema(list(types.items()))


def _none(columns: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array([], pa.string()) for name in columns})

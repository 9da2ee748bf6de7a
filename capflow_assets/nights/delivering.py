"""One scoring on its way to one destination: check → send → mark, so that it may be killed anywhere and go on.

What the destination holds is asked first: a delivery that is there already is marked and not sent again (one by which
users are contacted is taken back and sent anew, since others may be contacted now); where it holds a newer moment,
nothing is sent. The rules at the door are read anew each time. A delivery that was sent without an
answer is ``unknown``: it is sent again under the same id where that changes nothing, and only said where it might
double.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Delivery, Destination, Held, Sent
from capflow_assets.customers.customer import Customer
from capflow_assets.customers.delivery_settings import DeclaredDelivery
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, DeliveryError, DeliveryUnknown
from capflow_assets.nights.delivered_rows import USER, Scoring, Selection, rows_read, scoring_of
from capflow_assets.nights.deliveries import delivery_of
from capflow_assets.nights.door import QUIET
from capflow_assets.nights.door_rules import Doors, selected
from capflow_assets.nights.ledger import (
    CARRIED,
    HELD_BACK,
    OPEN,
    PARTITION,
    Ledger,
    Receipt,
    Status,
    ended,
    require_sum,
)
from capflow_assets.nights.passage import Passage

if TYPE_CHECKING:
    import pyarrow as pa

# What may be there, where the destination cannot be asked.
HELD_THERE: tuple[Status, ...] = ("delivered", "waiting", *OPEN)
HOLDS_NEWER = "the destination holds newer predictions"
RESTS = "it was sent before and no answer came; this kind of destination might take it twice, so it is not sent again"


@dataclass(frozen=True)
class Way:
    """One model's newest scoring and one destination of one customer."""

    deployment: Deployment
    customer: Customer
    spec: ModelSpec
    declared: DeclaredDelivery
    scoring: Scoring
    selection: Selection
    destination: Destination
    options: Any
    ledger: Ledger
    now: datetime

    def deliver(self) -> Receipt:
        """Deliver, unless it is delivered: the receipt of what was done, now or before.

        Raises:
            DeliveryError: it failed, or nobody knows whether it arrived; the receipt says so as well.
        """
        delivery, before, only = self._round()
        if before is not None and before.is_settled:
            return before
        receipt = self._begun(delivery, before)
        try:
            return self._sent(delivery, receipt, before, only)
        except DeliveryUnknown:
            raise
        except CapflowError as error:
            # What may have arrived at an earlier try may still have: that this one failed says nothing of it.
            status: Status = "unknown" if before is not None and before.status in OPEN else "failed"
            self.ledger.write(ended(receipt, status, self.now, reason=str(error)))
            raise

    def _round(self) -> tuple[Delivery, Receipt | None, pa.Array | None]:
        """The delivery whose turn it is, its receipt so far, and whom alone it goes to, where others had to wait."""
        number, only = 0, None
        while True:
            delivery = self.delivery(number)
            receipt = self.ledger.receipt(delivery.id)
            if receipt is None or receipt.status != "waiting":
                return delivery, receipt, only
            rows = self.ledger.rows(HELD_BACK, ["user_id", "reason"], [delivery.id])
            only = _waiting(rows)
            number += 1

    def delivery(self, number: int = 0) -> Delivery:
        """The delivery of a round."""
        scoring, name = self.scoring, self.spec.name
        of = (self.customer.name, name, scoring.model_version, scoring.as_of)
        return delivery_of(*of, self.declared, self.customer.contact, self.selection, number)

    def _begun(self, delivery: Delivery, before: Receipt | None) -> Receipt:
        if before is not None:
            return replace(before, tries=before.tries + 1)
        number = next(place for place in range(1_000_000) if self.delivery(place).id == delivery.id)
        channel = self.declared.channel if self.declared.contact else None
        return Receipt(
            delivery.id, number, delivery.customer, delivery.model, delivery.version, delivery.as_of,
            delivery.valid_until, delivery.destination, self.declared.kind, channel or "", "sending",
            tries=1, began_at=self.now,
        )  # fmt: skip

    def _sent(self, delivery: Delivery, receipt: Receipt, before: Receipt | None, only: pa.Array | None) -> Receipt:
        newest = self._newest(delivery)
        if newest is not None and newest > delivery.as_of:
            older = ended(receipt, "older", self.now, reason=f"{HOLDS_NEWER}, as of {newest.isoformat()}")
            self.ledger.write(older)
            return older
        door = Doors(self.deployment, self.customer, self.ledger, self.now).door(
            self.spec, self.declared, self.scoring, self.selection
        )
        held = self.destination.held(self.options, delivery) if self.destination.tells else None
        with Passage(delivery, self.selection) as passage:
            rows = passage.through(door, self._rows(), only)
            if held is not None:
                sent = self._there_already(delivery, receipt, held, passage, rows)
                if sent is not None:
                    return self._marked(receipt, passage, sent)
                passage.begin_again()
                rows = passage.through(door, self._rows(), only)
            if before is not None and before.status in OPEN and self.destination.resend == "never":
                passage.drain(rows)
                return self._marked(receipt, passage, Sent(0, 0), is_unknown=True, reason=RESTS)
            self.ledger.write(replace(receipt, status="sending"))
            return self._brought(delivery, receipt, passage, rows)

    def _brought(
        self, delivery: Delivery, receipt: Receipt, passage: Passage, rows: Iterator[pa.RecordBatch]
    ) -> Receipt:
        try:
            sent = self.destination.send(self.options, delivery, rows)
        except DeliveryUnknown as error:
            passage.drain(rows)
            self._marked(receipt, passage, Sent(0, 0), is_unknown=True, reason=str(error))
            raise
        except CapflowError:
            if not self.destination.tells:  # it took what was sent before it failed, and cannot be asked
                self.ledger.carry(delivery.id, self._carried(delivery, passage, Sent(0, 0)))
            raise
        passage.drain(rows)
        return self._marked(receipt, passage, sent)

    def _rows(self) -> Iterator[pa.RecordBatch]:
        return rows_read(self.deployment.lake, self.customer.name, self.selection, self.scoring.table_version)

    def _newest(self, delivery: Delivery) -> datetime | None:
        """The newest moment that is there, by what the destination says, or else by the ledger."""
        if self.destination.tells:
            return self.destination.newest(self.options, delivery)
        kept = self.ledger.receipts(delivery.model, delivery.destination)
        return max((receipt.as_of for receipt in kept if receipt.status in HELD_THERE), default=None)

    def _there_already(
        self, delivery: Delivery, receipt: Receipt, held: Held, passage: Passage, rows: Iterator[pa.RecordBatch]
    ) -> Sent | None:
        """What is there, where it is what may be there now; None once it was taken back, to be sent anew.

        Where users are contacted, the number alone does not say that it is those who may be now.
        """
        passage.drain(rows)
        if held.rows is None or (held.rows == passage.passed and not (self.declared.contact and passage.passed)):
            return Sent(passage.passed, receipt.bytes, held.checksum)
        withdrawn = self.destination.withdraw(self.options, delivery)
        if withdrawn.reason:
            raise DeliveryError(
                "A destination holds rows, and perhaps others than may be delivered now",
                expected=f"{passage.passed:,} rows",
                came=f"{held.rows:,} rows, which cannot be taken back: {withdrawn.reason}",
                where=f"{self.declared.name} ({self.declared.kind})",
            )
        return None

    def _marked(
        self, receipt: Receipt, passage: Passage, sent: Sent, *, is_unknown: bool = False, reason: str = ""
    ) -> Receipt:
        unknown = passage.passed if is_unknown else len(sent.unknown)
        waiting = passage.held_back_by.get(QUIET, 0)
        status: Status = "unknown" if unknown else "waiting" if waiting else "delivered"
        marked = require_sum(
            ended(
                receipt,
                status,
                self.now,
                scored=passage.scored,
                delivered=sent.rows,
                held_back=sum(passage.held_back_by.values()),
                held_back_by=dict(passage.held_back_by),
                waiting=waiting,
                refused=len(sent.refused),
                unknown=unknown,
                bytes=sent.bytes,
                checksum=sent.checksum,
                reason=reason or ("no answer came for some rows" if unknown else ""),
            )
        )
        carried = self._carried(self.delivery(receipt.number), passage, sent)
        self.ledger.mark(marked, passage.held_back(sent, is_all_unknown=is_unknown), carried)
        return marked

    def _carried(self, delivery: Delivery, passage: Passage, sent: Sent) -> Iterator[pa.RecordBatch]:
        """Who was carried, at earlier tries included where what these took stays: the rules may have changed since."""
        import pyarrow as pa

        if not self.destination.tells:
            earlier = self.ledger.rows(CARRIED, [USER], [delivery.id])[USER].unique()
            if len(earlier):
                yield pa.RecordBatch.from_pydict({PARTITION: pa.repeat(delivery.id, len(earlier)), USER: earlier})
        yield from passage.carried(sent)


def way_of(
    deployment: Deployment, customer: Customer, spec: ModelSpec, declared: DeclaredDelivery, now: datetime
) -> Way | None:
    """The way of a model's newest scoring to a destination; None where there are no predictions.

    Raises:
        DeliveryError: the delivery asks for columns that there are not.
    """
    scoring = scoring_of(deployment.lake, customer.name, spec.name)
    if scoring is None:
        return None
    destination = deployment.stages.destinations[declared.kind]
    return Way(
        deployment,
        customer,
        spec,
        declared,
        scoring,
        selected(deployment, customer, spec, declared),
        destination,
        destination.options.model_validate(declared.options),
        Ledger(deployment.lake, customer.name),
        now,
    )


def _waiting(rows: pa.Table) -> pa.Array:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["reason"], QUIET))["user_id"].combine_chunks()

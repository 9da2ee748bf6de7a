"""DynamoDB: an item per row, each put on the condition that a newer one is not there.

The table has a partition key and a sort key of text (``partition_key``, ``sort_key``). The partition is the row's key,
the sort key ``{customer}/{model}``, so that one ``GetItem`` answers what a model says of a user, and one ``Query`` what
all models say. Beside the row's columns an item has ``_delivery``, ``_as_of`` and ``_expires`` (epoch seconds of
``valid_until``; name it as the table's time to live).

Items are put by the hundred in a transaction, because no other batch knows conditions: a row that would replace a newer
one is refused, its neighbours are not. A transaction costs twice the write units. What the server does not process
(throttled, in conflict) is tried again. The item ``%delivery`` of a model says which delivery is there whole: it is put
last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Refused, Sent, Withdrawn
from capflow_assets.delivery.dynamodb_items import ITEMS, MARK, NEWER, Items, key_of
from capflow_assets.errors import CapflowError, DeliveryError, DeliveryUnknown
from capflow_assets.transfer.batches import Tally, packed, rows_of
from capflow_assets.transfer.calls import RESENT
from capflow_assets.transfer.dynamodb_table import DynamoTable, dynamodb_client, dynamodb_error, error_code
from capflow_assets.transfer.secrets import first_line

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 3 << 20
STAYS = "a newer delivery's row, or one that no delivery wrote, is there"
UNANSWERED = ("ReadTimeoutError", "ConnectionClosedError", "IncompleteReadError")


class Options(DynamoTable):
    """Which table, and who writes."""

    rows_per_batch: int = Field(ITEMS, ge=1, le=ITEMS, description="Most items in one transaction.")
    tries: int = Field(8, ge=1, le=20, description="How often what is not processed is tried.")


class DynamoDb:
    """An item per row, newer ones never replaced."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the mark says, where it is this delivery's."""
        with _items(options) as items:
            mark = items.mark(delivery)
        if mark.get("_delivery", {}).get("S") != delivery.id:
            return None
        return Held(delivery.id, int(mark["rows"]["N"]), mark["sha256"]["S"])

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The mark's as-of."""
        with _items(options) as items:
            written = items.mark(delivery).get("_as_of", {}).get("S")
        return datetime.fromisoformat(written).astimezone(UTC) if written else None

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Put the rows, a hundred a transaction, and the mark when all are there."""
        tally = Tally()
        with _items(options) as items:
            for rows in packed(rows_of(delivery, batches), options.rows_per_batch, BATCH_BYTES):
                refusals = items.write([items.put(delivery, key_of(row.key), row.values) for row in rows])
                tally.take(row for place, row in enumerate(rows) if place not in refusals)
                for place, reason in refusals.items():
                    if reason == NEWER:
                        tally.refused.append(Refused(rows[place].key, STAYS))
                    else:
                        tally.refuse(rows[place], reason)
            mark = {"rows": tally.rows, "sha256": tally.digest.hexdigest(), "version": delivery.version}
            if items.write([items.put(delivery, MARK, mark)]):
                raise DeliveryError(
                    "DynamoDB holds a newer delivery", came=f"this of {delivery.as_of}", where=options.table
                )
        return tally.sent(is_checked=True)

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Delete the items that this delivery wrote and none has replaced since; the whole table is read for it."""
        rows = 0
        with _items(options) as items:
            items.write([items.delete(delivery, MARK)])
            for keys in items.keys_of(delivery):
                refusals = items.write([items.delete(delivery, key) for key in keys])
                rows += len(keys) - len(refusals)
        return Withdrawn(rows)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' items of this model, whichever delivery wrote them."""
        if delivery.key != (delivery.user,):
            return Withdrawn(None, "the items of this delivery are not known by their users")
        rows = 0
        with _items(options) as items:
            for start in range(0, len(users), ITEMS):
                some = users[start : start + ITEMS]
                refusals = items.write([items.delete(delivery, key_of((user,)), of_any=True) for user in some])
                rows += len(some) - len(refusals)
        return Withdrawn(rows)


@contextmanager
def _items(options: Options) -> Iterator[Items]:
    """The table's items; what AWS's library says, as a person reads it."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = dynamodb_client(options, tries=options.tries)
    try:
        yield Items(client, options.table, (options.partition_key, options.sort_key), options.tries)
    except (BotoCoreError, ClientError) as error:
        raise _said(error, options.table) from error
    finally:
        client.close()


def _said(error: Exception, table: str) -> CapflowError:
    if error_code(error) in UNANSWERED:
        received = first_line(error)
        return DeliveryUnknown("DynamoDB was sent rows and gave no answer", came=received, where=table, do=RESENT)
    return dynamodb_error(error, table, DeliveryError, "DynamoDB does not take the rows")


DESTINATION = DynamoDb()

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

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.contract import Delivery, Held, Refused, Sent, Withdrawn
from capflow_assets.delivery.dynamodb_items import ITEMS, MARK, NEWER, Items, key_of
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.batches import Tally, packed, rows_of
from capflow_assets.transfer.calls import RESENT
from capflow_assets.transfer.secrets import FromEnv, first_line

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 3 << 20
STAYS = "a newer delivery's row, or one that no delivery wrote, is there"
CREDENTIALS = ("AccessDenied", "UnrecognizedClient", "InvalidSignature", "ExpiredToken", "MissingAuthentication")
UNANSWERED = ("ReadTimeoutError", "ConnectionClosedError", "IncompleteReadError")


class Options(BaseModel):
    """Which table, and who writes."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    region: str = Field(pattern=r"^[a-z0-9-]{3,32}$", description="The table's region.")
    table: str = Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$", description="The table.")
    partition_key: str = Field("key", min_length=1, description="The attribute of the partition key, of text.")
    sort_key: str = Field("model", min_length=1, description="The attribute of the sort key, of text.")
    access_key: FromEnv | None = Field(None, description="AWS access key id; else as AWS's own tools find them.")
    secret_key: FromEnv | None = Field(None, description="AWS secret access key, likewise.")
    endpoint: str | None = Field(None, description="Another address than AWS's; the keys must be given with it.")
    rows_per_batch: int = Field(ITEMS, ge=1, le=ITEMS, description="Most items in one transaction.")
    tries: int = Field(8, ge=1, le=20, description="How often what is not processed is tried.")

    @model_validator(mode="after")
    def _keys_of_the_customer(self) -> Options:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key, or neither")
        if self.endpoint and self.access_key is None:
            raise ValueError("access_key and secret_key beside the endpoint: the platform's own are shown to none")
        return self


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
    """The table's items; what AWS's library says, as a person reads it (its messages hold no secret keys)."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    given = {"aws_access_key_id": options.access_key, "aws_secret_access_key": options.secret_key}
    keys = {name: secret.value() for name, secret in given.items() if secret is not None}
    patience = Config(
        retries={"mode": "standard", "total_max_attempts": options.tries}, connect_timeout=15, read_timeout=60
    )
    session = boto3.session.Session(region_name=options.region, **keys)
    client = session.client("dynamodb", endpoint_url=options.endpoint, config=patience)
    try:
        yield Items(client, options.table, (options.partition_key, options.sort_key), options.tries)
    except (BotoCoreError, ClientError) as error:
        raise _said(error, options.table) from error
    finally:
        client.close()


def _said(error: Exception, table: str) -> DeliveryError:
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code", type(error).__name__)
    came = first_line(error)
    if code in UNANSWERED:
        return DeliveryUnknown("DynamoDB was sent rows and gave no answer", came=came, where=table, do=RESENT)
    what, do = "DynamoDB is not reached", "check the region, the endpoint and that this machine may reach it"
    if code == "ResourceNotFoundException":
        what, do = "There is no such table", "check the region and the table's name"
    elif any(code.startswith(refused) for refused in CREDENTIALS) or "Credentials" in code:
        what, do = "DynamoDB does not accept the credentials", "check the keys and what their owner may write"
    elif response:
        what, do = "DynamoDB does not take the rows", "check the table's keys (both of text) and the delivery's columns"
    return DeliveryError(what, came=came, where=table, do=do)


DESTINATION = DynamoDb()

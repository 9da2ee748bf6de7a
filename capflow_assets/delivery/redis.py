"""Redis, or what speaks like it (Valkey, KeyDB, Dragonfly): a hash per delivery, and one pointer that is flipped last.

    {prefix}:{customer}:{model}         what is to be read: {"keys": […], "as_of": …, "valid_until": …, "version": …}
    {prefix}:{customer}:{model}:{id}    rows of a delivery: a field per user (or key), its value the row as JSON

A reader gets the pointer, and then ``HGET`` from the keys that it names, in order: mostly one, and one more for those
who had to wait for the morning. Rows are piped into a hash of another name,
which takes its own when all of them are there, together with the pointer: nobody reads half a delivery. The pointer is
not flipped where it names a newer one. The delivery before stays for ``keep_seconds``, for those who are reading it;
the current one ends that long after ``valid_until``. It is one hash per delivery, so that its rows can be counted and
taken back without a walk over all keys. Clusters are not spoken to: a delivery would lie on one of their nodes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery.redis_keys import (
    Round,
    field_name,
    key_values,
    next_pointer,
    pointer_name,
    pointer_of,
    rows_name,
    watched,
)
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.batches import Tally, json_value, packed, rows_of
from capflow_assets.transfer.redis_server import RedisServer, redis_client, redis_errors

if TYPE_CHECKING:
    import pyarrow as pa

UNFINISHED = ":part"
BATCH_BYTES = 4 << 20


class Options(RedisServer):
    """Which server, and under which names."""

    rows_per_batch: int = Field(1_000, ge=1, le=100_000, description="Most rows in one trip to the server.")
    keep_seconds: int = Field(86_400, ge=0, description="How long a delivery stays after its time.")
    tries: int = Field(4, ge=1, le=20, description="How often what is not answered is tried.")
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="Longest wait for an answer.")


class Redis:
    """A hash per delivery and a pointer to the current one."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """The rows that are in the hash now, where the pointer names this delivery."""
        with _connected(options) as client:
            pointer = pointer_of(client.get(pointer_name(options.prefix, delivery)))
            current = pointer.round(delivery.id) if pointer else None
            return Held(delivery.id, int(client.hlen(current.key)), current.sha256) if current else None

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The pointer's as-of."""
        with _connected(options) as client:
            pointer = pointer_of(client.get(pointer_name(options.prefix, delivery)))
        return pointer.moment if pointer else None

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Pipe the rows in, see that they are there, and flip the pointer.

        Raises:
            DeliveryError: the server is not reached or refuses, keeps fewer rows than it was sent (it is full and
                evicts), or names a newer delivery.
        """
        if _lifetime(options, delivery) <= 0:
            do = "score anew, or let keep_seconds be longer"
            received = f"predictions that hold until {json_value(delivery.valid_until)}"
            raise DeliveryError(
                "Redis would forget these rows at once", came=received, where=delivery.destination, do=do
            )
        tally, final = Tally(), rows_name(options.prefix, delivery)
        unfinished = f"{final}{UNFINISHED}"
        with _connected(options) as client:
            client.unlink(unfinished)
            for rows in packed(rows_of(delivery, batches), options.rows_per_batch, BATCH_BYTES):
                pipe = client.pipeline(transaction=False)
                pipe.hset(unfinished, mapping={field_name(row.key): row.json for row in rows})
                pipe.expire(unfinished, _lifetime(options, delivery))
                pipe.execute()
                tally.take(rows)
            kept = int(client.hlen(unfinished))
            if kept != tally.rows:
                do = "see its maxmemory and maxmemory-policy, and whether the key's columns tell rows apart"
                received = f"{kept:,} of {tally.rows:,} rows"
                raise DeliveryError("Redis kept other rows than it was sent", came=received, where=final, do=do)
            added = Round(delivery.id, final, tally.rows, tally.digest.hexdigest())
            _flip(client, options, delivery, added)
        return tally.sent(is_checked=True)

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Delete the rows, and take them out of the pointer where it names them."""
        name, final = pointer_name(options.prefix, delivery), rows_name(options.prefix, delivery)
        rows: list[int] = []

        def take_back(pipe: Any) -> None:
            pointer = pointer_of(pipe.get(name))
            rows[:] = [int(pipe.hlen(final))]
            pipe.multi()
            pipe.unlink(final, f"{final}{UNFINISHED}")
            if pointer and pointer.round(delivery.id):
                rest = pointer.without(delivery.id)
                if rest:
                    pipe.set(name, rest.written(), ex=max(1, _lifetime(options, delivery)))
                else:
                    pipe.unlink(name)

        with _connected(options) as client:
            watched(client, take_back, name, final)
        return Withdrawn(rows[0])

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' rows; where a key has more columns, all rows are looked at."""
        if not delivery.user or delivery.user not in delivery.key:
            return Withdrawn(None, "the rows of this delivery are not known by their users")
        place, names, erased = delivery.key.index(delivery.user), set(users), 0
        final = rows_name(options.prefix, delivery)
        with _connected(options) as client:
            if len(delivery.key) == 1:
                fields = [field_name((user,)) for user in users]
            else:
                known = (name.decode() for name, _ in client.hscan_iter(final, count=1_000))
                fields = [name for name in known if key_values(name)[place] in names]
            for start in range(0, len(fields), 1_000):
                erased += int(client.hdel(final, *fields[start : start + 1_000]))
        return Withdrawn(erased)


def _flip(client: Any, options: Options, delivery: Delivery, added: Round) -> None:
    """Give the rows their own name, and let the pointer name them."""
    name = pointer_name(options.prefix, delivery)

    def flip(pipe: Any) -> None:
        before = pointer_of(pipe.get(name))
        if before and before.moment > delivery.as_of:
            received = f"one of {before.as_of}, and this of {json_value(delivery.as_of)}"
            pipe.unlink(f"{added.key}{UNFINISHED}")
            raise DeliveryError("Redis holds a newer delivery", came=received, where=name)
        after = next_pointer(before, delivery, added)
        pipe.multi()
        if added.rows:
            pipe.rename(f"{added.key}{UNFINISHED}", added.key)
        else:
            pipe.unlink(added.key)
        pipe.set(name, after.written(), ex=_lifetime(options, delivery))
        for key in {one.key for one in before.rounds} - {one.key for one in after.rounds} if before else ():
            pipe.expire(key, max(1, options.keep_seconds))

    watched(client, flip, name)


def _lifetime(options: Options, delivery: Delivery) -> int:
    """How many seconds its rows stay from now on."""
    return int(delivery.valid_until.timestamp() - time.time()) + options.keep_seconds


@contextmanager
def _connected(options: Options) -> Iterator[Any]:
    client = redis_client(options, timeout_seconds=options.timeout_seconds, tries=options.tries)
    try:
        with redis_errors(options, DeliveryError):
            yield client
    finally:
        client.close()


DESTINATION = Redis()

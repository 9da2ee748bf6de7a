"""Redis, or what speaks like it (Valkey, KeyDB, Dragonfly): a hash per delivery, and one pointer that is flipped last.

    {prefix}:{customer}:{model}             which delivery is to be read: {"key": …, "id": …, "as_of": …, "rows": …, …}
    {prefix}:{customer}:{model}:{id}        its rows: a field per user (or key), its value the row as JSON

A reader gets the pointer, and then ``HGET`` from the key that it names. Rows are piped into a hash of another name,
which takes its own when all of them are there, together with the pointer: nobody reads half a delivery. The pointer is
not flipped where it names a newer one. The delivery before stays for ``keep_seconds``, for those who are reading it;
the current one ends that long after ``valid_until``. It is one hash per delivery, so that its rows can be counted and
taken back without a walk over all keys. Clusters are not spoken to: a delivery would lie on one of their nodes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery.redis_keys import as_of_of, field_name, key_values, pointer_name, pointer_of, rows_name
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.batches import Tally, json_value, packed, rows_of
from capflow_assets.transfer.calls import RESENT
from capflow_assets.transfer.secrets import FromEnv, first_line

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 4 << 20
FLIP_TRIES = 20


class Options(BaseModel):
    """Which server, and under which names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, description="The server's name or address.")
    port: int = Field(6379, ge=1, le=65_535, description="Its port.")
    database: int = Field(0, ge=0, description="The number of the database.")
    user: str | None = Field(None, description="Who logs in, where the server has users.")
    password: FromEnv | None = Field(None, description='Its password: { env = "NAME" }.')
    tls: bool = Field(True, description="Whether the connection is encrypted.")
    prefix: str = Field("capflow", pattern=r"^[A-Za-z0-9_.{}:-]{1,64}$", description="What every key begins with.")
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
            if pointer.get("id") != delivery.id:
                return None
            return Held(
                delivery.id, int(client.hlen(rows_name(options.prefix, delivery))), str(pointer.get("sha256", ""))
            )

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The pointer's as-of."""
        with _connected(options) as client:
            return as_of_of(pointer_of(client.get(pointer_name(options.prefix, delivery))))

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Pipe the rows in, see that they are there, and flip the pointer.

        Raises:
            DeliveryError: the server is not reached or refuses, keeps fewer rows than it was sent (it is full and
                evicts), or names a newer delivery.
        """
        tally, final, unfinished = (
            Tally(),
            rows_name(options.prefix, delivery),
            f"{rows_name(options.prefix, delivery)}:part",
        )
        with _connected(options) as client:
            client.unlink(unfinished)
            for rows in packed(rows_of(delivery, batches), options.rows_per_batch, BATCH_BYTES):
                pipe = client.pipeline(transaction=False)
                for row in rows:
                    pipe.hset(unfinished, field_name(row.key), row.json)
                pipe.expire(unfinished, _lifetime(options, delivery))
                pipe.execute()
                tally.take(rows)
            kept = int(client.hlen(unfinished))
            if kept != tally.rows:
                do = "see its maxmemory and maxmemory-policy, and whether the key's columns tell rows apart"
                came = f"{kept:,} of {tally.rows:,} rows"
                raise DeliveryError("Redis kept other rows than it was sent", came=came, where=final, do=do)
            self._flip(client, options, delivery, tally)
        return tally.sent(is_checked=True)

    def _flip(self, client: Any, options: Options, delivery: Delivery, tally: Tally) -> None:
        name, final = pointer_name(options.prefix, delivery), rows_name(options.prefix, delivery)
        pointer = {
            "key": final,
            "id": delivery.id,
            "version": delivery.version,
            "as_of": json_value(delivery.as_of),
            "valid_until": json_value(delivery.valid_until),
            "rows": tally.rows,
            "sha256": tally.digest.hexdigest(),
        }

        def flip(pipe: Any) -> None:
            before = pointer_of(pipe.get(name))
            newest = as_of_of(before)
            if newest is not None and newest > delivery.as_of:
                pipe.unlink(f"{final}:part")
                came = f"one of {json_value(newest)}, and this of {pointer['as_of']}"
                raise DeliveryError("Redis holds a newer delivery", came=came, where=name)
            pipe.multi()
            if tally.rows:
                pipe.rename(f"{final}:part", final)
            else:
                pipe.unlink(final)
            pipe.set(name, json.dumps(pointer), ex=_lifetime(options, delivery))
            if before.get("key") and before["key"] != final:
                pipe.expire(before["key"], max(1, options.keep_seconds))

        _watched(client, flip, name)

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Delete the rows, and the pointer where it names this delivery."""
        name, final = pointer_name(options.prefix, delivery), rows_name(options.prefix, delivery)
        rows: list[int] = []

        def take_back(pipe: Any) -> None:
            is_current = pointer_of(pipe.get(name)).get("id") == delivery.id
            rows[:] = [int(pipe.hlen(final))]
            pipe.multi()
            pipe.unlink(final, f"{final}:part", *([name] if is_current else []))

        with _connected(options) as client:
            _watched(client, take_back, name, final)
        return Withdrawn(rows[0])

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' rows; of a key of several columns, those whose user's column comes first."""
        if not delivery.user or delivery.user not in delivery.key:
            return Withdrawn(None, "the rows of this delivery are not known by their users")
        place, names, erased = delivery.key.index(delivery.user), set(users), 0
        final = rows_name(options.prefix, delivery)
        with _connected(options) as client:
            if len(delivery.key) == 1:
                fields = [field_name((user,)) for user in users]
            else:
                known = client.hscan_iter(final, count=1_000, no_values=True)
                fields = [name for name in known if key_values(name.decode())[place] in names]
            for start in range(0, len(fields), 1_000):
                erased += int(client.hdel(final, *fields[start : start + 1_000]))
        return Withdrawn(erased)


def _lifetime(options: Options, delivery: Delivery) -> int:
    return max(1, int(delivery.valid_until.timestamp() - time.time()) + options.keep_seconds)


def _watched(client: Any, change: Any, *names: str) -> None:
    """Make a change that is decided by what stands under ``names``; decide again where somebody else changes that."""
    from redis.exceptions import ConnectionError, TimeoutError, WatchError

    for _ in range(FLIP_TRIES):
        with client.pipeline() as pipe, suppress(WatchError):
            pipe.watch(*names)
            change(pipe)
            try:
                pipe.execute()
            except (ConnectionError, TimeoutError) as error:
                came = first_line(error)
                raise DeliveryUnknown("Redis gave no answer", came=came, where=names[0], do=RESENT) from error
            return
    raise DeliveryError("Redis is changed by others all the time", where=names[0], do="see what else writes this key")


@contextmanager
def _connected(options: Options) -> Iterator[Any]:
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    password = options.password.value() if options.password else None
    client = redis.Redis(
        host=options.host,
        port=options.port,
        db=options.database,
        username=options.user,
        password=password,
        ssl=options.tls,
        socket_timeout=options.timeout_seconds,
        socket_connect_timeout=options.timeout_seconds,
        retry=Retry(ExponentialBackoff(cap=10, base=0.5), options.tries - 1),
    )
    where = f"{options.host}:{options.port}"
    try:
        yield client
    except redis.AuthenticationError as error:
        do = "check the user, the password's variable, and what the user may do"
        came = first_line(error, password)
        raise DeliveryError("Redis does not accept the credentials", came=came, where=where, do=do) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        do = "see whether it is up, whether tls is right, and whether this machine may reach it; then run it again"
        raise DeliveryError("Redis is not reached", came=first_line(error, password), where=where, do=do) from error
    except redis.RedisError as error:
        do = "see what its user may do, and its memory"
        raise DeliveryError("Redis refuses", came=first_line(error, password), where=where, do=do) from error
    finally:
        client.close()


DESTINATION = Redis()

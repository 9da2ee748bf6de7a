"""Online answers in Redis, or in what speaks like it: a hash per version of a table, and one of pointers per customer.

    {prefix}/answers/{customer}          by table what its pointer says, as JSON; ``%erasures`` counts who was forgotten
    {prefix}/answers/{customer}/files    the versions that there are, also those that are being written or end soon
    {prefix}/answers/{customer}/{file}   a version: by subject its blob

A version that is being written ends by itself if its writer is killed; one that was current stays a few minutes for
those who still look at the pointer of a moment ago.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from capflow_assets.errors import LostVersionError, StoreError
from capflow_assets.stores.answer_store import StoredTable
from capflow_assets.transfer.redis_server import RedisServer, redis_client, redis_errors

ERASURES = b"%erasures"
UNFINISHED_SECONDS, PAST_SECONDS = 3600, 300
FLIP_TRIES = 50
AT_ONCE = 1_000
# A field that every version has. Redis keeps no hash without one, and a version whose last subject was forgotten would
# look like one that was lost.
MARK = b""


@dataclass(slots=True)
class RedisAnswerServer:
    """A Redis that keeps answers; its client is shared by threads."""

    options: RedisServer
    timeout_seconds: float
    tries: int = 1
    keep_seconds: float | None = None
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        self._client = redis_client(self.options, timeout_seconds=self.timeout_seconds, tries=self.tries)

    def tables(self, customers: Sequence[str]) -> dict[str, dict[str, StoredTable]]:
        """The tables of customers as their pointers name them, in one trip."""
        with self._asked() as client:
            pipe = client.pipeline(transaction=False)
            for customer in customers:
                pipe.hgetall(self._pointers(customer))
            said = pipe.execute()
        return {customer: _tables(content) for customer, content in zip(customers, said, strict=True) if content}

    def erasures(self, customer: str) -> int:
        """How often subjects were forgotten."""
        with self._asked() as client:
            return int(client.hget(self._pointers(customer), ERASURES) or 0)

    def put(self, customer: str, file: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Write subjects' blobs to a version; it ends within the hour unless it is flipped to."""
        key, fields = self._rows(customer, file), {MARK: MARK} | {subject.encode(): blob for subject, blob in rows}
        with self._asked() as client:
            pipe = client.pipeline()
            pipe.sadd(self._files(customer), file)
            pipe.hset(key, mapping=fields)
            pipe.expire(key, UNFINISHED_SECONDS)
            pipe.execute()

    def flip(self, customer: str, name: str, table: StoredTable, erasures: int) -> bool:
        """Let the pointer name a version, all at once; versions that have ended are not listed any more."""
        from redis.exceptions import WatchError

        pointers, files = self._pointers(customer), self._files(customer)
        entry = json.dumps({"file": table.file, "source": table.source, "facts": table.facts})
        with self._asked() as client:
            for _ in range(FLIP_TRIES):
                with client.pipeline() as pipe:
                    pipe.watch(pointers)
                    if int(pipe.hget(pointers, ERASURES) or 0) != erasures:
                        return False
                    before = _tables({name.encode(): pipe.hget(pointers, name)}).get(name)
                    known = sorted(pipe.smembers(files))
                    gone = [file for file in known if not pipe.exists(self._rows(customer, file.decode()))]
                    pipe.multi()
                    pipe.persist(self._rows(customer, table.file))
                    pipe.hset(pointers, name, entry)
                    if before is not None:
                        pipe.expire(self._rows(customer, before.file), PAST_SECONDS)
                    if gone:
                        pipe.srem(files, *gone)
                    try:
                        pipe.execute()
                    except WatchError:
                        continue
                    return True
        raise StoreError("Redis holds pointers that others change all the time", where=pointers)

    def drop(self, customer: str, name: str) -> None:
        """Take a pointer away; its rows end in a few minutes."""
        with self._asked() as client:
            before = _tables({name.encode(): client.hget(self._pointers(customer), name)}).get(name)
            client.hdel(self._pointers(customer), name)
            if before is not None:
                client.expire(self._rows(customer, before.file), PAST_SECONDS)

    def discard(self, customer: str, file: str) -> None:
        """Delete a version that no pointer names."""
        with self._asked() as client:
            client.unlink(self._rows(customer, file))
            client.srem(self._files(customer), file)

    def blobs(self, customer: str, file: str, subjects: Sequence[str]) -> dict[str, bytes]:
        """The blobs of those subjects that a version has, in one trip.

        Raises:
            LostVersionError: there is no such version: the server came up again without what it held.
        """
        if not subjects:
            return {}
        key = self._rows(customer, file)
        with self._asked() as client:
            pipe = client.pipeline(transaction=False)
            pipe.hmget(key, list(subjects))
            pipe.exists(key)
            values, is_there = pipe.execute()
        if not is_there:
            raise LostVersionError("Redis does not hold a version of a table any more", where=key)
        return {subject: blob for subject, blob in zip(subjects, values, strict=True) if blob is not None}

    def sample(self, customer: str, file: str, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs, drawn by the server."""
        with self._asked() as client:
            drawn = client.hrandfield(self._rows(customer, file), most + 1, withvalues=True) or []
        pairs = zip(drawn[::2], drawn[1::2], strict=True)
        return [(subject.decode(), blob) for subject, blob in pairs if subject != MARK][:most]

    def delete(self, customer: str, ids: Collection[str], others: Mapping[str, Collection[str]]) -> int:
        """Count an erasure, then delete subjects from every version, also from those being written."""
        of_files = {name.replace("/", "."): list(chosen) for name, chosen in others.items()}
        count = 0
        with self._asked() as client:
            client.hincrby(self._pointers(customer), ERASURES, 1)
            for file in (name.decode() for name in client.smembers(self._files(customer))):
                chosen = of_files.get(file.rpartition(".")[0], list(ids))
                for start in range(0, len(chosen), AT_ONCE):
                    count += int(client.hdel(self._rows(customer, file), *chosen[start : start + AT_ONCE]))
        return count

    def remove(self, customer: str) -> None:
        """Delete all that is a customer's, but for the count of erasures, which a writer may be about to read."""
        with self._asked() as client:
            client.hincrby(self._pointers(customer), ERASURES, 1)
            for file in client.smembers(self._files(customer)):
                client.unlink(self._rows(customer, file.decode()))
            client.unlink(self._files(customer))
            names = [name for name in client.hkeys(self._pointers(customer)) if name != ERASURES]
            if names:
                client.hdel(self._pointers(customer), *names)

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        with redis_errors(self.options, StoreError):
            yield self._client

    def _pointers(self, customer: str) -> str:
        return f"{self.options.prefix}/answers/{customer}"

    def _files(self, customer: str) -> str:
        return f"{self._pointers(customer)}/files"

    def _rows(self, customer: str, file: str) -> str:
        return f"{self._pointers(customer)}/{file}"


def _tables(content: Mapping[bytes, bytes | None]) -> dict[str, StoredTable]:
    """The tables that a hash of pointers names; an entry that cannot be read is no table."""
    tables: dict[str, StoredTable] = {}
    for name, entry in content.items():
        if entry is None or name == ERASURES:
            continue
        try:
            tables[name.decode()] = StoredTable(**json.loads(entry))
        except (ValueError, TypeError):
            continue
    return tables

"""Which store of online answers a deployment has: files of the home, or the server that ``capflow.toml`` names.

[serving.store]
kind = "redis"
host = "redis.internal"
password = { env = "REDIS_PASSWORD" }
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from capflow_assets.home.operator import RedisAnswers, settings
from capflow_assets.home.places import Home
from capflow_assets.stores.answer_server import AnswerServer, ServedAnswers
from capflow_assets.stores.answer_store import AnswerStore, StoredTable

WRITER_SECONDS, WRITER_TRIES = 30.0, 4


class Answers(Protocol):
    """The store of one customer, as it is written and erased from, wherever it is."""

    def tables(self) -> dict[str, StoredTable]:
        """The tables as the pointer names them."""

    def has(self, name: str, source: str) -> bool:
        """Whether a table is there, made of this source."""

    def writing(self) -> AbstractContextManager[None]:
        """Within it tables are written and dropped."""

    def replace(
        self, name: str, source: str, rows: Iterable[tuple[str, bytes]], facts: Mapping[str, Any] | None = None
    ) -> int:
        """Write a table anew and flip the pointer; how many subjects it has."""

    def drop(self, name: str) -> None:
        """Keep a table no more."""

    def sample(self, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs; none where they cannot be read."""

    def forget(self, ids: Collection[str], others: Mapping[str, Collection[str]] | None = None) -> int:
        """Delete subjects from every table; how many rows that were."""

    def remove(self) -> None:
        """Remove all of it."""


def answers_of(home: Home, customer: str) -> Answers:
    """The store of a customer; it need not exist.

    Raises:
        CapflowError: the deployment's settings cannot be read.
    """
    local, server = AnswerStore.of(home, customer), server_of(home)
    return local if server is None else ServedAnswers(customer, server, local)


def server_of(home: Home, *, for_looking_up: bool = False) -> AnswerServer | None:
    """The server of a deployment's answers, patient or ``for_looking_up`` not; None where they are files of the home.

    Raises:
        CapflowError: the deployment's settings cannot be read.
    """
    chosen = settings(home).serving.store
    if chosen is None:
        return None
    seconds, tries = (chosen.timeout_ms / 1e3, 1) if for_looking_up else (WRITER_SECONDS, WRITER_TRIES)
    if isinstance(chosen, RedisAnswers):
        from capflow_assets.stores.redis_answers import RedisAnswerServer

        return RedisAnswerServer(chosen, seconds, tries)
    from capflow_assets.stores.dynamodb_answers import DynamoAnswerServer

    return DynamoAnswerServer(chosen, seconds, tries, keep_seconds=86_400 * chosen.keep_days)

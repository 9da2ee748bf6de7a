"""What a round of tests does without: a disk that confirms every commit, and a terminal that shows what steps print.

No test cuts the power, so SQLite need not wait for the disk at each of the hundreds of commits of a run. And Dagster
starts four processes for each step, which copy what it prints from its file to the terminal and end when this process
dies; the file is written all the same. Processes that tests start do all of it, as those of users do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from dagster._core.execution import compute_logs
from sqlalchemy import Engine, event


@cache  # once a process
def spare() -> None:
    """From here on this process waits for no disk, and what steps print stays in its files."""
    event.listen(Engine, "connect", _do_not_wait_for_the_disk)
    compute_logs.tail_to_stream = _shown_to_nobody


def _do_not_wait_for_the_disk(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@contextmanager
def _shown_to_nobody(path: str, stream: Any) -> Iterator[tuple[None, None]]:
    yield None, None

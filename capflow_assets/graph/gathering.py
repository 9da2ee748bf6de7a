"""Asking a storage to write a moment's events together. The storages that can are in ``gathered_events``.

Loading the graph imports this file and not that one, which brings SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import dagster as dg


@contextmanager
def together(instance: dg.DagsterInstance) -> Iterator[None]:
    """Write the events that this thread logs within at once, where the instance's storage can."""
    gathering = getattr(instance.event_log_storage, "together", nullcontext)
    with gathering():
        yield

"""A mark beside a customer's tables in a bucket, written after each commit to a table that online answers are made of.

Who looks each minute whether anything has changed reads its time, one request, and lists the tables only where that is
another. A folder of this machine is listed for nothing and has no mark.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

from capflow_assets.stores.places import is_remote, opened

MARK = "_changed"
# The stages whose tables online answers are made of.
MARKED_STAGES = ("predictions", "features", "clean")


def leave_mark(path: str) -> None:
    """Say beside a customer's tables that the one at ``path`` has changed; nothing, where nobody asks for it.

    A store that does not take it fails no commit: the tables are listed now and then whatever the mark says.
    """
    prefix, stage = path.rsplit("/", 2)[:2]
    if not is_remote(path) or stage not in MARKED_STAGES:
        return
    with suppress(OSError):
        store, place = opened(f"{prefix}/{MARK}")
        with store.open_output_stream(place) as stream:
            stream.write(uuid.uuid4().hex.encode())

"""The last visits of users as ids of items: what a store keeps of them, so that a net can answer online."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

import numpy as np

from capflow_assets.learning.baskets import Baskets

# A net that looks back on more visits answers as of the night.
KEPT_VISITS = 20


def histories(known: Baskets, visits: int = KEPT_VISITS) -> Iterator[tuple[str, list[list[str]]]]:
    """Each user's id and last visits, the newest last, each the ids of its items, those in most baskets first.

    >>> import pandas as pd
    >>> from capflow_assets.learning.baskets import baskets_of
    >>> days = pd.to_datetime(["2024-05-01", "2024-05-01", "2024-05-09"])
    >>> lines = pd.DataFrame({"user_id": "ana", "item_id": ["tea", "jam", "tea"], "billed_on": days})
    >>> list(histories(baskets_of(lines.assign(is_return=False, flags=""))))
    [('ana', [['tea', 'jam'], ['tea']])]
    """
    pairs = np.repeat(np.arange(len(known.users)), np.diff(known.begins))
    user, item = np.repeat(pairs, known.visits), np.repeat(known.item, known.visits)
    is_kept = known.age < visits
    user, item, age = user[is_kept], item[is_kept], known.age[is_kept]
    order = np.lexsort([item, -age, user])
    user, item, age = user[order], item[order], age[order]
    ends = np.searchsorted(user, np.arange(len(known.users)), side="right")
    begin = 0
    for number, end in enumerate(ends):
        ids, ages = known.items[item[begin:end]], age[begin:end]
        cuts = np.flatnonzero(np.diff(ages)) + 1
        yield str(known.users[number]), [list(map(str, basket)) for basket in np.split(ids, cuts)]
        begin = end


def packed_visits(visits: list[list[str]]) -> bytes:
    """A history as bytes: JSON, deflated, since shoppers buy the same again."""
    return zlib.compress(json.dumps(visits, separators=(",", ":")).encode())


def unpacked_visits(content: bytes) -> list[list[str]]:
    """What ``packed_visits`` packed.

    >>> unpacked_visits(packed_visits([["tea", "jam"], ["tea"]]))
    [['tea', 'jam'], ['tea']]
    """
    visits: list[list[str]] = json.loads(zlib.decompress(content))
    return visits

"""The hold-out: users who are never contacted, to measure what contact brings. One for all models. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BUCKETS = 10_000


def bucket(salt: str, customer: str, user: str) -> int:
    """A user's number from 0 to 9,999, the same for as long as the salt is: sha256(salt, customer, user) mod 10,000.

    The three are joined by a character that none of them has.

    >>> bucket("2026", "boots", "ann"), bucket("2026", "boots", "ann"), bucket("2027", "boots", "ann")
    (4652, 4652, 7457)
    """
    digest = sha256("\x1f".join((salt, customer, user)).encode()).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def is_held_out(salt: str, customer: str, users: Sequence[str], share_pct: float) -> np.ndarray:
    """Which users are held out: those of the first ``share_pct`` percent of the buckets."""
    import numpy as np

    first = round(share_pct * BUCKETS / 100)
    if not first:
        return np.zeros(len(users), dtype=bool)
    start = f"{salt}\x1f{customer}\x1f".encode()
    digests = (sha256(start + user.encode()).digest() for user in users)
    return np.fromiter((int.from_bytes(digest, "big") % BUCKETS < first for digest in digests), bool, len(users))

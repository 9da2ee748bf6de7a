"""For whom a frequency cap has left no place: what was delivered lately, and what else of this night wants the place.

A rival is another delivery of the customer on the same channel, of predictions of the same moment, that has not been
delivered yet: its places are kept for it where it goes first. Scores of several models are compared by their
percentiles, where the models have these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from capflow_assets.customers.delivery_settings import Cap
from capflow_assets.nights.door import CAPPED
from capflow_assets.nights.ledger import CARRIED, PARTITION, Ledger
from capflow_assets.nights.rules.frequency import winners

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Claims:
    """The users that one delivery would go to, its priority, and their scores."""

    name: str
    priority: int
    users: np.ndarray
    scores: np.ndarray


def claims_of(name: str, priority: int, batches: Iterable[pa.RecordBatch]) -> Claims:
    """The claims of the rows that have passed the other rules; of several rows of a user the best counts."""
    import numpy as np

    users, scores = [np.empty(0, dtype=object)], [np.empty(0)]
    for batch in batches:
        users.append(np.asarray(batch.column("user_id").to_pylist(), dtype=object))
        scores.append(_scores(batch))
    all_users, all_scores = np.concatenate(users), np.concatenate(scores)
    order = np.argsort(-np.nan_to_num(all_scores, nan=-np.inf), kind="stable")
    _, first = np.unique(all_users[order].astype(str), return_index=True)
    chosen = order[np.sort(first)]
    return Claims(name, priority, all_users[chosen], all_scores[chosen])


def _scores(batch: pa.RecordBatch) -> np.ndarray:
    import numpy as np

    for name in ("percentile", "score"):
        if name in batch.schema.names:
            column = batch.column(name)
            if column.type.__class__.__name__ == "ListType":
                return np.array([max(values or [np.nan]) for values in column.to_pylist()], dtype=float)
            return column.to_numpy(zero_copy_only=False).astype(float)
    return np.full(batch.num_rows, np.nan)


def used_places(ledger: Ledger, channel: str, since: datetime, own: tuple[str, str, datetime]) -> dict[str, int]:
    """How often each user was delivered on a channel since a moment, but by the delivery itself (``own``)."""
    import pyarrow.compute as pc

    lately = [
        receipt.delivery
        for receipt in ledger.receipts()
        if receipt.channel == channel
        and (receipt.ended_at or receipt.began_at) > since
        and (receipt.model, receipt.destination, receipt.as_of) != own
    ]
    # Of a user's rows in one delivery, some may stand twice: in another batch, or of another try.
    once = ledger.rows(CARRIED, [PARTITION, "user_id"], lately).group_by([PARTITION, "user_id"]).aggregate([])
    counts = pc.value_counts(once["user_id"])
    return {pair["values"]: pair["counts"] for pair in counts.to_pylist() if pair["values"] is not None}


def losers(cap: Cap, own: Claims, rivals: Iterable[Claims], used: dict[str, int]) -> dict[str, str]:
    """The users of ``own`` for whom there is no place, each with the reason."""
    import numpy as np

    claims = [own, *rivals]
    users = np.concatenate([claim.users for claim in claims])
    priorities = np.concatenate([np.full(len(claim.users), claim.priority) for claim in claims])
    scores = np.concatenate([claim.scores for claim in claims])
    left = np.array([cap.most - used.get(user, 0) for user in users], dtype=int)
    met = winners(users.astype(str), priorities, scores, left)
    words = f"{CAPPED}: {cap.most} in {cap.days} days on {cap.channel}"
    lost = own.users[~met[: len(own.users)]]
    first = dict(_winning(claims[1:], met[len(own.users) :]))
    return {user: f"{words}, {first[user]} goes first" if user in first else words for user in lost}


def _winning(claims: list[Claims], met: np.ndarray) -> Iterator[tuple[str, str]]:
    start = 0
    for claim in claims:
        part = met[start : start + len(claim.users)]
        yield from ((user, claim.name) for user in claim.users[part])
        start += len(claim.users)


def window_start(cap: Cap, now: datetime) -> datetime:
    """From when on deliveries count."""
    return now - timedelta(days=cap.days)

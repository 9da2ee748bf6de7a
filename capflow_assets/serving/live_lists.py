"""Lists that are made now, of a user's stored visits and the basket in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.learning.online.histories import unpacked_visits
from capflow_assets.learning.online.visit_lists import Ranked, VisitLists, Visits
from capflow_assets.serving.ladder import Lifetime, moment_of
from capflow_assets.serving.requests import AnswerRequest, Query
from capflow_assets.stores.answer_store import StoredTable

if TYPE_CHECKING:
    from capflow_assets.serving.lookups import StoredBlob

# More of them are made by a thread: each takes about a millisecond.
MOST_AT_ONCE = 4


async def live_lists(
    life: Lifetime,
    per: str,
    request: AnswerRequest,
    stored_visits: dict[int, StoredBlob],
    table: StoredTable | None,
    scorer: VisitLists,
) -> dict[int, dict[str, Any]]:
    """By place of the query its list and when it holds; a query of which nothing follows has none.

    ``per`` is the column that names an item. ``stored_visits`` are what ``table`` has of the users who are answered so.
    The basket in hand is the newest visit, and what is in it is not listed. One whose visits are not certain has no
    list: it would be another's.
    """
    histories: dict[int, Visits] = {}
    for place, blob in stored_visits.items():
        query = request.queries[place]
        if blob.content is None and not blob.is_certain:
            continue
        visits: Visits = [] if blob.content is None else unpacked_visits(blob.content)
        histories[place] = [*visits, query.basket] if query.basket else visits
    unwanted = [request.queries[place].unwanted for place in histories]
    arguments = list(histories.values()), unwanted, request.k
    if len(histories) > MOST_AT_ONCE:
        lists = await asyncio.to_thread(scorer.lists, *arguments)
    else:
        lists = scorer.lists(*arguments)
    reasons = {"reasons": scorer.reasons} if request.has_reasons else {}
    return {
        place: {"items": _items(ranked, per, reasons), **_times(life, request.queries[place], table)}
        for place, ranked in zip(histories, lists, strict=True)
        if ranked
    }


def _items(ranked: Ranked, per: str, reasons: dict[str, str]) -> Sequence[dict[str, Any]]:
    return [{per: item, "score": score, "rank": rank, **reasons} for rank, (item, score) in enumerate(ranked, 1)]


def _times(life: Lifetime, query: Query, table: StoredTable | None) -> dict[str, Any]:
    """When the list holds: from the night that the visits are of; from now where there is the basket alone."""
    if query.user_id is None or table is None:
        return life.of(life.now)
    return life.of(moment_of(table.facts))

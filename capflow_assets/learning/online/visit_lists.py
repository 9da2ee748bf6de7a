"""Lists that a net over ordered baskets gives online: from a user's last visits and the basket in hand, by ONNX alone.

What is reckoned here is what ``sequence_lists`` reckons for the night; that both agree is tried where the file is
written (``visit_nets``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.online.files import OnlineModel
from capflow_assets.learning.online.sessions import SESSION_BYTES, session_of

VISITS = "visits"
INPUT, OUTPUT = "baskets", "scores"
# Rows at a time, so that their scores of all items take no more than 16 MB.
SCORES_AT_ONCE = 2**22
# An id of an item, its place, and what both lie in.
ITEM_BYTES = 200

Visits = Sequence[Sequence[str]]
Ranked = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class VisitLists:
    """One version, ready. ``items`` are the ids that it learned, the most frequent first; ``size`` a list's length.

    It reads the last ``visits`` of a user, and of each the ``width`` most frequent items. ``reasons`` are words for why
    an item is listed. ``size_bytes`` is what it keeps in memory.
    """

    items: tuple[str, ...]
    places: dict[str, int]
    visits: int
    width: int
    size: int
    reasons: str
    session: Any
    size_bytes: int
    engine: str = "onnx"

    def lists(
        self, histories: Sequence[Visits], unwanted: Sequence[Collection[str]] = (), k: int | None = None
    ) -> list[Ranked]:
        """Of each user the ``k`` best items (the version's ``size``) and their scores, the best first.

        A history is a user's visits, the newest last, each the ids of what was bought; one without an item that was
        learned gets no list. ``unwanted`` are items that a user's list must not have.
        """
        least = max(1, min(len(self.items), k or self.size))
        at_once = max(1, SCORES_AT_ONCE // max(1, len(self.items)))
        ranked: list[Ranked] = []
        for first in range(0, len(histories), at_once):
            baskets = self.baskets(histories[first : first + at_once])
            scores = self.session.run((OUTPUT,), {INPUT: baskets})[0]
            for place, row in enumerate(scores, first):
                others = [self.places[item] for item in (unwanted[place] if unwanted else ()) if item in self.places]
                row[others] = -np.inf
                has_past = baskets[place - first].any()
                ranked.append(self._ranked(row, min(least, len(self.items) - len(others))) if has_past else [])
        return ranked

    def baskets(self, histories: Sequence[Visits]) -> np.ndarray:
        """The last visits as the net reads them: numbers from 1, filled up in front with 0; (users, visits, width)."""
        rows = np.zeros((len(histories), self.visits, self.width), dtype=np.int64)
        for row, history in zip(rows, histories, strict=True):
            last = history[-self.visits :]
            for visit, items in zip(row[self.visits - len(last) :], last, strict=True):
                numbers = sorted({self.places[item] + 1 for item in items if item in self.places})[: self.width]
                visit[: len(numbers)] = numbers
        return rows

    def _ranked(self, scores: np.ndarray, k: int) -> Ranked:
        """The ``k`` best; of equal scores the more frequent item comes first."""
        if k < 1:
            return []
        best = np.sort(np.argpartition(-scores, k - 1)[:k])
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(self.items[place], float(scores[place])) for place in best]


def ready_lists(online: OnlineModel) -> VisitLists:
    """The lists of a recipe of the kind ``visits``.

    Raises:
        BrokenModelError: the recipe is none that this release writes.
    """
    recipe = online.recipe
    try:
        items, (graph,) = tuple(map(str, recipe["items"])), online.graphs
        places = {item: place for place, item in enumerate(items)}
        visits, width, size = (int(recipe[name]) for name in ("visits", "width", "size"))
        bytes_ = SESSION_BYTES + 2 * len(graph) + ITEM_BYTES * len(items)
        return VisitLists(items, places, visits, width, size, str(recipe["reasons"]), session_of(graph), bytes_)
    except (KeyError, ValueError, TypeError) as error:
        received = f"{type(error).__name__}: {error}"
        raise BrokenModelError("The recipe of a version cannot be read", came=received) from error

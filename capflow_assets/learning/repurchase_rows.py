"""What users bought, pair by pair of user and item: how often, in which gaps, how long ago. Frames in, frames out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.learning.baskets import bought_lines, distinct
from capflow_assets.learning.repurchases import GROUP_WEIGHT, Waits, shrunken


@dataclass(frozen=True)
class Purchases:
    """Pairs of a user and an item that the user bought, by user, then item: numbers among ``users`` and ``items``.

    ``days`` (pairs,) on how many local days, ``span`` from first to last of them; ``waits`` is the state of each pair
    at the end of ``today``.
    """

    users: np.ndarray
    items: np.ndarray
    user: np.ndarray
    item: np.ndarray
    days: np.ndarray
    span: np.ndarray
    waits: Waits
    today: np.datetime64

    def __len__(self) -> int:
        return len(self.user)

    def places(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The pair of each user id and item id; -1 where the user has not bought the item."""
        user = pd.Index(self.users).get_indexer(pd.Index(users)).astype("int64")
        item = pd.Index(self.items).get_indexer(pd.Index(items)).astype("int64")
        width = max(1, len(self.items))
        pairs, sought = self.user * width + self.item, user * width + item
        at = np.minimum(np.searchsorted(pairs, sought), max(0, len(pairs) - 1))
        is_pair = (user >= 0) & (item >= 0) & (pairs[at] == sought) if len(pairs) else np.zeros(len(user), dtype=bool)
        return np.where(is_pair, at, -1)

    @property
    def mean_gap(self) -> np.ndarray:
        """The mean days between purchases of each pair; the item's median of those where it was bought once."""
        own = self.waits.gaps > 0
        gap = np.where(own, self.span / np.maximum(self.waits.gaps, 1), np.nan)
        medians = pd.Series(gap[own]).groupby(self.item[own]).median().reindex(np.arange(len(self.items)))
        everybody = float(np.median(gap[own])) if own.any() else 30.0
        return np.where(own, gap, medians.fillna(everybody).to_numpy()[self.item])


def purchases_of(lines: pd.DataFrame, items: pd.DataFrame, today: date) -> Purchases:
    """The pairs in rows of clean/line_items, returns and what is no item left out; categories by ``items``.

    Items without a category, or that the list does not have, are a group of their own.
    """
    user, users, item, ids, day, dates = bought_lines(lines)
    entries = distinct((user * len(ids) + item) * len(dates) + day)
    pair, day = np.divmod(entries, max(1, len(dates)))
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    days = np.diff(starts, append=len(pair))
    user, item = np.divmod(pair[starts], max(1, len(ids)))
    when = dates[day].astype("int64") if len(dates) else day
    number = np.repeat(np.arange(len(starts)), days)
    log_gap = np.log(np.maximum(np.diff(when, prepend=0), 1).astype(float))
    log_gap[starts] = 0.0
    sums, squares = (np.bincount(number, log_gap**power, len(starts)) for power in (1, 2))
    gaps = (days - 1).astype(float)
    mean = sums / np.maximum(gaps, 1)
    variance = np.maximum(squares - gaps * mean**2, 0) / np.maximum(gaps - 1, 1)
    now = np.datetime64(today, "D")
    last = when[starts + days - 1]
    waited, span = now.astype("int64") - last, last - when[starts]
    group = pd.factorize(pd.Series(ids, dtype=object).map(_categories(items)).fillna(""), sort=True)[0]
    level = shrunken(np.bincount(item, sums, len(ids)), np.bincount(item, gaps, len(ids)), group)
    buyers = np.bincount(item, minlength=len(ids)).astype(float)
    share = shrunken(np.bincount(item, gaps > 0, len(ids)), buyers, group)
    share = np.clip(share, 1 / (GROUP_WEIGHT * 100), 1 - 1 / (GROUP_WEIGHT * 100))
    again = np.log(share / (1 - share))
    waits = Waits(gaps, mean, variance, np.maximum(waited, 0).astype(float), level[item], again[item])
    return Purchases(users, ids, user, item, days, span, waits, now)


def _categories(items: pd.DataFrame) -> pd.Series:
    return items.dropna(subset=["category"]).set_index("item_id")["category"]


def due_rows(
    known: Purchases,
    index: pd.Index,
    scores: np.ndarray,
    chance: np.ndarray,
    due: np.ndarray,
    usual: np.ndarray,
    size: int,
) -> pd.DataFrame:
    """The lists of the users of the index: at most ``size`` of their own items by ``scores`` (pairs,).

    Columns ``item_id``, ``score``, ``chance``, ``due_in_days`` (whole, 0 where it is due), ``due_on`` and ``reasons``.
    """
    order = np.lexsort((known.item, -scores, known.user))
    begins = np.searchsorted(known.user[order], np.arange(len(known.users) + 1))
    asked = pd.Index(known.users).get_indexer(index)
    lengths = (
        np.where(asked >= 0, np.minimum(np.diff(begins)[asked], size), 0) if len(known) else np.zeros(len(index), int)
    )
    row = np.repeat(np.arange(len(index)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    pairs = order[begins[asked[row]] + place]
    days = np.rint(np.minimum(due[pairs], 3650)).astype("int64")
    columns: dict[str, Any] = {
        "item_id": known.items[known.item[pairs]],
        "score": scores[pairs],
        "chance": chance[pairs],
        "due_in_days": days,
        "due_on": (known.today + days).astype(object),
        "reasons": _reasons(known, pairs, usual[pairs]),
    }
    return pd.DataFrame(columns, index=index.take(row))


def _reasons(known: Purchases, pairs: np.ndarray, usual: np.ndarray) -> np.ndarray:
    waited, gap = known.waits.waited[pairs].astype("int64"), np.rint(np.maximum(usual, 1)).astype("int64")
    # Few of them differ, so that each text is written once.
    rows, place = np.unique(np.stack([known.days[pairs], waited, gap]), axis=1, return_inverse=True)
    texts = np.array([_words(*(int(value) for value in row)) for row in rows.T], dtype=object)
    return texts[place.ravel()] if len(texts) else texts


def _words(days: int, waited: int, gap: int) -> str:
    """Say how often, how lately, and against which gap.

    >>> _words(5, 20, 14)
    'bought 5 times, last 20 days ago, usually every 14 days: overdue'
    >>> _words(1, 1, 30)
    'bought once, 1 day ago, bought again by others after 30 days'
    """
    ago = "today" if waited <= 0 else "1 day ago" if waited == 1 else f"{waited:,} days ago"
    every = "day" if gap == 1 else f"{gap:,} days"
    if days == 1:
        return f"bought once, {ago}, bought again by others after {'1 day' if gap == 1 else every}"
    return f"bought {days:,} times, last {ago}, usually every {every}{': overdue' if waited > gap else ''}"

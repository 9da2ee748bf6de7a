"""Rules between items as rows of answers, with the reasons in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.association import PairCounts, pair_counts

if TYPE_CHECKING:
    import pandas as pd


def answer_rows(
    lines: pd.DataFrame, index: pd.Index, rows_of: Callable[[PairCounts, np.ndarray], pd.DataFrame]
) -> pd.DataFrame:
    """The rules of the items of the ``index`` by the bills of clean/line_items: one row per item and ``with_item_id``.

    ``rows_of`` gives them by numbers, see ``association.rule_rows``.
    """
    import pandas as pd

    pairs = pair_counts(lines)
    numbers = pd.Index(pairs.items).get_indexer(index)
    rows = rows_of(pairs, numbers[numbers >= 0])
    item, other = rows["item"].to_numpy(dtype="int64"), rows["with_item"].to_numpy(dtype="int64")
    reasons = [
        f"on {together:,} of its {bills:,} bills, {lift:.1f} times as often as by chance"
        for together, bills, lift in zip(rows["together_bills"], pairs.counts[item], rows["lift"], strict=True)
    ]
    columns = {
        "with_item_id": pairs.items[other],
        **{name: rows[name].to_numpy(dtype=float) for name in ("score", "support", "confidence", "lift")},
        "share_of_bills": pairs.shares[other],
        "reasons": np.asarray(reasons, dtype=object),
    }
    place = np.full(len(pairs.items), -1)
    place[numbers[numbers >= 0]] = np.flatnonzero(numbers >= 0)
    return pd.DataFrame(columns, index=index.take(place[item]))


def popular_rows(pairs: PairCounts, asked: np.ndarray, size: int) -> pd.DataFrame:
    """As ``rule_rows``: for each item the others on most bills, whose share of all bills is the score."""
    import pandas as pd

    order = np.argsort(-pairs.counts, kind="stable")[: size + 1]
    other = np.tile(order, len(asked))
    item = np.repeat(asked, len(order))
    is_listed = item != other
    item, other = item[is_listed], other[is_listed]
    rank = pd.Series(item).groupby(item, sort=False).cumcount().to_numpy()
    item, other = item[rank < size], other[rank < size]
    together = np.asarray(pairs.together[item, other]).ravel() if len(item) else np.empty(0)
    confidence, share = together / pairs.counts[item], pairs.shares[other]
    columns = {
        "item": item,
        "with_item": other,
        "together_bills": together.astype("int64"),
        "support": together / max(1, pairs.bills),
        "confidence": confidence,
        "lift": confidence / share,
        "score": share,
    }
    return pd.DataFrame(columns)

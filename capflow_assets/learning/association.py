"""Association rules between pairs of items: which stand on one bill more often than by chance. Arrays in, arrays out.

R. Agrawal, T. Imielinski, A. Swami, "Mining Association Rules between Sets of Items in Large Databases", SIGMOD (1993);
the lift is that of S. Brin, R. Motwani, J. Ullman, S. Tsur, SIGMOD (1997). Pairs are counted by one sparse product, in
memory of the pairs that occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.learning.remembered import remembered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

LINE_COLUMNS = ("bill_id", "item_id", "is_return", "flags")
# Of rarer items nothing can be told from chance; of more, pairs would be more than memory likes.
LEAST_BILLS, MOST_ITEMS = 20, 3_000
# So many bills without anything in particular are added to those of an item, so that one chance pair moves little.
PRIOR_BILLS = 20


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Of so many bills: the ``items`` (ids, sorted), on how many each stands, and on how many both of each pair do.

    ``together`` is items by items, nothing on its diagonal.
    """

    bills: int
    items: np.ndarray
    counts: np.ndarray
    together: csr_matrix

    @property
    def shares(self) -> np.ndarray:
        """Of each item the share of all bills that it stands on."""
        shares: np.ndarray = self.counts / max(1, self.bills)
        return shares


@remembered
def pair_counts(lines: pd.DataFrame) -> PairCounts:
    """The pairs on the bills of clean/line_items, without returns and what is no item; how many pieces is irrelevant.

    Of items on ``LEAST_BILLS`` bills and more, the ``MOST_ITEMS`` on most of them.
    """
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

    flag, flags = pd.factorize(lines["flags"])
    is_good = np.array(["not_an_item" not in str(text) for text in flags] + [True])[flag]
    rows = lines[is_good & ~lines["is_return"].to_numpy(dtype=bool)]
    bill, bills = pd.factorize(rows["bill_id"].astype(object))
    item, items = pd.factorize(rows["item_id"].astype(object), sort=True)
    stands = csr_matrix((np.ones(len(rows)), (bill, item)), shape=(len(bills), len(items)))
    stands.sum_duplicates()
    stands.data[:] = 1
    counts = np.bincount(stands.indices, minlength=len(items))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
    chosen = chosen[counts[chosen] >= LEAST_BILLS]
    some = stands[:, chosen]
    together = (some.T @ some).tocsr()
    together.setdiag(0)
    together.eliminate_zeros()
    together.sort_indices()
    return PairCounts(len(bills), np.asarray(items, dtype=object)[chosen], counts[chosen], together)


def rule_rows(pairs: PairCounts, asked: np.ndarray, size: int) -> pd.DataFrame:
    """The ``size`` items that go best with each item asked about (its number), the best first.

    One row per pair: ``item`` and ``with_item`` (numbers), ``together_bills``, ``support`` (share of all bills with
    both), ``confidence`` (share of the item's bills with the other one), ``lift`` (confidence over the other's share of
    all bills) and ``score``: the confidence less that share, held towards 0 by ``PRIOR_BILLS``. Only pairs that stand
    together more often than by chance are rules.
    """
    import numpy as np
    import pandas as pd

    some = pairs.together[asked].tocoo()
    item, other, together = asked[some.row], some.col, some.data
    confidence, share = together / pairs.counts[item], pairs.shares[other]
    score = (confidence - share) * pairs.counts[item] / (pairs.counts[item] + PRIOR_BILLS)
    # Most pairs are no rules; the others of an item come in order.
    rules = np.flatnonzero(score > 0)
    order = rules[np.lexsort([-score[rules], some.row[rules]])]
    firsts = np.flatnonzero(np.diff(some.row[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(firsts, np.diff(firsts, append=len(order)))
    kept = order[place < size]
    columns = {
        "item": item[kept],
        "with_item": other[kept],
        "together_bills": together[kept].astype("int64"),
        "support": together[kept] / max(1, pairs.bills),
        "confidence": confidence[kept],
        "lift": confidence[kept] / share[kept],
        "score": score[kept],
    }
    return pd.DataFrame(columns)


def added_by_subject(outcomes: pd.DataFrame, answers: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Of each item with bills in the horizon, how many of its ``top`` listed items stand on one of them beyond chance.

    The sum over the listed items of the share of its bills with the other one, less the share of all bills that the
    list says the other one stands on: ``value``. 0 is a list that does as well as any ``top`` items of its popularity.
    ``outcomes`` have ``with_item_id``, ``together_bills`` and ``item_bills``, ``answers`` ``with_item_id``, ``score``
    and ``share_of_bills``; both are indexed by ``item_id``.
    """
    import pandas as pd

    bills, listed = _added(outcomes, answers, top)
    values = listed.groupby(level=0)["added"].sum().reindex(bills.index).fillna(0.0)
    return pd.DataFrame({"value": values.to_numpy()}, index=bills.index)


def added_by_length(outcomes: pd.DataFrame, answers: pd.DataFrame, top: int = 10) -> np.ndarray:
    """The mean of ``added_by_subject`` over the items, for lists of 1 to ``top`` items."""
    import numpy as np

    bills, listed = _added(outcomes, answers, top)
    sums = np.bincount(listed["place"].to_numpy(), listed["added"].to_numpy(), minlength=top)
    means: np.ndarray = np.cumsum(sums) / max(1, len(bills))
    return means


def _added(outcomes: pd.DataFrame, answers: pd.DataFrame, top: int) -> tuple[pd.Series, pd.DataFrame]:
    """The bills of each item in the horizon, and of each listed item its ``place`` and what it ``added``."""
    import pandas as pd

    bills = outcomes.groupby(level=0)["item_bills"].first()
    listed = answers[answers.index.isin(bills.index)]
    listed = listed.sort_values("score", ascending=False, kind="stable")
    place = listed.groupby(level=0).cumcount()
    listed, place = listed[place < top], place[place < top]
    pairs = outcomes.set_index("with_item_id", append=True)["together_bills"]
    keys = pd.MultiIndex.from_arrays([listed.index, listed["with_item_id"]])
    together = pairs.reindex(keys).fillna(0.0).to_numpy()
    added = together / bills.reindex(listed.index).to_numpy() - listed["share_of_bills"].to_numpy(dtype=float)
    return bills, pd.DataFrame({"place": place.to_numpy(), "added": added}, index=listed.index)

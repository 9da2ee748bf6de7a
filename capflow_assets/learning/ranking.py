"""How good ranked lists are, user by user: what share of what came stood high on the list.

``outcomes`` are rows of what came: the subject's key as index, the column ``item``, and the outcome ``came`` above 0.
``answers`` are the lists: the same index, the same column, and ``score``, of which the highest comes first; of equal
scores the row that stands first. A subject of whom nothing came is not judged; one with an outcome and without a list
scores 0, since nothing of what came was on it. Frames in, frames out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

ITEM, CAME = "item_id", "bought"


def recall_by_subject(
    outcomes: pd.DataFrame, answers: pd.DataFrame, top: int = 10, item: str = ITEM, observed: str = CAME
) -> pd.DataFrame:
    """Of each subject, the share of the items that came which stand among the ``top`` of its list: column ``value``.

    ``|came and listed| / |came|``. With more than ``top`` items in a basket it stays below 1.
    """
    hits, subject, _, counts = _hits(outcomes, answers, top, item, observed)
    return _by_subject(counts, subject, hits / counts.to_numpy()[subject])


def ndcg_by_subject(
    outcomes: pd.DataFrame, answers: pd.DataFrame, top: int = 10, item: str = ITEM, observed: str = CAME
) -> pd.DataFrame:
    """Of each subject, the normalised discounted cumulative gain of the ``top`` of its list: column ``value``.

    An item that came counts ``1 / log2(1 + place)``, places from 1, over the sum that the best order would have
    (Järvelin & Kekäläinen 2002). 1 is a list that begins with all that came.
    """
    import numpy as np

    hits, subject, place, counts = _hits(outcomes, answers, top, item, observed)
    gains = 1 / np.log2(1 + np.arange(1, top + 1))
    best = np.cumsum(gains)[np.minimum(counts.to_numpy(), top) - 1]
    return _by_subject(counts, subject, hits * gains[place] / best[subject])


def _hits(
    outcomes: pd.DataFrame, answers: pd.DataFrame, top: int, item: str, observed: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, pd.Series]:
    """For each row of the tops of the lists of judged subjects: whether the item came, which subject, what place.

    And how many items came for each judged subject, in the order of their keys.
    """
    import numpy as np
    import pandas as pd

    rows = outcomes[outcomes[observed] > 0]
    pairs = pd.MultiIndex.from_arrays([rows.index, rows[item]]).unique()
    counts = pd.Series(1, pd.Index(pairs.get_level_values(0), name=outcomes.index.name)).groupby(level=0).sum()
    subject = counts.index.get_indexer(answers.index)
    order = np.lexsort((-answers["score"].to_numpy(dtype=float), subject))
    order = order[subject[order] >= 0]
    firsts = np.flatnonzero(np.diff(subject[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(firsts, np.diff(firsts, append=len(order)))
    order, place = order[place < top], place[place < top]
    listed = pd.MultiIndex.from_arrays([answers.index[order], answers[item].iloc[order]])
    return listed.isin(pairs).astype(float), subject[order], place, counts


def _by_subject(counts: pd.Series, subject: np.ndarray, parts: np.ndarray) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    return pd.DataFrame({"value": np.bincount(subject, parts, len(counts))}, index=counts.index)


def recall_plot(
    outcomes: pd.DataFrame,
    answers: pd.DataFrame,
    most: int = 20,
    item: str = ITEM,
    observed: str = CAME,
    words: str = "the next visit's items",
) -> Figure:
    """What share of what came stood on the list, by how much of the list is shown; the mean over subjects."""
    import numpy as np
    from matplotlib.figure import Figure

    lengths = np.arange(1, most + 1)
    recalls = [recall_by_subject(outcomes, answers, int(length), item, observed)["value"].mean() for length in lengths]
    ndcg = ndcg_by_subject(outcomes, answers, 10, item, observed)["value"].mean()
    figure = Figure(figsize=(5, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(lengths, recalls, marker="o")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("items of the list that are shown")
    axes.set_ylabel(f"share of {words} among them")
    axes.set_title(f"Recall@10 {recalls[min(10, most) - 1]:.3f}, NDCG@10 {ndcg:.3f}")
    return figure

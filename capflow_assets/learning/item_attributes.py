"""The attributes that items have, which of them may be told by others, and tags as rows. Frames in, frames out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

ATTRIBUTE, TAG = "attribute", "tag"
# Texts of an item that are no attributes that several items share.
NOT_TAGS = ("item_id", "name", "description", "size", "flags")
CONFIDENT = 0.8
LEAST_KNOWN, LEAST_PER_TAG, MOST_TAGS, MOST_ATTRIBUTES = 20, 1.5, 300, 8


def by_id(items: pd.DataFrame) -> pd.DataFrame:
    """The rows of clean/items that are goods, in the order of their ids."""
    import numpy as np

    is_goods = ["not_an_item" not in str(flags) for flags in items["flags"]]
    goods: pd.DataFrame = items[np.array(is_goods, dtype=bool)].sort_values("item_id", ignore_index=True)
    return goods


def attributes_of(items: pd.DataFrame) -> list[str]:
    """The columns of texts that several items share, sorted: each with two tags or more, and more items than tags.

    Of more than ``MOST_ATTRIBUTES`` those that are known of most items.
    """
    counts = dict[str, int]()
    for name in items.columns:
        if name in NOT_TAGS:
            continue
        given = items[name].dropna()
        if not len(given) or not isinstance(given.iloc[0], str):
            continue
        tags = given.nunique()
        if len(given) >= LEAST_KNOWN and 2 <= tags <= MOST_TAGS and len(given) >= LEAST_PER_TAG * tags:
            counts[str(name)] = len(given)
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MOST_ATTRIBUTES])


def texts_of(items: pd.DataFrame) -> list[str]:
    """The name and the description of each item."""
    names = [items[name].fillna("") for name in ("name", "description") if name in items]
    return [" . ".join(parts) for parts in zip(*names, strict=True)] if names else [""] * len(items)


def tag_rows(
    items: pd.DataFrame,
    index: pd.Index,
    answers: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    confidence: float,
    has_kind: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """One row per item of the index and attribute, see the model ``item_tags``.

    ``answers`` takes known tags as numbers (-1 where none is) and the items' folds, both in the order of the ids, and
    gives the likeliest tag of each item and its chance. ``has_kind`` says by kind which items have a vector.
    """
    import numpy as np
    import pandas as pd

    goods, frames = by_id(items), list[pd.DataFrame]()
    place = pd.Index(goods["item_id"]).get_indexer(index)
    asked = np.flatnonzero(place >= 0)
    rows = place[asked]
    fold = _folds(goods["item_id"].to_numpy())
    said = _reasons(has_kind, rows)
    for name in attributes_of(goods):
        codes, tags = pd.factorize(goods[name].astype(object), sort=True)
        best, chance = answers(codes, fold)
        likely = np.asarray(tags, dtype=object)[best[rows]]
        is_given = chance[rows] >= confidence
        columns = {
            ATTRIBUTE: name,
            TAG: np.where(is_given, likely, None),
            "likely_tag": likely,
            "known_tag": np.where(codes[rows] >= 0, np.asarray(tags, dtype=object)[codes[rows]], None),
            "score": chance[rows],
            "reasons": said,
        }
        frames.append(pd.DataFrame(columns, index=index.take(asked)))
    if not frames:
        names = (ATTRIBUTE, TAG, "likely_tag", "known_tag", "score", "reasons")
        return pd.DataFrame(
            {name: np.empty(0, dtype=float if name == "score" else object) for name in names}, index[:0]
        )
    return pd.concat(frames)


def most_frequent(codes: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each item the tag that most items of other folds have, and the share of these that have it."""
    import numpy as np

    best, chance = np.zeros(len(codes), dtype="int64"), np.zeros(len(codes))
    for number in (-1, *np.unique(fold)):
        is_of_fold = (codes < 0) if number < 0 else ((codes >= 0) & (fold == number))
        counts = np.bincount(codes[(codes >= 0) & (fold != number)], minlength=codes.max(initial=0) + 1)
        best[is_of_fold], chance[is_of_fold] = counts.argmax(), counts.max() / max(1, counts.sum())
    return best, chance


def judged(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """One row per known tag of an attribute that was answered: ``score``, ``is_right``, ``is_given``; index
    ``item_id``.
    """
    keys = ["item_id", ATTRIBUTE]
    right = outcomes.reset_index()[[*keys, TAG]].rename(columns={TAG: "right_tag"})
    rows = answers[[ATTRIBUTE, TAG, "likely_tag", "score"]].reset_index().merge(right, on=keys)
    rows["is_right"] = (rows["likely_tag"] == rows["right_tag"]).astype(float)
    rows["is_given"] = rows[TAG].notna()
    return rows.set_index("item_id")[["score", "is_right", "is_given"]]


def tags_plot(rows: pd.DataFrame) -> Figure:
    """Of judged tags: which share has a chance of so much or more, and which share of those is right."""
    import numpy as np
    from matplotlib.figure import Figure

    levels = np.linspace(0, 0.99, 34)
    shares = [(rows["score"] >= level).mean() for level in levels]
    right = [rows.loc[rows["score"] >= level, "is_right"].mean() for level in levels]
    figure = Figure(figsize=(5, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(levels, right, label="of them right")
    axes.plot(levels, shares, label="share of tags given")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("confidence that is asked for")
    axes.legend()
    axes.set_title(f"{rows['is_right'].mean():.0%} of {len(rows):,} known tags are the likeliest", fontsize=10)
    return figure


def _folds(ids: np.ndarray) -> np.ndarray:
    """The fold of each item by a digest of its id: the same in every run."""
    from zlib import crc32

    import numpy as np

    from capflow_assets.learning.tag_chances import FOLDS

    return np.array([crc32(str(one).encode()) % FOLDS for one in ids], dtype="int64")


def _reasons(has_kind: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    import numpy as np

    said = [
        " and ".join(kind for kind, has_any in has_kind.items() if has_any[row]) or "how frequent it is" for row in rows
    ]
    return np.array([f"by {words}" for words in said], dtype=object)

"""Items that are like each other as rows of answers, with the reasons in words. Frames in, frames out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.learning.item_likeness import PARTS, POPULAR, ItemParts, Listed, item_parts, nearest, purchases_of

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.contract import Examples

LINES, ITEMS = "clean/line_items", "clean/items"
VECTORS = {"text": "features/text", "pictures": "features/item_pictures"}
# What a likeness of this much and more is said of.
LEAST_SAID = 0.05
WORDS = {
    "bills": "bought together",
    "users": "bought by the same users",
    "text": "described alike",
    "pictures": "looks alike",
}


def parts_of(tables: Mapping[str, tuple[pd.DataFrame, ...]], most: int) -> ItemParts:
    """The parts of the items, of more than ``most`` those on most bills, as of the newest moment of the tables."""
    newest = {name: frames[-1] for name, frames in tables.items()}
    vectors = {part: newest[table] for part, table in VECTORS.items()}
    return item_parts(purchases_of(newest[LINES]), _goods(newest[ITEMS])["item_id"].to_list(), vectors, most)


def like_rows(
    examples: Examples,
    weights: tuple[Mapping[str, float], Mapping[str, float]],
    size: int,
    most_items: int,
    *,
    with_reasons: bool,
) -> pd.DataFrame:
    """Of each item of the examples the ``size`` items most like it; of more than ``most_items`` those on most bills.

    ``weights`` are those of the parts for items with a bill, and for items without.
    """
    import pandas as pd

    parts = parts_of(examples.tables, most_items)
    rows, place = _asked(parts, examples.columns.index)
    frames = []
    for of_group, group in zip(weights, (rows[parts.counts[rows] > 0], rows[parts.counts[rows] == 0]), strict=True):
        listed = nearest(parts, group, of_group, size)
        used = [part for part in PARTS if of_group.get(part, 0) > 0 and part != POPULAR]
        frames.append(_frame(parts, examples.columns.index, place, listed, used, with_reasons=with_reasons))
    if any(map(len, frames)):
        frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames)


def popular_rows(examples: Examples, size: int, most_items: int, *, with_reasons: bool) -> pd.DataFrame:
    """Of each item the ``size`` of its category on most bills, then others on most; ``score`` is the popularity, 1
    more in the category.
    """
    import pandas as pd

    parts = parts_of(examples.tables, most_items)
    rows, place = _asked(parts, examples.columns.index)
    goods = _goods(examples.table(ITEMS)).set_index("item_id")["category"].reindex(parts.items)
    code = pd.factorize(goods)[0]
    order = np.argsort(-parts.popular, kind="stable")
    firsts = {one: order[code[order] == one][: size + 1] for one in np.unique(code[rows]) if one >= 0}
    everywhere, other = order[: 2 * size + 2], list[np.ndarray]()
    for row in rows:
        own = firsts.get(code[row], order[:0])
        both = np.concatenate([own, everywhere[code[everywhere] != code[row]] if code[row] >= 0 else everywhere])
        other.append(both[both != row][:size])
    item = np.repeat(rows, [len(one) for one in other])
    others = np.concatenate(other) if other else rows[:0]
    is_own = (code[item] == code[others]) & (code[item] >= 0)
    listed = Listed(item, others, parts.popular[others] + is_own, {})
    return _frame(parts, examples.columns.index, place, listed, [], with_reasons=with_reasons)


def _goods(items: pd.DataFrame) -> pd.DataFrame:
    is_goods = [not isinstance(flags, str) or "not_an_item" not in flags for flags in items["flags"]]
    goods: pd.DataFrame = items[np.array(is_goods, dtype=bool)]
    return goods


def _asked(parts: ItemParts, index: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the items that get a list, in the order of the index, and the place in it of each row."""
    import pandas as pd

    numbers = pd.Index(parts.items).get_indexer(index)
    places = np.flatnonzero(numbers >= 0)
    place = np.full(len(parts.items), -1)
    place[numbers[places]] = places
    return numbers[places], place


def _frame(
    parts: ItemParts, index: pd.Index, place: np.ndarray, listed: Listed, used: list[str], *, with_reasons: bool
) -> pd.DataFrame:
    import pandas as pd

    nothing = np.full(len(listed.item), np.nan)
    columns: dict[str, Any] = {"like_item_id": parts.items[listed.other], "score": listed.score.astype(float)}
    for part in WORDS:
        columns[f"{part}_cosine"] = listed.cosines[part].astype(float) if part in used else nothing
    columns["item_bills"] = parts.counts[listed.item]
    if with_reasons:
        columns["reasons"] = _reasons(listed, used)
    return pd.DataFrame(columns, index=index.take(place[listed.item]))


def _reasons(listed: Listed, used: list[str]) -> np.ndarray:
    said = {part: np.round(listed.cosines[part].astype(float), 2) for part in used}
    words = [
        "; ".join(f"{WORDS[part]} ({values[row]:.2f})" for part, values in said.items() if values[row] >= LEAST_SAID)
        for row in range(len(listed.item))
    ]
    return np.array([text or "popular" for text in words], dtype=object)

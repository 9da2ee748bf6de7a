"""What items are like, as numbers: their texts and pictures as vectors, their attributes as marks, their price.

What the numbers mean is learned from one list of items and kept, so that an item of a later list, which nobody has
bought, is read alike. Frames in, arrays out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError, ModelError

ITEM = "item_id"
# Names and sentences are read as texts.
NO_ATTRIBUTES = frozenset((ITEM, "name", "description", "price", "flags", "is_item"))
# Of a value that few items have nothing is learned; columns of many values are names in disguise.
LEAST_ITEMS, MOST_VALUES, MOST_MARKS = 5, 100, 256
PRICE_WEIGHT = 0.3
# An encoder that is learned from texts has other axes after each change of one.
LEARNED = "tfidf/"


@dataclass(frozen=True, slots=True)
class Content:
    """What is read of items: ``marks`` (pairs of a column and a value), and the logarithm of the ``price`` by its mean
    and deviation.

    ``texts`` and ``pictures`` are the encoders whose vectors are read, with how many numbers they have; empty where
    none are. ``left_out`` says why, and what else says nothing.
    """

    marks: list[list[str]]
    price: list[float]
    texts: list[Any] = field(default_factory=list)
    pictures: list[Any] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)

    @property
    def size(self) -> int:
        """How many numbers an item has."""
        return len(self.marks) + len(self.price) // 2 + sum(of[1] for of in (self.texts, self.pictures) if of)

    def numbers(self, items: pd.DataFrame, texts: pd.DataFrame, pictures: pd.DataFrame) -> np.ndarray:
        """One row per item: its marks first, then price, text and picture; float32, (items, size).

        Raises:
            ModelError: the vectors are another encoder's than those that were learned from.
        """
        # Marks together, price, text and picture weigh about the same in the likeness of two items.
        columns = len({column for column, _ in self.marks})
        parts = [self.marks_of(items) / np.sqrt(max(1, columns))]
        if self.price:
            parts.append(PRICE_WEIGHT * np.nan_to_num((_log_price(items) - self.price[0]) / self.price[1])[:, None])
        for encoder, vectors, name in ((self.texts, texts, "texts"), (self.pictures, pictures, "pictures")):
            if encoder:
                parts.append(_aligned(vectors, items[ITEM], encoder, name))
        return np.concatenate(parts, axis=1, dtype="float32")

    def marks_of(self, items: pd.DataFrame) -> np.ndarray:
        """Which of the marks each item has: 1 or 0, (items, marks)."""
        has = np.zeros((len(items), len(self.marks)), dtype="float32")
        for column in {column for column, _ in self.marks} & set(items.columns):
            places = np.array([place for place, mark in enumerate(self.marks) if mark[0] == column])
            number = pd.Index([self.marks[place][1] for place in places]).get_indexer(_words(items, column))
            rows = np.flatnonzero(number >= 0)
            has[rows, places[number[rows]]] = 1
        return has


def learned_content(items: pd.DataFrame, texts: pd.DataFrame, pictures: pd.DataFrame) -> Content:
    """What tells the items of a list apart. ``texts`` and ``pictures`` are rows of their feature tables.

    Raises:
        EvidenceError: nothing does: all have the same text, picture, attributes and price.
    """
    left_out: dict[str, str] = {}
    marks = _marks(items, left_out)
    price = _log_price(items)
    spread = float(np.nanstd(price)) if np.isfinite(price).any() else 0.0
    scale = [float(np.nanmean(price)), spread] if spread > 1e-9 else []
    read, seen = _encoder(texts, "texts", left_out), _encoder(pictures, "pictures", left_out)
    if not (marks or scale or read or seen):
        raise EvidenceError(
            "Nothing tells the items of the list apart",
            expected="items of different texts, pictures, attributes or prices",
            came=f"{len(items)} items; " + "; ".join(f"{name}: {why}" for name, why in left_out.items()),
            do="describe the items, each by what it is",
        )
    return Content(marks, scale, read, seen, left_out)


def is_goods(items: pd.DataFrame) -> np.ndarray:
    """Which rows of the list of items are goods, rather than postage or fees."""
    return ~items["flags"].fillna("").astype(str).str.contains("not_an_item").to_numpy(dtype=bool)


def _marks(items: pd.DataFrame, left_out: dict[str, str]) -> list[list[str]]:
    counts: list[tuple[int, str, str]] = []
    for column in sorted(set(items.columns) - NO_ATTRIBUTES):
        if items[column].dtype.kind not in "Ob":
            continue
        values = pd.Series(_words(items, column)).replace("", None).value_counts()
        common = values[values >= LEAST_ITEMS]
        if len(values) > MOST_VALUES and len(common) < len(values) / 2:
            left_out[column] = f"{len(values):,} values, most of one item or few"
        elif len(common) and int(common.iloc[0]) < len(items):
            counts += [(-int(count), column, str(value)) for value, count in common.head(MOST_VALUES).items()]
        elif len(common):
            left_out[column] = "all items have the same"
    return [[column, value] for _, column, value in sorted(counts)[:MOST_MARKS]]


def _words(items: pd.DataFrame, column: str) -> np.ndarray:
    """The values of a column as text; empty where there is none."""
    # Values are few, whatever the number of items.
    number, values = pd.factorize(items[column])
    return np.array([*(str(value) for value in values), ""], dtype=object)[number]


def _log_price(items: pd.DataFrame) -> np.ndarray:
    """The logarithm of 1 + price; NaN where there is none."""
    if "price" not in items.columns:
        return np.full(len(items), np.nan)
    prices = items["price"].to_numpy(dtype=float, na_value=np.nan)
    return np.log1p(np.where(prices >= 0, prices, np.nan))


def _encoder(rows: pd.DataFrame, name: str, left_out: dict[str, str]) -> list[Any]:
    """The encoder of the vectors and their length; nothing where they tell no items apart."""
    encoders = sorted(set(rows["encoder"])) if len(rows) else []
    if not encoders:
        left_out[name] = "none"
    elif len(encoders) > 1 or encoders[0].startswith(LEARNED):
        left_out[name] = f"vectors of {encoders[0]} are not comparable from one night to the next"
    else:
        vectors = _stacked(rows)
        said = vectors[vectors.any(axis=1)]
        if (said != said[:1]).any():
            return [encoders[0], int(vectors.shape[1])]
        left_out[name] = "all items have the same" if vectors.any() else "nothing can be read in them"
    return []


def _stacked(rows: pd.DataFrame) -> np.ndarray:
    return np.stack([np.asarray(vector, dtype="float32") for vector in rows["embedding"]])


def _aligned(rows: pd.DataFrame, items: pd.Series, encoder: list[Any], name: str) -> np.ndarray:
    """The mean vector of each item, of length 1; 0 where it has none."""
    name_of, size = encoder
    others = sorted(set(rows["encoder"]) - {name_of}) if len(rows) else []
    if others:
        raise ModelError(
            f"The {name} of the items are read by another encoder than the one that was learned from",
            expected=str(name_of),
            came=others[0],
            do="train the model again, or set the encoder back",
        )
    place = pd.Index(items).get_indexer(pd.Index(rows[ITEM])) if len(rows) else np.empty(0, dtype="int64")
    vectors = _stacked(rows) if len(rows) else np.zeros((0, size), dtype="float32")
    sums = np.zeros((len(items), size), dtype="float32")
    # In the order of the pictures' values, so that sums do not depend on that of the rows.
    order = np.lexsort([*vectors.T[:3], place]) if len(rows) else place
    np.add.at(sums, place[order][place[order] >= 0], vectors[order][place[order] >= 0])
    lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9)

"""How much each part of the likeness of items counts: as served best at the newest past moment.

From all parts alike one weight after the other is moved, as long as lists of ten hold more of what was bought together
afterwards. What no other weight betters by more than a thousandth stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from capflow_assets.learning.item_likeness import POOL, ItemParts, top_columns
from capflow_assets.learning.nearest import blocks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

STEPS, ROUNDS, LEAST_GAIN = (0.0, 0.1, 0.3, 1.0, 3.0), 3, 1e-3
# So many items tell a hundredth of recall apart.
MOST_ROWS, TOP = 400, 10


def best_weights(
    parts: ItemParts, together: pd.DataFrame | None, other: str, names: Sequence[str], seed: int
) -> tuple[dict[str, float], float | None]:
    """The weight of each part of ``names``, and the recall@10 that they had; None where nothing was bought together.

    ``together`` are pairs of what was bought together after the moment: index ``item_id``, column ``other``.
    """
    import numpy as np

    weights = dict.fromkeys(names, 1.0)
    if together is None or together.empty or len(parts.items) < 2:
        return weights, None
    rows, hits, values = _pools(parts, together, other, names, seed)
    if not len(rows):
        return weights, None

    def recall(chosen: Mapping[str, float]) -> float:
        total = sum((np.float32(chosen[name]) * values[name] for name in names), np.float32(0))
        top = top_columns(np.where(hits >= 0, total, -np.inf), min(TOP, hits.shape[1]))
        return float(np.maximum(np.take_along_axis(hits, top, axis=1), 0).sum(axis=1).mean())

    best = recall(weights)
    for _ in range(ROUNDS):
        before = best
        for name in names:
            for step in STEPS:
                tried = weights | {name: step}
                if any(tried.values()) and (score := recall(tried)) > best + LEAST_GAIN:
                    weights, best = tried, score
        if best <= before:
            break
    return weights, best


def _pools(
    parts: ItemParts, together: pd.DataFrame, other: str, names: Sequence[str], seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """For some items, those nearest by any part: what each that came is worth (its share of what came; -1 for no
    item), and the cosines by part.
    """
    import numpy as np
    import pandas as pd

    index = pd.Index(parts.items)
    pairs = pd.DataFrame(
        {"row": index.get_indexer(together.index), "other": index.get_indexer(pd.Index(together[other]))}
    )
    counts = pairs.groupby("row").size()
    rows = counts.index[counts.index >= 0].to_numpy()
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    known = pairs[(pairs["row"] >= 0) & (pairs["other"] >= 0)]
    if known.empty:
        return rows[:0], np.empty((0, 0)), {}
    keys = np.unique(known["row"].to_numpy() * len(index) + known["other"].to_numpy())
    pooled: list[np.ndarray] = []
    gathered: list[dict[str, np.ndarray]] = []
    for block in blocks(rows, len(index)):
        cosines = {name: parts.cosines(name, block) for name in names}
        size = min(POOL, len(index))
        tops = np.hstack([top_columns(values, size) for values in cosines.values()])
        for place, row in enumerate(block):
            pool = np.setdiff1d(tops[place], [row])
            pooled.append(pool)
            gathered.append({name: values[place, pool] for name, values in cosines.items()})
    width = max((len(pool) for pool in pooled), default=0)
    hits = np.full((len(rows), width), -1.0, dtype="float32")
    values = {name: np.zeros((len(rows), width), dtype="float32") for name in names}
    for place, (row, pool) in enumerate(zip(rows, pooled, strict=True)):
        wanted = row * len(index) + pool
        hits[place, : len(pool)] = (keys[np.searchsorted(keys, wanted) % len(keys)] == wanted) / counts[row]
        for name in names:
            values[name][place, : len(pool)] = gathered[place][name]
    return rows, hits, values

"""Line items to make lists from, and TIFU-kNN over them in plain Python, from the paper's equations."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from random import Random

import pandas as pd

FIRST = date(2024, 1, 1)
Basket = tuple[int, frozenset[str]]
Shop = dict[str, list[Basket]]


def lines_of(shop: Shop) -> pd.DataFrame:
    """The rows of clean/line_items of users with baskets on days that are counted from the first."""
    rows = [
        (user, item, FIRST + timedelta(days=day), False, "")
        for user, baskets in shop.items()
        for day, items in baskets
        for item in sorted(items)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "billed_on", "is_return", "flags"])


def random_shop(users: int, items: int, seed: int) -> Shop:
    """Users with one to nine baskets of one to five items, low numbers oftener."""
    random = Random(seed)
    shop: Shop = {}
    for number in range(users):
        days = sorted(random.sample(range(60), random.randint(1, 9)))
        shop[f"u{number:03d}"] = [
            (day, frozenset(f"i{int(items * random.random() ** 2):02d}" for _ in range(random.randint(1, 5))))
            for day in days
        ]
    return shop


def vector(baskets: list[Basket], groups: int, within: float, between: float) -> dict[str, float]:
    """A user's vector: groups of consecutive baskets, the newest full, decayed inside and among themselves."""
    newest_first = [items for _, items in sorted(baskets, key=lambda basket: -basket[0])]
    size = -(-len(newest_first) // groups)
    parts = [newest_first[first : first + size] for first in range(0, len(newest_first), size)]
    frequencies: dict[str, float] = defaultdict(float)
    for g, part in enumerate(parts):
        for p, items in enumerate(part):
            for item in items:
                frequencies[item] += within**p / len(part) * between**g / len(parts)
    return dict(frequencies)


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    """The cosine of two sparse vectors."""
    product = sum(value * other.get(item, 0.0) for item, value in one.items())
    lengths = [sum(value * value for value in vector.values()) ** 0.5 for vector in (one, other)]
    return product / (lengths[0] * lengths[1])


def tifu_knn(
    shop: Shop, user: str, size: int, groups: int, within: float, between: float, neighbours: int, own_share: float
) -> list[tuple[str, float]]:
    """A user's list with the scores of the items that have one; popular ones follow, scored 0."""
    vectors = {name: vector(baskets, groups, within, between) for name, baskets in shop.items()}
    own = vectors.get(user, {})
    likeness = {name: cosine(own, other) for name, other in vectors.items() if own and name != user}
    near = sorted((name for name in likeness if likeness[name] > 0), key=lambda name: (-likeness[name], name))
    scores: dict[str, float] = defaultdict(float)
    for name in near[:neighbours]:
        for item, value in vectors[name].items():
            scores[item] += (1 - own_share) * value / len(near[:neighbours])
    for item, value in own.items():
        scores[item] += own_share * value
    popularity: dict[str, int] = defaultdict(int)
    for baskets in shop.values():
        for _, items in baskets:
            for item in items:
                popularity[item] += 1
    scored = sorted((item for item in scores if scores[item] > 0), key=lambda item: (-scores[item], item))[:size]
    others = sorted(popularity.keys() - set(scored), key=lambda item: (-popularity[item], item))
    return [(item, scores[item]) for item in scored] + [(item, 0.0) for item in others[: size - len(scored)]]

"""What the brand sells and where: items, stores, and which items go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand, Category
from capflow_assets.simulation.people import PRICE_LEVELS
from capflow_assets.simulation.streams import stream


@dataclass(frozen=True)
class Assortment:
    """Items in the order of their categories.

    ``popularity`` adds up to 1 inside a category. ``partner`` is the item that an item brings along, or -1.
    """

    frame: pd.DataFrame
    category: np.ndarray
    price: np.ndarray
    popularity: np.ndarray
    partner: np.ndarray


def assortment(brand: Brand) -> Assortment:
    """Draw the items: price log-uniform in the category's range, popularity Zipf by a random rank in the category."""
    category = np.sort(np.arange(brand.items) % len(brand.categories))
    price = drawn_prices(brand, category, "prices")
    popularity = _popularity(brand, category)
    frame = item_rows(brand, np.arange(brand.items), category, price)
    return Assortment(frame, category, price, popularity, _partners(brand, popularity))


def drawn_prices(brand: Brand, category: np.ndarray, name: str) -> np.ndarray:
    """The price of an item of each of the categories (numbers), from the stream of that name."""
    low = np.array([category.price_from for category in brand.categories])[category]
    high = np.array([category.price_to for category in brand.categories])[category]
    return np.round(low * (high / low) ** stream(brand.seed, name).random(len(category)), 2)


def _popularity(brand: Brand, category: np.ndarray) -> np.ndarray:
    order = pd.Series(stream(brand.seed, "popularity").random(len(category)))
    weights = order.groupby(category).rank().to_numpy() ** -brand.zipf
    return weights / np.bincount(category, weights)[category]


def item_rows(brand: Brand, numbers: np.ndarray, category: np.ndarray, price: np.ndarray) -> pd.DataFrame:
    """Items by their numbers, each of a category and at a price, as rows of the list of items."""
    rows = zip(numbers.tolist(), category, price, strict=True)
    return pd.DataFrame([_item(brand, number, code, of_item) for number, code, of_item in rows])


def _item(brand: Brand, number: int, code: int, price: float) -> dict[str, object]:
    draw = stream(brand.seed, f"item {number}")
    category: Category = brand.categories[code]
    noun = str(draw.choice(category.nouns))
    maker = str(draw.choice(brand.makers))
    attributes = {name: str(draw.choice(values)) for name, values in category.attributes.items()}
    words = ", ".join(f"{name} {value}" for name, value in attributes.items())
    return {
        "item_id": f"I{number + 1:05d}",
        "name": f"{maker} {noun} {number + 1}",
        "description": f"{noun.capitalize()} by {maker}" + (f": {words}." if words else "."),
        "department": category.department,
        "category": category.name,
        "subcategory": noun,
        "brand": maker,
        "own_brand": maker == brand.makers[0],
        "price": price,
        "size": str(draw.choice(category.sizes)),
        **attributes,
    }


def _partners(brand: Brand, popularity: np.ndarray) -> np.ndarray:
    """Pairs among the more popular half: an affinity between items that nobody buys could not be seen."""
    partner = np.full(len(popularity), -1)
    half = np.argsort(-popularity, kind="stable")[: max(2 * brand.affinities, len(popularity) // 2)]
    chosen = stream(brand.seed, "affinities").permutation(half)[: 2 * brand.affinities]
    partner[chosen[0::2]] = chosen[1::2]
    return partner


def choices(assortment: Assortment, appeal: np.ndarray | float = 1.0) -> np.ndarray:
    """For each price sensitivity, a growing row from which ``searchsorted(category + uniform)`` picks an item.

    The weight of an item is its popularity times ``exp(-(level - 2) z / 2)``, where ``z`` is its log price against
    the others of its category: level 4 goes for the cheap, level 0 for the dear. ``appeal`` multiplies the weights.
    """
    groups = pd.Series(np.log(assortment.price)).groupby(assortment.category)
    spread = groups.transform("std").fillna(0).to_numpy()
    distance = np.log(assortment.price) - groups.transform("mean").to_numpy()
    z = np.divide(distance, spread, out=np.zeros_like(spread), where=spread > 0)
    rows = []
    for level in range(PRICE_LEVELS):
        weights = assortment.popularity * np.exp(-0.5 * (level - PRICE_LEVELS // 2) * z) * appeal
        shares = weights / np.bincount(assortment.category, weights)[assortment.category]
        rows.append(np.cumsum(shares))
    return np.array(rows)


def colours(assortment: Assortment) -> np.ndarray:
    """The colours that items have, sorted; none where no item has one."""
    if "colour" not in assortment.frame:
        return np.array([], dtype=object)
    return np.unique(assortment.frame["colour"].dropna().to_numpy(dtype=object))


def store_shares(brand: Brand) -> np.ndarray:
    """Share of the shoppers at home in each store: the second store is 0.7 power of the first, and so on."""
    weights = np.arange(1, brand.stores + 1) ** -0.7
    return weights / weights.sum()


def stores(brand: Brand) -> pd.DataFrame:
    """The stores, scattered around the brand's place; one per city in turn."""
    near = stream(brand.seed, "stores").normal(0, 0.5, (brand.stores, 2))
    numbers = np.arange(brand.stores)
    city = [brand.cities[number % len(brand.cities)] for number in numbers]
    return pd.DataFrame(
        {
            "store_id": [f"S{number + 1:03d}" for number in numbers],
            "name": [f"{town} {number // len(brand.cities) + 1}" for number, town in zip(numbers, city, strict=True)],
            "city": city,
            "region": [f"region {number % len(brand.cities) % 3 + 1}" for number in numbers],
            "latitude": np.clip(brand.latitude + near[:, 0], -90, 90).round(5),
            "longitude": np.clip(brand.longitude + near[:, 1], -180, 180).round(5),
        }
    )

"""Weeks in which an item is reduced for everybody, and how much more of it each user takes then.

In a reduced week what a user would have bought of an item is multiplied by ``(1 - depth) ** elasticity``, where the
elasticity of a user in a category is that of the category plus the user's own. When and how often users come is left
alone. The draws are this file's own: without reduced weeks the world is the same, row by row.
"""

from __future__ import annotations

import numpy as np

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY
from capflow_assets.simulation.people import PRICE_LEVELS
from capflow_assets.simulation.streams import stream

DEPTHS = (0.1, 0.2, 0.3)
MINUTES_A_WEEK = 7 * MINUTES_A_DAY
# Of the first and of the last category, the others evenly between.
CATEGORY_ELASTICITIES = (-1.0, -3.0)


def depths(brand: Brand) -> np.ndarray:
    """What share each item is reduced by in each week from the brand's first day: a row per item, a column per week."""
    shape = (brand.items, (brand.days + brand.future_days) // 7 + 1)
    draws = stream(brand.seed, "reduced weeks")
    is_reduced = draws.random(shape) < brand.reduced_weeks_pct / 100
    return np.where(is_reduced, draws.choice(DEPTHS, shape), 0.0)


def depths_at(brand: Brand, item: np.ndarray, minute: np.ndarray) -> np.ndarray:
    """What share items are reduced by at local minutes."""
    if not brand.reduced_weeks_pct:
        return np.zeros(len(item))
    return depths(brand)[item, minute // MINUTES_A_WEEK]


def elasticities(brand: Brand, levels: np.ndarray) -> np.ndarray:
    """The elasticities of shoppers by their price sensitivity (0 to 4): a row per shopper, a column per category.

    That of the category, and what the level adds to it, at most 0: nobody buys less of what is reduced.
    """
    categories = np.linspace(*CATEGORY_ELASTICITIES, len(brand.categories))
    own = -brand.elasticity_step * (levels - PRICE_LEVELS // 2)
    return np.minimum(categories + own[:, None], 0.0)


def most_more(brand: Brand) -> float:
    """The most that a reduction adds to what anybody buys, as a share of it; 0 without reduced weeks."""
    if not brand.reduced_weeks_pct:
        return 0.0
    strongest = elasticities(brand, np.array([PRICE_LEVELS - 1])).min()
    return float((1 - max(DEPTHS)) ** strongest) - 1


def are_taken(brand: Brand, depth: np.ndarray, elasticity: np.ndarray) -> np.ndarray:
    """Which of the picks on top, of ``most_more`` times as many as usual, are taken: a thinned Poisson process."""
    more = (1 - depth) ** elasticity - 1
    draws = stream(brand.seed, "picks for the price").random(len(depth))
    return draws * most_more(brand) < more

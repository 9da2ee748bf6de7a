"""Who the shoppers are: those with a card, then those without one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import Clock
from capflow_assets.simulation.streams import stream

AGE_BANDS = np.array(["18-29", "30-44", "45-59", "60+"], dtype=object)
AGE_SHARES = (0.25, 0.30, 0.25, 0.20)
INCOME_BANDS = np.array(["low", "middle", "high"], dtype=object)
INCOME_SHARES = (0.35, 0.45, 0.20)
PRICE_LEVELS = 5
# The less one earns, the more the price weighs: chance of each of four steps up in price sensitivity.
PRICE_STEPS = np.array([0.7, 0.5, 0.3])


@dataclass(frozen=True)
class Shoppers:
    """Arrays with one entry per shopper: the ``known`` users first, in the order in which they came, then the rest.

    ``joined``: the local minute of the first bill. ``leaves_after``: how many repeat purchases the shopper makes
    before leaving. ``taste``: a row of shares over the categories. ``price_sensitivity``: 0 (none) to 4.
    """

    known: int
    joined: np.ndarray
    rate_per_week: np.ndarray
    dropout_chance: np.ndarray
    leaves_after: np.ndarray
    taste: np.ndarray
    price_sensitivity: np.ndarray
    basket_items: np.ndarray
    home_store: np.ndarray
    age: np.ndarray
    income: np.ndarray
    household_size: np.ndarray

    def __len__(self) -> int:
        return len(self.joined)


def shoppers(brand: Brand, plain: Clock, store_shares: np.ndarray) -> Shoppers:
    """Draw everybody. Hidden shoppers come on top, so that switching them on changes no known user."""
    hidden = round(brand.users * brand.anonymous_pct / (100 - brand.anonymous_pct))
    count = brand.users + hidden
    chance = stream(brand.seed, "dropout chances").beta(brand.a, brand.b, count)
    income = _choose(brand, "incomes", INCOME_SHARES, count)
    return Shoppers(
        known=brand.users,
        joined=_arrivals(brand, plain, count),
        rate_per_week=stream(brand.seed, "rates").gamma(brand.r, 1 / brand.alpha_weeks, count),
        dropout_chance=chance,
        leaves_after=_leaves_after(brand, chance),
        taste=_tastes(brand, count),
        price_sensitivity=_price_sensitivity(brand, income),
        basket_items=_basket_items(brand, count),
        home_store=_choose(brand, "home stores", store_shares, count),
        age=_choose(brand, "ages", AGE_SHARES, count),
        income=income,
        household_size=1 + stream(brand.seed, "households").binomial(4, 0.35, count),
    )


def _choose(brand: Brand, name: str, shares: np.ndarray | tuple[float, ...], count: int) -> np.ndarray:
    """Numbers of options, drawn by their shares."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, stream(brand.seed, name).random(count), side="right")


def _arrivals(brand: Brand, plain: Clock, count: int) -> np.ndarray:
    """Local minutes of the first bills: some in the opening days, the others evenly until the end.

    On the clock without the shift, which must not reach back to those who came before it.
    """
    minutes = arrival_minutes(brand, plain, count, "arrivals")
    return np.concatenate([np.sort(minutes[: brand.users]), np.sort(minutes[brand.users :])])


def arrival_minutes(brand: Brand, plain: Clock, count: int, name: str) -> np.ndarray:
    """Local minutes of first bills, in no order, from the stream of that name."""
    opening, end = plain.weeks_at(np.minimum([brand.opening_days, brand.days], brand.days) * 1440)
    draws = stream(brand.seed, name).random((count, 2))
    early = draws[:, 0] < brand.opening_pct / 100
    weeks = np.where(early, draws[:, 1] * opening, opening + draws[:, 1] * (end - opening))
    return plain.minutes_at(weeks)


def _leaves_after(brand: Brand, chance: np.ndarray) -> np.ndarray:
    """Geometric from 1: BG/NBD lets users leave after repeat purchases only, never after the first bill."""
    draws = 1 - stream(brand.seed, "leaving").random(len(chance))
    with np.errstate(divide="ignore"):
        counts = np.ceil(np.log(draws) / np.log1p(-chance))
    return np.clip(counts, 1, 2**40).astype(np.int64)


def _tastes(brand: Brand, count: int) -> np.ndarray:
    weights = np.array([category.weight for category in brand.categories])
    concentration = brand.taste_concentration * weights / weights.mean()
    # Gammas, normalised, are a Dirichlet; the floor keeps a row of tiny concentrations from adding up to 0.
    draws = stream(brand.seed, "tastes").gamma(concentration, size=(count, len(weights))) + 1e-12
    return draws / draws.sum(axis=1, keepdims=True)


def _price_sensitivity(brand: Brand, income: np.ndarray) -> np.ndarray:
    return stream(brand.seed, "price sensitivities").binomial(PRICE_LEVELS - 1, PRICE_STEPS[income])


def _basket_items(brand: Brand, count: int) -> np.ndarray:
    """Each shopper's own mean of items on a bill: 1 plus a Gamma of shape 2."""
    return 1 + stream(brand.seed, "basket sizes").gamma(2.0, 0.5, count) * (brand.items_per_bill - 1)

"""What is on each bill: items by taste, price, affinity and coupon; then what comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capflow_assets.simulation.assortment import Assortment, choices, colours
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.campaigns import Plan, coupon_items
from capflow_assets.simulation.clock import MINUTES_A_DAY, day_of, shift
from capflow_assets.simulation.people import PRICE_LEVELS, Shoppers
from capflow_assets.simulation.price_cuts import are_taken, depths_at, elasticities, most_more
from capflow_assets.simulation.purchases import Purchases
from capflow_assets.simulation.streams import stream

MARKDOWN = 0.2
TWO_OF_IT_SHARE = 0.08
RETURN_DAYS = 28
DAYS_A_YEAR = 365.25
PEAK_STEP = 0.618  # the golden section


@dataclass(frozen=True)
class Lines:
    """Line items: the number of the bill (in the order of the purchases), the item, what was taken and paid."""

    bill: np.ndarray
    item: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    discount: np.ndarray


@dataclass(frozen=True)
class Redemptions:
    """Coupons used: the number of the bill, of the coupon, of its campaign and of its item."""

    bill: np.ndarray
    coupon: np.ndarray
    campaign: np.ndarray
    item: np.ndarray


def redemption_chances(brand: Brand, people: Shoppers) -> np.ndarray:
    """The chance of each shopper's bill to use a coupon: the same for all, or growing with price sensitivity from 0."""
    share = brand.redemption_pct / 100
    if brand.redemption_answers == "all":
        return np.full(len(people), share)
    return np.minimum(share * people.price_sensitivity / (PRICE_LEVELS // 2), 1.0)


def redemptions(brand: Brand, people: Shoppers, bought: Purchases, plan: Plan, goods: Assortment) -> Redemptions:
    """Some bills of treated users inside a coupon campaign use one of its coupons, each user each coupon once."""
    owner, item = coupon_items(brand, goods.popularity)
    lots = stream(brand.seed, "redemptions").random((len(bought.minute), 2))
    willing = lots[:, 0] < redemption_chances(brand, people)[bought.shopper]
    bills, coupons = [np.array([], dtype=np.int64)], [np.array([], dtype=np.int64)]
    for campaign in np.unique(owner):
        during = (bought.minute >= plan.starts[campaign]) & (bought.minute < plan.ends[campaign])
        bill = np.flatnonzero(willing & during & plan.treated[bought.shopper, campaign])
        offered = np.flatnonzero(owner == campaign)
        coupon = offered[(lots[bill, 1] * len(offered)).astype(int)]
        _, once = np.unique(np.stack([bought.shopper[bill], coupon]), axis=1, return_index=True)
        bills.append(bill[np.sort(once)])
        coupons.append(coupon[np.sort(once)])
    coupon = np.concatenate(coupons)
    return Redemptions(np.concatenate(bills), coupon, owner[coupon], item[coupon])


def lines(brand: Brand, people: Shoppers, bought: Purchases, goods: Assortment, used: Redemptions) -> Lines:
    """Fill every bill. An item stands on a bill once: what comes up again adds to its quantity."""
    bill, item = _picked(brand, people, bought, goods)
    bring = stream(brand.seed, "company").random(len(bill)) < brand.affinity_pct / 100
    company = bring & (goods.partner[item] >= 0)
    more_bill, more_item = _picked_for_the_price(brand, people, bought, goods)
    bills = np.concatenate([bill, bill[company], more_bill, used.bill])
    items = np.concatenate([item, goods.partner[item[company]], more_item, used.item])
    units = np.ones(len(bills))
    units[: len(bill)] += stream(brand.seed, "quantities").random(len(bill)) < TWO_OF_IT_SHARE
    more = slice(len(bills) - len(used.bill) - len(more_bill), len(bills) - len(used.bill))
    units[more] += stream(brand.seed, "quantities for the price").random(len(more_bill)) < TWO_OF_IT_SHARE
    reduced = np.arange(len(bills)) >= len(bills) - len(used.bill)
    reduced[: len(bill)] |= stream(brand.seed, "markdowns").random(len(bill)) < brand.markdown_pct / 100
    keys, place = np.unique(bills * len(goods.price) + items, return_inverse=True)
    bill, item = np.divmod(keys, len(goods.price))
    quantity = np.bincount(place, units)
    return _priced(brand, bought, goods, bill, item, quantity, np.bincount(place, reduced) > 0)


def _picked(brand: Brand, people: Shoppers, bought: Purchases, goods: Assortment) -> tuple[np.ndarray, np.ndarray]:
    extra = stream(brand.seed, "items on a bill").poisson(people.basket_items[bought.shopper] - 1)
    bill = np.repeat(np.arange(len(bought.shopper)), 1 + extra)
    return bill, _items(brand, people, bought, goods, bill, "lines")


def _picked_for_the_price(
    brand: Brand, people: Shoppers, bought: Purchases, goods: Assortment
) -> tuple[np.ndarray, np.ndarray]:
    """What users take on top of what they usually would, because it is reduced in the week of the bill."""
    offered = stream(brand.seed, "picks offered").poisson(most_more(brand) * people.basket_items[bought.shopper])
    bill = np.repeat(np.arange(len(bought.shopper)), offered)
    item = _items(brand, people, bought, goods, bill, "picks offered")
    levels, of_levels = people.price_sensitivity[bought.shopper[bill]], elasticities(brand, np.arange(PRICE_LEVELS))
    depth = depths_at(brand, item, bought.minute[bill])
    taken = are_taken(brand, depth, of_levels[levels, goods.category[item]])
    return bill[taken], item[taken]


def _items(
    brand: Brand, people: Shoppers, bought: Purchases, goods: Assortment, bill: np.ndarray, of: str
) -> np.ndarray:
    """An item for each of the bills' places, by the taste of its shopper; ``of`` names the streams of the draws."""
    shopper = bought.shopper[bill]
    draws = stream(brand.seed, f"categories of {of}").random(len(bill))
    if brand.category_season:
        wanted = people.taste[bought.shopper] * category_factors(brand, bought.minute)
        category = _of_row(wanted / wanted.sum(axis=1, keepdims=True), bill, draws)
    else:
        category = _of_row(people.taste, shopper, draws)
    place = category + stream(brand.seed, f"items of {of}").random(len(bill))
    item = np.zeros(len(bill), dtype=np.int64)
    own = styles(brand, goods, len(people))
    for style in np.unique(own):
        for level, edges in enumerate(choices(goods, _appeal(brand, goods, style))):
            here = (people.price_sensitivity[shopper] == level) & (own[shopper] == style)
            item[here] = np.searchsorted(edges, place[here], side="right")
    return np.minimum(item, len(goods.price) - 1)


def styles(brand: Brand, goods: Assortment, count: int) -> np.ndarray:
    """The colour that each shopper holds to; empty texts where nobody holds to one."""
    if not brand.style_strength or not len(colours(goods)):
        return np.full(count, "", dtype=object)
    return stream(brand.seed, "styles").choice(colours(goods), count)


def _appeal(brand: Brand, goods: Assortment, style: str) -> np.ndarray | float:
    """What a colour of one's own makes of the items' weights: ``exp(strength)`` for those that have it."""
    if not style:
        return 1.0
    return np.exp(brand.style_strength * (goods.frame["colour"].to_numpy(dtype=object) == style))


def category_factors(brand: Brand, minutes: np.ndarray) -> np.ndarray:
    """What the time of the year makes of the taste for each category at local minutes: a row per minute.

    ``exp(strength cos(2 pi (day - peak) / 365.25))``. The first category has its peak on the brand's first day, each
    other one so much of a year after the one before that neighbours lie far apart and all are spread over the year.
    """
    peaks = np.arange(len(brand.categories)) * PEAK_STEP % 1
    years = minutes[:, None] / (MINUTES_A_DAY * DAYS_A_YEAR)
    factors: np.ndarray = np.exp(brand.category_season * np.cos(2 * np.pi * (years - peaks)))
    return factors


def _of_row(shares: np.ndarray, row: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """For each draw, a column of its row of ``shares``, found in all rows laid end to end."""
    width = shares.shape[1]
    edges = (np.cumsum(shares, axis=1) + np.arange(len(shares))[:, None]).ravel()
    column = np.searchsorted(edges, row + draws, side="right") - row * width
    return np.clip(column, 0, width - 1)


def price_factor(brand: Brand, minutes: np.ndarray) -> np.ndarray:
    """What the price change and the shift make of the list prices at local minutes."""
    days = minutes // MINUTES_A_DAY
    factor = shift(brand, days)
    if brand.price_change_on is not None:
        changed = days >= day_of(brand, brand.price_change_on)
        factor = factor * np.where(changed, 1 + brand.price_change_pct / 100, 1.0)
    return factor


def _priced(
    brand: Brand,
    bought: Purchases,
    goods: Assortment,
    bill: np.ndarray,
    item: np.ndarray,
    quantity: np.ndarray,
    reduced: np.ndarray,
) -> Lines:
    price = np.round(goods.price[item] * price_factor(brand, bought.minute[bill]), 2)
    full = price * quantity
    off = np.maximum(MARKDOWN * reduced, depths_at(brand, item, bought.minute[bill]))
    discount = np.round(full * off, 2)
    return Lines(bill, item, quantity, np.round(full - discount, 2), discount)


@dataclass(frozen=True)
class Returns:
    """Returns: the number of the bill that they take back a line of, the number of that line, and the local minute."""

    bill: np.ndarray
    line: np.ndarray
    minute: np.ndarray


def returns(brand: Brand, bought: Purchases, sold: Lines) -> Returns:
    """Of some bills, the first line comes back whole one to 28 days later at the same hour, on a bill of its own."""
    lots = stream(brand.seed, "returns").random((len(bought.minute), 2))
    bill = np.flatnonzero(lots[:, 0] < brand.returns_pct / 100)
    days = 1 + (lots[bill, 1] * RETURN_DAYS).astype(np.int64)
    line = np.searchsorted(sold.bill, bill)
    return Returns(bill, line, bought.minute[bill] + days * MINUTES_A_DAY)

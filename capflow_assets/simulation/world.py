"""The world of one brand: its tables under their canonical names, and the truth, which is in no table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from capflow_assets.simulation import (
    assortment,
    baskets,
    campaigns,
    dirt,
    launches,
    mailing_list,
    passers_by,
    reviews,
    staples,
)
from capflow_assets.simulation.brand import SWITCHED, TABLES, Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY, Clock, Effects, clock, moments
from capflow_assets.simulation.people import AGE_BANDS, INCOME_BANDS, Shoppers, shoppers
from capflow_assets.simulation.purchases import NEVER, Purchases, purchases
from capflow_assets.simulation.streams import stream


@dataclass(frozen=True)
class Truth:
    """What only the maker of the world knows.

    ``users``: one row per known user, but those who pass by (``passers_by``): rate_per_week (bills a week while here,
    on the clock), dropout_chance (to leave after a repeat purchase), dropped_at (the purchase after which the user
    left; null if not before the future ends), is_alive (at the end of the history), price_sensitivity 0..4,
    basket_items, home_store_id, favourite_category, the traits without gaps, and a ``taste_`` column of shares per
    category.
    ``affinities``: one row per pair: item_id brings with_item_id in chance_pct of the lines.
    ``effects``: one row per campaign and reached user: see ``campaigns.true_effects``.
    ``future_bills``: the bills of known users in the ``future_days`` after the end, columns as in ``World.bills``.
    ``launches`` and ``styles``: when items were launched, and what users love in them: see ``launches``; empty without.
    ``readers``: one row per known user where there are newsletters or opt-outs: see ``mailing_list.MailingList``.
    ``items``: the items with all their attributes, of which the customer may send some items without.
    ``clock`` and ``felt``: the time on which BG/NBD holds: see ``clock``.
    ``reviews``: one row per review: is_positive, topic and language (``reviews``).
    """

    users: pd.DataFrame
    affinities: pd.DataFrame
    effects: pd.DataFrame
    future_bills: pd.DataFrame
    readers: pd.DataFrame
    items: pd.DataFrame
    clock: Clock
    felt: Effects
    launches: pd.DataFrame = field(default_factory=pd.DataFrame)
    styles: pd.DataFrame = field(default_factory=pd.DataFrame)
    reviews: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class World:
    """One brand's history, clean, with canonical columns and moments in UTC; ``dirt`` is laid on when files are made.

    ``dirt``: one row per bill: see ``dirt.plan``. ``end`` is a local midnight, in UTC.
    """

    brand: Brand
    bills: pd.DataFrame
    line_items: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame
    stores: pd.DataFrame
    campaigns: pd.DataFrame
    messages: pd.DataFrame
    coupons: pd.DataFrame
    redemptions: pd.DataFrame
    consents: pd.DataFrame
    dirt: pd.DataFrame
    truth: Truth
    reviews: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def end(self) -> pd.Timestamp:
        """The moment at which the history ends."""
        return moments(self.brand, np.array([self.brand.days * MINUTES_A_DAY]))[0]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by their canonical names; without those that are switched off."""
        frames: dict[str, pd.DataFrame] = {name: getattr(self, name) for name in TABLES}
        return {name: frame for name, frame in frames.items() if name not in SWITCHED or len(frame)}


def simulate(brand: Brand) -> World:
    """Make the world of ``brand``. The same brand makes the same world, value by value.

    >>> from capflow_assets.simulation.brand import tiny
    >>> world = simulate(tiny("shop", seed=1, users=20))
    >>> len(world.users), bool((world.bills["billed_at"] < world.end).all())
    (20, True)
    """
    plain, now = clock(brand, shifted=False), clock(brand)
    people = shoppers(brand, plain, assortment.store_shares(brand))
    mailing = campaigns.plan(brand, people)
    felt = mailing.effects(now)
    bought = purchases(brand, people, now, plain, felt)
    goods = assortment.assortment(brand)
    places = assortment.stores(brand)
    used = baskets.redemptions(brand, people, bought, mailing, goods)
    ids = _user_ids(people)
    letters = mailing_list.mailing_list(brand, people, campaigns.messages(brand, mailing, ids), ids[: people.known])
    bills, line_items = _ledger(brand, people, bought, goods, used, places, ids)
    past = (bills["billed_at"] < moments(brand, np.array([brand.days * MINUTES_A_DAY]))[0]).to_numpy()
    history = bills[past].reset_index(drop=True)
    line_items = line_items[line_items["bill_id"].isin(history["bill_id"])].reset_index(drop=True)
    if brand.staples:
        known = pd.Series(ids[: people.known])
        history, line_items = staples.with_staples(brand, history, line_items, goods.frame, known)
    world = World(
        brand=brand,
        bills=history,
        line_items=line_items,
        users=_users(brand, people, ids, places),
        items=_sent_items(brand, goods),
        stores=places,
        campaigns=campaigns.campaigns(brand, mailing),
        messages=letters.messages,
        coupons=_coupons(brand, mailing, goods),
        redemptions=_redemptions(brand, bought, used, mailing, ids),
        consents=letters.consents,
        dirt=dirt.plan(brand, history),
        truth=Truth(
            users=_true_users(brand, people, bought, ids, places),
            affinities=_affinities(brand, goods),
            effects=campaigns.true_effects(brand, mailing, people, ids),
            future_bills=bills[~past & bills["user_id"].notna()].reset_index(drop=True),
            readers=letters.readers,
            items=goods.frame,
            clock=now,
            felt=felt,
        ),
    )
    if brand.launches:
        sold, truth = launches.laid_on(brand, world.tables, world.truth.users, world.truth.future_bills)
        world = replace(world, **sold, truth=replace(world.truth, **truth))
    return _with_reviews(_with_passers_by(world, passers_by.passers_by(brand, plain, goods, places)))


def _with_reviews(world: World) -> World:
    """The world with what its users write, where the brand says that they do."""
    written, truth = reviews.reviews(world.brand, world.line_items, world.end)
    return replace(world, reviews=written, truth=replace(world.truth, reviews=truth))


def _with_passers_by(world: World, extra: passers_by.PassersBy) -> World:
    """The world with further users and their bills, which nothing goes wrong with; it is the same beside them."""
    if extra.bills.empty:
        return world

    def added(rows: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([rows, more]).sort_values("billed_at", kind="stable", ignore_index=True)

    planned = dirt.plan(world.brand.model_copy(update=dirt.NONE), extra.bills)
    bills, both = added(world.bills, extra.bills), pd.concat([world.dirt, planned], ignore_index=True)
    return replace(
        world,
        bills=bills,
        line_items=added(world.line_items, extra.line_items),
        users=pd.concat([world.users, extra.users], ignore_index=True),
        dirt=both.set_index("bill_id").loc[bills["bill_id"]].reset_index(),
    )


def _user_ids(people: Shoppers) -> np.ndarray:
    ids = np.full(len(people), None, dtype=object)
    ids[: people.known] = [f"U{number + 1:07d}" for number in range(people.known)]
    return ids


def _ledger(
    brand: Brand,
    people: Shoppers,
    bought: Purchases,
    goods: assortment.Assortment,
    used: baskets.Redemptions,
    places: pd.DataFrame,
    user_ids: np.ndarray,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bills and line items of purchases and returns, past and future, numbered in the order of time."""
    sold = baskets.lines(brand, people, bought, goods, used)
    back = baskets.returns(brand, bought, sold)
    minute = np.concatenate([bought.minute, back.minute])
    purchase = np.concatenate([np.arange(len(bought.minute)), back.bill])
    bill = np.concatenate([sold.bill, len(bought.minute) + np.arange(len(back.bill))])
    quantity = np.concatenate([sold.quantity, -sold.quantity[back.line]])
    amount = np.concatenate([sold.amount, -sold.amount[back.line]])
    discount = np.concatenate([sold.discount, np.zeros(len(back.line))])
    order = np.argsort(minute, kind="stable")
    place = np.argsort(order, kind="stable")
    bills = pd.DataFrame(
        {
            "bill_id": [f"B{number + 1:08d}" for number in range(len(order))],
            "user_id": user_ids[bought.shopper[purchase]][order],
            "store_id": places["store_id"].to_numpy()[_visited(brand, people, bought)[purchase]][order],
            "billed_at": moments(brand, minute[order]),
            "amount": np.bincount(bill, amount, len(order)).round(2)[order],
            "discount": np.bincount(bill, discount, len(order)).round(2)[order],
            "quantity": np.bincount(bill, quantity, len(order))[order],
        }
    )
    by_bill = np.argsort(place[bill], kind="stable")
    head = bills[["bill_id", "user_id", "store_id", "billed_at"]].take(place[bill][by_bill]).reset_index(drop=True)
    item = np.concatenate([sold.item, sold.item[back.line]])
    line_items = pd.DataFrame(
        {
            "item_id": goods.frame["item_id"].to_numpy()[item[by_bill]],
            "quantity": quantity[by_bill],
            "amount": amount[by_bill],
            "discount": discount[by_bill],
        }
    )
    line_items = pd.concat([head, line_items], axis=1)
    end = moments(brand, np.array([(brand.days + brand.future_days) * MINUTES_A_DAY]))[0]
    return bills[bills["billed_at"] < end], line_items


def _visited(brand: Brand, people: Shoppers, bought: Purchases) -> np.ndarray:
    """The store of each purchase: the home store, or now and then any other by its size."""
    lots = stream(brand.seed, "stores visited").random((len(bought.shopper), 2))
    edges = np.cumsum(assortment.store_shares(brand))[:-1]
    away = lots[:, 0] >= brand.home_store_pct / 100
    return np.where(away, np.searchsorted(edges, lots[:, 1], side="right"), people.home_store[bought.shopper])


def _traits(people: Shoppers, user_ids: np.ndarray) -> pd.DataFrame:
    known = slice(people.known)
    return pd.DataFrame(
        {
            "user_id": user_ids[known],
            "age_band": AGE_BANDS[people.age[known]],
            "income_band": INCOME_BANDS[people.income[known]],
            "household_size": people.household_size[known],
        }
    )


def _users(brand: Brand, people: Shoppers, user_ids: np.ndarray, places: pd.DataFrame) -> pd.DataFrame:
    """The users as the customer has them: some attributes are missing."""
    traits = _traits(people, user_ids).astype({"household_size": "Int64"})
    attributes = ["age_band", "income_band", "household_size"]
    missing = stream(brand.seed, "missing attributes").random((people.known, len(attributes)))
    traits[attributes] = traits[attributes].mask(missing < brand.attributes_missing_pct / 100)
    traits.insert(1, "joined_at", moments(brand, people.joined[: people.known]))
    return traits.assign(city=places["city"].to_numpy()[people.home_store[: people.known]])


def _true_users(
    brand: Brand, people: Shoppers, bought: Purchases, user_ids: np.ndarray, places: pd.DataFrame
) -> pd.DataFrame:
    known = slice(people.known)
    left = bought.left[known]
    names = [category.name for category in brand.categories]
    taste = pd.DataFrame(people.taste[known], columns=[f"taste_{name.replace(' ', '_')}" for name in names])
    values = pd.DataFrame(
        {
            "joined_at": moments(brand, people.joined[known]),
            "rate_per_week": people.rate_per_week[known],
            "dropout_chance": people.dropout_chance[known],
            "dropped_at": pd.Series(moments(brand, left)).where(left != NEVER),
            "is_alive": (left == NEVER) | (left >= brand.days * MINUTES_A_DAY),
            "price_sensitivity": people.price_sensitivity[known],
            "basket_items": people.basket_items[known],
            "home_store_id": places["store_id"].to_numpy()[people.home_store[known]],
            "favourite_category": np.array(names, dtype=object)[people.taste[known].argmax(axis=1)],
        }
    )
    return pd.concat([_traits(people, user_ids), values, taste], axis=1)


def _sent_items(brand: Brand, goods: assortment.Assortment) -> pd.DataFrame:
    """The items as the customer has them: of some, category and colour are missing."""
    is_bare = stream(brand.seed, "missing tags").random(len(goods.frame)) < brand.tags_missing_pct / 100
    tags = [name for name in ("category", "colour") if name in goods.frame]
    frame = goods.frame.copy()
    frame[tags] = frame[tags].mask(np.repeat(is_bare[:, None], len(tags), axis=1))
    return frame


def _affinities(brand: Brand, goods: assortment.Assortment) -> pd.DataFrame:
    items = goods.frame["item_id"].to_numpy()
    first = np.flatnonzero(goods.partner >= 0)
    return pd.DataFrame(
        {"item_id": items[first], "with_item_id": items[goods.partner[first]], "chance_pct": brand.affinity_pct}
    )


def _coupons(brand: Brand, mailing: campaigns.Plan, goods: assortment.Assortment) -> pd.DataFrame:
    campaign, item = campaigns.coupon_items(brand, goods.popularity)
    return pd.DataFrame(
        {
            "coupon_id": campaigns.coupon_ids(len(campaign)),
            "campaign_id": mailing.ids()[campaign],
            "item_id": goods.frame["item_id"].to_numpy()[item],
        }
    )


def _redemptions(
    brand: Brand, bought: Purchases, used: baskets.Redemptions, mailing: campaigns.Plan, user_ids: np.ndarray
) -> pd.DataFrame:
    count = len(campaigns.coupon_items(brand, np.ones(brand.items))[0])
    frame = pd.DataFrame(
        {
            "user_id": user_ids[bought.shopper[used.bill]],
            "coupon_id": campaigns.coupon_ids(count)[used.coupon],
            "campaign_id": mailing.ids()[used.campaign],
            "redeemed_at": moments(brand, bought.minute[used.bill]),
        }
    )
    return frame.sort_values(["redeemed_at", "user_id"], kind="stable", ignore_index=True)

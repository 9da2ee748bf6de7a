"""What to expect, for someone who knows the laws; and what then happened.

Both work at any moment of the history, so that a model can be held against them where it is trained and where it is
served.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import days_after
from capflow_assets.simulation import price_cuts
from capflow_assets.simulation.assortment import store_shares
from capflow_assets.simulation.baskets import TWO_OF_IT_SHARE, category_factors
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.campaigns import CHANNELS, action_uplift
from capflow_assets.simulation.clock import clock, local_minutes
from capflow_assets.simulation.people import shoppers
from capflow_assets.simulation.purchases import favourite_hours
from capflow_assets.simulation.world import World


def expected_purchases(world: World, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    """Expected bills in the horizon of local days after ``as_of``. One row per known user who had come by then.

    Columns:
        user_id
        is_alive: whether the user is still a customer at ``as_of`` (the truth).
        purchases_knowing_all: given the user's own rate, dropout chance and whether alive,
            ``(1 - exp(-p rate t)) / p`` if alive, else 0.
        p_alive: chance to be alive given the user's bills and the laws of the crowd,
            ``1 / (1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x)) ** (r + x))``.
        purchases: expected bills given the same; what no model can beat on average. Fader, Hardie and Lee (2005),
            equation 10, after Euler's transformation, which keeps it finite for users with many bills:
            ``p_alive (a + b + x - 1) / (a - 1) (1 - v ** (a - 1) 2F1(a + b - 1 - r, a - 1; a + b + x - 1; 1 - v))``
            with ``v = (alpha + T) / (alpha + T + t)``.
        p_purchase: chance of a bill in the horizon given the same: ``p_alive (1 - v ** (r + x))``. Of users who are
            still here the rate is a Gamma of ``r + x`` and ``alpha + T``, and none leaves before the next bill.
        Times are felt time, so seasons, shifts and running campaigns are known to it.

    Raises:
        CapflowError: the horizon reaches past the future that the world has, or purchases come in a rhythm.
    """
    if world.brand.regularity > 1:
        raise CapflowError(
            "The oracle knows the laws of purchases at random only",
            expected="a regularity of 1",
            came=str(world.brand.regularity),
        )
    start, end = _horizon(world, as_of, horizon_days)
    users = world.truth.users
    number = np.flatnonzero(users["joined_at"] <= start)
    users = users.iloc[number]
    past = _purchases(world)
    past = past[past["billed_at"] <= start].groupby("user_id")["billed_at"].agg(["size", "max"]).loc[users["user_id"]]
    joined = _felt(world, users["joined_at"], number)
    now = _felt(world, pd.Series(start, users.index), number)
    ahead = _felt(world, pd.Series(end, users.index), number) - now
    alive = (users["dropped_at"].isna() | (users["dropped_at"] > start)).to_numpy()
    chance, rate = users["dropout_chance"].to_numpy(), users["rate_per_week"].to_numpy()
    x, last = past["size"].to_numpy() - 1, _felt(world, past["max"], number) - joined
    age, brand = now - joined, world.brand
    p_alive, purchases = given_history(brand, x, last, age, ahead)
    silent = ((brand.alpha_weeks + age) / (brand.alpha_weeks + age + ahead)) ** (brand.r + x)
    return pd.DataFrame(
        {
            "user_id": users["user_id"].to_numpy(),
            "is_alive": alive,
            "purchases_knowing_all": alive * -np.expm1(-chance * rate * ahead) / chance,
            "p_alive": p_alive,
            "purchases": purchases,
            "p_purchase": p_alive * (1 - silent),
        }
    )


def second_purchase_chances(world: World, as_of: datetime, horizon_days: int) -> pd.Series:
    """The chance of a second bill in the horizon, of the known users with one bill by then; indexed by user_id.

    A user who has waited for ``T`` and is no passer-by buys within ``t`` with the chance
    ``1 - ((alpha + T) / (alpha + T + t)) ** r``. By Bayes, one passed by with the odds of ``pi [all is reduced]`` to
    ``(1 - pi) m ** n (alpha / (alpha + T)) ** r``, where ``pi`` is the share of passers-by in all users: of others a
    bill of ``n`` lines is all reduced by markdowns ``m`` alone. Weeks are felt time; companions, which are never
    reduced, count as other lines do.

    Raises:
        CapflowError: the horizon reaches past the future that the world has.
    """
    brand, (start, end) = world.brand, _horizon(world, as_of, horizon_days)
    bills = _purchases(world)
    past = bills[bills["billed_at"] <= start].groupby("user_id").agg({"bill_id": ["size", "max"], "billed_at": "max"})
    once = past[past["bill_id", "size"] == 1]
    reduced = world.line_items.assign(is_reduced=world.line_items["discount"] > 0)
    lines = reduced.groupby("bill_id")["is_reduced"].agg(["size", "all"])
    count, is_reduced = (column.to_numpy() for _, column in lines.loc[once["bill_id", "max"]].items())
    number = pd.Index(world.truth.users["user_id"]).get_indexer(once.index)
    joined, now, then = (
        np.where(number >= 0, _felt(world, moment, number), _on_the_clock(world, moment))
        for moment in (once["billed_at", "max"], pd.Series(start, once.index), pd.Series(end, once.index))
    )
    waited, ahead, alpha = now - joined, then - now, brand.alpha_weeks
    share = brand.one_time_users / (brand.one_time_users + brand.users)
    by_markdown = np.where(is_reduced, (brand.markdown_pct / 100) ** count, 1.0)
    others = (1 - share) * (alpha / (alpha + waited)) ** brand.r * by_markdown
    comes = 1 - ((alpha + waited) / (alpha + waited + ahead)) ** brand.r
    return pd.Series(others / (others + share * is_reduced) * comes, once.index, name="chance")


def outcome(world: World, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    """What happened in ``(as_of, as_of + horizon]``, of local days. One row per known user who had come by then.

    Columns: user_id; purchases (bills above 0); spend (their sum, in the brand's currency). Users who bought nothing
    have zeros.

    Raises:
        CapflowError: the horizon reaches past the future that the world has.
    """
    start, end = _horizon(world, as_of, horizon_days)
    bills = _purchases(world)
    bills = bills[(bills["billed_at"] > start) & (bills["billed_at"] <= end)]
    sums = bills.groupby("user_id")["amount"].agg(purchases="size", spend="sum").round(2)
    users = world.truth.users.loc[world.truth.users["joined_at"] <= start, "user_id"]
    return sums.reindex(users, fill_value=0).rename_axis("user_id").reset_index()


def category_chances(world: World, as_of: datetime) -> pd.DataFrame:
    """The chance of each category for a line of a bill at a moment: the user's taste in that season.

    One row per known user, indexed by user_id, a column per category. Companions of other categories and coupons,
    which add lines of their own, are left out.
    """
    users = world.truth.users
    categories = world.brand.categories
    taste = users[[f"taste_{category.name.replace(' ', '_')}" for category in categories]].to_numpy()
    minute = local_minutes(world.brand, pd.DatetimeIndex([pd.Timestamp(as_of)]))
    wanted = taste * category_factors(world.brand, minute)
    return pd.DataFrame(
        wanted / wanted.sum(axis=1, keepdims=True),
        index=pd.Index(users["user_id"]),
        columns=[category.name for category in categories],
    )


def elasticities(world: World) -> pd.DataFrame:
    """By how many per cent each known user buys more of a category's item that costs 1 % more; below 0.

    One row per known user, indexed by user_id, a column per category. They show where items have reduced weeks.
    """
    users = world.truth.users
    rows = price_cuts.elasticities(world.brand, users["price_sensitivity"].to_numpy())
    return pd.DataFrame(rows, pd.Index(users["user_id"]), [category.name for category in world.brand.categories])


def weekly_pieces(world: World, as_of: datetime, weeks: int) -> pd.DataFrame:
    """The expected pieces of each store and category in each of the weeks of local days after ``as_of``.

    Columns ``store_id``, ``category``, ``week`` (from 0), ``pieces``. Of the users who are here at ``as_of``: bills of
    theirs by ``rate_per_week``, on each ``basket_items`` lines by taste in the middle of the week, some of two pieces,
    in the home store or any other by its size. Who joins or leaves later, shoppers without a card, campaigns,
    companions and coupons are left out.
    """
    brand, users = world.brand, world.truth.users
    here = (users["joined_at"] <= as_of) & (users["dropped_at"].isna() | (users["dropped_at"] > as_of))
    number, known = np.flatnonzero(here), users[here]
    stores, home = world.stores["store_id"].to_numpy(), brand.home_store_pct / 100
    visits = home * (known["home_store_id"].to_numpy()[:, None] == stores) + (1 - home) * store_shares(brand)
    parts = []
    for week in range(weeks):
        start, end = (pd.Timestamp(days_after(as_of, 7 * step, brand.time_zone)) for step in (week, week + 1))
        felt = _felt(world, pd.Series(end, known.index), number) - _felt(world, pd.Series(start, known.index), number)
        pieces = known["rate_per_week"] * felt * known["basket_items"] * (1 + TWO_OF_IT_SHARE)
        chances = category_chances(world, start + (end - start) / 2).loc[known["user_id"]]
        cells = (visits * pieces.to_numpy()[:, None]).T @ chances.to_numpy()
        frame = pd.DataFrame(cells, columns=chances.columns).assign(store_id=stores, week=week)
        parts.append(frame.melt(["store_id", "week"], var_name="category", value_name="pieces"))
    return pd.concat(parts, ignore_index=True)


def week_hours(world: World) -> pd.DataFrame:
    """The chance that a later visit of each known user is in each local hour of the week.

    Index ``user_id``, columns 0 to 167, 0 is Monday from midnight to one; rows add up to 1. Seasons change weeks and
    not what is within one.
    """
    brand, users = world.brand, world.truth.users["user_id"]
    week, hours = (np.array(profile) / np.sum(profile) for profile in (brand.week, brand.hours))
    # Shoppers without a card are numbered after the known ones, so that the first draws are these.
    own = np.eye(len(hours))[favourite_hours(brand, len(users))]
    share = brand.own_hours_pct / 100
    by_hour = (1 - share) * hours + share * own
    chances = (week[:, None] * by_hour[:, None, :]).reshape(len(users), -1)
    return pd.DataFrame(chances, index=pd.Index(users, name="user_id"))


def _purchases(world: World) -> pd.DataFrame:
    bills = pd.concat([world.bills, world.truth.future_bills])
    return bills[bills["user_id"].notna() & (bills["amount"] > 0)]


def _horizon(world: World, as_of: datetime, horizon_days: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The moment and the end of its horizon, so many of the brand's local days later."""
    zone = world.brand.time_zone
    start, end = pd.Timestamp(as_of), pd.Timestamp(days_after(as_of, horizon_days, zone))
    last = pd.Timestamp(days_after(world.end, world.brand.future_days, zone))
    if start > world.end or end > last:
        raise CapflowError(
            "The oracle cannot see that far",
            expected=f"a moment up to {world.end} and a horizon up to {last}",
            came=f"{start} to {end}",
            do="simulate a brand with more future_days",
        )
    return start, end


def _felt(world: World, moments: pd.Series, number: np.ndarray) -> np.ndarray:
    return world.truth.felt.felt(_on_the_clock(world, moments), number)


def _on_the_clock(world: World, moments: pd.Series) -> np.ndarray:
    return world.truth.clock.weeks_at(local_minutes(world.brand, pd.DatetimeIndex(moments)))


def given_history(
    brand: Brand, x: np.ndarray, last: np.ndarray, age: np.ndarray, ahead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``p_alive`` and expected purchases of users with ``x`` repeat purchases, the ``last`` of them at that age.

    All times in weeks of felt time since the first bill; formulas in ``expected_purchases``.

    >>> from capflow_assets.simulation.brand import tiny
    >>> cdnow = tiny("cdnow", seed=0, r=0.243, alpha_weeks=4.414, a=0.793, b=2.426)
    >>> _, purchases = given_history(cdnow, *(np.array([value]) for value in (2, 30.43, 38.86, 39.0)))
    >>> float(purchases[0].round(3))
    1.226
    """
    from scipy.special import expit, hyp2f1

    # The equation has a hole at a = 1, where it has a limit: stepping beside it costs less than it rounds away.
    r, alpha, a, b = brand.r, brand.alpha_weeks, brand.a if abs(brand.a - 1) > 1e-6 else 1 + 1e-6, brand.b
    with np.errstate(divide="ignore"):
        odds_gone = np.log(a) - np.log(np.where(x > 0, b + x - 1, np.inf))
    p_alive = expit(-(odds_gone + (r + x) * (np.log(alpha + age) - np.log(alpha + last))))
    v = (alpha + age) / (alpha + age + ahead)
    tail = v ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, 1 - v)
    return p_alive, p_alive * (a + b + x - 1) / (a - 1) * (1 - tail)


def action_effects(world: World, as_of: datetime) -> pd.DataFrame:
    """The extra bills that each message has of each known user who had come by a moment, if a campaign began then.

    Index ``user_id``; a column per channel and offer, by the names of ``learning.actions``: ``email``,
    ``email with coupon``. Rate, times uplift, times the weeks of a campaign; 0 for those who have left.
    """
    brand, start = world.brand, pd.Timestamp(as_of)
    truth = world.truth.users
    people = shoppers(brand, clock(brand, shifted=False), store_shares(brand))
    users = truth[truth["joined_at"] <= start]
    uplifts = action_uplift(brand, people)[users.index]
    is_alive = (users["dropped_at"].isna() | (users["dropped_at"] > start)).to_numpy()
    bills = users["rate_per_week"].to_numpy() * is_alive * brand.campaign_days / 7
    names = [f"{channel}{tail}" for channel in CHANNELS for tail in ("", " with coupon")]
    effects = bills[:, None] * uplifts.reshape(len(users), len(names))
    return pd.DataFrame(effects, index=pd.Index(users["user_id"]), columns=names)

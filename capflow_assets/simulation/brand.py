"""Every dial of one simulated customer, and the ready-made ones.

``BOOTS`` sells shoes by the season and sends day-first CSV with its own column names. ``CAFE`` sells small and often,
mostly to people without a card, and sends Parquet. ``tiny`` is for tests.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from capflow_assets.simulation.categories import MENU, SHOES, Category
from capflow_assets.simulation.shape import BOOTS_SHAPE, CAFE_SHAPE, Shape

TABLES = (
    *("bills", "line_items", "users", "items", "stores"),
    *("campaigns", "messages", "coupons", "redemptions", "consents", "reviews"),
)
# Those that are there by a switch only.
SWITCHED = ("consents", "reviews")
FLAT_WEEK = (1.0,) * 7
FLAT_DAY = (1.0,) * 24
SHOP_WEEK = (0.7, 0.7, 0.8, 0.9, 1.2, 1.7, 1.0)
SHOP_DAY = (0.0,) * 9 + (0.5, 0.8, 1.1, 1.4, 1.3, 1.0, 1.0, 1.2, 1.5, 1.3, 0.7) + (0.0,) * 4
CAFE_WEEK = (1.2, 1.2, 1.2, 1.2, 1.2, 0.7, 0.3)
CAFE_DAY = (0.0,) * 7 + (1.2, 2.0, 1.6, 1.2, 1.2, 0.8, 1.0, 1.1, 0.7, 0.6, 0.6, 0.4, 0.2) + (0.0,) * 4


class Brand(BaseModel):
    """One simulated customer. Every field is a law, a size or a switch; equal brands make equal worlds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    vertical: str
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    time_zone: str = "UTC"
    seed: int = Field(default=0, ge=0)

    users: int = Field(default=1000, ge=1, description="Users known by a card.")
    one_time_users: int = Field(
        default=0, ge=0, description="Users on top who come once, for what is reduced, and never again."
    )
    items: int = Field(default=100, ge=2)
    stores: int = Field(default=5, ge=1)
    start: date = date(2024, 1, 1)
    days: int = Field(default=731, ge=1, description="Local days of history from start; it ends at a local midnight.")
    future_days: int = Field(default=90, ge=0, le=730, description="Days after the end that only the truth knows.")
    opening_pct: float = Field(default=40, ge=0, le=100, description="Share of the users who come in the opening days.")
    opening_days: int = Field(default=60, ge=1)

    r: float = Field(default=0.8, gt=0, description="Shape of the Gamma of the buying rates.")
    alpha_weeks: float = Field(default=8.0, gt=0, description="Rate of that Gamma; the mean is r / alpha bills a week.")
    a: float = Field(default=0.8, gt=0, description="Beta(a, b) of the chance to leave after a repeat purchase.")
    b: float = Field(default=5.0, gt=0)
    regularity: int = Field(
        default=1, ge=1, le=12, description="Gaps between purchases are Erlang of so many stages: 1 is at random."
    )

    season_strength: float = Field(default=0.0, ge=0, lt=1, description="Swing of the buying rate over the year.")
    season_peak_day: int = Field(default=330, ge=1, le=366)
    week: tuple[float, ...] = Field(
        default=FLAT_WEEK, min_length=7, max_length=7, description="Weights from Monday on."
    )
    hours: tuple[float, ...] = Field(default=FLAT_DAY, min_length=24, max_length=24)

    own_hours_pct: float = Field(
        default=0,
        ge=0,
        le=100,
        description="Share of a user's bills paid at the hour of the day that the user prefers.",
    )

    categories: tuple[Category, ...] = Field(default=SHOES, min_length=1)
    makers: tuple[str, ...] = Field(
        default=("Own", "Alder", "Birch"), min_length=1, description="The first is the own brand."
    )
    taste_concentration: float = Field(default=0.7, gt=0, description="Small: everybody loves one category.")
    category_season: float = Field(
        default=0.0, ge=0, le=3, description="How strongly each category has a time of the year of its own; 0: none."
    )
    zipf: float = Field(default=1.0, ge=0)
    items_per_bill: float = Field(default=2.0, ge=1)
    affinities: int = Field(default=5, ge=0, description="Pairs of items that go together.")
    affinity_pct: float = Field(default=40, ge=0, le=100, description="Chance that the first item brings the second.")
    staples: int = Field(
        default=0, ge=0, description="Items that users use up at their own pace and buy again; 0: none."
    )
    markdown_pct: float = Field(default=10, ge=0, le=100, description="Share of the lines sold at a fifth off.")
    reduced_weeks_pct: float = Field(
        default=0,
        ge=0,
        le=100,
        description="Share of the weeks in which an item is reduced for all; they take more of it, by elasticities.",
    )
    elasticity_step: float = Field(
        default=0.5, ge=0, le=3, description="How far one level of price sensitivity moves a user's elasticity then."
    )
    launches: int = Field(default=0, ge=0, description="Items on top that come one after the other, evenly over time.")
    launch_bills_pct: float = Field(default=30, ge=0, le=100, description="Share of the bills with a launched item.")
    launch_users_pct: float = Field(default=100, ge=0, le=100, description="Share of the users who buy launched items.")
    launch_style: float = Field(default=2.0, ge=0, description="How much users hold to styles in launched items.")
    home_store_pct: float = Field(default=80, ge=0, le=100)
    cities: tuple[str, ...] = Field(default=("Northtown", "Southport", "Eastham", "Westbury"), min_length=1)
    latitude: float = Field(default=51.5, ge=-89, le=89)
    longitude: float = Field(default=-0.1, ge=-179, le=179)

    campaigns: int = Field(default=4, ge=0)
    campaign_days: int = Field(default=21, ge=1)
    campaign_reach_pct: float = Field(default=50, ge=0, le=100)
    control_pct: float = Field(default=20, ge=0, le=100, description="Share of the reached who are held out.")
    campaign_uplift_pct: float = Field(default=50, ge=0, description="Effect on the rate before the traits weigh in.")
    campaign_answers: Literal["traits", "rare", "actions"] = Field(
        default="traits",
        description="Who answers: by age and income band; those who buy rarely and nobody else; or each age band its "
        "own channel, and each income band messages with a coupon or without.",
    )
    campaign_pairs: bool = Field(
        default=False, description="Campaigns begin two at a time, of which each reached user is drawn for one."
    )
    own_channel_pct: float = Field(
        default=0, ge=0, le=100, description="How much users hold to a channel of their own; at 100 they open no other."
    )
    redemption_pct: float = Field(
        default=20, ge=0, le=100, description="Share of a treated user's bills that use a coupon."
    )
    redemption_answers: Literal["all", "thrifty"] = Field(
        default="all", description="Who uses coupons: all alike, or the more the price weighs, and nobody else."
    )

    reviews: int = Field(default=0, ge=0, description="Reviews that users write of what they bought, at most.")
    recordings: int = Field(default=0, ge=0, description="Recordings of callers.")
    recordings_labelled_pct: float = Field(default=70, ge=0, le=100, description="Share of them with a label.")
    reviews_rated_pct: float = Field(default=60, ge=0, le=100, description="Share of the reviews with stars.")
    newsletters_a_week: float = Field(
        default=0, ge=0, le=5, description="Newsletters to a user on average, besides the campaigns' messages."
    )
    opt_out_pct: float = Field(
        default=0,
        ge=0,
        le=100,
        description="Opt-outs in a week of 100 users with one message a week who open half; 0: nobody is asked.",
    )
    pictures_pct: float = Field(default=0, ge=0, le=100, description="Share of the items that have a picture.")
    tags_missing_pct: float = Field(
        default=0, ge=0, le=100, description="Share of the items sent without category and colour; the truth has them."
    )
    style_strength: float = Field(
        default=0, ge=0, le=5, description="How strongly shoppers hold to a colour of their own; 0: not at all."
    )

    anonymous_pct: float = Field(default=0, ge=0, lt=100, description="Share of the shoppers who show no card.")
    returns_pct: float = Field(default=0, ge=0, le=100)

    shift_on: date | None = None
    shift_kind: Literal["gradual", "sudden", "seasonal"] = "sudden"
    shift_factor: float = Field(default=1.0, gt=0, description="On the buying rate and on the prices paid.")
    shift_ramp_days: int = Field(default=90, ge=1, description="How long a gradual shift takes.")
    price_change_on: date | None = None
    price_change_pct: float = Field(default=0.0, gt=-100)

    duplicates_pct: float = Field(
        default=0, ge=0, le=100, description="Share of the bills that are sent twice, lines and all."
    )
    wrong_types: int = Field(default=0, ge=0, description="Bills whose total or date is not one. CSV only.")
    anomalies: int = Field(default=0, ge=0, description="Bills whose first line has a thousand times its quantity.")
    discount_frauds: int = Field(default=0, ge=0, description="Bills with 60 to 95 % off that no markdown explains.")
    refund_frauds: int = Field(default=0, ge=0, description="Cards to which a store pays back six bills of others.")
    corrected_pct: float = Field(
        default=0, ge=0, le=100, description="Bills sent with ten times the total, mended later."
    )
    late_rows_pct: float = Field(default=0, ge=0, le=100, description="Bills that arrive one to fourteen days late.")
    label_delay_days: int = Field(default=0, ge=0, description="How many days after the fact every bill arrives.")
    half_empty_from: date | None = Field(default=None, description="From here every other bill never arrives.")
    attributes_missing_pct: float = Field(default=0, ge=0, le=100)
    sends: tuple[str, ...] = Field(default=TABLES, description="The tables that the customer sends.")
    shape: Shape = Shape()

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"expected an IANA time zone such as Europe/London, came {value!r}") from error
        return value

    @field_validator("week", "hours")
    @classmethod
    def _is_a_profile(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) < 0 or sum(value) <= 0:
            raise ValueError("expected weights of at least 0, and one above it")
        return value

    @field_validator("sends")
    @classmethod
    def _are_tables(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := sorted(set(value) - set(TABLES)):
            raise ValueError(f"expected tables among {', '.join(TABLES)}, came {', '.join(strangers)}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Brand:
        rules = {
            "items must be at least as many as categories": self.items >= len(self.categories),
            "affinities need two items each": self.items >= 2 * self.affinities,
            "staples are items": self.items >= self.staples,
            "campaigns must fit into the days, with a day between": self.days
            >= self.campaigns * (self.campaign_days + 1),
            "wrong_types need a CSV shape": self.shape.source == "csv" or not self.wrong_types,
        }
        if broken := [rule for rule, holds in rules.items() if not holds]:
            raise ValueError("; ".join(broken))
        return self

    @property
    def end(self) -> date:
        """The first local day after the history."""
        return self.start + timedelta(days=self.days)


BOOTS = Brand(
    name="boots",
    vertical="footwear",
    currency="GBP",
    time_zone="Europe/London",
    seed=11,
    users=3000,
    items=240,
    stores=12,
    season_strength=0.35,
    week=SHOP_WEEK,
    hours=SHOP_DAY,
    r=1.1,
    alpha_weeks=8.0,
    a=0.7,
    b=4.5,
    items_per_bill=1.6,
    affinities=12,
    campaigns=8,
    cities=("London", "Leeds", "Bristol", "Glasgow", "Cardiff"),
    launches=180,
    launch_bills_pct=40,
    reviews=1500,
    recordings=240,
    newsletters_a_week=1,
    opt_out_pct=1,
    anonymous_pct=8,
    returns_pct=6,
    duplicates_pct=0.5,
    wrong_types=25,
    anomalies=2,
    corrected_pct=0.2,
    late_rows_pct=2,
    attributes_missing_pct=15,
    pictures_pct=90,
    shape=BOOTS_SHAPE,
)
CAFE = Brand(
    name="cafe",
    vertical="food_and_beverage",
    currency="EUR",
    time_zone="Europe/Madrid",
    seed=12,
    users=2500,
    items=80,
    stores=8,
    categories=MENU,
    week=CAFE_WEEK,
    hours=CAFE_DAY,
    r=0.9,
    alpha_weeks=1.1,
    a=0.6,
    b=14.0,
    items_per_bill=1.9,
    affinities=8,
    campaigns=6,
    campaign_days=14,
    cities=("Madrid", "Toledo", "Segovia"),
    latitude=40.4,
    longitude=-3.7,
    anonymous_pct=25,
    returns_pct=0.3,
    duplicates_pct=0.1,
    late_rows_pct=0.5,
    attributes_missing_pct=40,
    shape=CAFE_SHAPE,
)


def tiny(name: str, seed: int, users: int = 120, days: int = 400, **dials: Any) -> Brand:
    """A brand for tests: made and written in a moment, with a bit of everything but dirt. ``dials`` override.

    >>> tiny("shop", seed=1, returns_pct=0).end.isoformat()
    '2025-02-04'
    """
    small: dict[str, Any] = {
        "vertical": "footwear",
        "items": 30,
        "stores": 3,
        "r": 1.5,
        "alpha_weeks": 6.0,
        "a": 0.8,
        "b": 6.0,
        "week": SHOP_WEEK,
        "hours": SHOP_DAY,
        "campaigns": min(2, days // 60),
        "affinities": 3,
        "returns_pct": 3,
        "anonymous_pct": 5,
    }
    return Brand(name=name, seed=seed, users=users, days=days, **(small | dials))

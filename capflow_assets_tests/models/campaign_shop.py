"""A simulated shop that runs campaigns, written straight into a lake: whom they truly change is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.home.places import Home
from capflow_assets.life.examples import ExampleReader
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHOP, MODEL, ZONE = "shop", "campaign_uplift", "Europe/Madrid"
TABLES = ("bills", "users", "campaigns", "messages", "coupons", "redemptions", "consents")
# Users who stay and come three times a month; half of those reached by a campaign are held out.
STEADY: dict[str, Any] = {"r": 4.0, "alpha_weeks": 6.0, "a": 0.5, "b": 40.0, "returns_pct": 0, "anonymous_pct": 0}
MAILED = {"campaigns": 4, "campaign_reach_pct": 80, "control_pct": 50, "opening_pct": 80}


@dataclass(frozen=True)
class CampaignShop:
    """The world, the home whose lake holds its tables, and the reader of the model's examples."""

    world: World
    place: Deployment
    reader: ExampleReader

    @property
    def as_of(self) -> datetime:
        return self.world.end.to_pydatetime()

    def true_effect(self, campaign: str) -> pd.Series:
        """The extra visits that a campaign has of each of its users if addressed: rate, times uplift, times weeks."""
        world = self.world
        begins = world.campaigns.set_index("campaign_id").loc[campaign, "starts_at"]
        effects = world.truth.effects.query("campaign_id == @campaign").set_index("user_id")
        users = world.truth.users.set_index("user_id").loc[effects.index]
        is_alive = users["dropped_at"].isna() | (users["dropped_at"] > begins)
        weeks = world.brand.campaign_days / 7
        return users["rate_per_week"] * is_alive * weeks * effects["uplift_if_treated_pct"] / 100


def campaign_shop(root: Path, spark: SparkSession, users: int = 1500, model: str = MODEL, **dials: Any) -> CampaignShop:
    """The shop of a brand with these dials, in a new home, and the examples of a model that reads no line items."""
    brand = tiny(SHOP, seed=8, users=users, days=420, time_zone=ZONE, **(STEADY | MAILED | dials))
    world = simulate(brand)
    (root / "customers").mkdir(parents=True)
    (root / "customers" / f"{SHOP}.toml").write_text(_toml(TABLES if len(world.consents) else TABLES[:-1]))
    stages = replace(STAGES, models={model: STAGES.model(model)})
    place = Deployment(Home.of(root, {}), stages, SOURCES, Engine())
    for table, frame, more in (
        ("clean/bills", _bills(world), ""),
        ("clean/users", _users(world), "age_band string, income_band string, household_size bigint"),
        ("raw/campaigns", world.campaigns, ""),
        ("raw/messages", world.messages, ""),
        ("raw/coupons", world.coupons, ""),
        ("raw/redemptions", world.redemptions, ""),
        *((("raw/consents", world.consents, ""),) if len(world.consents) else ()),
    ):
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        place.lake.write(frame_of(spark, STAGES.tables[table].table, rows, more), SHOP, table)
    reader = ExampleReader(place.lake, place.stages, place.customer(SHOP), place.stages.model(model))
    return CampaignShop(world, place, reader)


def _bills(world: World) -> pd.DataFrame:
    days = world.bills["billed_at"].dt.tz_convert(ZoneInfo(ZONE)).dt.date
    return world.bills.assign(billed_on=days, is_return=False, is_anonymous=world.bills["user_id"].isna())


def _users(world: World) -> pd.DataFrame:
    return world.users.assign(known_since=world.users["joined_at"], is_listed=True)


def _toml(names: Sequence[str]) -> str:
    head = f'name = "{SHOP}"\nvertical = "footwear"\ncurrency = "EUR"\ntime_zone = "{ZONE}"\n'
    columns = {
        "bills": 'bill_id = "bill_id", billed_at = "billed_at", amount = "amount", user_id = "user_id"',
        "users": 'user_id = "user_id"',
        "campaigns": 'campaign_id = "campaign_id", starts_at = "starts_at"',
        "messages": 'campaign_id = "campaign_id", user_id = "user_id", is_control = "is_control"',
        "coupons": 'coupon_id = "coupon_id", campaign_id = "campaign_id"',
        "redemptions": 'user_id = "user_id", coupon_id = "coupon_id", redeemed_at = "redeemed_at"',
        "consents": 'user_id = "user_id", status = "status", captured_at = "captured_at"',
    }
    tables = (
        f'[tables.{name}]\nsource = "csv"\nlocation = "s3://shop/{name}.csv"\ncolumns = {{ {columns[name]} }}\n'
        for name in names
    )
    return head + "".join(tables)

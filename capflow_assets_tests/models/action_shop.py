"""The simulated shop whose users each answer another action: what each action brings each of them is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from capflow_assets.life.split import Split, split_in_time
from capflow_assets.models.next_best_action import NextBestActionParams
from capflow_assets.simulation.oracle import action_effects
from capflow_assets_tests.models.campaign_shop import CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = NextBestActionParams(threads=1)


@dataclass(frozen=True)
class ActionShop:
    """The shop, and the examples of a training of ``next_best_action`` there."""

    shop: CampaignShop

    @cached_property
    def split(self) -> Split:
        return split_in_time(self.shop.reader, PARAMS, self.shop.as_of)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """The extra visits that each action has of each user of the newest campaign; nothing has none."""
        effects = action_effects(self.shop.world, self.split.test_moment)
        return effects.reindex(self.split.test.columns.index).assign(nothing=0.0)


def action_shop(root: Path, spark: SparkSession) -> ActionShop:
    """Pairs of campaigns, one of them with coupons, three tenths of whose users are held out."""
    dials = {"campaigns": 8, "campaign_pairs": True, "campaign_answers": "actions", "campaign_uplift_pct": 100}
    return ActionShop(campaign_shop(root, spark, model="next_best_action", control_pct=30, **dials))

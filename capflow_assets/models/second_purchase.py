"""Who of those who bought once buys a second time within ninety days.

Only users are asked about whose purchases all lie on one local day. What is known of them is one bill: how long ago it
was, how large, and how much of it was reduced (``learning.objectives.chance``). Another bill on that day is no second
purchase.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from capflow_assets.contract import Needs, Outcome, Search, Subject
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

AGAIN = "bought_again"
RFM = {
    "recency_days": "bought {:.0f} days ago",
    "spend_total": "{:,.2f} spent, less returns",
    "returns_total": "{:,.2f} brought back",
}
BASKETS = {
    "purchase_amount_avg": "{:,.2f} paid on the bill",
    "pieces_avg": "{:.1f} pieces on the bill",
    "items_avg": "{:.1f} different items on the bill",
    "piece_price_avg": "{:,.2f} paid a piece",
}
PROMOTION = {
    "discount_share": "{:.0%} of the full price taken off",
    "discounted_line_share": "{:.0%} of the line items reduced",
    "coupons_used": "{:.0f} coupons used",
}


class SecondPurchaseParams(ChanceParams):
    """What a person or the tuner may set for second purchases."""

    horizon_days: int = Field(90, ge=1, le=730, description="Local days after the as-of moment that are looked at.")
    min_child_weight: Annotated[float, Search(1.0, 100.0, log=True)] = Field(
        5.0, ge=0, le=1000, description="Least weight of a leaf; few come again, so it is small."
    )


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """The users with purchases on one local day: ``user_id``, ``first_on`` (that day)."""
    import pyspark.sql.functions as F

    from capflow_assets.expressions.visits import user_days

    days = user_days(bills, as_of, zone).filter("visited_on is not null").groupBy("user_id")
    once = days.agg(F.count(F.lit(1)).alias("visits"), F.min("visited_on").alias("first_on")).filter("visits = 1")
    return once.select("user_id", "first_on")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """Which of the users who had bought once at ``start`` buy again.

    One row per such user with a visit in ``(start, end]`` on a later local day: ``user_id``, ``bought_again`` (1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import visits_within

    later = visits_within(bills, start, end).select("user_id", "billed_on")
    again = known(bills, start, zone).join(later, "user_id").filter(F.col("billed_on") > F.col("first_on"))
    return again.select("user_id").distinct().withColumn(AGAIN, F.lit(1))


MODEL = chance_model(
    question="Who of those who bought once buys again within ninety days?",
    family="propensity",
    needs=Needs(tables=("clean/bills",), history_days=120, users=100, positives=30, evidence={"negatives": 30}),
    subject=Subject("user", ("user_id",), known=known),
    words={"features/rfm": RFM, "features/baskets": BASKETS, "features/promotion": PROMOTION},
    outcome=Outcome(outcome, (AGAIN,)),
    params=SecondPurchaseParams,
    did="bought again",
    baseline=by_column("recency alone", AGAIN, "recency_days", "days since the only purchase", grows=False),
)

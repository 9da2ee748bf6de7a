"""Which campaigns and channels brought the bills that would not have come anyway.

The messages that work on each user at a time, and the bills meanwhile beside those of others who were sent
nothing (``learning.attribution_paths``), give each campaign its credit: by removal from a Markov chain or by Shapley
values (``learning.attribution_credit``), whichever was nearer to the truth at an earlier moment. The truth is what
control groups show: how many more bills the users of a campaign have than those held out of it by chance, whose bills
no credit is made of. Against that stands last touch, which credits a message with all that follows.

Without control groups nobody can say which credits are right: it is not ready then, and says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Answer, Candidate, Column, Model, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.attribution_estimators import (
    ADDRESSED,
    BILL_COLUMNS,
    BILLS,
    CAMPAIGNS,
    CREDITED,
    LIFT,
    LIFT_ERROR,
    MESSAGE_COLUMNS,
    MESSAGES,
    AttributionParams,
    LastTouch,
    MarkovRemoval,
    ShapleyCredit,
    attribution_plot,
    lift_gap,
    surplus,
)
from capflow_assets.learning.metrics import mean_by_subject

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

KEY = "campaign_id"
# Judged on fewer, a person decides.
FEWEST_CAMPAIGNS = 4


class CampaignAttributionParams(AttributionParams):
    """What a person may set for the attribution of bills to campaigns."""


def known(
    messages: DataFrame, raw_campaigns: DataFrame, as_of: datetime, zone: str, params: AttributionParams
) -> DataFrame:
    """Every campaign of the last ``days`` that had been sent to ten users by the moment: ``campaign_id``."""
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_groups import addressed_users
    from capflow_assets.expressions.days import days_before

    sent = addressed_users(messages, raw_campaigns, zone)
    since = F.lit(days_before(as_of, params.days, zone))
    return sent.filter((F.col("began_at") > since) & (F.col("began_at") <= F.lit(as_of))).select(KEY).distinct()


def outcome(
    bills: DataFrame, messages: DataFrame, raw_campaigns: DataFrame, start: datetime, end: datetime, zone: str
) -> DataFrame:
    """What the campaigns brought that were over at ``start``, by their control groups; as many days as to ``end``.

    One row per campaign with ten users addressed and ten held out: ``campaign_id``, ``lift_per_100_users`` (bills from
    its first day on, of those addressed less those held out), ``lift_error`` (its standard error), ``addressed_users``.
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_groups import campaign_groups
    from capflow_assets.expressions.days import local_day, local_day_of, local_span

    days = local_span(start, end, zone).days
    groups = campaign_groups(messages, raw_campaigns, zone).withColumn("before", local_day("began_at", zone))
    groups = groups.filter(F.datediff(F.lit(local_day_of(start, zone)), F.col("before")) > days)
    sold = bills.filter(F.col("user_id").isNotNull() & ~F.col("is_return")).select("user_id", "billed_on")
    since = F.datediff(F.col("billed_on"), F.col("before"))
    observed = groups.join(sold, "user_id").filter((since >= 1) & (since <= days)).groupBy("user_id", KEY).count()
    users = groups.join(observed, ["user_id", KEY], "left").withColumn("bills", 100.0 * F.coalesce("count", F.lit(0)))

    def of_group(is_treated: int) -> dict[str, Expression]:
        value = F.when(F.col("is_treated") == is_treated, F.col("bills"))
        return {"mean": F.avg(value), "error": F.variance(value) / F.count(value), "users": F.count(value)}

    sent, held = of_group(1), of_group(0)
    return users.groupBy(KEY).agg(
        (sent["mean"] - held["mean"]).alias(LIFT),
        F.sqrt(sent["error"] + held["error"]).alias(LIFT_ERROR),
        sent["users"].cast("double").alias(ADDRESSED),
    )


ANSWER = (
    Column(CREDITED, "double", "Bills credited to it per 100 users it was sent to.", True),
    Column("bills_after", "double", "All bills while its message was the newest that works.", True),
    Column(ADDRESSED, "bigint", "Users it was sent to.", True),
    Column("main_channel", "string", "The channel by which most of the credited bills came; null where few did."),
)
MODEL = Model(
    question="Which campaigns brought bills that would not have come anyway, and by which channel?",
    family="campaigns",
    objective="effect",
    subject=Subject("campaign", (KEY,), known=known),
    needs=Needs(
        tables=(BILLS, MESSAGES, CAMPAIGNS),
        history_days=120,
        users=100,
        evidence={"compared_campaigns": FEWEST_CAMPAIGNS, "controls": 50},
    ),
    reads=(
        Reads(BILLS, BILL_COLUMNS, "frame"),
        Reads(MESSAGES, MESSAGE_COLUMNS, "frame"),
        Reads(CAMPAIGNS, (KEY, "starts_at"), "frame"),
    ),
    outcome=Outcome(outcome, (LIFT, LIFT_ERROR, ADDRESSED), absent="unknown"),
    answer=Answer(columns=ANSWER),
    params=CampaignAttributionParams,
    candidates=(
        Candidate("Shapley values", ShapleyCredit),
        Candidate("Markov removal", MarkovRemoval),
        Candidate("last touch", LastTouch, is_baseline=True),
    ),
    metric=mean_by_subject(
        "lift_gap",
        lift_gap,
        False,
        "Bills per 100 users addressed by which credits differ from what control groups show.",
    ),
    rules=(Rule("surplus", surplus, "the bills credited beyond those measured, per 100 users", otherwise="tell"),),
    least_judged=FEWEST_CAMPAIGNS,
    plot=attribution_plot,
    fitted="now",
)

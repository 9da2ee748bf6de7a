"""Which bills of the last thirty days look wrong: the largest robust deviation, an isolation forest or an auto-encoder.

A bill is held against what is usual in its store and of its user (``learning.bill_traits``). No customer says which
bills were wrong. So the model is judged, on a later month than it learned from, by copies that were made wrong: how
many would stand among the one bill in a hundred that a person looks at. Whether such bills are brought back more often
afterwards is told besides.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from capflow_assets.contract import Candidate, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.anomaly_estimators import (
    BILL_COLUMNS,
    BILLS,
    AmountAlone,
    AnomalyParams,
    BillAutoEncoder,
    BillForest,
    LargestDeviation,
)
from capflow_assets.learning.objectives.anomaly import anomaly_model, lift_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RECENT_DAYS = 30
BROUGHT_BACK = "brought_back"


class BillAnomalyParams(AnomalyParams):
    """What a person may set for bills that look wrong."""


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every bill of the last thirty local days: ``bill_id``."""
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import days_before

    return bills.filter(F.col("billed_at") > F.lit(days_before(as_of, RECENT_DAYS, zone))).select("bill_id")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """Which bills may have been brought back: the user returned no more than their amount in the horizon.

    One row per bill of a known user in the thirty days up to ``start``: ``bill_id``, ``brought_back`` (1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import days_before

    at, since = F.col("billed_at"), days_before(start, RECENT_DAYS, zone)
    sold = bills.filter((at > F.lit(since)) & (at <= F.lit(start)) & ~F.col("is_return") & F.col("user_id").isNotNull())
    back = bills.filter((at > F.lit(start)) & (at <= F.lit(end)) & F.col("is_return"))
    least = back.groupBy("user_id").agg(F.max("amount").alias("returned"))
    rows = sold.select("bill_id", "user_id", "amount").join(least, "user_id").filter("amount + returned >= 0")
    return rows.select("bill_id", F.lit(1.0).alias(BROUGHT_BACK))


MODEL = anomaly_model(
    question="Which bills of the last thirty days look wrong?",
    family="anomaly",
    subject=Subject("bill", ("bill_id",), known=known),
    needs=Needs(tables=(BILLS,), history_days=90),
    reads=(Reads(BILLS, BILL_COLUMNS, "frame"),),
    outcome=Outcome(outcome, (BROUGHT_BACK,)),
    params=BillAnomalyParams,
    candidates=(
        Candidate("largest deviation", LargestDeviation),
        Candidate("isolation forest", BillForest),
        Candidate("auto-encoder", BillAutoEncoder),
        Candidate("the amount alone", AmountAlone, is_baseline=True),
    ),
    rules=(Rule("returns_lift", partial(lift_of, BROUGHT_BACK), "its lift of bills brought back", otherwise="tell"),),
)

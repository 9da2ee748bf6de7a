"""Contact rhythm: how closely messages to each user follow on each other, and how many went by unopened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import local_day, within
from capflow_assets.expressions.grouping import sums_at_each, sums_known
from capflow_assets.expressions.known_at import Moments, at_each, known
from capflow_assets.expressions.messages import messages_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

FORMULAS = {
    "contacts_7d": "count(messages) of 7 days",
    "contact_gap_days_avg": "(last day with a message - first) / (days with one - 1)",
    "contact_gap_days_last": "last day with a message - the one before",
    "contacts_unopened": "count(messages after the day of the last opening)",
}
TABLE = Table(
    grain="user with at least one message",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which messages and opens were read.", required=True),
        Column("contacts_7d", "int", "Messages in the last 7 days.", required=True, at_least=0, window="7 days"),
        Column("contact_gap_days_avg", "double", "Days between days with a message.", at_least=0, unit="days"),
        Column("contact_gap_days_last", "int", "Days between the last two such days.", at_least=0, unit="days"),
        Column(
            "contacts_unopened", "int", "Messages since the user last opened one; all, where none was.", required=True
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)
SENT, OPENED = "sent", "opened"


def contact_rhythm(
    messages: DataFrame, raw_campaigns: DataFrame | None = None, *, as_of: Moments, zone: str
) -> DataFrame:
    """How closely messages follow on each other, as of a moment.

    **Grain**: one row per user with at least one message up to the moment, and moment. Messages are those of
    ``features/campaigns``: a user who was held out was not contacted, and an opening later than the moment does not
    exist. Days are local ones.

    **Missing**: the gaps are null before the second day with a message.
    """
    from pyspark.sql import functions as F

    sent = messages_of(messages, raw_campaigns).filter(~F.col("is_control"))
    opening = F.greatest(F.least("opened_at", "clicked_at"), "sent_at")
    opened = sent.filter(F.least("opened_at", "clicked_at").isNotNull())
    events = sent.select("user_id", F.lit(SENT).alias("kind"), F.col("sent_at").alias("at")).unionByName(
        opened.select("user_id", F.lit(OPENED).alias("kind"), opening.alias("at"))
    )
    days = known(events.withColumn("on", local_day("at", zone)), "at", as_of)
    counted = sums_known(days, as_of, ("user_id", "kind", "on"), (F.count(F.lit(1)).alias("number"),))
    is_sent = F.col("kind") == SENT
    sums = (
        F.array_sort(F.collect_set(F.when(is_sent, F.col("on")))).alias("days"),
        F.collect_list(F.when(is_sent, F.struct("on", "number"))).alias("messages"),
        F.max(F.when(F.col("kind") == OPENED, F.col("on"))).alias("opened_on"),
        F.sum(F.when(is_sent & within("on", 7), F.col("number"))).alias("of_week"),
    )
    return _figures(sums_at_each(at_each(counted, as_of, zone), as_of, zone, ("user_id",), sums))


def _figures(users: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    gaps = F.size("days") - 1
    first, last, before = (F.get("days", place) for place in (F.lit(0), gaps, gaps - 1))
    unopened = F.filter("messages", lambda message: F.col("opened_on").isNull() | (message["on"] > F.col("opened_on")))
    total = F.aggregate(unopened, F.lit(0).cast("bigint"), lambda count, message: count + message["number"])
    columns = {
        "contacts_7d": F.coalesce("of_week", F.lit(0)).cast("int"),
        "contact_gap_days_avg": F.datediff(last, first) / F.nullif(gaps, F.lit(0)),
        "contact_gap_days_last": F.when(gaps > 0, F.datediff(last, before)).cast("int"),
        "contacts_unopened": total.cast("int"),
    }
    return users.select(*(columns[name].alias(name) if name in columns else name for name in TABLE.names))


def plot(frame: DataFrame) -> Figure:
    """How many users let how many messages in a row go by unopened."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    most = 12
    run = F.least("contacts_unopened", F.lit(most)).alias("run")
    counted = {row["run"]: row["count"] for row in frame.groupBy(run).count().collect()}
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar(range(most + 1), [counted.get(number, 0) for number in range(most + 1)], color="tab:blue")
    axes.set_xlabel(f"messages since the last one opened (the last bar: {most} and more)")
    axes.set_ylabel("users")
    axes.set_title(f"{sum(counted.values()):,} users with a message", fontsize=10)
    return figure

"""Campaigns: how often each user was addressed, what the user made of it, and how long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, local_day, within
from capflow_assets.expressions.grouping import sums_at_each, sums_known
from capflow_assets.expressions.known_at import Moments, at_each, known
from capflow_assets.expressions.messages import messages_of
from capflow_assets.expressions.sums import ratio
from capflow_assets.expressions.visits import known_users

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


def _count(name: str, description: str, window: str = "") -> Column:
    return Column(name, "int", description, required=True, at_least=0, window=window)


def _rate(name: str, description: str, formula: str, window: str = "") -> Column:
    return Column(name, "double", description, at_least=0, at_most=1, formula=formula, window=window)


def _recency(name: str, what: str) -> Column:
    return Column(name, "int", f"Days since {what}; null where there was none.", at_least=0, unit="days")


FORMULAS = {
    "contacts": "count(messages)",
    "contacts_28d": "count(messages) of 28 days",
    "contacts_91d": "count(messages) of 91 days",
    "contact_campaigns": "count(distinct campaigns of the messages)",
    "contact_campaigns_running": "contact_campaigns that have not ended",
    "held_out_campaigns": "count(distinct campaigns with the user as control)",
    "opens": "count(messages opened)",
    "opens_91d": "count(messages opened) of 91 days",
    "clicks": "count(messages with a link followed)",
    "clicks_91d": "count(messages with a link followed) of 91 days",
    "contact_recency_days": "day of the moment - last message",
    "open_recency_days": "day of the moment - last opening",
    "click_recency_days": "day of the moment - last link followed",
}
TABLE = Table(
    grain="user with at least one bill or message",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which messages, opens and clicks were read.", required=True),
        _count("contacts", "Messages sent to the user."),
        _count("contacts_28d", "Of them in the last 28 days.", "28 days"),
        _count("contacts_91d", "Of them in the last 91 days.", "91 days"),
        _count("contact_campaigns", "Campaigns with a message to the user."),
        _count("contact_campaigns_running", "Of them those that have not ended; 0 without a list of campaigns."),
        _count("held_out_campaigns", "Campaigns that the user was held out of, as a control."),
        _count("opens", "Messages that the user opened."),
        _count("opens_91d", "Messages opened in the last 91 days.", "91 days"),
        _count("clicks", "Messages with a link that the user followed."),
        _count("clicks_91d", "Messages with a link followed in the last 91 days.", "91 days"),
        _rate("open_rate", "Share of the messages that were opened.", "opens / contacts"),
        _rate("open_rate_91d", "Share opened of the messages sent lately.", "those opened / contacts_91d", "91 days"),
        _rate("click_rate", "Share of the messages with a link followed.", "clicks / contacts"),
        _rate(
            "click_rate_91d",
            "Share with a link followed of the messages sent lately.",
            "those clicked / contacts_91d",
            "91 days",
        ),
        _rate("click_to_open_rate", "Share of the opened messages with a link followed.", "clicks / opens"),
        _recency("contact_recency_days", "the last message"),
        _recency("open_recency_days", "a message was last opened"),
        _recency("click_recency_days", "a link was last followed"),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

KINDS = {"sent": "contact", "opened": "open", "clicked": "click"}


def campaigns(
    messages: DataFrame,
    raw_campaigns: DataFrame | None = None,
    bills: DataFrame | None = None,
    *,
    as_of: Moments,
    zone: str,
) -> DataFrame:
    """Contacts, opens and clicks of each user as of a moment.

    **Grain**: one row per user with at least one bill or message up to the moment, and moment. A **contact** is a
    message that was sent; a user who was held out as a control was not contacted. A click without an open counts as an
    open, since many mailboxes hide the latter; an open or a click before the sending counts from the sending.

    **Point in time**: an open or a click later than the moment does not exist, though its message was sent before.

    **Columns**: ``*_28d`` and ``*_91d`` look at so many local days, the moment's own included. The rates of a window
    are those of the messages sent in it. A message without a time of its own was sent when its campaign began.

    **Missing**: rates are null without a message, recencies without such an event. Messages without a user, or without
    any time, are left out.
    """
    from pyspark.sql import functions as F

    events = known(_events(messages_of(messages, raw_campaigns), zone), "at", as_of)
    keys = ("user_id", "campaign_id", "ends_at", "kind", "sent_on", "happened_on")
    counted = sums_known(events, as_of, keys, (F.count(F.lit(1)).alias("number"),))
    figures = _figures(_of_campaigns(at_each(counted, as_of, zone), as_of, zone), as_of, zone)
    if bills is not None:
        users = known_users(bills, as_of, zone).select("user_id", "as_of")
        figures = figures.join(users, ["user_id", "as_of"], "full")
    zeros = {column.name: F.coalesce(column.name, F.lit(0)) for column in TABLE.columns if column.type == "int"}
    filled = figures.withColumns({name: value for name, value in zeros.items() if TABLE.column(name).required})
    return filled.select(*TABLE.names)


def _events(sent: DataFrame, zone: str) -> DataFrame:
    """One row per sending, open and click, each with its own time ``at``; a control is ``held_out`` instead of sent."""
    from pyspark.sql import functions as F

    first = F.least("opened_at", "clicked_at")
    times = {
        "sent": F.col("sent_at"),
        "opened": F.when(first.isNotNull(), F.greatest(first, "sent_at")),
        "clicked": F.when(F.col("clicked_at").isNotNull(), F.greatest("clicked_at", "sent_at")),
    }
    pairs = (F.struct(F.lit(kind).alias("kind"), time.alias("at")) for kind, time in times.items())
    events = sent.withColumn("event", F.explode(F.array(*pairs)))
    at, kind = F.col("event")["at"], F.col("event")["kind"]
    flat = events.select(
        "user_id",
        "campaign_id",
        "ends_at",
        "sent_at",
        at.alias("at"),
        F.when(F.col("is_control"), F.when(kind == "sent", "held_out")).otherwise(kind).alias("kind"),
    )
    happened = flat.filter("at is not null and kind is not null")
    days = {"sent_on": local_day("sent_at", zone), "happened_on": local_day("at", zone)}
    return happened.withColumns(days).drop("sent_at")


def _of_campaigns(events: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """One row per user, campaign and moment: events of each kind, in windows, and the last day of each."""
    from pyspark.sql import functions as F

    number = F.col("number")

    def count(kind: str, condition: Expression | None = None) -> Expression:
        is_kind = F.col("kind") == kind
        return F.coalesce(F.sum(F.when(is_kind if condition is None else is_kind & condition, number)), F.lit(0))

    lately, sent_lately = within("happened_on", QUARTER_DAYS), within("sent_on", QUARTER_DAYS)
    sums = (
        *(count(kind).alias(f"{name}s") for kind, name in KINDS.items()),
        *(count(kind, lately).alias(f"{name}s_91d") for kind, name in KINDS.items()),
        count("sent", within("happened_on", 28)).alias("contacts_28d"),
        *(count(kind, sent_lately).alias(f"{kind}_of_91d") for kind in ("opened", "clicked")),
        *(
            F.max(F.when(F.col("kind") == kind, F.col("happened_on"))).alias(f"last_{name}_on")
            for kind, name in KINDS.items()
        ),
        count("held_out").alias("held_out"),
    )
    return sums_at_each(events, as_of, zone, ("user_id", "campaign_id", "ends_at"), sums)


def _figures(by_campaign: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    counts = [f"{name}s{tail}" for name in KINDS.values() for tail in ("", "_91d")] + ["contacts_28d"]
    has_name = F.col("campaign_id").isNotNull()
    is_reached = has_name & (F.col("contacts") > 0)
    is_running = is_reached & (F.col("ends_at") >= F.col("as_of"))
    totals = (
        *(F.sum(name).cast("int").alias(name) for name in counts),
        *(F.sum(f"{kind}_of_91d").alias(f"{kind}_of_91d") for kind in ("opened", "clicked")),
        F.count(F.when(is_reached, 1)).cast("int").alias("contact_campaigns"),
        F.count(F.when(is_running, 1)).cast("int").alias("contact_campaigns_running"),
        F.count(F.when(has_name & (F.col("held_out") > 0), 1)).cast("int").alias("held_out_campaigns"),
        *(F.max(f"last_{name}_on").alias(f"last_{name}_on") for name in KINDS.values()),
    )
    sums = sums_at_each(by_campaign, as_of, zone, ("user_id",), totals)
    contacts, lately = F.col("contacts"), F.col("contacts_91d")
    since = {
        f"{name}_recency_days": F.datediff(F.col("today"), F.col(f"last_{name}_on")).cast("int")
        for name in KINDS.values()
    }
    rates = {
        "open_rate": ratio(F.col("opens"), contacts),
        "open_rate_91d": ratio(F.col("opened_of_91d"), lately),
        "click_rate": ratio(F.col("clicks"), contacts),
        "click_rate_91d": ratio(F.col("clicked_of_91d"), lately),
        "click_to_open_rate": ratio(F.col("clicks"), F.col("opens")),
    }
    return sums.withColumns({**since, **rates})


def plot(frame: DataFrame) -> Figure:
    """How many users opened what share of their messages."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    tenth = F.least(F.floor(F.col("open_rate") * 10), F.lit(9)).cast("int").alias("tenth")
    counted = frame.filter("open_rate is not null").groupBy(tenth).count().collect()
    users = {row.tenth: row["count"] for row in counted}
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar([n * 10 + 5 for n in range(10)], [users.get(n, 0) for n in range(10)], width=9, color="tab:blue")
    axes.set_xlabel("messages that were opened (%)")
    axes.set_ylabel("users")
    axes.set_title(f"{sum(users.values()):,} users with a message", fontsize=10)
    return figure

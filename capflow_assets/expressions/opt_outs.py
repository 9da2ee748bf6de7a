"""Who was on the list, and who left it: by a word of their own, or in silence."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.days import days_before
from capflow_assets.expressions.ids import identifier

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

GRANTED = "granted"
# Whoever was sent nothing for so long is on no list that could be left.
LISTED_DAYS = 91
# A message of the last days may still be opened.
ANSWER_DAYS = 2
# A run without an opening is silence where it would have come to a user of that open rate less often than this.
UNLIKELY = 0.05


def reached(sent: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """The users who were sent a message in the quarter before a moment, and what they made of it.

    ``sent`` is of ``expressions.messages.messages_of``. One row per user: ``user_id``, ``channels`` (an array; null
    where a message does not name its own), ``contacts``, ``opens`` (of those messages, up to the moment).
    """
    from pyspark.sql import functions as F

    opened = F.least("opened_at", "clicked_at") <= F.lit(as_of)
    lately = sent.filter(~F.col("is_control") & is_within("sent_at", days_before(as_of, LISTED_DAYS, zone), as_of))
    nameless = F.max(F.col("channel").isNull().cast("int")) == 1
    return lately.groupBy("user_id").agg(
        F.when(~nameless, F.collect_set(F.lower("channel"))).alias("channels"),
        F.count(F.lit(1)).alias("contacts"),
        F.count(F.when(opened, 1)).alias("opens"),
    )


def is_within(time: str, start: datetime, end: datetime) -> Expression:
    """Whether a time is in ``(start, end]``."""
    from pyspark.sql import functions as F

    return (F.col(time) > F.lit(start)) & (F.col(time) <= F.lit(end))


def words(consents: DataFrame, users: DataFrame) -> DataFrame:
    """What users said of the channels by which they are reached: ``user_id``, ``at``, ``is_no``.

    A word counts that is of one of the user's channels, or of none by name. Where a message does not name its channel,
    any word does. A grant leaves ``is_no`` false; every other status is a no. A word without a time is older than all.
    """
    from pyspark.sql import functions as F

    status, channel = (F.trim(F.lower(F.coalesce(name, F.lit("")))) for name in ("status", "channel"))
    said = consents.select(
        identifier("user_id").alias("user_id"),
        channel.alias("channel"),
        F.coalesce("captured_at", "valid_from").alias("at"),
        (status != GRANTED).alias("is_no"),
    )
    pairs = said.join(users.select("user_id", "channels"), "user_id")
    is_of_theirs = (
        (F.col("channel") == "") | F.col("channels").isNull() | F.array_contains("channels", F.col("channel"))
    )
    return pairs.filter(is_of_theirs).select("user_id", "at", "is_no")


def listed(sent: DataFrame, consents: DataFrame | None, as_of: datetime, zone: str) -> DataFrame:
    """The users on the list at a moment: those of ``reached`` but those whose last word up to then is a no.

    Of two words of one time the no holds.
    """
    from pyspark.sql import functions as F

    users = reached(sent, as_of, zone)
    if consents is None:
        return users
    known = words(consents, users).filter(F.col("at").isNull() | (F.col("at") <= F.lit(as_of)))
    order = F.struct(F.col("at").isNotNull(), F.coalesce("at", F.lit(as_of)), F.col("is_no"))
    last = known.groupBy("user_id").agg(F.max(F.struct(order.alias("place"), "is_no")).alias("last"))
    gone = last.filter(F.col("last")["is_no"]).select("user_id")
    return users.join(gone, "user_id", "left_anti")


def opted_out(consents: DataFrame, users: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """The users who said no in ``(start, end]``: ``user_id``."""
    from pyspark.sql import functions as F

    return words(consents, users).filter(is_within("at", start, end) & F.col("is_no")).select("user_id").distinct()


def fell_silent(sent: DataFrame, users: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """The users of ``reached`` at ``start`` who opened messages before, and none in ``(start, end]``: ``user_id``.

    Of ``n`` messages in the horizon, those of its last two days apart, a user with the open rate ``p`` before opens
    none by bad luck with the chance ``(1 - p) ** n``; it is silence where that is below 5 %. ``p`` is the opens over
    one more than the messages, since one message that was opened is no habit.
    """
    from pyspark.sql import functions as F

    first = F.least("opened_at", "clicked_at")
    before = users.filter("opens > 0").select("user_id", (F.col("opens") / (F.col("contacts") + 1)).alias("rate"))
    ours = sent.filter(~F.col("is_control")).withColumn("first_at", first)
    is_due = is_within("sent_at", start, days_before(end, ANSWER_DAYS, zone))
    horizon = ours.groupBy("user_id").agg(
        F.count(F.when(is_due, 1)).alias("due"), F.count(F.when(is_within("first_at", start, end), 1)).alias("opened")
    )
    ignored = before.join(horizon.filter("opened = 0"), "user_id")
    return ignored.filter(F.pow(1 - F.col("rate"), F.col("due")) < UNLIKELY).select("user_id")

"""Outcomes: what counts as a visit inside a horizon, whose horizon a model may learn from, and what came of it.

The one definition that labels of buying are made of, and that training and validation ask for outcomes by. Pure:
PySpark DataFrame API only.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Window
from capflow_assets.expressions.days import days_after
from capflow_assets.learning.readiness import LEAST_HISTORY_DAYS
from capflow_assets.learning.splits import windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# On rows that are handed to a label for several horizons at once: the moment that the row's horizon begins at.
MOMENT = "as_of"


def example_key(rows: DataFrame) -> list[str]:
    """What a label groups by: the user, and the moment where the rows are of several horizons."""
    return ["user_id", MOMENT] if MOMENT in rows.columns else ["user_id"]


def visits_within(bills: DataFrame, start: datetime | Expression, end: datetime | Expression) -> DataFrame:
    """The bills of clean/bills by known users, returns apart, with ``start < billed_at <= end``.

    One row per bill; columns as they came. A bill of 0, paid by a coupon or given, is a visit. Where the bills are of
    several horizons, ``start`` and ``end`` are their columns.
    """
    return bills_within(bills, start, end).where("not is_return")


def bills_within(bills: DataFrame, start: datetime | Expression, end: datetime | Expression) -> DataFrame:
    """As ``visits_within``, with the returns."""
    import pyspark.sql.functions as F

    return bills.where(
        (F.col("billed_at") > F.lit(start))
        & (F.col("billed_at") <= F.lit(end))
        & F.col("user_id").isNotNull()
        & ~F.col("is_anonymous")
    )


def next_visit_items(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user buys on the first local day in the horizon on which the user buys any item.

    One row per known user and item of that day in ``(start, end]``: ``user_id``, ``item_id``, ``bought`` (1). Returns
    and what is no item (postage, fees) do not count.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    key = example_key(line_items)
    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    rows = line_items.where(is_within & F.col("user_id").isNotNull() & ~F.col("is_return") & is_item)
    first = rows.groupBy(*key, "item_id").agg(F.min("billed_on").alias("first_on"))
    first = first.withColumn("visit_on", F.min("first_on").over(Window.partitionBy(*key)))
    return first.where("first_on = visit_on").select(*key, "item_id", F.lit(1.0).alias("bought"))


def outcome_of(
    compute: Callable[..., Any],
    frames: Mapping[str, DataFrame | None],
    injected: Iterable[str],
    values: Mapping[str, object],
    window: Window,
) -> DataFrame:
    """The outcomes in a window: ``compute`` is called on its tables and on those values that it asks for.

    ``values`` are those of the customer (its zone, its currency); it knows what is known at the window's end.
    """
    known = {**values, "start": window.start, "end": window.end, "as_of": window.end}
    outcome: DataFrame = compute(**frames, **{name: known[name] for name in injected})
    return outcome


def known_until(as_of: datetime, newest: datetime, zone: str) -> datetime:
    """The moment up to which outcomes are known: the as-of moment, or that of the newest bill if it lies days before.

    A feed that stopped a week ago says nothing of this week; to count it as a week without purchases would be wrong.
    """
    return newest if days_after(newest, 1, zone) < as_of else as_of


def past_windows(until: datetime, horizon_days: int, count: int, first: datetime, zone: str) -> list[Window]:
    """The horizons of which a model has examples, oldest first: they are over by ``until``.

    Each has history before it, ``LEAST_HISTORY_DAYS`` or a horizon if that is shorter, counted from the ``first`` bill.
    All days are local ones.
    """
    before = min(horizon_days, LEAST_HISTORY_DAYS)
    return windows(until, horizon_days, count, zone, first=first, min_history_days=before)

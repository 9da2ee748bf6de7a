"""The state of a customer's bills as of a scoring: how fresh they are, and whether there are as many as usual."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache

from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.expressions.days import local_day_of
from capflow_assets.monitoring.feed import LAST_DAYS, WEEKS, Feed, feed_of
from capflow_assets.stores.lake import Lake

BILLS = "clean/bills"


def feed_state(deployment: Deployment, customer: Customer, as_of: datetime) -> Feed | None:
    """The feed of a customer's bills as of a moment, by local day; None without bills."""
    lake = deployment.lake
    if not lake.exists(customer.name, BILLS):
        return None
    today = local_day_of(as_of, customer.time_zone)
    place, identity = lake.path(customer.name, BILLS), lake.identity(customer.name, BILLS)
    read = _Read(place, identity, as_of, today, customer.name, lake)
    return feed_of(_rows_by_day(read), today) or _silent(read)


@dataclass(frozen=True)
class _Read:
    """What is read once a night, though every model of the customer asks for it."""

    path: str
    identity: tuple[str, int] | None
    as_of: datetime
    today: date
    customer: str
    lake: Lake = field(compare=False)


@lru_cache(maxsize=4)
def _rows_by_day(read: _Read) -> dict[date, int]:
    from pyspark.sql import functions as F

    first = read.today - timedelta(days=7 * WEEKS + LAST_DAYS)
    bills = read.lake.table(read.customer, BILLS)
    rows = bills.filter((F.col("billed_on") >= F.lit(first)) & (F.col("billed_at") <= F.lit(read.as_of)))
    return {row[0]: int(row[1]) for row in rows.groupBy("billed_on").count().collect()}


def _silent(read: _Read) -> Feed | None:
    """A feed of which nothing came for longer than is looked at, where gaps may be long; None of nothing at all."""
    from pyspark.sql import functions as F

    bills = read.lake.table(read.customer, BILLS).filter(F.col("billed_at") <= F.lit(read.as_of))
    newest = bills.agg(F.max("billed_on")).collect()[0][0]
    return None if newest is None else Feed((read.today - newest).days, rows=0, usual=0.0, gap_days=7 * WEEKS)

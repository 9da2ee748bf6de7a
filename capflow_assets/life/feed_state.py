"""The state of a customer's bills as of a scoring: how fresh they are, whether there are as many as usual, how late.

What each night counts of each recent day is kept, ``arrivals/bills``: from it follows how late bills land
(``monitoring.arrivals``). A night that is scored again replaces itself; counts name no user.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.expressions.days import local_day_of
from capflow_assets.monitoring.arrivals import MOST_AGE_DAYS, ON_TIME, USUAL_DAYS, LandingDelay, landing_delay
from capflow_assets.monitoring.feed import LAST_DAYS, WEEKS, Feed, feed_of, short_days
from capflow_assets.processes.first_use import alone_at
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import moments, remove_moments, replace_moment

BILLS = "clean/bills"
ARRIVALS = "arrivals/bills"


def feed_state(
    deployment: Deployment, customer: Customer, as_of: datetime, delay: LandingDelay = ON_TIME
) -> Feed | None:
    """The feed of a customer's bills as of a moment, by local day, as late as usual; None without bills."""
    read = _read_of(deployment, customer, as_of)
    return None if read is None else feed_of(_rows_by_day(read), read.today, delay.share) or _silent(read)


def bills_delay(deployment: Deployment, customer: Customer, as_of: datetime) -> LandingDelay:
    """How late the bills of a customer land as of a moment, by what it and the nights before it counted.

    What this night counts is kept. Nights of later moments are not looked at.

    Raises:
        TableError: the counts kept before are damaged.
    """
    read = _read_of(deployment, customer, as_of)
    return ON_TIME if read is None else _delay(read)


def _read_of(deployment: Deployment, customer: Customer, as_of: datetime) -> _Read | None:
    lake, name = deployment.lake, customer.name
    if not lake.exists(name, BILLS):
        return None
    place, identity = lake.path(name, BILLS), lake.identity(name, BILLS)
    return _Read(place, identity, as_of, local_day_of(as_of, customer.time_zone), name, customer.time_zone, lake)


@dataclass(frozen=True)
class _Read:
    """What is read once a night, though every model of the customer asks for it."""

    path: str
    identity: tuple[str, int] | None
    as_of: datetime
    today: date
    customer: str
    zone: str
    lake: Lake = field(compare=False)


@lru_cache(maxsize=4)
def _rows_by_day(read: _Read) -> dict[date, int]:
    from pyspark.sql import functions as F

    first = read.today - timedelta(days=7 * WEEKS + LAST_DAYS)
    bills = read.lake.table(read.customer, BILLS)
    rows = bills.filter((F.col("billed_on") >= F.lit(first)) & (F.col("billed_at") <= F.lit(read.as_of)))
    return {row[0]: int(row[1]) for row in rows.groupBy("billed_on").count().collect()}


@lru_cache(maxsize=4)
def _delay(read: _Read) -> LandingDelay:
    counts = {day: rows for day, rows in _rows_by_day(read).items() if (read.today - day).days <= MOST_AGE_DAYS}
    with alone_at(read.lake.path(read.customer, ARRIVALS)):  # models of one customer may come here at once
        known = _kept(read)
        if counts and known.get(read.as_of) != counts:
            _keep(read, counts)
    # Of several moments of a day the last one stands for it.
    nights = {local_day_of(at, read.zone): rows for at, rows in sorted({**known, read.as_of: counts}.items())}
    delay = landing_delay(nights, read.today)
    return replace(delay, short_days=short_days(_rows_by_day(read), read.today, delay.share))


def _kept(read: _Read) -> dict[datetime, dict[date, int]]:
    """What the nights up to a moment counted of each day, by their moments."""
    nights: dict[datetime, dict[date, int]] = {}
    if read.lake.exists(read.customer, ARRIVALS):
        for row in read.lake.arrow(read.customer, ARRIVALS, columns=["as_of", "billed_on", "bills"]).to_pylist():
            if (at := row["as_of"].astimezone(UTC)) <= read.as_of:
                nights.setdefault(at, {})[row["billed_on"]] = row["bills"]
    return nights


def _keep(read: _Read, counts: dict[date, int]) -> None:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "as_of": pa.array([read.as_of] * len(counts), pa.timestamp("us", tz="UTC")),
        "billed_on": pa.array(counts, pa.date32()),
        "bills": pa.array(counts.values(), pa.int64()),
    }
    replace_moment(read.lake, read.customer, ARRIVALS, read.as_of, pa.table(columns).to_reader())
    old = [at for at in moments(read.lake, read.customer, ARRIVALS) if read.as_of - at > timedelta(days=USUAL_DAYS + 7)]
    remove_moments(read.lake, read.customer, ARRIVALS, old)


def _silent(read: _Read) -> Feed | None:
    """A feed of which nothing came for longer than is looked at, where gaps may be long; None of nothing at all."""
    from pyspark.sql import functions as F

    bills = read.lake.table(read.customer, BILLS).filter(F.col("billed_at") <= F.lit(read.as_of))
    newest = bills.agg(F.max("billed_on")).collect()[0][0]
    return None if newest is None else Feed((read.today - newest).days, rows=0, usual=0.0, gap_days=7 * WEEKS)

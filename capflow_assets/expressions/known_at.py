"""One moment or many in one pass: which rows each as-of moment knows.

A block whose key has ``as_of`` may be handed several moments. It narrows every input with ``known``, which drops what
no moment knows and marks each row with the first moment that does; sums the rows up, by that mark besides its own
keys; and then hands the few sums to each moment that knows them with ``at_each``. So the rows are read once whatever
the number of moments, and a row can reach no moment that is earlier than itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.days import local_day_of

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

Moments = datetime | Sequence[datetime]
# The place of the first moment that knows a row, among the moments in order; from 0.
KNOWN_FROM = "known_from"


def in_order(as_of: Moments) -> tuple[datetime, ...]:
    """The moments, each once, the oldest first."""
    return (as_of,) if isinstance(as_of, datetime) else tuple(sorted(set(as_of)))


def is_known(time: str, moment: datetime) -> Expression:
    """Whether a moment knows a row: its time is not later, or it has none and was always known."""
    from pyspark.sql import functions as F

    return F.col(time).isNull() | (F.col(time) <= F.lit(moment))


def known(frame: DataFrame, time: str, as_of: Moments) -> DataFrame:
    """The rows that any of the moments knows, with ``known_from``; a row without a time was always known."""
    from pyspark.sql import functions as F

    *earlier, last = in_order(as_of)
    first: Expression = F.when(F.col(time).isNull(), F.lit(0))
    for place, moment in enumerate(earlier):
        first = first.when(F.col(time) <= F.lit(moment), F.lit(place))
    first = first.otherwise(F.lit(len(earlier))) if earlier else F.lit(0)
    return frame.filter(is_known(time, last)).withColumn(KNOWN_FROM, first.cast("int"))


def at_moment(frame: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """The rows with the moment and its local day ``today``."""
    from pyspark.sql import functions as F

    return frame.withColumns({"as_of": F.lit(as_of), "today": F.lit(local_day_of(as_of, zone))})


def at_each(frame: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Each row once for every moment that knows it, with ``as_of`` and its local day ``today``, not ``known_from``."""
    from pyspark.sql import functions as F

    moments = in_order(as_of)
    if len(moments) == 1:
        return at_moment(frame.drop(KNOWN_FROM), moments[0], zone)
    days = [local_day_of(moment, zone) for moment in moments]
    place = F.explode(F.sequence(F.col(KNOWN_FROM), F.lit(len(moments) - 1)))
    spread = frame.withColumn(KNOWN_FROM, place)

    def of_place(values: Sequence[date]) -> Expression:
        return F.element_at(F.array(*(F.lit(value) for value in values)), F.col(KNOWN_FROM) + 1)

    return spread.withColumns({"as_of": of_place(moments), "today": of_place(days)}).drop(KNOWN_FROM)

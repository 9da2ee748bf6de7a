"""Computes the features of ``features``, however many, in one scan of the rows.

The engine reads what is asked of each row: its own columns, its parents', what the calendar tells of it. One shuffle
brings all rows of a user to one worker, which puts them in order (``shards``) and sums them up (``rollup``) for all
moments and windows, by compiled loops (``kernels``). An engine that were to do this by itself would take longer to
plan hundreds of aggregates than a worker takes to compute them, and would hold the states of every bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from capflow_assets.expressions.days import local_day_of, local_time
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, in_order, known
from capflow_assets.synthesis.columns import COLUMNS, TYPES, slots
from capflow_assets.synthesis.entities import ENTITIES, Variable
from capflow_assets.synthesis.features import Feature, feature_of
from capflow_assets.synthesis.plan import Plan
from capflow_assets.synthesis.rollup import feature_rows
from capflow_assets.synthesis.shards import shard_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

_TOGETHER = "together"
_A_DAY = date(1970, 1, 1)
# The memory of so many bills and line items of a worker's is kept for its next ones.
KEPT_FOR = 1_000_000


def feature_table(
    features: Sequence[Feature],
    bills: DataFrame,
    line_items: DataFrame | None,
    parents: dict[str, DataFrame | None],
    as_of: Moments,
    zone: str,
) -> DataFrame:
    """One row per known user and moment with all the features. ``parents`` are ``items`` and ``stores``, if any."""
    from pyspark.sql import types as T

    names = [each.column for each in features]
    plan = _plan(tuple(names))
    kinds = _kinds(plan, as_of)
    rows = _rows(bills, "bills", parents.get("stores"), plan.read("bills"), as_of, zone, kinds)
    if line_items is not None:
        read = plan.read("line_items")
        rows = rows.union(_rows(line_items, "line_items", parents.get("items"), read, as_of, zone, kinds))
    moments = in_order(as_of)
    days = [local_day_of(moment, zone) for moment in moments]
    made = [T.StructField("user_id", T.StringType()), T.StructField("as_of", T.TimestampType())]
    kinds_of = {True: T.IntegerType(), False: T.DoubleType()}
    made += [T.StructField(each.column, kinds_of[each.aggregation.is_whole]) for each in features]
    summed = partial(_summed, names=names, moments=moments, days=days)
    return rows.repartition(_TOGETHER).drop(_TOGETHER).mapInArrow(summed, T.StructType(made))


def _summed(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], moments: Sequence[datetime], days: Sequence[date]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    plan = _plan(tuple(names))
    shard = shard_of(batches, plan)
    if shard is None:
        return
    rows = len(shard.bills.rows) + len(shard.lines.groups.rows)
    yield from feature_rows(shard, plan, moments, days)
    if rows > KEPT_FOR:
        # Else Arrow keeps some gigabytes for whatever comes next, which may never ask for them.
        del shard
        pa.default_memory_pool().release_unused()


@lru_cache(maxsize=16)
def _plan(columns: tuple[str, ...]) -> Plan:
    """What a worker does for features that are told by their columns; they travel as names, for these are short."""
    return Plan(tuple(feature for column in columns if (feature := feature_of(column))))


def _kinds(plan: Plan, as_of: Moments) -> dict[str, str]:
    """The columns that all rows share."""
    own = dict(COLUMNS)
    if set(plan.windows) == {None}:
        del own["day"]
    if not isinstance(as_of, datetime):
        own[KNOWN_FROM] = "int"
    read = (slot for each in (plan.read("bills"), plan.read("line_items")) for slot in slots(each).values())
    return own | {slot: TYPES[slot.partition("_")[0]] for slot in read}


def _rows(
    frame: DataFrame,
    entity: str,
    parent: DataFrame | None,
    variables: Sequence[Variable],
    as_of: Moments,
    zone: str,
    kinds: dict[str, str],
) -> DataFrame:
    """The rows of users that any moment knows, and what brings those of one user together."""
    from pyspark.sql import functions as F

    time = ENTITIES[entity].time or ""
    seen = known(frame, time, as_of).filter("user_id is not null")
    if entity == "bills":
        made = {"place": F.unix_micros(time), "user_id": F.col("user_id"), "bill_id": F.col("bill_id")}
        made["day"] = F.datediff("billed_on", F.lit(_A_DAY))
        # For the hour on the clock of the customer's zone.
        seen = seen.withColumn("billed_locally_at", local_time(time, zone))
    else:
        made = {"place": F.col("line_no")}
    # A line item that says it is another user's is not of this bill.
    made |= {"bill": F.xxhash64("bill_id", "user_id"), KNOWN_FROM: F.col(KNOWN_FROM)}
    of_slots = slots(variables)
    for variable, slot in of_slots.items():
        if not variable.parent:
            made[slot] = _value(variable.read() if variable.read else F.col(variable.column), variable)
    key = ENTITIES[parents[0].parent].key if (parents := [each for each in variables if each.parent]) else ""
    own = {name: made.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in kinds.items()}
    if parent is None or not parents:
        return seen.select(F.xxhash64("user_id").alias(_TOGETHER), *own.values())
    # What stands in the row is read before its parent is looked up, so that no text is carried along.
    theirs = {of_slots[each]: _value(F.col(each.column), each).cast(TYPES[each.kind]) for each in parents}
    left = seen.select(
        key, F.xxhash64("user_id").alias(_TOGETHER), *(own[name] for name in kinds if name not in theirs)
    )
    looked_up = parent.select(key, *(value.alias(name) for name, value in theirs.items())).join(left, key, "right")
    return looked_up.select(_TOGETHER, *kinds)


def _value(read: Expression, variable: Variable) -> Expression:
    """What a row tells of a variable: a number, a truth, or the hash of a category."""
    from pyspark.sql import functions as F

    return (
        F.when(read.isNotNull(), F.xxhash64(read)) if variable.kind == "category" else read.cast(TYPES[variable.kind])
    )

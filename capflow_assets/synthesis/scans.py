"""Computes features, however many, in one scan of the rows.

The engine reads the variables of each row: its own columns, its parents', the transforms of the calendar. One shuffle
brings all rows of a user to one worker, which puts them in order (``shards``) and sums them up (``rollup``) for all
moments and windows, in compiled loops (``kernels``). An engine alone would take longer to plan hundreds of aggregates
than a worker takes to compute them, and would hold the states of every bill.
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
# A worker keeps the memory of up to so many bills and line items for its next ones.
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

    names = [feature.column for feature in features]
    plan = _plan(tuple(names))
    kinds = _kinds(plan, as_of)
    rows = _rows(bills, "bills", parents.get("stores"), plan.read("bills"), as_of, zone, kinds)
    if line_items is not None:
        variables = plan.read("line_items")
        rows = rows.union(_rows(line_items, "line_items", parents.get("items"), variables, as_of, zone, kinds))
    moments = in_order(as_of)
    days = [local_day_of(moment, zone) for moment in moments]
    fields = [T.StructField("user_id", T.StringType()), T.StructField("as_of", T.TimestampType())]
    kinds_of = {True: T.IntegerType(), False: T.DoubleType()}
    fields += [T.StructField(feature.column, kinds_of[feature.aggregation.is_whole]) for feature in features]
    summed = partial(_summed, names=names, moments=moments, days=days)
    return rows.repartition(_TOGETHER).drop(_TOGETHER).mapInArrow(summed, T.StructType(fields))


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
    """The plan of the features of these columns; they travel as names, which are short."""
    return Plan(tuple(feature for column in columns if (feature := feature_of(column))))


def _kinds(plan: Plan, as_of: Moments) -> dict[str, str]:
    """The columns that all rows share."""
    own = dict(COLUMNS)
    if set(plan.windows) == {None}:
        del own["day"]
    if not isinstance(as_of, datetime):
        own[KNOWN_FROM] = "int"
    variables = (plan.read("bills"), plan.read("line_items"))
    shared = (slot for of_entity in variables for slot in slots(of_entity).values())
    return own | {slot: TYPES[slot.partition("_")[0]] for slot in shared}


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
    rows = known(frame, time, as_of).filter("user_id is not null")
    if entity == "bills":
        values = {"place": F.unix_micros(time), "user_id": F.col("user_id"), "bill_id": F.col("bill_id")}
        values["day"] = F.datediff("billed_on", F.lit(_A_DAY))
        # For the hour on the clock of the customer's zone.
        rows = rows.withColumn("billed_locally_at", local_time(time, zone))
    else:
        values = {"place": F.col("line_no")}
    # A line item of another user is not of this bill.
    values |= {"bill": F.xxhash64("bill_id", "user_id"), KNOWN_FROM: F.col(KNOWN_FROM)}
    of_slots = slots(variables)
    for variable, slot in of_slots.items():
        if not variable.parent:
            values[slot] = _value(variable.read() if variable.read else F.col(variable.column), variable)
    columns = {name: values.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in kinds.items()}
    of_parent = [variable for variable in variables if variable.parent]
    if parent is None or not of_parent:
        return rows.select(F.xxhash64("user_id").alias(_TOGETHER), *columns.values())
    # What stands in the row is read before its parent is looked up, so that no text is carried along.
    key = ENTITIES[of_parent[0].parent].key
    looked_up = {
        of_slots[variable]: _value(F.col(variable.column), variable).cast(TYPES[variable.kind])
        for variable in of_parent
    }
    others = (columns[name] for name in kinds if name not in looked_up)
    left = rows.select(key, F.xxhash64("user_id").alias(_TOGETHER), *others)
    right = parent.select(key, *(value.alias(name) for name, value in looked_up.items()))
    return right.join(left, key, "right").select(_TOGETHER, *kinds)


def _value(read: Expression, variable: Variable) -> Expression:
    """The value of a variable of a row: a number, a truth, or the hash of a category."""
    from pyspark.sql import functions as F

    return (
        F.when(read.isNotNull(), F.xxhash64(read)) if variable.kind == "category" else read.cast(TYPES[variable.kind])
    )

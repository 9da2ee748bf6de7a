"""What holds of every feature block, whichever there are: a new file is held to all of it without a line here."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from capflow_assets.blueprint.schema_checks import evaluate
from capflow_assets.blueprint.specs import Input, TableSpec
from capflow_assets.contract import Column, Table
from capflow_assets.expressions.known_at import Moments, at_each, in_order, known
from capflow_assets_tests.features.worlds import (
    BLOCKS,
    MICROSECOND,
    NAMES,
    NONE,
    STAGES,
    Pools,
    World,
    difference,
    futures,
    has_all,
    outcome,
    planted,
    text,
    usual,
    world_of,
    worlds,
)
from capflow_assets_tests.random_rows import ordered

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

USER_BLOCKS = tuple(
    key
    for key in BLOCKS
    if STAGES.tables[key].table.key == ("user_id", "as_of") and not STAGES.tables[key].table.intermediate
)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
ONE_BILL = world_of(Pools(1, 1, "Europe/Madrid", NAMES[:1], (NOON,), (5.0,), 1), (NOON,))
EMPTY = world_of(Pools(1, 0, "Europe/Madrid", NAMES, (NOON,), (5.0,), 1), (NOON, NOON + timedelta(days=1)))
few = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


# -- both engines ------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", BLOCKS)
@few
@example(world=EMPTY)
@example(world=ONE_BILL)
@given(world=worlds())
def test_a_block_is_equal_on_both_engines_on_generated_worlds(
    spark: SparkSession, jvm: SparkSession, key: str, world: World
) -> None:
    spec = STAGES.tables[key]
    if has_all(spec, world):
        sail, java = (outcome(spec, engine, world, moments_of(spec, world)) for engine in (spark, jvm))
        assert sail.dtypes == java.dtypes
        assert difference(text(sail), text(java)) == NONE


@pytest.mark.parametrize("key", BLOCKS)
@few
@example(world=EMPTY)
@example(world=ONE_BILL)
@given(world=worlds())
def test_a_block_keeps_its_schema_on_generated_worlds(spark: SparkSession, key: str, world: World) -> None:
    spec = STAGES.tables[key]
    if has_all(spec, world):
        table = outcome(spec, spark, world, moments_of(spec, world))
        declared = len(spec.table.names) if spec.table.open else len(table.columns)
        assert table.columns[:declared] == list(spec.table.names)
        assert [finding for finding in evaluate(table, spec.table) if not finding.passed] == []


def moments_of(spec: TableSpec, world: World) -> Moments:
    """The world's moments, as the block takes them."""
    return world.moments if spec.takes_moments and len(world.moments) > 1 else world.moments[0]


# -- point in time -----------------------------------------------------------------------------------------------------


def hold_moments_apart(spec: TableSpec, engine: SparkSession, world: World) -> None:
    """Asked for several moments at once, a block gives what it gives for each of them alone.

    Where columns are chosen by what is known at the newest moment, an earlier one alone may have others.
    """
    moments = in_order(world.moments)
    together = outcome(spec, engine, world, world.moments).toArrow()
    alone = [outcome(spec, engine, world, moment).toArrow() for moment in moments]
    assert together.column_names == alone[-1].column_names
    shared = [name for name in together.column_names if all(name in table.column_names for table in alone)]
    assert shared == together.column_names or spec.table.open
    rows = [row for table in alone for row in ordered(table.select(shared))]
    assert difference(ordered(together.select(shared)), rows) == NONE, "the moments see each other"


def hold_the_future_away(spec: TableSpec, engine: SparkSession, world: World) -> None:
    """Rows later than the last moment may come, go and be shuffled: no byte changes."""
    last = max(world.moments) if spec.takes_moments else world.moments[0]
    expected = text(outcome(spec, engine, world, moments_of(spec, world)))
    for name, other in futures(world, last):
        assert difference(expected, text(outcome(spec, engine, other, moments_of(spec, world)))) == NONE, name


def hold_the_moment_itself(spec: TableSpec, engine: SparkSession) -> None:
    """Rows exactly at the moment count, rows a microsecond later do not."""
    world = usual()
    (moment,) = world.moments
    before, at, after = (
        text(outcome(spec, engine, variant, moment))
        for variant in (world, planted(world, moment), planted(world, moment + MICROSECOND))
    )
    assert difference(before, after) == NONE, "rows after the moment count"
    assert before != at, "rows at the moment do not count"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", [key for key in BLOCKS if STAGES.tables[key].takes_moments])
@few
@given(world=worlds())
def test_moments_do_not_see_each_other(spark: SparkSession, key: str, world: World) -> None:
    if has_all(STAGES.tables[key], world):
        hold_moments_apart(STAGES.tables[key], spark, world)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", BLOCKS)
@few
@given(world=worlds())
def test_the_future_changes_no_byte(spark: SparkSession, key: str, world: World) -> None:
    if has_all(STAGES.tables[key], world):
        hold_the_future_away(STAGES.tables[key], spark, world)


def is_timed(key: str) -> bool:
    """Whether anything that a block is made of has a time."""
    inputs = [parent.table for parent in STAGES.tables[key].inputs]
    return any(is_timed(name) if name in BLOCKS else STAGES.tables[name].table.time is not None for name in inputs)


@pytest.mark.parametrize("key", [key for key in BLOCKS if is_timed(key)])
def test_rows_at_the_moment_count(spark: SparkSession, key: str) -> None:
    hold_the_moment_itself(STAGES.tables[key], spark)


# -- the checks can fail -----------------------------------------------------------------------------------------------


def planted_block(function: Any) -> TableSpec:
    columns = (Column("user_id", "string", ""), Column("as_of", "timestamp", ""), Column("n", "bigint", ""))
    table = Table("user", columns, ("user_id", "as_of"))
    inputs = (Input("bills", "clean/bills", optional=False),)
    return TableSpec("features/planted", table, "", function, inputs, ("as_of", "zone"))


def counted(bills: DataFrame, as_of: Moments, zone: str, *keys: str) -> DataFrame:
    from pyspark.sql import functions as F

    sums = bills.groupBy("user_id", *keys).agg(F.count("*").alias("n"))
    return at_each(sums, as_of, zone).groupBy("user_id", "as_of").agg(F.sum("n").alias("n"))


def right(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    return counted(known(bills, "billed_at", as_of), as_of, zone, "known_from")


def forgets_the_moment(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    return counted(bills.withColumn("known_from", F.lit(0)), as_of, zone, "known_from")


def leaks_among_moments(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Right for one moment; of several, the first sees what only the last can know."""
    from pyspark.sql import functions as F

    last = known(bills, "billed_at", as_of).withColumn("known_from", F.lit(0))
    return counted(last, as_of, zone, "known_from")


def leaves_out_the_moment(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    return right(bills, as_of - MICROSECOND, zone)


SPREAD = world_of(
    Pools(3, 60, "Europe/Madrid", NAMES, (NOON,), (5.0,), 400),
    (NOON - timedelta(days=100), NOON - timedelta(days=30)),
)


def test_a_block_that_is_right_passes(spark: SparkSession) -> None:
    spec = planted_block(right)
    hold_moments_apart(spec, spark, SPREAD)
    hold_the_future_away(spec, spark, SPREAD)
    hold_the_moment_itself(spec, spark)


def test_a_block_that_forgets_the_moment_is_caught(spark: SparkSession) -> None:
    with pytest.raises(AssertionError, match="no future"):
        hold_the_future_away(planted_block(forgets_the_moment), spark, SPREAD)
    with pytest.raises(AssertionError, match="rows after the moment count"):
        hold_the_moment_itself(planted_block(forgets_the_moment), spark)


def test_a_block_that_leaks_only_among_moments_is_caught(spark: SparkSession) -> None:
    spec = planted_block(leaks_among_moments)
    hold_the_future_away(spec, spark, SPREAD)
    hold_the_moment_itself(spec, spark)
    with pytest.raises(AssertionError, match="the moments see each other"):
        hold_moments_apart(spec, spark, SPREAD)


def test_a_block_that_leaves_out_the_moment_itself_is_caught(spark: SparkSession) -> None:
    with pytest.raises(AssertionError, match="rows at the moment do not count"):
        hold_the_moment_itself(planted_block(leaves_out_the_moment), spark)


# -- names and words ---------------------------------------------------------------------------------------------------


def test_no_column_is_in_two_blocks() -> None:
    counts = Counter(
        name for key in USER_BLOCKS for name in STAGES.tables[key].table.names if name not in ("user_id", "as_of")
    )
    assert [name for name, times in counts.items() if times > 1] == []
    assert len(USER_BLOCKS) > 1


@pytest.mark.parametrize("key", BLOCKS)
def test_every_column_is_described(key: str) -> None:
    assert [column.name for column in STAGES.tables[key].table.columns if not column.description.strip()] == []


# -- vectors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BLOCKS)
def test_a_block_with_vectors_says_what_encoded_them(key: str) -> None:
    """Vectors of different encoders must not be mixed unnoticed."""
    columns = {column.name: column for column in STAGES.tables[key].table.columns}
    if "embedding" in columns:
        assert columns["encoder"].required
        assert columns["encoder"].type == "string"

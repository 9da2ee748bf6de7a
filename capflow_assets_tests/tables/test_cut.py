"""What the runner shows a function ends at the as-of moment, whatever else lies in the lake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from capflow_assets.blueprint.calls import call
from capflow_assets.contract import Reads
from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import STAGES
from capflow_assets.expressions.days import end_of_day
from capflow_assets.life.examples import ExampleReader
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets_doubles.homes import ANY_BILL_NUMBERS
from capflow_assets_tests.blueprint import stage_packages

packages = stage_packages.packages


# -- what the runner enforces ------------------------------------------------------------------------------------------

LEAK = """
from capflow_assets.contract import Column, Table
TABLE = Table('user', (Column('user_id', 'string', ''), Column('n', 'bigint', ''), Column('as_of', 'timestamp', '')))
"""
COUNTS = (
    LEAK
    + """
def counts(bills, as_of):
    from pyspark.sql import functions as F
    return bills.groupBy('user_id').count().withColumnRenamed('count', 'n').withColumn('as_of', F.lit(as_of))
"""
)
AGAIN = LEAK + "def again(counts):\n    return counts\n"
RAW = """
from capflow_assets.contract import Column, Table
TABLE = Table('bill', (Column('user_id', 'string', ''), Column('at', 'timestamp', '')), time='at')
"""
CUSTOMER = Customer.model_validate(
    {
        "name": "acme",
        "vertical": "x",
        "currency": "EUR",
        "time_zone": "UTC",
        "tables": {"bills": {"source": "csv", "location": "/none.csv", "columns": {"user_id": "u"}}},
    }
)
PAST = [("ann", datetime(2024, 1, 1)), ("ann", datetime(2024, 6, 30, 23, 59, 59, 999999)), ("bob", None)]  # noqa: DTZ001
FUTURE = [("ann", datetime(2024, 7, 1)), ("cas", datetime(2024, 8, 1))]  # noqa: DTZ001


@pytest.fixture
def planted(packages, tmp_path, spark):
    """Stages whose features forget to cut, over a lake that holds the past and the future."""
    packages.write("raw", "bills", RAW)
    packages.write("features", "counts", COUNTS)
    packages.write("features", "again", AGAIN)
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    lake.write(bills_of(spark, PAST + FUTURE), "acme", "raw/bills")
    return packages(), lake


def bills_of(spark, rows):
    return spark.createDataFrame(
        [(user, at and at.replace(tzinfo=UTC)) for user, at in rows], "user_id string, at timestamp"
    )


def run(stages, lake, *selected: str, as_of: str) -> None:
    runner = TableRunner(lake, stages, {}, CUSTOMER, frozenset(selected), as_of)
    assert [(result.status, result.reason) for result in runner.run()] == [("done", "")] * len(selected)


def counted(lake, table: str) -> dict[str, int]:
    return {row["user_id"]: row["n"] for row in lake.arrow("acme", table).to_pylist()}


def test_a_feature_that_forgets_to_cut_leaks_when_called_by_itself(planted, spark):
    """What the next tests rely on: given all rows, this feature reveals the future."""
    stages, _ = planted
    spec = stages.tables["features/counts"]
    values = {"as_of": datetime(2024, 6, 30, tzinfo=UTC)}
    frames = [call(spec, {"bills": bills_of(spark, rows)}, values) for rows in (PAST, PAST + FUTURE)]
    one, other = ({row.user_id: row.n for row in frame.collect()} for frame in frames)
    assert one == {"ann": 2, "bob": 1}
    assert other == {"ann": 3, "bob": 1, "cas": 1}


def test_the_runner_shows_no_feature_the_future(planted):
    stages, lake = planted
    run(stages, lake, "features/counts", "features/again", as_of="2024-06-30")
    assert counted(lake, "features/counts") == {"ann": 2, "bob": 1}
    assert counted(lake, "features/again") == {"ann": 2, "bob": 1}
    run(stages, lake, "features/counts", as_of="2024-07-31")
    assert counted(lake, "features/counts") == {"ann": 3, "bob": 1}


def test_a_feature_made_of_another_does_not_see_that_one_as_of_another_moment(planted):
    stages, lake = planted
    run(stages, lake, "features/counts", "features/again", as_of="2024-12-31")
    assert counted(lake, "features/again") == {"ann": 3, "bob": 1, "cas": 1}
    run(stages, lake, "features/again", as_of="2024-06-30")
    assert counted(lake, "features/again") == {"ann": 2, "bob": 1}
    assert counted(lake, "features/counts") == {"ann": 3, "bob": 1, "cas": 1}


@pytest.mark.parametrize("block", ["counts", "again"])
@pytest.mark.parametrize("stored_as_of", ["2024-06-30", "2024-12-31"])
def test_examples_show_no_model_the_future(planted, block, stored_as_of):
    stages, lake = planted
    run(stages, lake, "features/counts", "features/again", as_of=stored_as_of)
    spec = STAGES.models["rfm_segments"]
    spec = replace(spec, model=replace(spec.model, reads=(Reads(f"features/{block}", ("n",)),)))
    moment = end_of_day(date(2024, 6, 30), "UTC")
    columns = ExampleReader(lake, stages, CUSTOMER, spec).columns(moment)
    assert columns["n"].to_dict() == {"ann": 2, "bob": 1}


# -- what cleaning may not undo ----------------------------------------------------------------------------------------


def cleaned(lake: Lake, spark, table: str, columns: str, past: list[tuple], future: list[tuple]) -> list[tuple]:
    """Who had spent what by the end of June, cleaned with the future in the same table."""
    source = {"source": "csv", "location": "/none.csv", "columns": {"bill_id": "b"}, "max_removed_pct": 100.0}
    customer = Customer.model_validate(CUSTOMER.model_dump() | {"tables": {table: source}} | ANY_BILL_NUMBERS)
    kinds = {column.name: column.type for column in STAGES.tables[f"raw/{table}"].table.columns}
    sent = spark.createDataFrame(past + future, columns)
    unsent = (f"cast(null as {kind}) {name}" for name, kind in kinds.items() if name not in sent.columns)
    lake.write(sent.selectExpr("*", *unsent), "acme", f"raw/{table}")
    selected = frozenset({"clean/line_items", "clean/bills", "features/rfm"})
    for result in TableRunner(lake, STAGES, {}, customer, selected, "2024-06-30").run():
        assert result.status in ("done", "absent"), result.reason
    return sorted((row["user_id"], row["spend_total"]) for row in lake.arrow("acme", "features/rfm").to_pylist())


def at(month: int) -> datetime:
    return datetime(2024, month, 1, 12, tzinfo=UTC)


BILLS = [[("1", "ann", at(8), 99.0)], [("1", "cas", at(8), 99.0)], [("1", None, at(8), -10.0)]]
LINES = [[("1", "a", "ann", at(8), -10.0, -1.0)], [("1", "b", "abe", at(8), 7.0, 1.0)]]


@pytest.mark.parametrize("future", [[], *BILLS])
def test_a_bill_of_the_future_with_the_number_of_an_old_one_takes_nothing_away(spark, tmp_path, future):
    lake = Lake(str(tmp_path), lambda: spark)
    columns = "bill_id string, user_id string, billed_at timestamp, amount double"
    assert cleaned(lake, spark, "bills", columns, [("1", "ann", at(1), 10.0)], future) == [("ann", 10.0)]


@pytest.mark.parametrize("future", [[], *LINES])
def test_a_line_of_the_future_with_the_number_of_an_old_bill_changes_nothing(spark, tmp_path, future):
    lake = Lake(str(tmp_path), lambda: spark)
    columns = "bill_id string, item_id string, user_id string, billed_at timestamp, amount double, quantity double"
    past = [("1", "a", "ann", at(1), 10.0, 1.0)]
    assert cleaned(lake, spark, "line_items", columns, past, future) == [("ann", 10.0)]

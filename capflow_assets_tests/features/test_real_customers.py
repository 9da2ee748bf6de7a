"""The feature tables of the demo's real customers are equal on both engines, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.blueprint.calls import call
from capflow_assets_doubles.real_customers import blocks_of, demo_customer, inputs, prepare, values
from capflow_assets_tests.features.worlds import NONE, STAGES, difference, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Grocer is one household in forty, so that the JVM is done in a minute.
SHARES = {"grocer": 40, "records": 10}
MOMENTS = {"grocer": datetime(2017, 10, 1, 4, tzinfo=UTC), "records": datetime(1998, 1, 1, 12, tzinfo=UTC)}
BLOCKS = [(name, key) for name in SHARES for key in blocks_of(demo_customer(name))]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean tables of each customer, and what blocks are made of that are blocks themselves."""
    from pyspark.sql import functions as F

    place = tmp_path_factory.mktemp("real")
    for name, share in SHARES.items():

        def some(frame: DataFrame, share: int = share) -> DataFrame:
            return frame.filter(F.pmod(F.xxhash64("user_id"), F.lit(share)) == 0)

        prepare(spark, demo_customer(name), place / name, some)
        for key in ("features/recursive_candidates", "features/recursive_columns"):
            outcome(spark, place, name, key).write.parquet(str(place / name / key))
    return place


def outcome(engine: SparkSession, folder: Path, name: str, key: str) -> DataFrame:
    customer = demo_customer(name)
    spec = STAGES.tables[key]
    given: Any = inputs(engine, folder / name, spec, STAGES.absent(customer.tables))
    table: DataFrame = call(spec, given, values(customer, MOMENTS[name]))
    return table


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "key"), BLOCKS)
def test_a_block_is_equal_on_both_engines(
    spark: SparkSession, jvm: SparkSession, folder: Path, name: str, key: str
) -> None:
    sail, java = (outcome(engine, folder, name, key) for engine in (spark, jvm))
    assert sail.dtypes == java.dtypes
    one = text(sail)
    # CDNOW's bills name no store.
    assert (len(one) > 20) != ((name, key) == ("records", "features/store_days"))
    assert difference(one, text(java)) == NONE

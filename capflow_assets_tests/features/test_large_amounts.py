"""What is allowed can be summed: thousands of rows of the largest amount, in every block that sums money."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.clean.bills import bills
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.clean.line_items import line_items
from capflow_assets.features.assortment import assortment
from capflow_assets.features.baskets import baskets
from capflow_assets.features.item_features import item_features
from capflow_assets.features.rfm import rfm
from capflow_assets.features.sequence import sequence
from capflow_assets.features.user_item import user_item
from capflow_assets.raw.bills import TABLE as RAW_BILLS
from capflow_assets.raw.line_items import TABLE as RAW_LINES
from capflow_assets.validation.amounts_agree import amounts_agree
from capflow_assets.validation.kpis import kpis
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LARGEST = Decimal("99999999999.9999")
ROWS = 9000
TOTAL = float(LARGEST * ROWS)
VALUES = {
    "user_id": "'ann'",
    "item_id": "'gold'",
    "store_id": "'s1'",
    "billed_at": "timestamp('2024-06-20 10:00:00')",
    "billed_on": "date('2024-06-20')",
    "quantity": f"{LARGEST}D",
    "amount": f"{LARGEST}D",
    "discount": f"{LARGEST}D",
    "line_items": "1",
    "line_no": "cast(id as int) + 1",
    "is_return": "false",
    "is_anonymous": "false",
    "flags": "''",
    "item_name": "cast(null as string)",
}


def largest(session: SparkSession, table: object, bill_id: str) -> DataFrame:
    values = VALUES | {"bill_id": bill_id}
    columns = [f"{values[name]} as {name}" for name in table.names]  # type: ignore[attr-defined]
    return session.range(ROWS).selectExpr(*columns)


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_blocks_sum_thousands_of_the_largest(engine: str, request: pytest.FixtureRequest) -> None:
    session: SparkSession = request.getfixturevalue(engine)
    paid = largest(session, BILLS, "cast(id as string)")
    lines = largest(session, LINES, "'b1'")
    assert TOTAL == 899999999999999.1
    money = ("spend_total", "spend_91d", "spend_avg", "recency_days")
    assert rows_of(rfm(paid, AS_OF, ZONE), *money) == [(TOTAL, TOTAL, TOTAL, 10)]
    now = {"as_of": AS_OF, "zone": ZONE}
    figures = ("purchase_amount_avg", "purchase_amount_std", "piece_price_avg")
    assert rows_of(baskets(paid, lines, **now), *figures) == [(pytest.approx(float(LARGEST)), 0.0, 1.0)]
    assert rows_of(user_item(lines, AS_OF, ZONE), "pieces", "spend_item") == [(TOTAL, TOTAL)]
    assert rows_of(item_features(lines, **now), "revenue", "revenue_28d", "price_last") == [(TOTAL, TOTAL, 1.0)]
    assert rows_of(assortment(lines, paid, **now), "items_bought", "top_item_share") == [(1, 1.0)]
    assert rows_of(sequence(paid, lines, **now), "basket_amount", "item_amounts") == [(TOTAL, [TOTAL])]
    total = kpis(paid, AS_OF, ZONE, "EUR").filter("measure = 'amount_total' and store_id is null")
    assert rows_of(total, "value") == [(TOTAL,)]
    assert amounts_agree(paid, lines.selectExpr("'0' as bill_id", "amount")).found["disagreeing"] == 1


def bill(number: str, amount: float, **more: object) -> dict[str, object]:
    return {"bill_id": number, "amount": amount, "billed_at": AS_OF, **more}


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_a_barcode_is_no_amount_and_is_set_aside_by_name(engine: str, request: pytest.FixtureRequest) -> None:
    session: SparkSession = request.getfixturevalue(engine)
    nothing = float("nan"), float("inf")
    rows = [
        bill("barcode", 5901234123457.0),
        bill("back", -6e13),
        bill("pieces", 1.0, quantity=4006381333931.0),
        bill("off", 1.0, discount=1e300),
        bill("nan", nothing[0]),
        bill("inf", nothing[1]),
        bill("dear", float(LARGEST), quantity=89638.0),
        bill("never", 1.0, billed_at=datetime.fromisoformat("1970-01-01T00:00:00+00:00")),
    ]
    expected = [
        ("back", "implausible_amount"),
        ("barcode", "implausible_amount"),
        ("dear", None),
        ("inf", "no_amount"),
        ("nan", "no_amount"),
        ("never", "placeholder_time"),
        ("off", "implausible_discount"),
        ("pieces", "implausible_quantity"),
    ]
    table = bills(frame_of(session, RAW_BILLS, rows), zone=ZONE)
    assert rows_of(table, "bill_id", "removed_because") == expected
    of_lines = [row | {"item_id": "pen"} for row in rows]
    table = line_items(frame_of(session, RAW_LINES, of_lines), zone=ZONE)
    assert rows_of(table, "bill_id", "removed_because") == expected


def test_a_bill_of_lines_beyond_what_a_table_holds_is_set_aside(spark: SparkSession) -> None:
    """A thousand lines of the largest amount are a bill, one more is too many."""
    lines = largest(spark, LINES, "if(id < 1000, 'most', 'more')").filter("line_no <= 2001")
    table = bills(None, lines, zone=ZONE)
    assert rows_of(table, "bill_id", "amount", "removed_because") == [
        ("more", pytest.approx(float(LARGEST * 1001)), "implausible_amount"),
        ("most", pytest.approx(float(LARGEST * 1000)), None),
    ]
    assert rows_of(table, "billed_on") == [(date(2024, 6, 20),)] * 2

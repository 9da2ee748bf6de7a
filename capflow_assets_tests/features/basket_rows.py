"""Clean line items, items and bills to compute features of by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from capflow_assets.clean.line_items import TABLE
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.features.shoppers import ZONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def sold(
    user: str | None, day: str, item: str, amount: float = 1.0, at: time = time(12), **more: Any
) -> dict[str, Any]:
    """A clean row of a bill of a user on a local day; one bill a user and day where ``bill_id`` is not given."""
    local = datetime.combine(date.fromisoformat(day), at, tzinfo=ZoneInfo(ZONE))
    quantity = more.pop("quantity", 1.0)
    row = {
        "bill_id": f"{user}-{day}",
        "item_id": item,
        "user_id": user,
        "billed_at": local.astimezone(UTC),
        "billed_on": local.date(),
        "quantity": quantity,
        "amount": amount,
        "is_return": amount < 0 or (quantity or 0) < 0,
        "flags": "",
    }
    return row | more


def lines_of(spark: SparkSession, rows: Iterable[dict[str, Any]]) -> DataFrame:
    """A frame of clean line items, numbered in order."""
    return frame_of(spark, TABLE, [{"line_no": n, **row} for n, row in enumerate(rows, 1)])

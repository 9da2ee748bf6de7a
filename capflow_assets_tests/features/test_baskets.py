from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.features.baskets import TABLE, baskets, plot
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LATE = datetime(2024, 6, 20, 12, tzinfo=UTC)


def line(bill_id: str, item: str, at: datetime = LATE, user: str | None = "ana", back: bool = False) -> dict[str, Any]:
    """A clean line item; its local day is that of UTC here."""
    row = {"bill_id": bill_id, "item_id": item, "user_id": user, "billed_at": at, "billed_on": at.date()}
    return row | {"is_return": back, "amount": -1.0 if back else 1.0, "flags": ""}


def lines_of(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    return frame_of(spark, LINES, [{"line_no": n, **row} for n, row in enumerate(rows, 1)])


def test_figures_by_hand(spark: SparkSession) -> None:
    rows = [
        bill("ana", "2024-01-01", 10.0) | {"quantity": 4.0, "line_items": 3},
        bill("ana", "2024-06-01", 20.0) | {"quantity": 1.0, "line_items": 1},
        bill("ana", "2024-06-01", 60.0) | {"quantity": 0.0, "line_items": None},
        bill("ana", "2024-06-02", -30.0) | {"quantity": -2.0, "line_items": 9},
        bill("bea", "2024-06-01", 5.0),
        bill("cem", "2024-06-01", -5.0),
        bill(None, "2024-06-01", 99.0),
    ]
    table = baskets(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    money = ("purchase_amount_avg", "purchase_amount_avg_91d", "purchase_amount_max", "purchase_amount_change_pct")
    assert rows_of(table, "user_id", "purchase_bills", "purchase_bills_91d", *money) == [
        ("ana", 3, 2, 30.0, 40.0, 60.0, pytest.approx(100 / 3)),
        ("bea", 1, 1, 5.0, 5.0, 5.0, 0.0),
        ("cem", 0, 0, None, None, None, None),
    ]
    # About 30: 400 + 100 + 900, halved is 700. The squares are 100 + 400 + 3600 of 90 x 90.
    ana = table.filter("user_id = 'ana'")
    spread = ("purchase_amount_std", "top_purchase_share", "purchase_concentration")
    assert rows_of(ana, *spread) == [(pytest.approx(700**0.5), 60 / 90, 4100 / 8100)]
    # A quantity of 0 is no count of pieces: its 60 are in no price.
    size = ("pieces_avg", "pieces_avg_91d", "lines_avg", "lines_avg_91d", "piece_price_avg", "piece_price_avg_91d")
    assert rows_of(ana, *size) == [(2.5, 1.0, 2.0, 1.0, 6.0, 20.0)]
    assert rows_of(table.filter("user_id = 'bea'"), "purchase_amount_std", "pieces_avg", "lines_avg", "items_avg") == [
        (None, None, None, None)
    ]


def test_equal_purchases_deviate_by_nothing(spark: SparkSession) -> None:
    """Three times 10.1 in doubles leaves a rest; in money it does not."""
    rows = [bill("ana", f"2024-06-0{day}", 10.1) for day in (1, 2, 3)]
    table = baskets(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "purchase_amount_std", "top_purchase_share") == [(0.0, 10.1 / 30.3)]


def test_bills_of_nothing_have_no_shares(spark: SparkSession) -> None:
    table = baskets(bills_of(spark, [bill("dan", "2024-06-01", 0.0)] * 2), as_of=AS_OF, zone=ZONE)
    names = (
        "purchase_bills",
        "purchase_amount_avg",
        "purchase_amount_std",
        "top_purchase_share",
        "purchase_concentration",
    )
    assert rows_of(table, *names) == [(2, 0.0, 0.0, None, None)]


def test_an_item_counts_once_a_bill(spark: SparkSession) -> None:
    """b1 has tea twice and milk, b2 tea, b0 of last year five; rows brought back and anonymous ones count nowhere."""
    old = datetime(2023, 6, 1, tzinfo=UTC)
    rows = [line("b1", "tea"), line("b1", "tea"), line("b1", "milk"), line("b2", "tea"), line("b2", "jam", back=True)]
    rows += [line("b0", f"i{n}", old) for n in range(5)] + [line("b3", "tea", user=None), line("b4", "x", user="bea")]
    bills = bills_of(spark, [bill("ana", "2024-06-20", 1.0), bill("cem", "2024-06-20", 1.0)])
    table = baskets(bills, lines_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "user_id", "items_avg", "items_avg_91d") == [("ana", 8 / 3, 1.5), ("cem", None, None)]


def test_a_moment_inside_a_bill_sees_its_first_rows(spark: SparkSession) -> None:
    """One bill, rung up over midnight around the moments; its day stays that of its first row."""
    first = datetime(2024, 6, 20, 20, tzinfo=UTC)
    rows = [line("b1", "tea", first), line("b1", "tea", first + timedelta(hours=6))]
    rows += [line("b1", "milk", first + timedelta(hours=6))]
    bills, lines = bills_of(spark, [bill("ana", "2024-06-20", 1.0)]), lines_of(spark, rows)
    moments = [first + timedelta(hours=1), first + timedelta(hours=7), first + timedelta(days=91)]
    table = baskets(bills, lines, as_of=moments, zone="UTC")
    assert rows_of(table, "as_of", "items_avg", "items_avg_91d") == [
        ("2024-06-20 21:00:00", 1.0, 1.0),
        ("2024-06-21 03:00:00", 2.0, 2.0),
        ("2024-09-19 20:00:00", 2.0, None),
    ]
    alone = [row for moment in moments for row in rows_of(baskets(bills, lines, as_of=moment, zone="UTC"))]
    assert rows_of(table) == sorted(alone, key=repr)


def test_the_window_ends_with_its_first_day(spark: SparkSession) -> None:
    rows = [bill("in", "2024-04-01", 2.0), bill("out", "2024-03-31", 2.0)]
    table = baskets(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "user_id", "purchase_bills_91d", "purchase_amount_avg_91d") == [
        ("in", 1, 2.0),
        ("out", 0, None),
    ]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    lines = [line("b1", "tea"), line("b1", "milk", AS_OF)]
    known = baskets(bills_of(spark, SHOPPERS), lines_of(spark, lines), as_of=AS_OF, zone=ZONE)
    late = [line("b1", "late", AS_OF + timedelta(microseconds=1)), line("b9", "late", AS_OF + timedelta(days=1))]
    seen = baskets(bills_of(spark, [*FUTURE, *SHOPPERS]), lines_of(spark, late + lines), as_of=AS_OF, zone=ZONE)
    assert rows_of(seen) == rows_of(known)
    assert (2.0,) in rows_of(known, "items_avg")


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    frame = bills_of(spark, [*SHOPPERS, *FUTURE])
    moments = [AS_OF, datetime(2024, 6, 3, 10, 30, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC)]
    alone = [row for moment in moments for row in rows_of(baskets(frame, as_of=moment, zone=ZONE))]
    assert rows_of(baskets(frame, as_of=moments, zone=ZONE)) == sorted(alone, key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    table = baskets(bills_of(spark, []), lines_of(spark, []), as_of=AS_OF, zone=ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 users")
    rows = [bill("ana", "2024-06-01", 3.0), bill("bea", "2024-06-01", 0.5), bill("cem", "2024-06-01", 1e6)]
    axes = plot(baskets(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)).axes[0]
    heights = [int(bar.get_height()) for bar in axes.patches]
    assert [place for place, height in enumerate(heights) if height] == [0, 2, 13]

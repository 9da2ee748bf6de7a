from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from capflow_assets.validation.distributions import TABLE, distributions, plot
from capflow_assets.validation.report import report
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def filled(frame: DataFrame, name: str) -> dict[str, int]:
    """The bins of a distribution in which something is."""
    rows = rows_of(frame.filter(f"distribution = '{name}' and count > 0"), "position", "bin", "count")
    return {label: count for _, label, count in sorted(rows)}


def test_counts_by_hand(spark: SparkSession) -> None:
    """Ana came four times, with gaps of 276, 63 and 25 days, bea once; both within the week."""
    table = distributions(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR")
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert filled(table, "recency") == {"0-6": 2}
    assert filled(table, "latency") == {"15-28": 1, "57-91": 1, "183+": 1}
    assert filled(table, "repeat") == {"1": 1, "4": 1}
    assert filled(table, "bill_amount") == {
        "under 0": 2,
        "0 to 1": 2,
        "5 to 10": 2,
        "10 to 20": 1,
        "20 to 50": 3,
        "50 to 100": 1,
    }
    assert filled(table, "line_items") == {}


def test_the_bins_are_those_of_the_report(spark: SparkSession) -> None:
    bills = bills_of(spark, SHOPPERS)
    ours = distributions(bills, AS_OF, ZONE, "EUR").filter("distribution in ('recency', 'latency', 'repeat')")
    theirs = report(bills, AS_OF, ZONE, "EUR").filter("section in ('recency', 'latency', 'repeat')")
    assert rows_of(ours, "distribution", "bin", "position", "count", "unit") == rows_of(
        theirs, "section", "name", "position", "value", "unit"
    )


def test_bins_lie_side_by_side_and_take_their_lower_edge(spark: SparkSession) -> None:
    amounts = [-0.01, 0.0, 0.99, 1.0, 999_999.99, 1_000_000.0]
    rows = [bill("ana", "2024-06-01", amount) | {"line_items": n} for n, amount in enumerate(amounts)]
    table = distributions(bills_of(spark, rows), AS_OF, ZONE, "EUR")
    assert filled(table, "bill_amount") == {
        "under 0": 1,
        "0 to 1": 2,
        "1 to 2": 1,
        "500,000 to 1,000,000": 1,
        "1,000,000+": 1,
    }
    assert filled(table, "line_items") == {"0": 1, "1": 1, "2": 1, "3": 1, "4": 1, "5": 1}
    for name in ("recency", "latency", "repeat", "bill_amount", "line_items"):
        steps = sorted(rows_of(table.filter(f"distribution = '{name}'"), "position", "at_least", "below"))
        assert all(one[2] == other[1] for one, other in pairwise(steps))
        assert steps[-1][2] is None
        assert (steps[0][1] is None) == (name == "bill_amount")


def test_shares_by_hand(spark: SparkSession) -> None:
    rows = [bill(f"u{n}", f"2024-06-{day}", 1.0) for n, day in enumerate((30, 29, 20, 10))]
    table = distributions(bills_of(spark, rows), AS_OF, ZONE, "EUR").filter("distribution = 'recency'")
    shares = sorted(rows_of(table, "position", "bin", "share_pct", "up_to_share_pct"))
    assert shares[:4] == [
        (1, "0-6", 50.0, 50.0),
        (2, "7-13", 25.0, 75.0),
        (3, "14-27", 25.0, 100.0),
        (4, "28-55", 0.0, 100.0),
    ]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(distributions(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR"))
    assert rows_of(distributions(bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), AS_OF, ZONE, "EUR")) == known
    later = distributions(bills_of(spark, [*FUTURE, *SHOPPERS]), datetime(2024, 7, 3, tzinfo=UTC), ZONE, "EUR")
    assert sum(filled(later, "bill_amount").values()) == len(SHOPPERS) + len(FUTURE)


def test_no_rows(spark: SparkSession) -> None:
    table = distributions(bills_of(spark, []), AS_OF, ZONE, "EUR")
    assert {row[0] for row in rows_of(table, "count")} == {0}
    assert {row[0] for row in rows_of(table, "share_pct")} == {None}
    assert plot(table).axes == []


def test_the_pictures_titles_are_findings(spark: SparkSession) -> None:
    rows = [bill(user, day, 15.0) for user in ("ana", "bea") for day in ("2024-06-01", "2024-06-08")]
    rows += [bill("cem", "2024-01-01", 30.0), bill("dan", "2024-06-20", 15.0)]
    picture = plot(distributions(bills_of(spark, rows), AS_OF, ZONE, "EUR"))
    assert [axes.get_title("left") for axes in picture.axes] == [
        "75 % of users came in the last 28 days",
        "100 % of gaps are a week or less",
        "50 % of users came more than once",
        "The median bill is 10 to 20 EUR",
    ]
    assert picture.axes[0].get_ylabel() == "% of 4 users"
    assert picture.axes[3].get_xlabel() == "amount of a bill (EUR)"
    # Only the bins from the first to the last that hold something are drawn.
    assert [label.get_text() for label in picture.axes[3].get_xticklabels()] == ["10 to 20", "20 to 50"]
    assert [bar.get_height() for bar in picture.axes[3].patches] == pytest.approx([500 / 6, 100 / 6])

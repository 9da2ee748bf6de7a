"""A line that sums up the others is no bill: it is set aside with its line, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.rejections import REASON
from capflow_assets.landing.totals import TOTAL
from capflow_assets.raw import bills, items
from capflow_assets.sources import csv
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = ["Total", "TOTAL", " Grand total", "Summe:", "Gesamtsumme", "合計", "итого", "Summe / Total", "TOTAL/TOTALE:"]
MAPPING = {"bill_id": "id", "billed_at": "at", "amount": "total"}
BILLS = ["1", "Total-17", "T0tal", "Totalenergies 4", "TOT", "7:", "Total/7", "/", "sum/"]


def test_a_total_is_reported_with_its_line_and_a_bill_is_a_bill(spark: SparkSession, tmp_path: Path) -> None:
    rows = [f"{word},2024-03-01 09:00:00,5" for word in (*BILLS, *WORDS)]
    (tmp_path / "in.csv").write_text("\n".join(("id,at,total", *rows, "")), encoding="utf-8")
    frame = csv.read(spark, str(tmp_path / "in.csv"), csv.Options())
    landed = conform(frame, bills.TABLE, MAPPING, zone="UTC").collect()
    aside = {row["source_position"]: row[REASON] for row in landed if row[REASON]}
    first = 2 + len(BILLS)
    assert set(aside) == {f"in.csv:{first + place}" for place in range(len(WORDS))}
    assert set(aside.values()) == {TOTAL}


def test_totals_stop_no_table_and_are_reported(spark: SparkSession, tmp_path: Path) -> None:
    """One line of eleven is more than five of a hundred, and none of it is broken."""
    bills_ = [f"{n},2024-03-{n:02} 09:00:00,5" for n in range(1, 11)]
    (tmp_path / "in.csv").write_text("\n".join(("id,at,total", *bills_, ",Total,50", "")), encoding="utf-8")
    result = Shop(tmp_path, spark).lands("bills", MAPPING, location="in.csv", max_rejected_pct=5)
    assert (result.status, result.counts) == ("done", {"came": 11, "totals": 1})
    (finding,) = (finding for _, finding in result.findings if finding.check == "landed")
    assert not finding.passed
    assert "1 sum others up" in finding.message
    assert "in.csv:12" in finding.message


def test_nothing_but_totals_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,at,total\nTotal,2024-03-01 09:00:00,50\n", encoding="utf-8")
    result = Shop(tmp_path, spark).lands("bills", MAPPING, location="in.csv")
    assert result.status == "failed"
    assert "None of 1 rows of bills is a bill" in result.reason


def test_an_item_may_be_called_total(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("Total", "Total")], "id string, name string")
    landed = conform(frame, items.TABLE, {"item_id": "id", "name": "name"}, zone="UTC").collect()
    assert [row[REASON] for row in landed] == [None]

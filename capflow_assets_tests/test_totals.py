"""A line that sums up the others is no bill: it is set aside with its line, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from capflow_assets.landing import REASON, conform
from capflow_assets.raw import bills, items
from capflow_assets.sources import csv

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = ["Total", "TOTAL", " Grand total", "Summe:", "Gesamtsumme", "合計", "итого"]
BILLS = ["1", "Total-17", "T0tal", "Totalenergies 4", "TOT", "7:"]


def test_a_total_is_told_with_its_line_and_a_bill_is_a_bill(spark: SparkSession, tmp_path: Path) -> None:
    rows = [f"{word},2024-03-01 09:00:00,5" for word in (*BILLS, *WORDS)]
    (tmp_path / "in.csv").write_text("\n".join(("id,at,total", *rows, "")), encoding="utf-8")
    frame = csv.read(spark, str(tmp_path / "in.csv"), csv.Options())
    mapping = {"bill_id": "id", "billed_at": "at", "amount": "total"}
    landed = conform(frame, bills.TABLE, mapping, zone="UTC").collect()
    aside = {row["source_position"]: row[REASON] for row in landed if row[REASON]}
    first = 2 + len(BILLS)
    assert set(aside) == {f"in.csv:{first + place}" for place in range(len(WORDS))}
    assert aside[f"in.csv:{first}"] == "bill_id: Total is a word for a sum, and no bill"


def test_an_item_may_be_called_total(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("Total", "Total")], "id string, name string")
    landed = conform(frame, items.TABLE, {"item_id": "id", "name": "name"}, zone="UTC").collect()
    assert [row[REASON] for row in landed] == [None]

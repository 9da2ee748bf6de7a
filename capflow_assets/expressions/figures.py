"""Figures of a report, and how those of one wide row become rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class Figure(NamedTuple):
    """One figure on its way to being a row of the report."""

    name: str
    value: Column
    unit: str


def lengthwise(wide: DataFrame, section: str, figures: Sequence[Figure]) -> DataFrame:
    """One row per figure of a frame that has one row."""
    from pyspark.sql import functions as F

    rows = (
        F.struct(
            F.lit(section).alias("section"),
            F.lit(figure.name).alias("name"),
            F.lit(position).alias("position"),
            figure.value.cast("double").alias("value"),
            F.lit(figure.unit).alias("unit"),
        )
        for position, figure in enumerate(figures, start=1)
    )
    return wide.select(F.explode(F.array(*rows)).alias("row")).select("row.*")

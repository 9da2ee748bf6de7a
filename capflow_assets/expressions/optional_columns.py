"""Columns that a customer may leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def optional(frame: DataFrame, name: str, kind: str) -> Column:
    """A column that a customer may leave out, as a ``kind``; null where it is left out or cannot be read as one."""
    from pyspark.sql import functions as F

    return (F.col(name).try_cast(kind) if name in frame.columns else F.lit(None).cast(kind)).alias(name)

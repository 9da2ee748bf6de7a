"""The history of how good a model's answers are, ``performance/{model}``: a row per scoring, kept and read.

A night that is scored again replaces itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.monitoring.scorings import Scoring, row_of
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import replace_moment, rows_in_utc

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("worst", "faults", "metric", "blind", "unknown", "late")
COUNTS = ("model_version", "subjects", "newest_bill_days", "bills_last_days", "live_version")
BOOLEANS = ("is_over", "is_seasonal", "is_higher_better")
MOMENTS = ("as_of", "live_as_of", "partial_as_of")


def table_of(model: str) -> str:
    """The table of a model's performance."""
    return f"performance/{model}"


def keep_scoring(lake: Lake, customer: str, model: str, scoring: Scoring) -> int:
    """Add a scoring; the table's new version.

    Raises:
        TableError: the table is damaged.
    """
    import pyarrow as pa

    row = row_of(scoring)
    rows = pa.Table.from_pylist([row], schema=pa.schema([(name, _kind(name)) for name in row]))
    return replace_moment(lake, customer, table_of(model), scoring.night.as_of, rows.to_reader())


def scoring_rows(lake: Lake, customer: str, model: str) -> list[dict[str, Any]]:
    """The scorings as plain values, oldest first; moments are in UTC.

    Raises:
        TableError: the table is damaged.
    """
    rows = rows_in_utc(lake, customer, table_of(model), MOMENTS)
    return sorted(rows, key=lambda row: row["as_of"])


def _kind(name: str) -> pa.DataType:
    import pyarrow as pa

    kinds = {**dict.fromkeys(TEXTS, pa.string()), **dict.fromkeys(COUNTS, pa.int32())}
    kinds |= {**dict.fromkeys(BOOLEANS, pa.bool_()), **dict.fromkeys(MOMENTS, pa.timestamp("us", tz="UTC"))}
    return kinds.get(name, pa.float64())

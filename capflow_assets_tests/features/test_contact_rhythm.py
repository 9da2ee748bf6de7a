from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.features.contact_rhythm import TABLE, contact_rhythm, plot
from capflow_assets.raw.messages import TABLE as MESSAGES
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = timedelta(days=1)
ZONE = "Europe/Madrid"
NOON = datetime(2024, 6, 30, 10, tzinfo=UTC)


def message(user: str, ago: float, opened: float | None = None, **more: Any) -> dict[str, Any]:
    """A message sent, and opened, so many days ago."""
    opened_at = None if opened is None else NOON - opened * DAY
    return {"user_id": user, "campaign_id": "c1", "sent_at": NOON - ago * DAY, "opened_at": opened_at, **more}


# Ana: opened one of two on a day; three since, of which one was of this week. Bea: one message. Cem was held out.
ROWS = (
    message("ana", 30, opened=29),
    message("ana", 30.1),
    message("ana", 20),
    message("ana", 8),
    message("ana", 6),
    message("bea", 1),
    message("cem", 1, is_control=True),
)


def table_of(spark: SparkSession, as_of: Any) -> DataFrame:
    return contact_rhythm(frame_of(spark, MESSAGES, ROWS), as_of=as_of, zone=ZONE)


def test_figures_by_hand(spark: SparkSession) -> None:
    table = table_of(spark, NOON)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("contacts_7d", "contact_gap_days_avg", "contact_gap_days_last", "contacts_unopened")
    assert rows_of(table, "user_id", *names) == [("ana", 1, 24 / 3, 2, 3), ("bea", 1, None, None, 1)]


def test_each_of_several_moments_knows_what_it_knows_alone(spark: SparkSession) -> None:
    moments = [NOON - ago * DAY for ago in (29.5, 28, 8, 0)]
    names = ("user_id", "as_of", "contacts_7d", "contact_gap_days_avg", "contact_gap_days_last", "contacts_unopened")
    together = rows_of(table_of(spark, moments), *names)
    assert together == sorted(row for moment in moments for row in rows_of(table_of(spark, moment), *names))
    # Not opened yet; opened; two since.
    assert [row[-1] for row in together] == [2, 0, 2, 3, 1]


def test_the_picture_counts_everybody(spark: SparkSession) -> None:
    assert plot(table_of(spark, NOON)).axes[0].get_title() == "2 users with a message"

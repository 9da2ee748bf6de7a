from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.features.campaigns import TABLE, campaigns, plot
from capflow_assets.raw.campaigns import TABLE as CAMPAIGNS
from capflow_assets.raw.messages import TABLE as MESSAGES
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, SHOPPERS, ZONE, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = timedelta(days=1)
# Noon in Madrid, so that days are whole.
NOON = datetime(2024, 6, 30, 10, tzinfo=UTC)


def message(user: str | None, ago: float | None, campaign: str | None = "c1", **more: Any) -> dict[str, Any]:
    """A message sent so many days ago; ``opened`` and ``clicked`` are days ago too."""
    times = {f"{name}_at": NOON - days * DAY for name, days in more.items() if name in ("opened", "clicked")}
    rest = {name: value for name, value in more.items() if name not in ("opened", "clicked")}
    sent = None if ago is None else NOON - ago * DAY
    return {"user_id": user, "campaign_id": campaign, "channel": "email", "sent_at": sent, **times, **rest}


def table_of(spark: SparkSession, rows: Any, as_of: Any = AS_OF, **more: DataFrame) -> DataFrame:
    return campaigns(frame_of(spark, MESSAGES, rows), **more, as_of=as_of, zone=ZONE)


# Ana: one of long ago, opened lately; one opened and clicked; one clicked alone; one ignored; and held out of c9.
ANA = (
    message("ana", 100, opened=90),
    message("ana", 60, "c2", opened=59, clicked=58),
    message("ana", 28, "c2", clicked=27),
    message("ana", 27, "c3"),
    message("ana", 5, "c9", is_control=True),
)


def test_figures_by_hand(spark: SparkSession) -> None:
    table = table_of(spark, ANA, bills=bills_of(spark, SHOPPERS))
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    counts = ("contacts", "contacts_28d", "contacts_91d", "contact_campaigns", "held_out_campaigns", "opens")
    assert rows_of(table, "user_id", *counts, "opens_91d", "clicks", "clicks_91d") == [
        ("ana", 4, 1, 3, 3, 1, 3, 3, 2, 2),
        *((user, 0, 0, 0, 0, 0, 0, 0, 0, 0) for user in ("bea", "cem", "dan")),
    ]
    ana = table.filter("user_id = 'ana'")
    rates = ("open_rate", "open_rate_91d", "click_rate", "click_rate_91d", "click_to_open_rate")
    assert rows_of(ana, *rates) == [(0.75, 2 / 3, 0.5, 2 / 3, 2 / 3)]
    assert rows_of(ana, "contact_recency_days", "open_recency_days", "click_recency_days") == [(27, 27, 27)]
    assert set(rows_of(table.filter("user_id <> 'ana'"), *rates, "contact_recency_days")) == {(None,) * 6}


def test_who_was_held_out_was_not_contacted(spark: SparkSession) -> None:
    table = table_of(spark, [message("eva", 3, is_control=True, opened=2, clicked=1)])
    names = ("contacts", "opens", "clicks", "held_out_campaigns", "open_rate", "contact_recency_days")
    assert rows_of(table, "user_id", *names) == [("eva", 0, 0, 0, 1, None, None)]


def test_an_open_after_the_moment_does_not_exist(spark: SparkSession) -> None:
    """Sent 3 days ago, opened 2 and clicked 1 day ago: each is known from its own time on."""
    rows = [message("ana", 3, opened=2, clicked=1)]
    moments = [NOON - ago * DAY for ago in (2.5, 2, 1.5, 1)]
    table = table_of(spark, rows, moments)
    assert rows_of(table, "as_of", "contacts", "opens", "clicks", "click_recency_days") == [
        ("2024-06-27 22:00:00", 1, 0, 0, None),
        ("2024-06-28 10:00:00", 1, 1, 0, None),
        ("2024-06-28 22:00:00", 1, 1, 0, None),
        ("2024-06-29 10:00:00", 1, 1, 1, 0),
    ]


def test_an_event_before_its_sending_counts_from_the_sending(spark: SparkSession) -> None:
    rows = [message("ana", 3, opened=5, clicked=4)]
    assert rows_of(table_of(spark, rows, NOON - 3.5 * DAY)) == []
    assert rows_of(table_of(spark, rows, NOON - 3 * DAY), "contacts", "opens", "clicks") == [(1, 1, 1)]


def test_copies_are_one_message(spark: SparkSession) -> None:
    """The same message landed before and after it was opened; ids come with blanks."""
    rows = [message("ana", 3), message(" ana", 3, " c1 ", opened=2), message("ana", 3, "c1", opened=1)]
    table = table_of(spark, rows)
    assert rows_of(table, "user_id", "contacts", "contact_campaigns", "opens", "open_recency_days") == [
        ("ana", 1, 1, 1, 2)
    ]


def test_messages_without_a_user_or_a_time_are_left_out(spark: SparkSession) -> None:
    rows = [message(None, 3), message(" ", 3), message("ana", None), message("bea", 3, None)]
    assert rows_of(table_of(spark, rows), "user_id", "contacts", "contact_campaigns") == [("bea", 1, 0)]


def test_campaigns_give_the_time_and_tell_which_still_run(spark: SparkSession) -> None:
    """c1 ended a day ago, c2 ends tomorrow, c3 never; c4 has not begun, so its message is not sent."""
    spans = {"c1": (9, 1), "c2": (8, -1), "c3": (7, None), "c4": (-2, -9)}
    listed = [
        {"campaign_id": name, "starts_at": NOON - start * DAY, "ends_at": None if end is None else NOON - end * DAY}
        for name, (start, end) in spans.items()
    ]
    rows = [message("ana", None, name) for name in spans] + [message("ana", 4, "unlisted")]
    table = table_of(spark, rows, raw_campaigns=frame_of(spark, CAMPAIGNS, listed))
    names = ("contacts", "contact_campaigns", "contact_campaigns_running", "contact_recency_days")
    assert rows_of(table, *names) == [(4, 4, 2, 4)]


def test_days_are_local(spark: SparkSession) -> None:
    """22:30 UTC on the 29th is half past midnight in Madrid, on the 30th, the day of the moment."""
    late = message("ana", None) | {"sent_at": datetime(2024, 6, 29, 22, 30, tzinfo=UTC)}
    assert rows_of(table_of(spark, [late]), "contact_recency_days") == [(0,)]
    assert rows_of(campaigns(frame_of(spark, MESSAGES, [late]), as_of=AS_OF, zone="UTC"), "contact_recency_days") == [
        (1,)
    ]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    after = -1.0
    later = [message("ana", after), message("new", after), message("ana", 27, "c3", opened=after, clicked=after)]
    assert rows_of(table_of(spark, [*later, *ANA[::-1]])) == rows_of(table_of(spark, ANA))


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    moments = [AS_OF, NOON - 58.5 * DAY, NOON + 2 * DAY]
    bills = bills_of(spark, SHOPPERS)
    rows = [*ANA, message("new", -1)]
    alone = [row for moment in moments for row in rows_of(table_of(spark, rows, moment, bills=bills))]
    assert rows_of(table_of(spark, rows, moments, bills=bills)) == sorted(alone, key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    assert rows_of(table_of(spark, [])) == []
    assert plot(table_of(spark, [])).axes[0].get_title().startswith("0 users")
    axes = plot(table_of(spark, ANA)).axes[0]
    assert [place for place, bar in enumerate(axes.patches) if bar.get_height()] == [7]

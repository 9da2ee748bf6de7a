"""Who belongs to a campaign's groups, when it begins for them, and which campaign is next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.expressions.campaign_groups import campaign_groups, campaigns_ahead
from capflow_assets.raw.campaigns import TABLE as CAMPAIGNS
from capflow_assets.raw.messages import TABLE as MESSAGES
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ZONE = "Europe/Madrid"
STARTS = datetime(2024, 7, 10, 8, tzinfo=UTC)


def sent(campaign: str, users: range, is_control: bool | None, at: datetime | None = STARTS) -> list[dict[str, Any]]:
    return [
        {"campaign_id": campaign, "user_id": f"u{n:03}", "is_control": is_control, "sent_at": at, "channel": "email"}
        for n in users
    ]


def campaign(name: str, starts: datetime = STARTS, ends: datetime | None = None) -> dict[str, Any]:
    return {"campaign_id": name, "starts_at": starts, "ends_at": ends}


def groups(
    spark: SparkSession, messages: list[dict[str, Any]], campaigns: list[dict[str, Any]]
) -> set[tuple[Any, ...]]:
    frames = frame_of(spark, MESSAGES, messages), frame_of(spark, CAMPAIGNS, campaigns)
    return set(rows_of(campaign_groups(*frames, ZONE), "campaign_id", "user_id", "began_at", "is_treated"))


def test_users_are_addressed_or_held_out_as_of_the_evening_before(spark: SparkSession) -> None:
    messages = [*sent("A", range(12), None), *sent("A", range(20, 30), True)]
    rows = groups(spark, messages, [campaign("A")])
    # Local midnight of 10 July in Madrid is 22:00 the day before in UTC.
    evening = "2024-07-09 21:59:59.999999"
    assert rows == {("A", f"u{n:03}", evening, 1) for n in range(12)} | {
        ("A", f"u{n:03}", evening, 0) for n in range(20, 30)
    }


def test_a_message_before_the_start_moves_the_beginning_and_one_without_a_time_is_sent_at_the_start(
    spark: SparkSession,
) -> None:
    early, wrong = datetime(2024, 7, 8, 20, tzinfo=UTC), datetime(2014, 7, 10, tzinfo=UTC)
    messages = [*sent("A", range(11), False, early), *sent("A", range(20, 31), True, None)]
    messages += sent("A", range(40, 42), False, wrong)
    rows = groups(spark, messages, [campaign("A")])
    assert {began for _, _, began, _ in rows} == {"2024-07-07 21:59:59.999999"}
    assert {user for _, user, _, _ in rows} == {f"u{n:03}" for n in (*range(11), *range(20, 31))}


@pytest.mark.parametrize(
    ("treated", "held_out"), [(12, 0), (0, 12), (12, 9), (9, 12), (1, 0)], ids=["all", "none", "few", "small", "one"]
)
def test_a_campaign_without_two_groups_is_left_out(spark: SparkSession, treated: int, held_out: int) -> None:
    whole = [*sent("B", range(10), False), *sent("B", range(10, 20), True)]
    messages = [*sent("A", range(treated), False), *sent("A", range(50, 50 + held_out), True), *whole]
    rows = groups(spark, messages, [campaign("A"), campaign("B")])
    assert {name for name, *_ in rows} == {"B"}
    assert len(rows) == 20


def test_who_was_held_out_and_sent_a_message_is_in_no_group_and_several_messages_are_one_user(
    spark: SparkSession,
) -> None:
    messages = [*sent("A", range(12), False), *sent("A", range(20, 31), True)]
    later = datetime(2024, 7, 12, tzinfo=UTC)
    messages += [*sent("A", range(2), False, later), *sent("A", range(20, 21), False, later)]
    rows = groups(spark, messages, [campaign("A")])
    assert len(rows) == 12 + 10
    assert "u020" not in {user for _, user, _, _ in rows}


def test_a_campaign_that_is_not_listed_has_no_beginning(spark: SparkSession) -> None:
    assert groups(spark, [*sent("X", range(12), False), *sent("X", range(20, 32), True)], [campaign("A")]) == set()


def day(number: int) -> datetime:
    return datetime(2024, 7, number, tzinfo=UTC)


AHEAD = [
    campaign("past", day(1), day(5)),
    campaign("runs", day(6), day(20)),
    campaign("next", day(15), day(25)),
    campaign("later", day(28), None),
]


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (day(10), {"runs", "next"}),
        (day(16), {"runs", "next", "later"}),
        (datetime(2024, 6, 1, tzinfo=UTC), {"past"}),
        (datetime(2025, 1, 1, tzinfo=UTC), {"later"}),
    ],
)
def test_what_runs_and_what_is_next(spark: SparkSession, now: datetime, names: set[str]) -> None:
    frame = campaigns_ahead(frame_of(spark, CAMPAIGNS, AHEAD), now)
    assert {row["campaign_id"] for row in frame.collect()} == names


def test_where_none_runs_or_is_next_the_newest_is_meant_and_of_many_the_latest(spark: SparkSession) -> None:
    over = [campaign("old", day(1), day(5)), campaign("new", day(6), day(9))]
    assert rows_of(campaigns_ahead(frame_of(spark, CAMPAIGNS, over), day(30))) == [("new",)]
    endless = [campaign(f"c{n:02}", day(n)) for n in range(1, 20)]
    frame = campaigns_ahead(frame_of(spark, CAMPAIGNS, endless), day(30), most=2)
    assert rows_of(frame) == [("c18",), ("c19",)]

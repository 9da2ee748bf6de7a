"""What each user got when campaigns began together, and how likely that was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.expressions.campaign_actions import lots, with_chances
from capflow_assets.learning.actions import CHANNELS, words_of_channels
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BEGAN = datetime(2024, 6, 2, 23, 59, 59, 999999, tzinfo=UTC)
SENT = datetime(2024, 6, 3, 9, tzinfo=UTC)


def message(user: str, campaign: str, channel: str | None, is_control: bool = False, hour: int = 9) -> dict[str, Any]:
    return {
        "user_id": user,
        "campaign_id": campaign,
        "channel": channel,
        "sent_at": SENT.replace(hour=hour),
        "is_control": is_control,
    }


def rows_of(spark: SparkSession, messages: list[dict[str, Any]], bills: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def table(name: str, rows: list[dict[str, Any]]) -> DataFrame:
        return frame_of(spark, STAGES.tables[name].table, rows)

    campaigns = [
        {"campaign_id": name, "starts_at": SENT, "ends_at": SENT.replace(day=20)} for name in ("news", "coupon")
    ]
    coupons = [{"coupon_id": "K1", "campaign_id": "coupon", "item_id": None}]
    sold = table("clean/bills", bills)
    frames = (table("raw/messages", messages), table("raw/campaigns", campaigns), table("raw/coupons", coupons))
    of_lots = lots(sold, *frames, "UTC", words_of_channels(), CHANNELS)
    rows = with_chances(of_lots.filter(of_lots.began_at == BEGAN), sold, BEGAN, "UTC").collect()
    return sorted((row.user_id, row.action, round(row.propensity, 4), int(row.possible), row.is_drawn) for row in rows)


def bill(user: str, day: int) -> dict[str, Any]:
    at = datetime(2024, 5, day, 12, tzinfo=UTC)
    return {
        "bill_id": f"{user}-{day}",
        "user_id": user,
        "billed_at": at,
        "billed_on": at.date(),
        "amount": 5.0,
        "is_return": False,
        "is_anonymous": False,
    }


@pytest.fixture
def addressed() -> list[dict[str, Any]]:
    """Ten get the news by email, ten a coupon by text, ten of each campaign are held out."""
    sent = [message(f"e{n}", "news", "E-Mail") for n in range(10)]
    sent += [message(f"s{n}", "coupon", "sms") for n in range(10)]
    return sent + [message(f"c{n}", "news" if n < 10 else "coupon", None, is_control=True) for n in range(20)]


def test_campaigns_that_begin_together_are_one_lot(spark: SparkSession, addressed: list[dict[str, Any]]) -> None:
    twice = [message("both", "news", "email"), message("both", "coupon", "sms")]
    later = [message("e0", "news", "push", hour=12)]  # of several messages the first says what was done
    rows = rows_of(spark, [*addressed, *twice, *later], [])
    # 0 nothing, 1 email, 6 text with a coupon; bits 1 + 2 + 64.
    assert {row for row in rows if row[0][0] == "e"} == {(f"e{n}", 1, 0.25, 67, 1) for n in range(10)}
    assert {row for row in rows if row[0][0] == "s"} == {(f"s{n}", 6, 0.25, 67, 1) for n in range(10)}
    assert {row for row in rows if row[0][0] == "c"} == {(f"c{n}", 0, 0.5, 67, 1) for n in range(20)}
    assert len(rows) == 40


def test_where_nobody_was_held_out_others_are_compared_who_bought_as_often(
    spark: SparkSession, addressed: list[dict[str, Any]]
) -> None:
    """Of those who came on two days 10 of 15 were addressed; of those who came on one day the 10 others; 5 never."""
    news = [row for row in addressed if row["campaign_id"] == "news" and not row["is_control"]]
    often = [bill(f"e{n}", day) for n in range(10) for day in (1, 2)] + [
        bill(f"o{n}", d) for n in range(5) for d in (3, 4)
    ]
    seldom = [bill(f"x{n}", 1) for n in range(10)]
    rows = rows_of(spark, news, [*often, *seldom])
    assert {row for row in rows if row[0][0] == "e"} == {(f"e{n}", 1, 0.6667, 3, 0) for n in range(10)}
    assert {row for row in rows if row[0][0] == "o"} == {(f"o{n}", 0, 0.3333, 3, 0) for n in range(5)}
    # An email was not possible to those who bought once.
    assert {row for row in rows if row[0][0] == "x"} == {(f"x{n}", 0, 1.0, 1, 0) for n in range(10)}

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.features.promotion import TABLE, plot, promotion
from capflow_assets.raw.campaigns import TABLE as CAMPAIGNS
from capflow_assets.raw.messages import TABLE as MESSAGES
from capflow_assets.raw.redemptions import TABLE as REDEMPTIONS
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SENT = datetime(2024, 6, 3, 10, tzinfo=UTC)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
ENDS = {"at last": timedelta(0), "late": SECOND}
ANSWERS = ("user_id", "messages_answerable", "visit_response_share", "coupon_response_share")


def off(user: str, day: str, amount: float, discount: float | None) -> dict[str, Any]:
    return bill(user, day, amount) | {"discount": discount}


def bought(user: str, at: datetime, amount: float = 1.0) -> dict[str, Any]:
    return bill(user, at.date().isoformat(), amount) | {"billed_at": at}


def message(user: str | None, at: datetime | None, campaign: str = "c", **more: Any) -> dict[str, Any]:
    return {"user_id": user, "campaign_id": campaign, "channel": "email", "sent_at": at, **more}


def used(user: str, at: datetime) -> dict[str, Any]:
    return {"user_id": user, "coupon_id": "k", "redeemed_at": at}


def test_discounts_by_hand(spark: SparkSession) -> None:
    """Ana: 2 off 10 in winter, 1 off 4, nothing off 5; a return, an unknown discount and one below 0 give nothing."""
    rows = [off("ana", "2024-01-01", 8.0, 2.0), off("ana", "2024-06-01", 3.0, 1.0), off("ana", "2024-06-02", 5.0, 0.0)]
    rows += [off("ana", "2024-06-03", -3.0, 1.0), off("ana", "2024-06-04", 50.0, None)]
    rows += [
        off("bea", "2024-06-01", 4.0, -1.0),
        off("cem", "2024-06-01", 4.0, None),
        off("dan", "2024-06-01", 0.0, 0.0),
    ]
    table = promotion(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("user_id", "discount_total", "discount_share", "discount_share_91d", "discounted_bill_share")
    assert rows_of(table, *names, "discounted_bill_share_91d") == [
        ("ana", 3.0, 3 / 19, 1 / 9, 2 / 3, 0.5),
        ("bea", 0.0, 0.0, 0.0, 0.0, 0.0),
        ("cem", None, None, None, None, None),
        ("dan", 0.0, None, None, 0.0, 0.0),
    ]
    rest = TABLE.names[TABLE.names.index("discounted_line_share") :]
    assert set(rows_of(table, *rest)) == {(None,) * len(rest)}


def test_lines_with_a_discount(spark: SparkSession) -> None:
    rows = [
        bought("ana", SENT) | {"item_id": "i", "line_no": n, "bill_id": "b", "discount": d, "flags": ""}
        for n, d in enumerate((0.5, 0.0, 0.0, None), 1)
    ]
    table = promotion(bills_of(spark, SHOPPERS), frame_of(spark, LINES, rows), as_of=AS_OF, zone=ZONE)
    lines = ("user_id", "discounted_line_share", "discounted_line_share_91d")
    assert rows_of(table, *lines)[:2] == [("ana", 1 / 3, 1 / 3), ("bea", None, None)]


def test_coupons_by_local_day(spark: SparkSession) -> None:
    """22:30 UTC on 31 March is 1 April in Madrid, the first day of the last 91; one of July is not yet used."""
    uses = [
        used(" ana ", datetime(2024, 3, 31, 22, 30, tzinfo=UTC)),
        used("ana", datetime(2024, 3, 31, 21, 30, tzinfo=UTC)),
    ]
    uses += [used("ana", AS_OF + SECOND), used("nobody", SENT)]
    table = promotion(bills_of(spark, SHOPPERS), None, frame_of(spark, REDEMPTIONS, uses), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "user_id", "coupons_used", "coupons_used_91d", "coupon_recency_days") == [
        ("ana", 2, 1, 90),
        ("bea", 0, 0, None),
        ("cem", 0, 0, None),
        ("dan", 0, 0, None),
    ]


def test_a_message_is_answered_within_seven_days(spark: SparkSession) -> None:
    """The second after counts, the week's last instant does; the very moment, a return and what comes later do not."""
    times = {"at once": SECOND, "at last": WEEK, "same": timedelta(0), "late": WEEK + SECOND, "before": -SECOND}
    rows = [bought(user, SENT + after) for user, after in times.items()] + [bought("back", SENT + SECOND, -1.0)]
    sent = frame_of(spark, MESSAGES, [message(user, SENT) for user in (*times, "back")])
    table = promotion(bills_of(spark, rows), messages=sent, as_of=AS_OF, zone=ZONE)
    assert rows_of(table, *ANSWERS) == [
        ("at last", 1, 1.0, None),
        ("at once", 1, 1.0, None),
        ("back", 1, 0.0, None),
        ("before", 1, 0.0, None),
        ("late", 1, 0.0, None),
        ("same", 1, 0.0, None),
    ]


def test_the_week_of_a_message_ends_at_the_same_time_of_a_local_day(spark: SparkSession) -> None:
    """Sent at noon of 24 March in Madrid, when clocks go forward the week after, and of 20 October, when they go back:
    noon is 10:00 and 11:00 in UTC.
    """
    noons = {
        "spring": (datetime(2024, 3, 24, 11, tzinfo=UTC), datetime(2024, 3, 31, 10, tzinfo=UTC)),
        "autumn": (datetime(2024, 10, 20, 10, tzinfo=UTC), datetime(2024, 10, 27, 11, tzinfo=UTC)),
    }
    rows = [
        bought(f"{season} {name}", end + after) for season, (_, end) in noons.items() for name, after in ENDS.items()
    ]
    sent = [message(f"{season} {name}", start) for season, (start, _) in noons.items() for name in ENDS]
    frames = bills_of(spark, rows), frame_of(spark, MESSAGES, sent)
    table = promotion(frames[0], messages=frames[1], as_of=datetime(2024, 12, 1, tzinfo=UTC), zone=ZONE)
    assert rows_of(table, *ANSWERS[:3]) == [
        ("autumn at last", 1, 1.0),
        ("autumn late", 1, 0.0),
        ("spring at last", 1, 1.0),
        ("spring late", 1, 0.0),
    ]
    ends = [noons["spring"][1] - SECOND, noons["spring"][1]]
    table = promotion(frames[0], messages=frames[1], as_of=ends, zone=ZONE).filter("messages_answerable > 0")
    assert {row[0] for row in rows_of(table, "as_of")} == {"2024-03-31 10:00:00"}


def test_one_purchase_may_answer_two_messages_and_each_message_counts_once(spark: SparkSession) -> None:
    rows = [bought("ana", SENT + WEEK), bought("ana", SENT + WEEK + SECOND), bought("bea", SENT)]
    sent = [message("ana", SENT), message("ana", SENT), message("ana", SENT + SECOND), message("ana", SENT - WEEK)]
    sent += [message("ana", SENT, "held", is_control=True), message(None, SENT), message("ana", None, "no time")]
    frame = frame_of(spark, MESSAGES, sent)
    uses = frame_of(spark, REDEMPTIONS, [used("ana", SENT)])
    table = promotion(bills_of(spark, rows), None, uses, frame, as_of=AS_OF, zone=ZONE)
    assert rows_of(table, *ANSWERS) == [("ana", 3, 2 / 3, 1 / 3), ("bea", 0, None, None)]


def test_a_message_counts_when_its_week_is_over(spark: SparkSession) -> None:
    bills = bills_of(spark, [bought("ana", SENT - WEEK), bought("ana", SENT + SECOND)])
    sent = frame_of(spark, MESSAGES, [message("ana", SENT)])
    moments = [SENT + WEEK - SECOND, SENT + WEEK]
    table = promotion(bills, messages=sent, as_of=moments, zone=ZONE)
    assert rows_of(table, "as_of", *ANSWERS[1:3]) == [("2024-06-10 09:59:59", 0, None), ("2024-06-10 10:00:00", 1, 1.0)]


def test_a_message_without_a_time_was_sent_when_its_campaign_began(spark: SparkSession) -> None:
    campaigns = frame_of(spark, CAMPAIGNS, [{"campaign_id": " c ", "starts_at": SENT}])
    sent = frame_of(spark, MESSAGES, [message("ana", None)])
    bills = bills_of(spark, [bought("ana", SENT + SECOND)])
    table = promotion(bills, messages=sent, raw_campaigns=campaigns, as_of=AS_OF, zone=ZONE)
    assert rows_of(table, *ANSWERS) == [("ana", 1, 1.0, None)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    past = [row | {"discount": 1.0} for row in SHOPPERS]
    later = [row | {"discount": 9.0} for row in FUTURE]
    sent, uses = [message("ana", SENT), message("bea", AS_OF - WEEK)], [used("ana", SENT + SECOND)]
    sent_later = [*sent, message("ana", AS_OF - WEEK + SECOND), message("bea", AS_OF + SECOND)]

    def rows_with(bills: Any, messages: Any, redemptions: Any) -> list[tuple[Any, ...]]:
        frames = frame_of(spark, REDEMPTIONS, redemptions), frame_of(spark, MESSAGES, messages)
        return rows_of(promotion(bills_of(spark, bills), None, *frames, as_of=AS_OF, zone=ZONE))

    assert rows_with([*later, *past], sent_later, [*uses, used("bea", AS_OF + SECOND)]) == rows_with(past, sent, uses)


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    bills = bills_of(spark, [row | {"discount": 1.0} for row in (*SHOPPERS, *FUTURE)])
    sent = frame_of(spark, MESSAGES, [message("ana", SENT - 7 * WEEK), message("ana", SENT), message("bea", SENT)])
    uses = frame_of(spark, REDEMPTIONS, [used("ana", SENT + SECOND), used("ana", SENT + 3 * WEEK)])
    moments = [AS_OF, SENT + timedelta(minutes=30), datetime(2024, 7, 3, tzinfo=UTC)]

    def rows_at(as_of: Any) -> list[tuple[Any, ...]]:
        return rows_of(promotion(bills, None, uses, sent, as_of=as_of, zone=ZONE))

    assert rows_at(moments) == sorted((row for moment in moments for row in rows_at(moment)), key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    table = promotion(bills_of(spark, []), messages=frame_of(spark, MESSAGES, []), as_of=AS_OF, zone=ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 users")
    axes = plot(promotion(bills_of(spark, [off("ana", "2024-06-01", 3.0, 1.0)]), as_of=AS_OF, zone=ZONE)).axes[0]
    assert [bar.get_x() + 2.25 for bar in axes.patches if bar.get_height()] == [27.5]

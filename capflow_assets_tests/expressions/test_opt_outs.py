"""Who is on the list and who leaves it, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.expressions.messages import messages_of
from capflow_assets.expressions.opt_outs import fell_silent, listed, opted_out, reached
from capflow_assets.raw.consents import TABLE as CONSENTS
from capflow_assets.raw.messages import TABLE as MESSAGES
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOW = datetime(2024, 6, 30, 10, tzinfo=UTC)
END = NOW + timedelta(days=30)
ZONE = "Europe/Madrid"


def at(days: float) -> datetime:
    return NOW + timedelta(days=days)


def message(user: str, sent: float, channel: str | None = "email", opened: float | None = None, **more: Any) -> Any:
    """A message sent, and opened, so many days after now."""
    times = {"sent_at": at(sent), "opened_at": None if opened is None else at(opened)}
    return {"user_id": user, "campaign_id": "c1", "channel": channel, **times, **more}


def word(user: str, status: str, captured: float | None, channel: str | None = None, **more: Any) -> Any:
    captured_at = None if captured is None else at(captured)
    return {"user_id": user, "status": status, "channel": channel, "captured_at": captured_at, **more}


def sent(spark: SparkSession, *rows: Any) -> DataFrame:
    return messages_of(frame_of(spark, MESSAGES, rows), None)


def users(frame: DataFrame) -> list[str]:
    return sorted(row["user_id"] for row in frame.select("user_id").collect())


def test_the_list_is_who_was_sent_a_message_in_the_quarter_and_said_no_no_last(spark: SparkSession) -> None:
    names = ("mum", "no", "No", "again", "twice", "sms", "timeless", "later", "odd", "nameless")
    messages = [message(name, -10, None if name == "nameless" else "Email") for name in names]
    messages += [message("old", -92), message("held out", -3, is_control=True), message("next", 1)]
    consents = [
        word("no", "denied", -5),
        word("No", " Suppressed ", -5, "EMAIL "),
        *(word("again", status, days) for status, days in (("denied", -5), ("granted", -4))),
        *(word("twice", status, -5) for status in ("granted", "denied")),
        word("sms", "denied", -5, "sms"),
        word("timeless", "denied", None),
        *(word("later", status, days) for status, days in (("granted", -9), ("denied", 1))),
        word("odd", "perhaps", -5),
        word("nameless", "denied", -5, "push"),
    ]
    frame = frame_of(spark, CONSENTS, consents)
    assert users(listed(sent(spark, *messages), frame, NOW, ZONE)) == ["again", "later", "mum", "sms"]
    assert users(listed(sent(spark, *messages), None, NOW, ZONE)) == sorted(names)


def test_a_no_within_the_horizon_is_an_opt_out(spark: SparkSession) -> None:
    listed_users = reached(sent(spark, *(message(name, -1) for name in "abcdef")), NOW, ZONE)
    consents = [
        word("a", "denied", 0),
        word("b", "denied", 0.001),
        word("c", "suppressed", 30),
        word("d", "denied", 30.001),
        word("e", "granted", 5),
        word("f", "denied", None, valid_from=at(7)),
        word("stranger", "denied", 5),
    ]
    frame = frame_of(spark, CONSENTS, consents)
    assert users(opted_out(frame, listed_users, NOW, END)) == ["b", "c", "f"]


def test_silence_is_a_run_unopened_that_would_hardly_be_bad_luck(spark: SparkSession) -> None:
    """Three opened of five is a rate of 3 / 6: five unopened have a chance of 1 / 32, four one of 1 / 16."""

    def reader(name: str, due: int, *more: Any) -> list[Any]:
        before = [message(name, -20 + n, opened=-19 + n if n < 3 else None) for n in range(5)]
        return [*before, *(message(name, 1 + n) for n in range(due)), *more]

    rows = [
        *reader("silent", 5),
        *reader("perhaps", 4),
        *reader("answers", 5, message("answers", 9, opened=10)),
        *reader("reads the old", 5, message("reads the old", -1, opened=3)),
        *reader("still may", 4, message("still may", 29)),
        *reader("held out", 4, message("held out", 9, is_control=True)),
        *(message("never read", day) for day in range(-9, 20)),
    ]
    messages = sent(spark, *rows)
    assert users(fell_silent(messages, reached(messages, NOW, ZONE), NOW, END, ZONE)) == ["silent"]


@pytest.mark.parametrize("days", [0, 40])
def test_an_opening_after_the_moment_is_none_before_it(spark: SparkSession, days: float) -> None:
    frame = reached(sent(spark, message("ana", -2, opened=1), message("ana", -1)), NOW + timedelta(days=days), ZONE)
    assert [tuple(row) for row in frame.select("contacts", "opens").collect()] == [(2, 1 if days else 0)]


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    rows = [message("ana", -20 + n, opened=-19 + n if n < 3 else None) for n in range(5)]
    rows += [*(message("ana", 1 + n) for n in range(5)), message("bea", -3, None), message("cem", -3, "sms")]
    said = [word("bea", "denied", 4), word("cem", "denied", 4, "sms"), word("cem", "granted", -4, "SMS")]

    def of(engine: SparkSession) -> list[list[str]]:
        messages, consents = sent(engine, *rows), frame_of(engine, CONSENTS, said)
        on_it = listed(messages, consents, NOW, ZONE)
        left = opted_out(consents, on_it, NOW, END), fell_silent(messages, on_it, NOW, END, ZONE)
        return [users(frame) for frame in (on_it, *left)]

    assert of(spark) == of(jvm) == [["ana", "bea", "cem"], ["bea", "cem"], ["ana"]]

"""Outcomes of messages, by hand, and how near lists come to those of one who knows the laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.channel_shares import sent_messages
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.channel_affinity import (
    MESSAGES,
    MODEL,
    OPENED,
    PER,
    ChannelAffinity,
    ChannelAffinityParams,
    MostOpened,
    calibration_error,
    known,
    outcome,
)
from capflow_assets.raw.messages import TABLE
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.campaigns import CHANNELS, OPENED_SHARE, OWN_CHANNEL_RISE
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = ChannelAffinityParams()
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


def march(day: int, hour: int = 9) -> datetime:
    return datetime(2020, 3, day, hour, tzinfo=UTC)


def message(user: str | None, at: datetime | None, channel: str | None, **more: Any) -> dict[str, Any]:
    row = {"campaign_id": "C1", "user_id": user, "channel": channel, "sent_at": at, "opened_at": None}
    return {**row, "clicked_at": None, "is_control": False, **more}


# -- the outcome -------------------------------------------------------------------------------------------------------


def test_the_outcome_is_what_was_opened_of_messages_with_time_to_open_them(spark: SparkSession) -> None:
    rows = [
        message("ann", START, "email", opened_at=march(2)),  # the start itself belongs to the past
        message("ann", march(5), "email", opened_at=march(6)),
        message("ann", march(5), "email"),  # the same message, told twice
        message("ann", march(8), "email", opened_at=END + timedelta(hours=1)),  # opened too late to be known
        message("ann", march(9), "sms"),
        message("ann", march(28, 13), "sms", opened_at=march(29)),  # too late to judge those not opened yet
        message("bob", march(28, 12), "push", opened_at=END),
        message("bob", march(9), None, opened_at=march(9)),
        message("cas", march(9), "email", is_control=True),
        message(None, march(9), "email", opened_at=march(9)),
        message("dan", None, "email", opened_at=march(9)),
    ]
    frame = outcome(frame_of(spark, TABLE, rows), START, END, "UTC")
    assert frame.columns == ["user_id", "channel", "opened", "sent"]
    expected = [("ann", "email", 1, 2), ("ann", "sms", 0, 1), ("bob", "push", 1, 1)]
    assert sorted(tuple(row) for row in frame.collect()) == expected


def test_users_with_a_bill_or_a_message_are_asked_about(spark: SparkSession) -> None:
    row = {"billed_at": march(2), "billed_on": march(2).date(), "amount": 5.0, "is_return": False}
    bills = [{**row, "user_id": user, "is_anonymous": user is None} for user in ("buyer", None)]
    sent = [message("reader", march(1), "email"), message("later", march(9), "email"), message(None, march(1), "sms")]
    rows = known(frame_of(spark, TABLE, sent), frame_of(spark, BILLS, bills), march(5), "UTC").collect()
    assert sorted(row["user_id"] for row in rows) == ["buyer", "reader"]


def test_what_is_opened_after_the_moment_was_not_known_at_it() -> None:
    rows = [
        message("ann", march(1), "email", opened_at=march(2)),
        message("ann", march(3), "email", opened_at=march(20)),
        message("ann", march(9, 9), "email", opened_at=march(9, 10)),  # a day old: others may still be opened
        message("bob", march(1), "sms", is_control=True),
        message("bob", march(1), "sms", is_control=None),
    ]
    sent = sent_messages(pd.DataFrame(rows), march(10))
    counts, opened = sent.cells(0.0)
    assert (sent.users.tolist(), sent.channels.tolist()) == (["ann", "bob"], ["email", "sms"])
    assert counts.tolist() == [[2, 0], [0, 1]]
    assert opened.tolist() == [[1, 0], [0, 0]]
    # 9 and 7 days old at a half-life of 7 days.
    assert sent.cells(7.0)[0][0, 0] == pytest.approx(0.5 ** (9 / 7) + 0.5)


# -- the planted world -------------------------------------------------------------------------------------------------


@cache
def world(own_pct: float) -> World:
    dials = {"campaigns": 12, "campaign_reach_pct": 80, "campaign_days": 14, "opening_pct": 90}
    return simulate(tiny("shop", seed=5, users=4000, days=420, own_channel_pct=own_pct, **dials))


def examples_at(of: World, moment: datetime) -> Examples:
    """All users with a message by then, with the outcomes of those of the next 91 days, counted with pandas."""
    rows = of.messages
    past = rows[rows["sent_at"] <= moment]
    users = pd.DataFrame(index=pd.Index(sorted(past["user_id"].unique()), name="user_id"))
    end = moment + timedelta(days=91)
    later = rows[(rows["sent_at"] > moment) & (rows["sent_at"] <= end - timedelta(days=3)) & ~rows["is_control"]]
    later = later[later["user_id"].isin(users.index)].assign(opened=later["opened_at"] <= end)
    counts = later.groupby(["user_id", "channel"])["opened"].agg(opened="sum", sent="size").astype(float)
    return Examples(users, counts.reset_index("channel"), {MESSAGES: (past,)}, (moment,), "UTC")


def oracle(of: World, test: Examples) -> pd.DataFrame:
    """The lists of one who knows that each user holds to one of three channels, and how firmly.

    By Bayes, from the opens so far: which channel that is; from there the chance on each.
    """
    past = test.table(MESSAGES)
    past = past[~past["is_control"] & (past["sent_at"] <= test.moments[-1] - timedelta(days=3))]
    opened = past["opened_at"] <= test.moments[-1]
    share = of.brand.own_channel_pct / 100
    by_own = OPENED_SHARE * (1 + share * np.where(np.eye(3, dtype=bool), OWN_CHANNEL_RISE, -1.0))
    weight = np.zeros((len(test.columns), 3))
    for number, channel in enumerate(CHANNELS):
        for is_open, chance in ((True, by_own[:, number]), (False, 1 - by_own[:, number])):
            rows = past[(past["channel"] == channel) & (opened == is_open)].groupby("user_id").size()
            weight += rows.reindex(test.columns.index, fill_value=0).to_numpy()[:, None] * np.log(chance)
    own = np.exp(weight - weight.max(axis=1, keepdims=True))
    chances = (own / own.sum(axis=1, keepdims=True)) @ by_own
    lists = {PER: np.tile(CHANNELS, len(chances)), "score": chances.ravel()}
    return pd.DataFrame(lists, test.columns.index.repeat(3))


def test_lists_come_near_those_of_one_who_knows_the_laws() -> None:
    of = world(80.0)
    end = of.end.to_pydatetime()
    fitted = ChannelAffinity(PARAMS).fit(examples_at(of, end - timedelta(days=182)))
    test = examples_at(of, end - timedelta(days=91))
    outcomes = test.outcomes
    assert outcomes is not None
    answers, best = fitted.predict(test), oracle(of, test)
    value, most = (MODEL.metric.compute(outcomes, lists) for lists in (answers, best))
    assert value > most - 0.01
    gain = difference_with_interval(MODEL.metric, outcomes, answers, MostOpened(PARAMS).fit(test).predict(test), seed=0)
    assert gain.low > 0.02, gain
    # Chances are those of the oracle, and come true.
    both = answers.set_index(PER, append=True)["score"], best.set_index(PER, append=True)["score"]
    assert (both[0] - both[1]).abs().mean() < 0.05
    assert calibration_error(outcomes, answers) < 0.03


def test_where_nobody_has_a_channel_of_their_own_chances_are_all_alike() -> None:
    of = world(0.0)
    end = of.end.to_pydatetime()
    fitted = ChannelAffinity(PARAMS).fit(examples_at(of, end - timedelta(days=182)))
    answers = fitted.predict(examples_at(of, end - timedelta(days=91)))
    assert answers["score"].mean() == pytest.approx(OPENED_SHARE, abs=0.03)
    assert answers["score"].std() < 0.05


# -- those of whom little is known -------------------------------------------------------------------------------------


def small(*rows: dict[str, Any]) -> Examples:
    users = pd.DataFrame(index=pd.Index(["ann", "new"], name="user_id"))
    outcomes = pd.DataFrame({PER: ["email"], OPENED: [1.0], "sent": [2.0]}, index=pd.Index(["ann"], name="user_id"))
    columns = ["user_id", PER, "sent_at", "opened_at", "is_control"]
    frame = pd.DataFrame(list(rows), columns=columns) if not rows else pd.DataFrame(list(rows))[columns]
    return Examples(users, outcomes, {MESSAGES: (frame,)}, (END,), "UTC")


def test_reasons_and_counts_are_reported_and_a_newcomer_gets_what_everybody_opens() -> None:
    sent = [message("ann", march(day), "email", opened_at=march(day)) for day in (3, 7)]
    sent += [message("ann", march(9), "email"), message("bob", march(9), "sms"), message("bob", march(10), "sms")]
    examples = small(*sent)
    answers = ChannelAffinity(PARAMS).fit(examples).predict(examples)
    assert answers.loc["ann", PER].tolist() == answers.loc["new", PER].tolist() == ["email", "sms"]
    assert answers.loc["ann", "own_messages"].tolist() == [3, 0]
    assert answers.loc["ann", "own_opens"].tolist() == [2, 0]
    assert answers.loc["ann", "reasons"].tolist() == [
        "opened 2 of 3 messages, the last sent 24 days ago",
        "no message yet; of all messages by it 0% are opened",
    ]
    assert (answers.loc["new", "own_messages"] == 0).all()
    baseline = MostOpened(PARAMS).fit(examples).predict(examples)
    assert baseline.loc["new", PER].tolist() == ["email", "sms"]
    assert baseline.loc["ann", "score"].tolist() == [pytest.approx(2 + 1 / 3), 0.0]


def test_one_channel_and_no_message_are_no_evidence() -> None:
    for examples in (small(message("ann", march(1), "email")), small()):
        with pytest.raises(EvidenceError, match="Channels cannot be compared"):
            ChannelAffinity(PARAMS).fit(examples)
        with pytest.raises(ModelError, match="not fitted"):
            ChannelAffinity(PARAMS).predict(examples)
    two = small(message("ann", march(1), "email"), message("ann", march(1), "sms"))
    fitted = ChannelAffinity(PARAMS).fit(two)
    nothing = replace(two, tables=small().tables)
    assert fitted.predict(nothing).empty
    assert MostOpened(PARAMS).predict(nothing).empty

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache

import pandas as pd
import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.simulation import dirt
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate

UPTO = datetime(2024, 9, 15, 12, tzinfo=UTC)


@lru_cache
def world(**dials: object) -> World:
    return simulate(tiny("shop", seed=2, users=400, **dials))


def sent(world: World, upto: datetime | None = None) -> dict[str, pd.DataFrame]:
    return dirt.sent(world.tables, world.dirt, world.brand, upto)


def test_without_dirt_the_tables_are_sent_as_they_are() -> None:
    for name, frame in sent(world()).items():
        pd.testing.assert_frame_equal(frame, world().tables[name])


def test_bills_are_sent_twice_with_all_their_lines_as_often_as_asked() -> None:
    dirty = world(duplicates_pct=3)
    out = sent(dirty)
    expected = round(0.03 * len(dirty.bills))
    assert out["bills"].duplicated().sum() == len(out["bills"]) - len(dirty.bills) == expected
    twice = out["bills"].loc[out["bills"].duplicated(), "bill_id"]
    lines = out["line_items"]
    assert set(lines.loc[lines.duplicated(), "bill_id"]) == set(twice)
    assert lines.duplicated().sum() == dirty.line_items["bill_id"].isin(twice).sum()


def test_anomalies_are_as_many_as_asked_and_in_bill_and_line_alike() -> None:
    dirty = world(anomalies=4)
    out = sent(dirty)
    absurd = dirty.dirt.loc[dirty.dirt["is_anomalous"], "bill_id"]
    assert len(absurd) == 4
    assert (out["line_items"]["quantity"].abs() >= 1000).sum() == 4
    assert set(out["line_items"].loc[out["line_items"]["quantity"].abs() >= 1000, "bill_id"]) == set(absurd)
    pd.testing.assert_series_equal(
        out["line_items"].groupby("bill_id")["amount"].sum().round(2), out["bills"].set_index("bill_id")["amount"]
    )


def test_a_feed_goes_half_empty_from_its_day_on() -> None:
    dirty = world(half_empty_from=date(2024, 9, 1), time_zone="America/New_York")
    out = sent(dirty)["bills"]
    day = pd.Timestamp("2024-09-01", tz="America/New_York")
    assert (out["billed_at"] < day).sum() == (dirty.bills["billed_at"] < day).sum()
    share = (out["billed_at"] >= day).sum() / (dirty.bills["billed_at"] >= day).sum()
    assert share == pytest.approx(0.5, abs=0.06)
    assert sent(dirty)["line_items"]["bill_id"].isin(out["bill_id"]).all()


def test_late_bills_are_unknown_until_they_arrive_and_all_arrive() -> None:
    dirty = world(late_rows_pct=30)
    early = sent(dirty, UPTO)["bills"]
    happened = dirty.bills[dirty.bills["billed_at"] <= UPTO]
    fortnight = happened["billed_at"] > pd.Timestamp(UPTO) - pd.Timedelta(days=14)
    missing = ~happened["bill_id"].isin(early["bill_id"])
    assert missing[fortnight].any()
    assert not missing[~fortnight].any()
    assert len(sent(dirty)["bills"]) == len(dirty.bills)
    late = (dirty.dirt["known_at"] > dirty.bills["billed_at"]).mean()
    assert late == pytest.approx(0.3, abs=0.03)


def test_a_label_delay_holds_everything_back() -> None:
    out = sent(world(label_delay_days=20), UPTO)
    last = pd.Timestamp(UPTO) - pd.Timedelta(days=20)
    happened = world(label_delay_days=20).bills["billed_at"] <= last
    assert len(out["bills"]) == happened.sum()
    assert out["line_items"]["billed_at"].max() <= last
    assert (out["redemptions"]["redeemed_at"] <= last).all()


def test_a_correction_comes_days_after_the_wrong_total() -> None:
    dirty = world(corrected_pct=5)
    plan = dirty.dirt[dirty.dirt["corrected_at"].notna()]
    assert len(plan) == round(0.05 * len(dirty.bills))
    bill = plan[plan["corrected_at"] < dirty.end].iloc[10]
    right = dirty.bills.set_index("bill_id").loc[bill["bill_id"], "amount"]
    totals = [
        sent(dirty, moment)["bills"].set_index("bill_id").loc[bill["bill_id"], "amount"]
        for moment in (bill["known_at"], bill["corrected_at"] - pd.Timedelta(seconds=1), bill["corrected_at"])
    ]
    assert totals == pytest.approx([10 * right, 10 * right, right])
    pd.testing.assert_frame_equal(sent(dirty)["bills"], dirty.bills)


@pytest.mark.parametrize("late", [0, 20])
def test_up_to_a_moment_nothing_later_is_sent(late: int) -> None:
    """Every time column is checked, so that a new table with a later row in it cannot slip through."""
    out = sent(world(late_rows_pct=late), UPTO)
    for name, frame in out.items():
        for column in frame.select_dtypes("datetimetz"):
            if (name, column) != ("campaigns", "ends_at"):
                assert not (frame[column] > UPTO).any(), (name, column)
    assert out["users"]["user_id"].isin(world().users.query("joined_at <= @UPTO")["user_id"]).all()
    assert out["coupons"]["campaign_id"].isin(out["campaigns"]["campaign_id"]).all()
    assert 0 < len(out["messages"]) < len(world().messages)


def test_what_is_sent_up_to_a_moment_does_not_depend_on_what_comes_later() -> None:
    """The same customer, had prices gone wild the day after: not a byte of what was sent before differs."""
    wild = {"price_change_on": date(2024, 9, 17), "price_change_pct": 900}
    calm, later = sent(world(late_rows_pct=5), UPTO), sent(world(late_rows_pct=5, **wild), UPTO)
    for name, frame in calm.items():
        pd.testing.assert_frame_equal(frame, later[name])


def test_coupons_are_sent_with_their_campaign() -> None:
    start = world().campaigns["starts_at"].iloc[0]
    assert sent(world(), start - pd.Timedelta(minutes=1))["coupons"].empty
    assert len(sent(world(), start)["coupons"]) == 3


def test_an_open_that_is_yet_to_come_is_not_sent() -> None:
    messages = world().messages.dropna(subset="opened_at")
    row = messages.iloc[0]
    between = row["sent_at"] + (row["opened_at"] - row["sent_at"]) / 2
    out = sent(world(), between.to_pydatetime())["messages"].set_index(["campaign_id", "user_id"])
    assert pd.isna(out.loc[(row["campaign_id"], row["user_id"]), "opened_at"])


def test_no_bill_is_dirty_twice() -> None:
    plan = world(duplicates_pct=20, wrong_types=40, anomalies=40, corrected_pct=20).dirt
    marks = [plan["is_duplicated"], plan["wrong_type"] != "", plan["is_anomalous"], plan["corrected_at"].notna()]
    assert sum(mark.astype(int) for mark in marks).max() == 1
    assert plan["wrong_type"].value_counts().drop("").to_dict() == {"amount": 20, "billed_at": 20}


def test_more_dirt_than_bills_is_refused() -> None:
    with pytest.raises(CapflowError, match="more dirty bills than there are"):
        world(wrong_types=100_000)

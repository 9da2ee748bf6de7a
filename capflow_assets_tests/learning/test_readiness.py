"""A verdict lists every need, met or not, and says what would close each gap."""

from __future__ import annotations

from capflow_assets.contract import Needs
from capflow_assets.learning.readiness import verdict

NEEDS = Needs(tables=("clean/bills", "clean/items"), history_days=180, users=500, positives=100)
ENOUGH = {"tables": ["clean/bills", "clean/items"], "history_days": 180, "users": 500, "positives": 100}


def test_enough_is_ready_and_every_need_is_listed() -> None:
    found = verdict(NEEDS, ENOUGH)
    assert found.ready
    assert [reason.need for reason in found.reasons] == [
        "table clean/bills",
        "table clean/items",
        "history_days",
        "users",
        "positives",
    ]
    assert all(reason.fix == "" for reason in found.reasons)


def test_an_absent_and_an_empty_table() -> None:
    absent = verdict(NEEDS, {**ENOUGH, "tables": {"clean/bills": 0}})
    assert [reason.found for reason in absent.missing] == ["0 rows", "absent"]
    assert "map a source" in absent.missing[1].fix


def test_a_gap_in_history_closes_a_day_a_day() -> None:
    (reason,) = verdict(NEEDS, {**ENOUGH, "history_days": 120}).missing
    assert (reason.found, reason.needed) == (120, 180)
    assert reason.fix == "needs 180 days of bills, has 120; ready in 60 days at today's pace"
    assert "in 1 day at" in verdict(NEEDS, {**ENOUGH, "history_days": 179}).missing[0].fix


def test_a_gap_in_users_closes_at_the_pace_so_far() -> None:
    # 400 users came in 200 days, 2 a day: the 100 missing ones take 50 days
    (reason,) = verdict(NEEDS, {**ENOUGH, "history_days": 200, "users": 400}).missing
    assert reason.fix == "needs 500 users with a bill, has 400; ready in 50 days at today's pace"
    assert "pace" not in verdict(NEEDS, {**ENOUGH, "users": 0}).missing[0].fix


def test_positives_do_not_come_with_time_alone() -> None:
    (reason,) = verdict(NEEDS, {**ENOUGH, "positives": 3}).missing
    assert reason.fix == "needs 100 users with the outcome, has 3; grows with the users, or choose a longer horizon"


def test_what_is_unknown_is_not_met() -> None:
    found = verdict(NEEDS, {})
    assert not any(reason.met for reason in found.reasons)
    assert [reason.found for reason in found.reasons] == ["absent", "absent", None, None, None]


def test_needs_of_nothing_have_no_reason() -> None:
    assert verdict(Needs(tables=()), {}).ready
    assert verdict(Needs(tables=()), {}).reasons == ()


def test_a_model_that_learns_from_outcomes_needs_a_moment_besides_the_test() -> None:
    assert verdict(NEEDS, ENOUGH, labelled_moments=1).ready
    (reason,) = verdict(NEEDS, ENOUGH, labelled_moments=0).missing
    assert "one horizon longer" in reason.fix

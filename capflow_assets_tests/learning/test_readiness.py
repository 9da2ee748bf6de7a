"""A verdict lists every need, met or not, and says what would close each gap."""

from __future__ import annotations

from datetime import date
from typing import Any

from capflow_assets.contract import Needs, Requirements
from capflow_assets.learning.readiness import feed, judge, verdict

NEEDS = Needs(tables=("clean/bills", "clean/items"), history_days=180, users=500, positives=100)
ENOUGH = {"tables": ["clean/bills", "clean/items"], "history_days": 180, "users": 500, "positives": 100}


def test_enough_is_ready_and_every_need_is_listed() -> None:
    result = verdict(NEEDS, ENOUGH)
    assert result.ready
    assert [reason.need for reason in result.reasons] == [
        "table clean/bills",
        "table clean/items",
        "history_days",
        "users",
        "positives",
    ]
    assert all(reason.fix == "" for reason in result.reasons)


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
    result = verdict(NEEDS, {})
    assert not any(reason.met for reason in result.reasons)
    assert [reason.found for reason in result.reasons] == ["absent", "absent", None, None, None]


def test_needs_of_nothing_have_no_reason() -> None:
    assert verdict(Needs(tables=()), {}).ready
    assert verdict(Needs(tables=()), {}).reasons == ()


def test_a_model_that_learns_from_outcomes_needs_a_moment_besides_the_test() -> None:
    assert verdict(NEEDS, ENOUGH, labelled_moments=1).ready
    (reason,) = verdict(NEEDS, ENOUGH, labelled_moments=0).missing
    assert "one horizon longer" in reason.fix


TODAY = date(2025, 11, 25)


def test_the_day_on_which_history_is_long_enough() -> None:
    needs = Needs(tables=(), history_days=365)
    (reason,) = verdict(needs, {"history_days": 120}, today=TODAY).missing
    assert reason.fix == "needs 365 days of bills, has 120; ready on 2026-07-28 at today's pace"
    # History grows from the newest bill on, ten days ago, once bills come again.
    (late,) = verdict(needs, {"history_days": 120, "newest_bill_age_days": 10.5}, today=TODAY).missing
    assert "ready on 2026-07-18" in late.fix
    (soon,) = verdict(needs, {"history_days": 364, "newest_bill_age_days": 10.5}, today=TODAY).missing
    assert "ready on 2025-11-26" in soon.fix


def test_the_day_on_which_users_are_enough() -> None:
    needs = Needs(tables=(), users=500)
    some = {"users": 300, "horizon_days": 30, "users_now": 400, "users_new_28d": 56}
    # 2 a day came: the 100 missing ones take 50 days, and 30 more until their horizon is over.
    (reason,) = verdict(needs, some, today=TODAY).missing
    assert reason.fix == "needs 500 users with a bill, has 300; ready on 2026-02-13 at today's pace"
    # 700 are here; 300 were 30 days ago: half of the horizon brings 200.
    (here,) = verdict(needs, {**some, "users_now": 700}, today=TODAY).missing
    assert "ready on 2025-12-10" in here.fix
    (none,) = verdict(needs, {**some, "users_new_28d": 0}, today=TODAY).missing
    assert none.fix.endswith("has 300; none is new of late")


def test_further_measures_say_what_to_send() -> None:
    needs = Needs(tables=(), evidence={"attribute_fill_share": 0.5, "controls": 100, "negatives": 30})
    result = verdict(needs, {"attribute_fill_share": 0.49999, "controls": 7, "negatives": 30})
    assert [reason.met for reason in result.reasons] == [False, False, True]
    fill, controls = (reason.fix for reason in result.missing)
    assert fill == (
        "needs 50 % of items with a description of three words, has 49.99 %; map raw/items.description to the column "
        "that describes the items, in three words or more"
    )
    assert controls.startswith("needs 100 users held out of a campaign, has 7; hold a share")
    unknown = verdict(needs, {})
    assert [reason.found for reason in unknown.missing] == [None, None, None]
    assert all("unknown yet" in reason.fix for reason in unknown.missing)


def test_ready_by_little_is_at_risk() -> None:
    result = verdict(NEEDS, {**ENOUGH, "positives": 109})
    assert (result.ready, result.state) == (True, "at risk")
    assert [(reason.need, reason.risk) for reason in result.risks] == [("positives", "only 9 % above what is needed")]
    assert verdict(NEEDS, {**ENOUGH, "positives": 110}).state == "ready"
    # History and the users ever seen do not shrink.
    assert verdict(NEEDS, {**ENOUGH, "positives": 500}).state == "ready"
    share = Needs(tables=(), evidence={"attribute_fill_share": 0.5})
    assert verdict(share, {"attribute_fill_share": 0.54}).state == "at risk"
    assert verdict(share, {"attribute_fill_share": 0.56}).state == "ready"


def test_a_trend_that_will_break_a_need_is_a_risk() -> None:
    falling = verdict(NEEDS, {**ENOUGH, "positives": 150, "positives_before": 201})
    assert falling.state == "at risk"
    assert falling.risks[0].risk == (
        "150 users with the outcome, 201 a horizon before; below 100 after one more such horizon"
    )
    assert verdict(NEEDS, {**ENOUGH, "positives": 150, "positives_before": 200}).state == "ready"
    assert verdict(NEEDS, {**ENOUGH, "positives": 150, "positives_before": 20}).state == "ready"
    assert verdict(NEEDS, {**ENOUGH, "positives": 90, "positives_before": 300}).state == "not ready"


def test_a_feed_that_stopped_is_a_risk() -> None:
    assert feed(7.9).risk == ""
    assert feed(8.0).risk == "the newest bill is 8 days old; check the feed"
    assert feed(8.0).met
    assert not feed(None).met


def row(measure: str, value: float | None, model: str | None = None, category: str | None = None) -> dict[str, Any]:
    return {"model": model, "measure": measure, "category": category, "value": value}


def requirements_of(needs: Needs, **more: Any) -> Requirements:
    return Requirements(needs, 30, 4, outcome=lambda: None, column="bought", outcome_tables={}, **more)


ROWS = [
    row("rows", 900.0, category="clean/bills"),
    row("history_days", 200.0),
    row("newest_bill_age_days", 0.0),
    row("users", 600.0),
    row("attribute_fill_share", 0.8),
    row("attribute_fill_share", 0.1, category="boots"),
    row("past_horizons", 4.0, "churn"),
    row("users", 520.0, "churn"),
    row("positives", 130.0, "churn"),
    row("negatives", 390.0, "churn"),
    row("positives_before", 120.0, "churn"),
    row("past_horizons", 4.0, "other"),
    row("positives", 1.0, "other"),
]


def test_a_verdict_from_rows_takes_the_models_own_figures() -> None:
    needs = Needs(("clean/bills",), 180, 500, 100, {"negatives": 30, "attribute_fill_share": 0.5})
    result = judge("churn", requirements_of(needs), ROWS, TODAY)
    assert result.state == "ready"
    assert [(reason.need, reason.found) for reason in result.reasons] == [
        ("table clean/bills", "present"),
        ("history_days", 200.0),
        ("users", 520.0),
        ("positives", 130.0),
        ("negatives", 390.0),
        ("attribute_fill_share", 0.8),
        ("labelled_moments", 3),
    ]
    assert judge("other", requirements_of(needs), ROWS, TODAY).state == "not ready"
    features = judge("churn", requirements_of(needs, fitted="now"), ROWS, TODAY)
    assert "labelled_moments" not in [reason.need for reason in features.reasons]


def test_tables_that_are_not_there() -> None:
    needs = Needs(("clean/bills", "clean/items", "features/rfm"))
    (items,) = judge("churn", requirements_of(needs), ROWS, TODAY).missing
    assert (items.need, items.found) == ("table clean/items", "absent")
    missing = judge("churn", requirements_of(needs, absent=("clean/items", "features/rfm")), ROWS, TODAY).missing
    assert [reason.need for reason in missing] == ["table clean/items", "table features/rfm"]


def test_before_the_first_horizon_is_over_history_comes_first() -> None:
    rows = [*ROWS[:2], row("history_days", 40.0), row("users", 600.0), row("past_horizons", 0.0, "churn")]
    (history,) = judge("churn", requirements_of(Needs((), 10, 500, 100, {"negatives": 30})), rows, TODAY).missing
    # 30 days of horizon and 30 of history before it; 40 are there.
    assert history.fix == "needs 60 days of bills, has 40; ready on 2025-12-15 at today's pace"


def test_the_day_on_which_there_is_a_moment_to_learn_from() -> None:
    rows = [row("history_days", 70.0), row("past_horizons", 1.0, "churn"), row("newest_bill_age_days", 0.0)]
    (moment,) = judge("churn", requirements_of(Needs(())), rows, TODAY).missing
    # Two horizons and a month of history before them are 90 days.
    assert moment.fix.endswith("wait one horizon longer: ready on 2025-12-15 at today's pace")


FROM_THE_FIRST_DAY = Requirements(
    Needs(tables=("clean/bills",), history_days=90, users=30, positives=10),
    90,
    1,
    lambda bills: bills,
    "spend",
    {},
    fitted="now",
    answers_from=Needs(tables=("clean/bills",), users=5),
)


def evidence_of(users: float, history_days: float) -> list[dict[str, Any]]:
    figures = {"users": users, "history_days": history_days, "users_new_28d": users}
    rows = [{"model": None, "measure": name, "category": None, "value": value} for name, value in figures.items()]
    return [*rows, {"model": None, "measure": "rows", "category": "clean/bills", "value": users}]


def test_a_rule_answers_from_the_first_day_and_says_that_it_is_not_judged() -> None:
    result = judge("segments", FROM_THE_FIRST_DAY, evidence_of(40, 70), TODAY)
    assert result.state == "ready"
    assert result.not_judged == "not judged yet: needs 180 days of bills, has 70; ready on 2026-03-15 at today's pace"
    assert [(reason.need, reason.found, reason.needed, reason.met) for reason in result.reasons] == [
        ("table clean/bills", "present", "present", True),
        ("users", 40, 5, True),
        ("judging: history_days", 70, 180, True),
    ]


def test_too_few_for_a_rule_is_not_ready_and_nothing_is_said_of_judging() -> None:
    result = judge("segments", FROM_THE_FIRST_DAY, evidence_of(3, 70), TODAY)
    assert (result.state, result.not_judged) == ("not ready", "")
    assert [reason.fix for reason in result.missing] == [
        "needs 5 users with a bill, has 3; ready on 2025-12-14 at today's pace"
    ]


def test_a_rule_that_can_be_judged_is_as_any_model() -> None:
    rows = evidence_of(40, 200)
    of_model = {"past_horizons": 1.0, "users": 40.0, "positives": 20.0, "positives_before": 20.0}
    rows += [{"model": "segments", "measure": name, "category": None, "value": at} for name, at in of_model.items()]
    result = judge("segments", FROM_THE_FIRST_DAY, rows, TODAY)
    assert (result.state, result.not_judged) == ("ready", "")
    assert "positives" in {reason.need for reason in result.reasons}

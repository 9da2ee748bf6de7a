"""The decision by cause: quiet before, one request after, none in the cool-down, and the mildest action that mends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.monitoring.observations import Live, Night, PastTraining, Reliability
from capflow_assets.monitoring.policy import Decision, Past, Rules, decide, within_budget

START = datetime(2020, 1, 1, tzinfo=UTC)
RULES = Rules(k=2, n=3, cooldown_days=14)
WORSE = Live("roc_auc", 0.70, 0.68, 0.72, 0.80, 0.78, 0.82)
AS_PROMISED = Live("roc_auc", 0.79, 0.77, 0.81, 0.80, 0.78, 0.82)
OFF = Reliability(0.30, 0.20, 0.18, 0.22)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def point(day: int, over: bool, version: int = 4, psi: float = 0.4) -> Night:
    return Night(at(day), version, psi if over else 0.05, "recency_days", over)


def decided(nights: list[Night], rules: Rules = RULES, past: Past | None = None, zone: str = "UTC") -> Decision:
    decision = decide(nights, rules, past, zone)
    assert decision is not None
    return decision


def drifted(*days: int, **changes: object) -> list[Night]:
    return [replace(point(day, True), **changes) for day in days]  # type: ignore[arg-type]


def test_quiet_without_history_and_below_k() -> None:
    assert decide([], RULES) is None
    calm = decided([point(0, False), point(7, True), point(14, False)])
    assert (calm.action, calm.cause, calm.may_train) == ("none", "calm", False)


def test_one_request_with_the_figures_once_k_of_n_are_over() -> None:
    drift = decided([point(0, False), point(7, True), point(14, True, psi=0.41)])
    assert (drift.action, drift.cause, drift.as_of, drift.model_version) == ("retrain", "drift", at(14), 4)
    assert drift.reason.startswith(
        "2 of the last 3 scorings by version 4 drifted "
        "(PSI: recency_days 0.40 on 2020-01-08, recency_days 0.41 on 2020-01-15)."
    )


def test_only_the_last_n_count_and_order_of_arrival_does_not_matter() -> None:
    history = [point(0, True), point(7, True), point(14, False), point(21, False)]
    assert not decided(history).may_train
    wider = Rules(k=2, n=4)
    assert decided(history, wider) == decided(history[::-1], wider)
    assert decided(history, wider).may_train


def test_scoring_the_same_moment_again_counts_once() -> None:
    assert not decided([point(7, True), point(7, True), point(7, True)]).may_train
    assert not decided([point(0, True), point(7, True), point(7, False)]).may_train


def test_earlier_champions_do_not_count() -> None:
    assert not decided([point(0, True, 3), point(7, True, 3), point(14, True, 4)]).may_train
    assert decided([point(0, True, 4), point(7, False, 3), point(14, True, 4)], Rules(k=2, n=2)).may_train


@pytest.mark.parametrize(
    ("last_request", "days", "action"), [(7, 14, "wait"), (14, 14, "wait"), (0, 14, "retrain"), (14, 0, "retrain")]
)
def test_no_repeat_in_the_cool_down_which_is_as_of_time(last_request: int, days: int, action: str) -> None:
    decision = decided(drifted(0, 7, 14), replace(RULES, cooldown_days=days), Past(last_requested=at(last_request)))
    assert (decision.action, decision.cause) == (action, "drift")


def test_the_cool_down_is_over_at_the_same_time_of_a_local_day() -> None:
    """Scored at the end of each day in Madrid: 14 days from 20 March 2020 on last an hour less, clocks go forward."""
    ends = [datetime(2020, 3, 20, 22, 59, tzinfo=UTC), datetime(2020, 4, 3, 21, 59, tzinfo=UTC)]
    history = [Night(end, 4, 0.4, "recency_days", True) for end in ends]
    past = Past(last_requested=ends[0])
    assert decided(history, RULES, past, "Europe/Madrid").action == "retrain"
    longer = decided(history, replace(RULES, cooldown_days=15), past, "Europe/Madrid")
    assert longer.reason.startswith("Waits until 2020-04-04, 15 days after the last request. 2 of the last 2 scorings")


def test_a_scoring_is_named_by_its_local_day() -> None:
    """The end of 30 June in Santiago is 4 in the morning of 1 July in UTC."""
    history = [Night(datetime(2020, 7, 1, 3, 59, tzinfo=UTC), 4, 0.4, "recency_days", True)]
    assert "0.40 on 2020-06-30)" in decided(history, Rules(k=1, n=1), zone="America/Santiago").reason


def test_nothing_is_trained_on_a_broken_feed_and_its_nights_do_not_count() -> None:
    fault = ("bills of the last 3 days are 48 % of what is usual",)
    broken = decided(drifted(0, 7, 14, faults=fault, live=WORSE))
    assert (broken.action, broken.cause) == ("fix the feed", "feed")
    assert broken.reason == "bills of the last 3 days are 48 % of what is usual. Nothing is trained on that."
    mended = [*drifted(0, 7, faults=fault), point(14, True)]
    assert decided(mended).cause == "calm"
    assert decided([*mended, point(21, True)]).action == "retrain"


def test_what_was_so_at_this_season_before_waits_and_one_season_cannot_tell() -> None:
    season = decided(drifted(0, 7, is_seasonal=True))
    assert (season.action, season.cause) == ("wait", "season")
    unknown = decided(drifted(0, 7))
    assert unknown.action == "retrain"
    assert "cannot be told: less than two of this season are known" in unknown.reason
    news = decided(drifted(0, 7, is_seasonal=False))
    assert (news.action, "cannot be told" in news.reason) == ("retrain", False)


def test_a_season_does_not_excuse_answers_that_are_worse() -> None:
    assert decided(drifted(0, 7, is_seasonal=True, live=WORSE)).cause == "decay"


def test_drift_of_columns_that_the_model_hardly_reads_does_not_matter() -> None:
    assert decided(drifted(0, 7, importance=0.04)).cause == "calm"
    assert decided(drifted(0, 7, importance=0.05)).cause == "drift"


def test_chances_that_are_off_in_good_order_are_recalibrated() -> None:
    shifted = decided([replace(point(day, False), live=AS_PROMISED, reliability=OFF) for day in (0, 7)])
    assert (shifted.action, shifted.cause) == ("recalibrate", "prior shift")
    assert "30.0% said and 20.0% came on 2020-01-08" in shifted.reason
    assert shifted.figures["ratio"] == pytest.approx(2 / 3)
    once = [replace(point(0, False), live=AS_PROMISED, reliability=OFF), replace(point(7, False), live=AS_PROMISED)]
    assert decided(once).cause == "calm"


def test_chances_that_are_all_nothing_are_off_too() -> None:
    nothing = Reliability(0.0, 0.20, 0.18, 0.22)
    nights = [replace(point(day, False), live=AS_PROMISED, reliability=nothing) for day in (0, 7)]
    assert decided(nights).action == "recalibrate"


def test_answers_worse_than_promised_are_retrained_whether_or_not_chances_are_off() -> None:
    decay = decided([replace(point(day, False), live=WORSE, reliability=OFF) for day in (0, 7)])
    assert (decay.action, decay.cause) == ("retrain", "decay")
    assert "roc_auc on what was answered: 0.700 on 2020-01-01, 0.700 on 2020-01-08; then 0.800" in decay.reason
    assert decay.figures["shortfall"] == pytest.approx(0.1)


def test_an_estimate_speaks_until_outcomes_do() -> None:
    estimate = replace(WORSE, is_estimate=True)
    assert (
        "estimated of its scores" in decided([replace(point(day, False), estimate=estimate) for day in (0, 7)]).reason
    )
    both = [replace(point(day, False), estimate=estimate, live=AS_PROMISED) for day in (0, 7)]
    assert decided(both).cause == "calm"


def test_a_lower_error_is_better() -> None:
    error = Live("rmse", 1.5, 1.4, 1.6, 1.0, 0.9, 1.1, is_higher_better=False)
    assert error.is_worse(2.0)
    assert not replace(error, value=0.5, low=0.4, high=0.6).is_worse(2.0)


def test_an_old_model_is_trained_again() -> None:
    past = Past(trained_as_of=at(-360))
    old = decided([point(5, False)], Rules(age_days=365), past)
    assert (old.action, old.cause) == ("retrain", "age")
    assert old.reason == "Version 4 was trained 365 days ago, 365 are allowed."
    assert decided([point(4, False)], Rules(age_days=365), past).cause == "calm"


def test_after_two_retrainings_that_did_not_help_a_person_is_asked() -> None:
    tries = (PastTraining(at(-60), 2, "drift", True, 0.02), PastTraining(at(-40), 3, "drift", False, -0.01))
    last = PastTraining(at(-20), 4, "decay", True, 0.0)
    assert decided(drifted(0, 7), past=Past(tries)).action == "retrain"
    asks = decided(drifted(0, 7), past=Past((*tries, last)))
    assert (asks.action, asks.cause) == ("ask", "drift")
    assert asks.reason.startswith("A person is asked: the last 2 retrainings (versions 3 and 4) did not help. 2 of")
    by_hand = PastTraining(at(-20), 4, "by hand", True, 0.0)
    assert decided(drifted(0, 7), past=Past((*tries, by_hand))).action == "retrain", "a person's own does not count"
    assert decided(drifted(0, 7), replace(RULES, memory_days=30), Past((*tries, last))).action == "retrain"


def test_a_retraining_that_costs_more_than_it_brings_waits() -> None:
    """A gain of 0.01 at 100 a unit over 28 nights is 28."""
    past = Past((PastTraining(at(-60), 2, "drift", True, 0.01),))
    dear = decided(drifted(0, 7), replace(RULES, cost=28.5, gain_value=100.0), past)
    assert dear.action == "wait"
    assert dear.reason.startswith("Waits: a retraining brings about 28.00 and costs 28.50.")
    assert decided(drifted(0, 7), replace(RULES, cost=27.5, gain_value=100.0), past).action == "retrain"
    assert decided(drifted(0, 7), replace(RULES, cost=28.5, gain_value=100.0)).action == "retrain", "no gain is known"


def test_a_budget_is_spent_on_the_most_urgent_causes() -> None:
    def of(cause: str, action: str = "retrain") -> Decision:
        return Decision(action, cause, f"{cause}.", START, 1)  # type: ignore[arg-type]

    decisions = [of("age"), of("season", "wait"), of("drift"), of("decay")]
    granted = within_budget(decisions, 0, Rules(most_a_night=2))
    assert [one.action for one in granted] == ["wait", "wait", "retrain", "retrain"]
    assert granted[0].reason == "Waits for another night: 2 runs a night are allowed. age."
    assert granted[1] == decisions[1]
    assert [one.action for one in within_budget(decisions, 1, Rules(most_a_night=2))].count("retrain") == 1


def test_a_night_travels_as_plain_values() -> None:
    night = replace(point(3, True), live=WORSE, reliability=OFF, faults=("half a feed",), is_seasonal=False)
    assert Night.from_json(night.to_json()) == night
    assert Night.from_json(point(3, False).to_json()) == point(3, False)


def test_a_night_of_a_later_release_is_read_for_what_is_known() -> None:
    """Else one record would end every tick of the sensor, of all customers."""
    night = replace(point(3, True), live=WORSE)
    content = night.to_json() | {"weather": "rain"}
    content["live"] = {**content["live"], "seed": 3}
    assert Night.from_json(content) == night


LATE = "bills land up to 14 days late, usually on the day"


@pytest.mark.parametrize("night", [point(2, True), replace(point(2, False), live=WORSE), point(2, False)])
def test_late_outcomes_are_waited_for_and_not_taken_for_decay(night: Night) -> None:
    nights = [replace(night, as_of=at(day), late=LATE) for day in range(3)]
    decision = decided(nights)
    assert (decision.action, decision.cause, decision.may_train) == ("wait", "feed", False)
    assert decision.reason.startswith(f"Waits, since {LATE}: no horizon is judged or learned from")
    needed = decided([replace(one, late="") for one in nights])
    assert (needed.reason in decision.reason) == needed.may_train


def test_what_came_so_far_counts_where_no_horizon_is_over() -> None:
    partial = replace(WORSE, is_partial=True)
    decision = decided([replace(point(day, False), partial=partial) for day in (0, 7)])
    assert (decision.action, decision.cause) == ("retrain", "decay")
    assert "roc_auc on what came so far: 0.700" in decision.reason
    over = [replace(point(day, False), partial=partial, live=AS_PROMISED) for day in (0, 7)]
    assert decided(over).cause == "calm", "the whole horizon says more"
    assert Night.from_json(replace(point(0, False), partial=partial, late=LATE).to_json()).partial == partial


def test_a_gain_that_was_measured_counts_before_the_one_that_was_promised() -> None:
    """Both retrainings promised something; in shadow the former champions were no worse."""
    trainings = tuple(PastTraining(at(day), day, "drift", True, 0.02, -0.001) for day in (1, 2))
    decision = decided(drifted(30, 37, 44), RULES, Past(trainings))
    assert decision.action == "ask"
    promised = tuple(replace(one, measured_gain=None) for one in trainings)
    assert decided(drifted(30, 37, 44), RULES, Past(promised)).action == "retrain"

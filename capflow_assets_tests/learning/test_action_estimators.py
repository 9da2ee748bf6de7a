"""One action a user within budget, cap and offers; and a reason where there is no choice to learn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.action_estimators import ActionEstimator, ActionParams, ActionReading, OneResponse
from capflow_assets.learning.action_rules import BestSingleRule
from capflow_assets.learning.actions import code, in_mask
from capflow_assets.learning.objectives.action import PolicyJudge

MOMENT = datetime(2024, 6, 1, tzinfo=UTC)
EMAIL, PUSH, PUSH_COUPON = code("email", False), code("push", False), code("push", True)
QUICK = {"threads": 1, "learning_rate": 0.2, "rounds": 60, "l2": 1.0, "min_child_weight": 5.0, "budget_share": 1.0}
READING = ActionReading(
    words={"age": "{:.0f} years", "contacts_28d": "{:.0f} messages"},
    outcome="visits",
    contacts="contacts_28d",
    orders={"age": "age"},
    answers=(("predictions/churn", ()),),
    traits="clean/users",
    campaigns="raw/campaigns",
    coupons="raw/coupons",
)


def params(**chosen: Any) -> ActionParams:
    return ActionParams(**{**QUICK, **chosen})


def best_gain(age: pd.Series | np.ndarray) -> Any:
    """What the right message brings, in visits."""
    return abs(age - 50) / 10


def examples(actions: tuple[int, ...] = (0, EMAIL, PUSH), rows: int = 900) -> Examples:
    """The old come by email, the young by push, the more so the farther from 50 they are; nobody comes otherwise."""
    random = np.random.default_rng(3)
    users = pd.Index([f"u{number:04d}" for number in range(rows)], name="user_id")
    age, action = random.integers(20, 80, rows), random.choice(actions, rows)
    brings = best_gain(age) * ((age >= 50) & (action == EMAIL) | (age < 50) & np.isin(action, [PUSH, PUSH_COUPON]))
    outcomes = pd.DataFrame(
        {
            "visits": random.poisson(0.5 + brings),
            "action": action,
            "propensity": 1 / len(actions),
            "possible": in_mask(actions),
            "is_drawn": 1,
        },
        index=users,
        dtype=float,
    )
    known = pd.DataFrame({"user_id": users, "is_listed": True})
    columns = pd.DataFrame({"age": age, "contacts_28d": 0}, index=users)
    return Examples(columns, outcomes, {"clean/users": (known,)}, (MOMENT,))


def fitted(given: Examples, kind: type[ActionEstimator] = OneResponse, **chosen: Any) -> ActionEstimator:
    return kind(params(**chosen), READING).fit(given)


def test_each_user_gets_the_action_that_moves_it_and_the_reason() -> None:
    given = examples()
    answers = fitted(given).predict(given)
    age = given.columns["age"]
    assert (answers["action"][age >= 60] == "email").mean() > 0.95
    assert (answers["action"][age < 40] == "push").mean() > 0.95
    assert answers["channel"][age >= 60].eq("email").mean() > 0.95
    assert answers["expected_gain"].mean() == pytest.approx(best_gain(age).mean(), rel=0.2)
    assert answers["reasons"][age >= 60].str.match(r"(email|push); \d\d years raises it").mean() > 0.9


def test_the_value_of_the_policy_is_what_was_planted_and_above_the_rules() -> None:
    given = examples()
    judge, age = PolicyJudge("visits"), given.columns["age"]
    policy, rule = (fitted(given, kind).figures(given) for kind in (OneResponse, BestSingleRule))
    assert given.outcomes is not None
    planted = 0.5 + best_gain(age).mean()
    assert judge.value(given.outcomes, policy) == pytest.approx(planted, abs=0.2)
    assert judge.inverse(given.outcomes, policy) == pytest.approx(planted, abs=0.3)
    # One message for all moves one half of them.
    one = 0.5 + max((best_gain(age) * side).mean() for side in (age >= 50, age < 50))
    assert judge.value(given.outcomes, rule) == pytest.approx(one, abs=0.2)
    assert judge.support(given.outcomes, policy) == judge.drawn(given.outcomes, policy) == 1.0
    assert judge.imbalance(given.outcomes, policy) < 0.1
    # Who may get neither counts as left alone.
    none = given.outcomes.assign(possible=float(in_mask([0])))
    assert judge.support(none, policy) == (policy["action"] == "nothing").mean() < 0.1
    left = given.outcomes["action"] == 0
    assert judge.value(none, policy) == pytest.approx(given.outcomes["visits"][left].mean(), abs=0.15)


@pytest.mark.parametrize(("chosen", "most"), [({"budget_share": 0.1}, 90), ({"budget_actions": 25}, 25)])
@pytest.mark.parametrize("kind", [OneResponse, BestSingleRule])
def test_the_budget_is_never_exceeded(kind: type[ActionEstimator], chosen: dict[str, Any], most: int) -> None:
    given = examples()
    answers = fitted(given, kind, **chosen).predict(given)
    acted = answers["action"] != "nothing"
    assert acted.sum() == most
    assert answers.loc[~acted, "expected_gain"].eq(0).all()
    assert answers["score"][acted].min() >= answers["score"][~acted].max() - 1e-9


def test_part_of_the_users_are_answered_as_they_would_be_alone() -> None:
    """By the price of the budget, so that nobody's answer depends on who else is asked about."""
    given = examples()
    estimator = fitted(given, budget_share=0.3)
    some, few = (replace(given, columns=given.columns[:count], outcomes=None) for count in (500, 50))
    answers = estimator.predict(some)
    pd.testing.assert_frame_equal(estimator.predict(few), answers[:50])
    assert 0 < (answers["action"] != "nothing").sum() <= 270


def test_a_price_of_more_than_it_brings_buys_nothing() -> None:
    given = examples()
    answers = fitted(given, push_cost=60.0, email_cost=6.0, visit_value=10.0).predict(given)
    assert set(answers["action"]) == {"nothing", "email"}
    assert answers["cost_visits"].max() == pytest.approx(0.6)
    young = answers[given.columns["age"] < 40]
    assert young["reasons"].str.startswith("nothing: no action brings more than it costs").mean() > 0.5


def test_who_has_had_enough_messages_gets_no_other() -> None:
    given = examples()
    tired = replace(given, columns=given.columns.assign(contacts_28d=np.where(given.columns["age"] > 60, 9, 0)))
    answers = fitted(given).predict(tired)
    is_tired = tired.columns["contacts_28d"] > 0
    assert (answers["action"][is_tired] == "nothing").all()
    assert answers["reasons"][is_tired].str.startswith("nothing: had 8 messages or more in 28 days").all()
    assert (answers["action"][~is_tired] != "nothing").mean() > 0.9


@pytest.mark.parametrize("has_coupon", [False, True])
def test_only_what_the_next_campaigns_offer_is_chosen(has_coupon: bool) -> None:
    given = examples((0, EMAIL, PUSH, PUSH_COUPON))
    days = pd.to_datetime(["2024-01-01", "2024-07-01"], utc=True)
    campaigns = pd.DataFrame({"campaign_id": ["old", "next"], "starts_at": days, "ends_at": days})
    coupons = pd.DataFrame({"campaign_id": ["next" if has_coupon else "old"]})
    frames = {**given.tables, "raw/campaigns": (campaigns,), "raw/coupons": (coupons,)}
    actions = fitted(given).predict(replace(given, tables=frames))["action"]
    messages = set(actions) - {"nothing"}
    assert messages == ({"push with coupon"} if has_coupon else {"email", "push"})


def test_answers_of_others_are_read_where_they_were_kept_and_the_card_says_so() -> None:
    given = examples()
    churn = pd.DataFrame({"user_id": given.columns.index, "score": np.linspace(0, 1, len(given))})
    kept = replace(given, tables={**given.tables, "predictions/churn": (churn,)})
    few = replace(given, tables={**given.tables, "predictions/churn": (churn.head(100),)})
    assert fitted(kept).parameters()["answers_read"] == ["churn"]
    for without in (given, few):
        assert "feature tables are read alone" in fitted(without).parameters()["answers_read"]
    # Learned with them, it answers without them.
    assert np.isfinite(fitted(kept).figures(given)["score"]).all()


@pytest.mark.parametrize(
    ("actions", "chosen", "words"),
    [
        ((0, EMAIL), {"budget_share": 0.0}, "within a budget of nothing"),
        ((0, EMAIL), {"budget_actions": 0}, "budget_actions 0"),
        ((EMAIL, PUSH), {}, "hold a share of each campaign's users out by chance"),
        ((0,), {}, "no choice between actions"),
    ],
)
@pytest.mark.parametrize("kind", [OneResponse, BestSingleRule])
def test_where_there_is_no_choice_it_says_why(
    kind: type[ActionEstimator], actions: tuple[int, ...], chosen: dict[str, Any], words: str
) -> None:
    with pytest.raises(EvidenceError, match=words):
        fitted(examples(actions), kind, **chosen)


def test_an_action_that_hardly_anybody_got_is_left_out_with_the_reason() -> None:
    given = examples((0, EMAIL))
    assert given.outcomes is not None
    action = given.outcomes["action"].to_numpy().copy()
    action[:5] = PUSH
    rare = replace(given, outcomes=given.outcomes.assign(action=action))
    estimator = fitted(rare)
    assert estimator.parameters()["left_out"] == {"push": "5 users got it, 30 needed"}
    assert set(estimator.predict(rare)["action"]) == {"nothing", "email"}

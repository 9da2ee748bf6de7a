"""Every rule of promotion, and that the reason carries the figures."""

from __future__ import annotations

import re
from typing import Any

import pytest

from capflow_assets.contract import Metric, Rule
from capflow_assets.learning.intervals import Interval
from capflow_assets.learning.promotion import BASELINE, Decision, Judgement, Trial, decide, judgements

AUC = Metric("roc_auc", lambda outcomes, answers: 0.0, True, "")


def rule(name: str = "calibrated", words: str = "its calibration error", **bounds: Any) -> Rule:
    return Rule(name, lambda outcomes, answers: 0.0, words, **(bounds or {"at_most": 0.05}))


def calibrated(error: float) -> dict[str, Any]:
    return {"rules": ((rule(), error),)}


def trial(**changed: Any) -> Trial:
    known: dict[str, Any] = {
        "metric": AUC,
        "score": Interval(0.80, 0.78, 0.82),
        "baseline": Interval(0.75, 0.73, 0.77),
        "baseline_name": "recency alone",
        "against_baseline": Interval(0.05, 0.03, 0.07),
        "against_champion": None,
        "coverage": 1.0,
        "judged": 400,
        **calibrated(0.02),
    }
    return Trial(**{**known, **changed})


def decided(**changed: Any) -> Decision:
    return decide(trial(**changed))


def judged(name: str, **changed: Any) -> Judgement:
    (judgement,) = [judgement for judgement in judgements(trial(**changed)) if judgement.name == name]
    return judgement


def test_the_first_champion_is_promoted_when_all_rules_hold() -> None:
    decision = decided()
    assert decision.action == "promote"
    assert decision.reason == (
        "Promoted as the first champion: roc_auc 0.8000, better than recency alone (0.7500) by 0.0500 [0.0300, 0.0700]."
    )


@pytest.mark.parametrize(
    ("changed", "action", "words"),
    [
        ({"coverage": 0.98}, "keep", "only 98.0% of users got a score, 99.0% needed"),
        ({"coverage": float("nan")}, "keep", "99.0% needed"),
        ({"against_baseline": Interval(-0.01, -0.03, 0.01)}, "keep", r"no better than recency alone \(0.7500\)"),
        ({"against_baseline": Interval(0.0, -0.03, 0.01)}, "keep", "no better"),
        ({"against_baseline": Interval(0.01, -0.02, 0.04)}, "ask", r"0.0100 \[-0.0200, 0.0400\], which may be chance"),
        ({"against_baseline": Interval(0.01, 0.0, 0.04)}, "ask", "may be chance"),
        (
            {"beats": "not worse", "against_baseline": Interval(0.01, -0.02, 0.04)},
            "promote",
            "not surely worse than recency",
        ),
        (
            {"beats": "not worse", "against_baseline": Interval(-0.01, -0.02, 0.01)},
            "promote",
            "not surely worse than recency",
        ),
        ({"beats": "not worse", "against_baseline": Interval(-0.03, -0.05, -0.01)}, "keep", "no better than recency"),
        ({"judged": 9}, "ask", "it was judged on 9 users only, at least 10 needed"),
        ({"judged": 10}, "promote", "first champion"),
        ({"judged": 3, "least_judged": 4, "units": "stores"}, "ask", "judged on 3 stores only, at least 4 needed"),
        ({"judged": 4, "least_judged": 4}, "promote", "first champion"),
        (
            {"against_baseline": Interval(0.5, 0.5, 0.5)},
            "ask",
            "judged on 400 users, .* an interval of no width",
        ),
        ({"against_baseline": Interval(0.1 + 0.2, 0.3, 0.1 + 0.2)}, "ask", "no width"),
        ({"beats": "not worse", "against_baseline": Interval(0.5, 0.5, 0.5)}, "ask", "no width"),
        ({"beats": "not worse", "against_baseline": Interval(0.0, 0.0, 0.0)}, "promote", "not surely worse"),
        ({"beats": "not worse", "judged": 2}, "ask", "judged on 2 users only"),
        (calibrated(0.06), "ask", "calibration error is 0.0600, at most 0.05 allowed"),
        (calibrated(float("inf")), "ask", "cannot be told"),
        (calibrated(0.05), "promote", "first champion"),
        ({"against_champion": Interval(-0.03, -0.05, -0.01)}, "keep", r"worse than the champion .* -0.0300"),
        ({"against_champion": Interval(-0.01, -0.03, 0.01)}, "promote", "not surely worse .* fitted on newer data"),
        ({"against_champion": Interval(0.03, 0.01, 0.05)}, "promote", r"better than the champion by 0.0300 \[0.0100"),
    ],
)
def test_each_rule(changed: dict[str, Any], action: str, words: str) -> None:
    decision = decided(**changed)
    assert decision.action == action
    assert re.search(words, decision.reason), decision.reason
    assert decision.reason.endswith(".")


def test_keep_outweighs_ask_and_says_why_the_champion_stays() -> None:
    decision = decided(**calibrated(0.5), coverage=0.5, against_champion=Interval(0.0, -0.1, 0.1))
    assert decision.action == "keep"
    assert decision.reason == "The champion is kept: only 50.0% of users got a score, 99.0% needed."


def test_all_that_a_person_must_weigh_is_named() -> None:
    decision = decided(**calibrated(0.5), against_baseline=Interval(0.01, -0.02, 0.04))
    assert decision.action == "ask"
    assert "chance" in decision.reason
    assert "calibration" in decision.reason


def test_a_frozen_champion_is_never_replaced_unasked() -> None:
    better = decided(against_champion=Interval(0.03, 0.01, 0.05), is_frozen=True)
    assert better.action == "ask"
    assert "frozen; otherwise it would be promoted: roc_auc 0.8000, better than the champion" in better.reason
    assert decided(against_champion=Interval(-0.03, -0.05, -0.01), is_frozen=True).action == "keep"
    assert "asked about: its calibration" in decided(**calibrated(0.5), is_frozen=True).reason


@pytest.mark.parametrize(
    "gain", [Interval(0.01, -0.02, 0.04), Interval(-0.01, -0.02, 0.01), Interval(-0.02, -0.04, 0.0)]
)
def test_where_not_worse_is_enough_the_check_says_what_the_decision_says(gain: Interval) -> None:
    """A gain that is not surely above 0 promotes such a model, so its check holds; of another, neither does."""
    assert decided(beats="not worse", against_baseline=gain).action == "promote"
    lenient, strict = (judged(BASELINE, beats=beats, against_baseline=gain) for beats in ("not worse", "better"))
    assert (lenient.passed, strict.passed) == (True, False)
    assert lenient.message.endswith("where no more is asked than not to be surely worse")
    assert lenient.found == {"value": gain.value, "low": gain.low, "high": gain.high}
    assert decided(against_baseline=gain).action != "promote"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"coverage": 0.5},
        {"judged": 2},
        {"against_baseline": Interval(0.5, 0.5, 0.5)},
        {"against_baseline": Interval(0.01, -0.02, 0.04)},
        {"against_baseline": Interval(-0.03, -0.05, -0.01)},
        {"beats": "not worse", "against_baseline": Interval(-0.03, -0.05, -0.01)},
        {"against_champion": Interval(-0.03, -0.05, -0.01)},
        {"against_champion": Interval(0.0, 0.0, 0.0)},
        calibrated(0.06),
        {"rules": ((rule(otherwise="keep", at_most=0.05), 0.06),)},
    ],
)
def test_all_hold_where_and_only_where_it_is_promoted(changed: dict[str, Any]) -> None:
    conditions = judgements(trial(**changed))
    assert all(judgement.passed for judgement in conditions) == (decided(**changed).action == "promote")
    complaints = [judgement.complaint for judgement in conditions if not judgement.passed]
    assert all(complaint in decided(**changed).reason for complaint in complaints)


@pytest.mark.parametrize(("otherwise", "action"), [("keep", "keep"), ("ask", "ask"), ("tell", "promote")])
def test_what_follows_from_a_rule_that_does_not_hold_is_the_models_to_say(otherwise: str, action: str) -> None:
    coverage = rule(
        "coverage_80", "the share of days in its 80 % interval", at_least=0.7, at_most=0.9, otherwise=otherwise
    )
    assert decided(rules=((coverage, 0.6),)).action == action
    judgement = judged("coverage_80", rules=((coverage, 0.6),))
    assert (judgement.passed, judgement.otherwise) == (False, otherwise)
    assert judgement.message == "the share of days in its 80 % interval 0.6, at least 0.7 and at most 0.9"
    assert judgement.found == {"value": 0.6, "at_least": 0.7, "at_most": 0.9}
    assert judged("coverage_80", rules=((coverage, 0.7),)).passed
    assert judged("coverage_80", rules=((coverage, 0.9),)).passed
    assert not judged("coverage_80", rules=((coverage, float("nan")),)).passed


def test_a_reason_says_what_was_expected_and_what_came_before_the_figure() -> None:
    sums = rule("sums", "its calibration error", at_most=0.25)
    words = "expected 1,897 purchases, 2,706 came, 30 % too low"
    decision = decided(rules=((sums, 0.299),), said={"sums": words})
    assert decision.reason == f"A person decides: {words}: its calibration error is 0.2990, at most 0.25 allowed."
    assert "expected" not in decided(rules=((sums, 0.2),), said={"sums": words}).reason


def test_a_reason_names_the_models_own_subjects() -> None:
    decision = decided(coverage=0.5, subjects="stores", least_coverage=0.9)
    assert decision.reason == "Not promoted: only 50.0% of stores got a score, 90.0% needed."

"""Every rule of promotion, and that the reason carries the figures."""

from __future__ import annotations

import re
from typing import Any

import pytest

from capflow_assets.contract import Gate, Metric
from capflow_assets.learning.intervals import Interval
from capflow_assets.learning.promotion import Decision, Trial, decide

AUC = Metric("roc_auc", lambda labels, predictions: 0.0, True, "")

LENIENT = Gate(lambda labels, predictions: 0.0, at_most=0.05, baseline="not worse")


def decided(**changed: Any) -> Decision:
    trial: dict[str, Any] = {
        "metric": AUC,
        "score": Interval(0.80, 0.78, 0.82),
        "baseline": Interval(0.75, 0.73, 0.77),
        "baseline_name": "recency alone",
        "against_baseline": Interval(0.05, 0.03, 0.07),
        "against_champion": None,
        "calibration": 0.02,
        "coverage": 1.0,
        "gate": Gate(lambda labels, predictions: 0.0, at_most=0.05, coverage=0.99),
    }
    return decide(Trial(**{**trial, **changed}))


def test_the_first_champion_is_promoted_when_all_gates_hold() -> None:
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
            {"gate": LENIENT, "against_baseline": Interval(0.01, -0.02, 0.04)},
            "promote",
            "not surely worse than recency",
        ),
        (
            {"gate": LENIENT, "against_baseline": Interval(-0.01, -0.02, 0.01)},
            "promote",
            "not surely worse than recency",
        ),
        ({"gate": LENIENT, "against_baseline": Interval(-0.03, -0.05, -0.01)}, "keep", "no better than recency"),
        ({"calibration": 0.06}, "ask", "calibration error is 0.0600, at most 0.05 allowed"),
        ({"calibration": float("inf")}, "ask", "cannot be told"),
        ({"calibration": 0.05}, "promote", "first champion"),
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
    decision = decided(calibration=0.5, coverage=0.5, against_champion=Interval(0.0, -0.1, 0.1))
    assert decision.action == "keep"
    assert decision.reason == "The champion is kept: only 50.0% of users got a score, 99.0% needed."


def test_all_that_a_person_must_weigh_is_named() -> None:
    decision = decided(calibration=0.5, against_baseline=Interval(0.01, -0.02, 0.04))
    assert decision.action == "ask"
    assert "chance" in decision.reason
    assert "calibration" in decision.reason


def test_a_frozen_champion_is_never_replaced_unasked() -> None:
    better = decided(against_champion=Interval(0.03, 0.01, 0.05), is_frozen=True)
    assert better.action == "ask"
    assert "frozen; otherwise it would be promoted: roc_auc 0.8000, better than the champion" in better.reason
    assert decided(against_champion=Interval(-0.03, -0.05, -0.01), is_frozen=True).action == "keep"
    assert "asked about: its calibration" in decided(calibration=0.5, is_frozen=True).reason

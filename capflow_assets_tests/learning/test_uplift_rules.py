"""What judges a model of effects, on six rows whose figures were computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.uplift_rules import UpliftJudge

JUDGE = UpliftJudge("visits", "treated", lot="campaign_id", unit=("user_id",))
INDEX = pd.MultiIndex.from_arrays([list("abcdefg"), ["c"] * 7], names=["user_id", "campaign_id"])
# Best score first; the last has no score.
OUTCOMES = pd.DataFrame({"visits": [4.0, 1, 2, 1, 0, 1, 99], "treated": [1.0, 0, 1, 0, 1, 0, 1]}, index=INDEX)
ANSWERS = pd.DataFrame({"score": [6.0, 5, 4, 3, 2, 1, np.nan], "response_if_not": [1.0, 1, 2, 2, 3, 3, 1]}, index=INDEX)


def test_lots_are_read_from_the_index_and_rows_without_a_score_left_out() -> None:
    # As the curve by hand in test_qini.
    assert JUDGE.metric.compute(OUTCOMES, ANSWERS) == pytest.approx(16 / 36)
    assert (JUDGE.metric.name, JUDGE.metric.higher_is_better, JUDGE.metric.unit) == ("qini", True, ("user_id",))
    assert JUDGE.gain_of_half(OUTCOMES, ANSWERS) == pytest.approx(0.5)


def test_the_lower_end_of_the_interval_is_above_zero_only_where_the_order_is_surely_good() -> None:
    random = np.random.default_rng(0)
    index = pd.MultiIndex.from_arrays([[f"u{n}" for n in range(2000)], ["c"] * 2000], names=["user_id", "campaign_id"])
    treated, effect = random.integers(0, 2, 2000).astype(float), random.integers(0, 2, 2000) * 2.0
    outcomes = pd.DataFrame({"visits": random.normal(3, 1, 2000) + treated * effect, "treated": treated}, index=index)
    good, blind = (
        pd.DataFrame({"score": score}, index=index) for score in (effect + random.random(2000), random.random(2000))
    )
    assert JUDGE.surely(outcomes, good) > 0.1
    assert JUDGE.surely(outcomes, blind) < 0


def test_each_rule_says_what_follows() -> None:
    assert {rule.name: rule.otherwise for rule in JUDGE.rules} == {
        "beats_random": "keep",
        "balanced": "ask",
        "targeting_gain": "tell",
    }
    figures = [rule.measure(OUTCOMES, ANSWERS) for rule in JUDGE.rules[1:]]
    assert figures == [0.0, pytest.approx(0.5)]


def test_the_curve_is_drawn_with_its_figures() -> None:
    axes = JUDGE.plot(OUTCOMES, ANSWERS).axes[0]
    assert axes.get_title() == "Qini coefficient 0.444; all addressed: +1.00 visits"
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(1)

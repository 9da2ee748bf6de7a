"""Lifetime value finds the laws of the tiny world, says when it cannot, and falls back in the open."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.models.lifetime_value import HistoricalRate, LifetimeValue, LifetimeValueParams, calibration
from capflow_assets_tests.learning.cdnow import histories, purchase_days
from capflow_assets_tests.models import shopping


def users(visits: list[float], tenure: list[float], recency: list[float], spend: list[float | None]) -> Examples:
    frame = pd.DataFrame(
        {"visits": visits, "tenure_days": tenure, "recency_days": recency, "repeat_visit_spend_avg": spend}
    ).astype(float)
    return Examples(frame.set_index(pd.Index([f"u{place}" for place in range(len(frame))], name="user_id")))


def cdnow() -> Examples:
    found = histories(purchase_days())
    return users(
        (found["x"] + 1).tolist(),
        (found["T"] * 7).tolist(),
        ((found["T"] - found["t_x"]) * 7).tolist(),
        found["spend"].tolist(),
    )


def test_the_papers_figures_come_out_of_features_in_days() -> None:
    estimator = LifetimeValue(LifetimeValueParams(horizon_days=39 * 7)).fit(cdnow())
    found = estimator.parameters()
    assert [round(found[name], 3) for name in ("r", "alpha", "a", "b")] == [0.243, 4.414, 0.793, 2.426]
    assert [round(found[name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.44]
    assert found["note"] == ""
    predictions = estimator.predict(cdnow())
    assert predictions["expected_purchases"].sum() == pytest.approx(1653, abs=5)
    assert (predictions["score"] == predictions["expected_value"]).all()


def test_the_laws_of_the_tiny_world_are_found() -> None:
    state = Examples(shopping.features_at(shopping.shop(6_000, seed=5), 510))
    found = LifetimeValue(LifetimeValueParams()).fit(state).parameters()
    (r, days), (a, b) = shopping.RATE, shopping.LEAVE
    # Visits are rounded up to whole days, at most one a day: a little is lost at the busy end.
    assert found["r"] == pytest.approx(r, rel=0.12)
    assert found["alpha"] == pytest.approx(days / 7, rel=0.2)
    assert found["a"] / (found["a"] + found["b"]) == pytest.approx(a / (a + b), rel=0.1)
    assert found["mean_spend"] == pytest.approx(15 * 6.25 / (3.7 - 1), rel=0.1)


def test_all_one_timers_are_refused() -> None:
    with pytest.raises(EvidenceError, match="none with a second purchase day"):
        LifetimeValue(LifetimeValueParams()).fit(users([1, 1, 0], [30, 0, 9], [30, 0, 9], [None] * 3))


def test_few_repeat_buyers_fall_back_to_the_mean_with_a_note() -> None:
    state = users([1, 3, 2, 1], [200, 100, 50, 0], [200, 10, 5, 0], [None, 20.0, 50.0, None])
    estimator = LifetimeValue(LifetimeValueParams()).fit(state)
    found = estimator.predict(state)
    # two visits of 20 and one of 50
    assert estimator.parameters()["mean_spend"] == 30.0
    assert "came: 2" in estimator.parameters()["note"].lower()
    assert (found["expected_value"] / found["expected_purchases"]).tolist() == pytest.approx([30.0] * 4)


def test_a_second_fit_forgets_the_first() -> None:
    few = users([1, 3, 2, 1], [200, 100, 50, 0], [200, 10, 5, 0], [None, 20.0, 50.0, None])
    estimator = LifetimeValue(LifetimeValueParams()).fit(cdnow()).fit(few)
    assert "p" not in estimator.parameters()


def test_users_of_whom_little_is_known_count_as_new() -> None:
    estimator = LifetimeValue(LifetimeValueParams()).fit(cdnow())
    odd = users([1, 0, np.nan, 5], [0, 0, np.nan, 40], [0, np.nan, np.nan, 90], [None, None, None, -3.0])
    found = estimator.predict(odd)
    assert found["expected_value"].iloc[1] == found["expected_value"].iloc[0] == found["expected_value"].iloc[2]
    assert np.isfinite(found["expected_value"]).all()
    # An average that cannot be true says nothing, so everybody's mean is expected.
    spend = found["expected_value"].iloc[3] / found["expected_purchases"].iloc[3]
    assert spend == pytest.approx(estimator.mean_spend)


def test_reasons_name_what_a_marketer_can_check() -> None:
    estimator = LifetimeValue(LifetimeValueParams(horizon_days=30)).fit(cdnow())
    one, many = estimator.predict(users([1, 4], [20, 60], [20, 1], [None, 12.0]))["reasons"]
    assert one.startswith("one visit, 20 days ago; 0.")
    assert many.startswith("visits after the first: 3, the last 1 day ago; ")
    assert many.endswith("expected in 30 days")


def test_the_baseline_goes_on_at_the_rate_of_the_past() -> None:
    state = users([3, 2, 1, 1], [60, 1, 30, 0], [5, 0, 30, 0], [9.0, 9.0, None, None])
    found = HistoricalRate(LifetimeValueParams(horizon_days=90)).fit(state).predict(state)["expected_purchases"]
    # 2 in 60 days; 1 in a day, taken as a week; none in 30 days; nobody knows: all together 3 in 91 days
    assert found.tolist() == pytest.approx([3.0, 90 / 7, 0.0, 90 * 3 / 91])


def test_the_calibration_compares_totals() -> None:
    outcomes, answers = pd.DataFrame({"purchases": [4.0, 0.0]}), pd.DataFrame({"expected_purchases": [2.0, 1.0]})
    assert calibration(outcomes, answers) == 0.25

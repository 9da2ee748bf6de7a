"""Columns of a scoring: the measures agree with scipy, lost fill is a fault, seasons are recognised by their level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp

from capflow_assets.errors import ModelError
from capflow_assets.monitoring.columns import importance_of, is_seasonal, measured, moved_importance
from capflow_assets.monitoring.drift import reference

RANDOM = np.random.default_rng(7)
THEN = pd.DataFrame({"visits": RANDOM.poisson(6, 3000), "spend": RANDOM.gamma(2, 20, 3000)}).assign(score=0.5)
NOW = pd.DataFrame({"visits": RANDOM.poisson(8, 2000), "spend": RANDOM.gamma(2, 20, 2000)}).assign(score=0.5)


def row_of(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.set_index("column").loc[column]


def test_the_measures_are_those_of_scipy() -> None:
    rows = measured(reference(THEN), NOW)
    edges = np.r_[-np.inf, np.asarray(reference(THEN).columns["visits"].edges), np.inf]
    then, now = (np.histogram(frame["visits"], np.nextafter(edges, np.inf))[0] for frame in (THEN, NOW))
    visits = row_of(rows, "visits")
    assert visits["js"] == pytest.approx(jensenshannon(then, now, base=2) ** 2)
    assert visits["p_value"] == pytest.approx(3 * chi2_contingency(np.stack([then, now])).pvalue)
    # At the edges of ten bins it can be no larger than over all values, and hardly is smaller here.
    exact = ks_2samp(THEN["visits"], NOW["visits"]).statistic
    assert exact - 0.02 <= visits["ks"] <= exact + 1e-12
    assert (visits["mean"], visits["deviation"]) == (
        pytest.approx(NOW["visits"].mean()),
        pytest.approx(NOW["visits"].std()),
    )
    assert row_of(rows, "spend")["p_value"] > 0.001
    assert not rows["is_over"].iloc[-1]


def test_fill_that_falls_suddenly_is_a_fault_of_the_feed() -> None:
    half = NOW.assign(spend=NOW["spend"].where(RANDOM.random(len(NOW)) < 0.5))
    then, weight = reference(THEN), {"visits": 0.6, "spend": 0.4}
    sudden = row_of(measured(then, half, importance=weight, fill_before_pct={"spend": 100.0}), "spend")
    assert sudden["fill_now_pct"] == pytest.approx(100 * half["spend"].notna().mean())
    assert sudden["fault"] == f"spend is filled in {sudden['fill_now_pct']:.0f} % of the rows, lately in 100 %"
    slow = measured(then, half, importance=weight, fill_before_pct={"spend": 60.0})
    assert row_of(slow, "spend")["fault"] == "", "it has been so for a while"
    assert row_of(measured(then, half, importance=weight), "spend")["fault"] == "", "of the first scoring nobody knows"
    unread = measured(then, half, importance={"visits": 1.0}, fill_before_pct={"spend": 100.0})
    assert row_of(unread, "spend")["fault"] == "", "the model does not read it"


def test_the_weight_of_what_moved() -> None:
    moved = NOW.assign(spend=NOW["spend"] * 5)
    then = reference(THEN)
    shares = measured(then, moved, importance={"visits": 0.7, "spend": 0.3})
    over = set(shares.loc[shares["is_over"], "column"])
    assert over == {"visits", "spend"}
    assert moved_importance(shares) == pytest.approx(1.0)
    assert moved_importance(
        measured(
            then,
            THEN.assign(spend=moved["spend"].sample(3000, replace=True, random_state=1).to_numpy()),
            importance={"visits": 0.7, "spend": 0.3},
        )
    ) == pytest.approx(0.3)
    assert moved_importance(measured(then, THEN)) == 0.0
    assert moved_importance(measured(then, moved)) == 1.0, "where no weight is known, all of it may have moved"
    assert moved_importance(measured(then, THEN.assign(score=0.9), importance={"visits": 1.0})) == 1.0


def test_a_season_is_the_level_of_a_year_before() -> None:
    rows = measured(reference(THEN), NOW.assign(spend=NOW["spend"] * 5))
    levels = rows[["column", "mean"]]
    assert is_seasonal(rows, levels) is True
    quarter = levels["mean"] + 0.26 * rows["deviation"]
    assert is_seasonal(rows, levels.assign(mean=quarter)) is False
    assert is_seasonal(rows, levels[levels["column"] != "spend"]) is None
    assert is_seasonal(measured(reference(THEN), THEN), levels) is None


def test_weights_of_a_model_without_any_are_not_known() -> None:
    assert importance_of({"depth": 3}) is None
    assert importance_of({"gain_share": {"visits": 1.0}}) == {"visits": 1.0}
    assert importance_of({"parts": {"rule": {}}, "weights": {"rule": 1.0}}) is None
    assert importance_of({"parts": ["similar", "recent"]}) is None, "a recommender's, which have no weights"


def test_of_nobody_nothing_is_measured() -> None:
    with pytest.raises(ModelError, match="at least one scored row"):
        measured(reference(THEN), NOW.head(0))

"""Who counts as active, and whether stages mean what they say in a world whose laws are known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.models.lifecycle_stage import MODEL, LifecycleStage, LifecycleStageParams, RecencyAlone, outcome
from capflow_assets_tests.features.shoppers import bill, bills_of
from capflow_assets_tests.models.shopping import LAST_DAY, shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = LifecycleStageParams()
MOMENT = datetime(2024, 6, 30, tzinfo=UTC)


def test_the_outcome_is_who_came(spark: SparkSession) -> None:
    sold = [
        bill("ana", "2024-06-20", 5.0),
        bill("ana", "2024-06-21", 5.0),
        bill("bob", "2024-06-20", -5.0),
        bill("cem", "2024-05-20", 5.0),
        bill(None, "2024-06-20", 5.0),
    ]
    rows = outcome(bills_of(spark, sold), datetime(2024, 6, 1, tzinfo=UTC), MOMENT)
    assert [tuple(row) for row in rows.collect()] == [("ana", 1)]


# -- a world whose laws are known --------------------------------------------------------------------------------------


def examples_at(visits: pd.DataFrame, *days: int, horizon_days: int = 30) -> Examples:
    """What features say of users at the ends of days, computed visit by visit, and who came afterwards."""
    parts, outcomes = [], []
    for place, day in enumerate(days):
        seen = visits[visits["day"] <= day].sort_values(["user_id", "day"])
        gaps = seen.groupby("user_id")["day"].diff()
        by_user = seen.assign(gap=gaps).groupby("user_id")
        state = pd.DataFrame(
            {
                "recency_days": day - by_user["day"].max(),
                "visits": by_user.size(),
                "gap_days_avg": by_user["gap"].mean(),
                "gap_days_last": by_user["gap"].last(),
                "gap_days_recent_avg": by_user["gap"].apply(lambda of: of.dropna().tail(3).mean()),
                "moment": place,
            }
        )
        later = visits[(visits["day"] > day) & (visits["day"] <= day + horizon_days)]
        parts.append(state)
        outcomes.append(pd.DataFrame({"is_active": state.index.isin(later["user_id"]).astype(float)}, state.index))
    return Examples(pd.concat(parts), pd.concat(outcomes), {}, (MOMENT,) * len(days), "UTC")


def test_stages_mean_what_they_say() -> None:
    """In a world of steady buying that ends by chance, and better than recency alone."""
    visits = shop()
    fitted = LifecycleStage(PARAMS).fit(examples_at(visits, 420, 450, 480, 510))
    test = examples_at(visits, LAST_DAY - 30)
    assert test.outcomes is not None
    answers = fitted.predict(test)
    active_share = test.outcomes["is_active"].groupby(answers["stage"]).mean()
    assert active_share["active"] > 3 * active_share["lapsing"] > 3 * active_share["lost"]
    shares = fitted.parameters()["share_who_came"]
    for stage in ("active", "lapsing", "lost"):
        assert shares[stage] == pytest.approx(active_share[stage], abs=0.05)
    value, baseline = (
        MODEL.metric.compute(test.outcomes, rows) for rows in (answers, RecencyAlone(PARAMS).fit(test).predict(test))
    )
    assert value > baseline
    # Nobody who is lost is active a month later but by a visit; most stay lost.
    later = fitted.parameters()["stage_later"]
    assert later["lost"]["lost"] > 0.8
    assert later["lapsing"]["lost"] > later["active"]["lost"]
    assert set(answers.loc[answers["stage"] == "lost", "likely_stage"]) == {"lost"}


# -- bad input ---------------------------------------------------------------------------------------------------------


def some(labels: list[float]) -> Examples:
    columns = dict.fromkeys(("recency_days", "visits", "gap_days_avg", "gap_days_last", "gap_days_recent_avg"), 5.0)
    users = pd.DataFrame(columns, index=pd.Index([f"u{number}" for number in range(len(labels))], name="user_id"))
    return Examples(users, pd.DataFrame({"is_active": labels}, users.index), {}, (MOMENT,), "UTC")


@pytest.mark.parametrize("labels", [[1.0, 1.0], [0.0, 0.0], [1.0], []])
def test_one_class_alone_is_no_evidence(labels: list[float]) -> None:
    with pytest.raises(EvidenceError, match="told apart"):
        LifecycleStage(PARAMS).fit(some(labels))


def test_features_that_are_all_null_are_answered() -> None:
    examples = some([1.0, 0.0])
    nothing = Examples(examples.columns * np.nan, examples.outcomes, {}, (MOMENT,), "UTC")
    answers = LifecycleStage(PARAMS).fit(nothing).predict(nothing)
    assert answers["stage"].tolist() == ["lost", "lost"]
    assert np.isfinite(answers["score"]).all()


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        LifecycleStage(PARAMS).predict(some([1.0]))

"""A planted mean is recovered, large amounts are capped, and odd evidence is refused in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.boosted_amounts import TweedieAmount, TwoPartAmount
from capflow_assets.models.spend_forecast import MODEL, RFM, RHYTHM, SpendForecastParams, UsualSpend, outcome

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = SpendForecastParams(rounds=100, threads=1)
TREES = tuple(partial(kind, outcome="spend", words={**RFM, **RHYTHM}) for kind in (TwoPartAmount, TweedieAmount))


def planted(size: int = 9_000, moments: int = 3, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Users who come the likelier the more recent they are and spend what they used to; and the mean of their spend."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.random(size) for name in MODEL.columns})
    frame["recency_days"] = random.integers(0, 100, size)
    frame["spend_avg"] = random.gamma(4.0, 10.0, size)
    frame["tenure_days"], frame["spend_364d"] = 364.0, frame["spend_avg"] * random.poisson(3.0, size)
    frame["moment"] = np.sort(np.arange(size) % moments)
    chance = np.exp(-frame["recency_days"].to_numpy() / 30)
    spent = (random.random(size) < chance) * random.gamma(5.0, frame["spend_avg"] / 5.0)
    return Examples(frame, pd.DataFrame({"spend": spent})), chance * frame["spend_avg"].to_numpy()


def with_spend(known: Examples, spent: np.ndarray) -> Examples:
    return replace(known, outcomes=pd.DataFrame({"spend": spent}))


def outcomes_of(known: Examples) -> pd.DataFrame:
    assert known.outcomes is not None
    return known.outcomes


@pytest.mark.parametrize("kind", TREES)
def test_the_planted_mean_is_recovered(kind: Any) -> None:
    (known, _), (later, mean) = planted(24_000), planted(seed=1)
    answers = kind(PARAMS).fit(known).predict(later)
    judge = MODEL.metric.compute
    best = judge(outcomes_of(later), pd.DataFrame({"score": mean}))
    assert judge(outcomes_of(later), answers) > best - 0.02
    assert answers["score"].sum() == pytest.approx(mean.sum(), rel=0.05)
    assert MODEL.rules[0].measure(outcomes_of(later), answers) < 0.1
    assert MODEL.rules[1].measure(outcomes_of(later), answers) > 0.78


@pytest.mark.parametrize("kind", TREES)
def test_a_level_that_changed_in_the_newest_moment_is_followed(kind: Any) -> None:
    known, _ = planted()
    is_newest = (known.columns["moment"] == 2).to_numpy()
    doubled = with_spend(known, outcomes_of(known)["spend"].to_numpy() * np.where(is_newest, 2.0, 1.0))
    before, after = (kind(PARAMS).fit(one).predict(known)["score"].sum() for one in (known, doubled))
    assert after == pytest.approx(2 * before, rel=0.05)


@pytest.mark.parametrize("kind", TREES)
def test_one_absurd_amount_moves_hardly_anything(kind: Any) -> None:
    known, _ = planted()
    spent = outcomes_of(known)["spend"].to_numpy().copy()
    spent[np.argmax(spent)] = 1e9
    plain, odd = (kind(PARAMS).fit(one).predict(known)["score"] for one in (known, with_spend(known, spent)))
    assert odd.max() < 2 * plain.max()
    assert odd.sum() == pytest.approx(plain.sum(), rel=0.05)


@pytest.mark.parametrize("kind", TREES)
def test_once_promoted_the_newest_moment_reaches_the_trees_and_the_calibrator_stays(kind: Any) -> None:
    known, _ = planted(3_000)
    measured = kind(PARAMS).fit(known)
    served = measured.refit(known)
    assert served.calibrator is measured.calibrator
    assert served.bands is measured.bands
    assert not served.predict(known)["score"].equals(measured.predict(known)["score"])


@pytest.mark.parametrize("kind", TREES)
def test_reasons_name_the_value_and_the_direction(kind: Any) -> None:
    known, _ = planted()
    ordered = Examples(known.columns.sort_values("recency_days"))
    reasons = kind(PARAMS).fit(known).predict(ordered)["reasons"]
    assert "last visit 0 days ago raises it" in reasons.iloc[0]
    assert "last visit 99 days ago lowers it" in reasons.iloc[-1]


@pytest.mark.parametrize("spent", [0.0, 7.0, np.inf, np.nan])
def test_amounts_that_teach_nothing_are_refused(spent: float) -> None:
    known, _ = planted(300)
    for kind in TREES:
        with pytest.raises(EvidenceError, match="spend cannot be learned"):
            kind(PARAMS).fit(with_spend(known, np.full(300, spent)))


@pytest.mark.parametrize("kind", TREES)
def test_features_that_say_nothing_give_everybody_the_mean(kind: Any) -> None:
    known, _ = planted(3_000)
    blank = known.columns.assign(**dict.fromkeys(MODEL.columns, np.nan))
    scores = kind(PARAMS).fit(replace(known, columns=blank)).predict(Examples(blank))["score"]
    assert scores.nunique() == 1
    newest = outcomes_of(known)["spend"][(known.columns["moment"] == 2).to_numpy()]
    assert scores.iloc[0] == pytest.approx(newest.mean(), rel=0.02)


@pytest.mark.parametrize("kind", TREES)
def test_the_columns_that_were_chosen_are_all_that_is_read(kind: Any) -> None:
    known, _ = planted(3_000)
    few = kind(PARAMS).using(("recency_days", "spend_avg"))
    assert few.columns == ("recency_days", "spend_avg")
    narrow = replace(known, columns=known.columns[["recency_days", "spend_avg", "moment"]])
    assert few.fit(narrow).refit(narrow).predict(narrow)["score"].nunique() > 100


@pytest.mark.parametrize("kind", TREES)
def test_absurd_features_are_answered_all_the_same(kind: Any) -> None:
    known, _ = planted(3_000)
    absurd = known.columns.assign(spend_avg=1e300, spend_total=np.inf, visits=-1e300)
    scores = kind(PARAMS).fit(replace(known, columns=absurd)).predict(Examples(absurd))["score"]
    assert np.isfinite(scores).all()


def test_an_outcome_is_needed_for_each_example() -> None:
    known, _ = planted(300)
    for wrong in (None, outcomes_of(known)[1:]):
        with pytest.raises(ModelError, match="one outcome per example") as caught:
            TREES[0](PARAMS).fit(replace(known, outcomes=wrong))
        assert not isinstance(caught.value, EvidenceError), "that is wired wrongly, and more data do not mend it"


def test_the_usual_spend_is_that_of_the_last_year_drawn_to_the_mean() -> None:
    columns = pd.DataFrame({"tenure_days": [800.0, 29.0, None], "spend_364d": [364.0, 60.0, -5.0]})
    rule = UsualSpend(PARAMS).fit(Examples(columns, pd.DataFrame({"spend": [30.0, 0.0, 60.0]})))
    # 30 days at (364 + 30) in 394 days; at (60 + 30) in 60; at 30 in 31.
    assert rule.predict(Examples(columns))["score"].tolist() == pytest.approx([30.0, 45.0, 900 / 31])


def test_the_outcome_sums_bills_that_are_no_returns_inside_the_horizon(spark: SparkSession) -> None:
    start, end = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)
    noon = datetime(2020, 3, 9, 12, tzinfo=UTC)
    rows = [
        ("ann", start, 100.0),
        ("ann", noon, 0.1),
        ("ann", end, 0.2),
        ("ann", noon, -20.0),
        ("bob", end.replace(microsecond=1), 7.0),
        ("cas", noon, -5.0),
        (None, noon, 50.0),
    ]
    bills = spark.createDataFrame(
        [(*row, row[2] < 0, row[0] is None) for row in rows],
        "user_id string, billed_at timestamp, amount double, is_return boolean, is_anonymous boolean",
    )
    assert [tuple(row) for row in outcome(bills, start, end).collect()] == [("ann", 0.3)]

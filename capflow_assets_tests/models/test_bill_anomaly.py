"""Planted frauds stand first, reasons say what is usual, and what is judged by is deterministic."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.anomaly_estimators import AmountAlone, BillAutoEncoder, BillForest, LargestDeviation
from capflow_assets.models.bill_anomaly import BILLS, BillAnomalyParams, known, outcome
from capflow_assets.simulation import dirt
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = BillAnomalyParams(trees=50)
MONTH = timedelta(days=30)


@lru_cache
def world(**dials: Any) -> World:
    return simulate(tiny("shop", seed=2, users=2500, returns_pct=1, **dials))


@lru_cache
def bills_of(**dials: Any) -> pd.DataFrame:
    """The bills as clean/bills has them."""
    sent = dirt.sent(world(**dials).tables, world(**dials).dirt, world(**dials).brand, None)
    lines = sent["line_items"].groupby("bill_id").size()
    bills = sent["bills"].assign(line_items=sent["bills"]["bill_id"].map(lines).astype(float))
    return bills.assign(is_return=bills["amount"] < 0)


def examples(bills: pd.DataFrame, *moments: datetime) -> Examples:
    """The bills of the thirty days up to each moment, with all that are known at it."""
    frames = tuple(bills[bills["billed_at"] <= moment] for moment in moments)
    parts = [
        pd.DataFrame({"moment": place}, index=pd.Index(frame["bill_id"][frame["billed_at"] > moment - MONTH]))
        for place, (frame, moment) in enumerate(zip(frames, moments, strict=True))
    ]
    return Examples(pd.concat(parts), None, {BILLS: frames}, moments)


def months(dials: dict[str, Any]) -> tuple[Examples, Examples]:
    end = world(**dials).end.to_pydatetime()
    bills = bills_of(**dials)
    return examples(bills, end - 3 * MONTH, end - 2 * MONTH, end - MONTH), examples(bills, end)


FRAUDS: dict[str, dict[str, Any]] = {
    "anomalies": {"anomalies": 100},
    "discounts": {"discount_frauds": 100},
    "refunds": {"refund_frauds": 60},
}


def is_planted(dials: dict[str, Any], index: pd.Index) -> np.ndarray:
    plan = world(**dials).dirt.set_index("bill_id").reindex(index)
    return (plan["is_anomalous"] | plan["share_off"].notna() | plan["paid_back_to"].notna()).to_numpy()


@pytest.mark.parametrize("fraud", FRAUDS)
def test_planted_frauds_stand_first(fraud: str) -> None:
    past, now = months(FRAUDS[fraud])
    answers = LargestDeviation(PARAMS).fit(past).predict(now)
    planted = is_planted(FRAUDS[fraud], answers.index)
    assert planted.sum() >= 4
    first = np.argsort(-answers["score"].to_numpy(), kind="stable")[: planted.sum()]
    # Who knows which are planted has a precision of 1 at their number.
    assert planted[first].mean() >= 0.9


def test_an_auto_encoder_finds_more_planted_errors_than_the_amount_alone() -> None:
    past, now = months({})
    recalls = {}
    for kind in (BillAutoEncoder, AmountAlone):
        answers = kind(PARAMS).fit(past).figures(now)
        recalls[kind] = (answers["score_if_disturbed"] > answers["score"].quantile(0.99)).mean()
    assert recalls[BillAutoEncoder] > recalls[AmountAlone] + 0.1, recalls


def test_each_seed_has_an_auto_encoder_of_its_own_and_the_same_seed_the_same() -> None:
    past, now = months({})
    first, again, other = (
        BillAutoEncoder(PARAMS.model_copy(update={"seed": seed, "epochs": 2})).fit(past) for seed in (0, 0, 1)
    )
    assert first.weights == again.weights
    assert not set(first.weights) & {other.weights[1]}
    assert [course["ended"] for course in first.parameters()["courses"]] == ["epochs", "epochs"]
    assert first.figures(now)["score"].equals(again.figures(now)["score"])


def test_reasons_say_what_is_usual_in_the_store() -> None:
    past, now = months(FRAUDS["anomalies"])
    answers = LargestDeviation(PARAMS).fit(past).predict(now)
    texts = answers.loc[is_planted(FRAUDS["anomalies"], answers.index), "reasons"]
    assert texts.str.contains(r"(?:quantity|paid|pieces).* where .* (?:is|are) usual in this store").all()
    assert answers["reasons"].eq("as usual in this store").mean() > 0.5


@pytest.mark.parametrize("kind", [LargestDeviation, BillForest, BillAutoEncoder, AmountAlone])
def test_fewer_than_two_hundred_bills_are_no_evidence(kind: Any) -> None:
    past, now = months(FRAUDS["anomalies"])
    with pytest.raises(EvidenceError, match="at least 200 bills"):
        kind(PARAMS).fit(replace(past, columns=past.columns.head(100)))
    nothing = {name: pd.Series(np.nan, dtype=float) for name in ("discount", "quantity", "line_items")}
    poor = replace(past, tables={BILLS: tuple(frame.assign(**nothing, store_id=None) for frame in past.tables[BILLS])})
    answers = kind(PARAMS).fit(poor).predict(now)
    assert np.isfinite(answers[["score", "score_if_disturbed"]].to_numpy()).all()


def test_known_are_the_bills_of_thirty_local_days_and_the_outcome_looks_ahead(spark: SparkSession) -> None:
    start, end = datetime(2020, 3, 31, 12, tzinfo=UTC), datetime(2020, 4, 30, 12, tzinfo=UTC)
    rows = [
        ("old", "ann", datetime(2020, 3, 1, 12, tzinfo=UTC), 50.0),
        ("new", "ann", datetime(2020, 3, 1, 12, 1, tzinfo=UTC), 50.0),
        ("small", "ann", start, 5.0),
        ("bob's", "bob", start, 50.0),
        ("nobody's", None, start, 50.0),
        ("back", "ann", end, -20.0),
        ("later", "bob", end + timedelta(seconds=1), -20.0),
    ]
    schema = "bill_id string, user_id string, billed_at timestamp, amount double, is_return boolean"
    bills = spark.createDataFrame([(*row, row[3] < 0) for row in rows], schema)
    past = bills.filter(bills["billed_at"] <= start)
    assert {row[0] for row in known(past, start, "UTC").collect()} == {"new", "small", "bob's", "nobody's"}
    assert [tuple(row) for row in outcome(bills, start, end, "UTC").collect()] == [("new", 1.0)]

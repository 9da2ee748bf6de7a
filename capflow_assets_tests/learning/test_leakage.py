"""Leaks as planted, and that honest features, chance and a handful of users are no leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.leakage import judge, leaks, wilson_low

SEEDS = range(40)


def shoppers(seed: int, rows: int = 1000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Users who buy at a Gamma rate and leave: what was known of them, and what they did within the next month."""
    random = np.random.default_rng(seed)
    rate, gone = random.gamma(1.2, 0.06, rows), random.random(rows) < 0.4
    recency = np.where(gone, random.uniform(30, 400, rows), random.exponential(1 / (rate + 0.005)))
    purchases = np.where(gone, 0, random.poisson(rate * 30))
    visits = random.poisson(rate * 300) + 1
    spend_avg = random.lognormal(3, 0.5, rows)
    features = pd.DataFrame(
        {
            "recency_days": recency,
            "visits": visits,
            "spend_total": visits * spend_avg,
            "gap_days_avg": np.where(visits > 1, 300 / visits, np.nan),
            "tier": pd.Series(np.where(visits > 10, "gold", random.choice(["silver", "none"], rows))),
            "noise": random.normal(size=rows),
        }
    )
    labels = pd.DataFrame({"purchases": purchases, "spend": purchases * spend_avg * random.lognormal(0, 0.2, rows)})
    return features, labels.astype(float)


def bought(labels: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"bought": (labels["purchases"] > 0).astype(float)})


@pytest.mark.parametrize("seed", range(5))
def test_the_label_with_noise_is_found(seed: int) -> None:
    features, labels = shoppers(seed)
    target = bought(labels)
    noise = np.random.default_rng(seed).normal(0, 0.25, len(target))
    finding = judge(leaks(features.assign(next_visit=-target["bought"] + noise), target))
    assert not finding.passed
    assert finding.severity == "block"
    assert {row["column"] for row in finding.sample} == {"next_visit"}
    assert finding.message.startswith("next_visit alone orders the users by bought with an AUC of 0.99")
    assert "take it out of the model's columns" in finding.message


@pytest.mark.parametrize("seed", range(5))
def test_a_missingness_that_tells_is_found(seed: int) -> None:
    features, labels = shoppers(seed)
    target = bought(labels)
    random = np.random.default_rng(seed)
    voucher = pd.Series(random.normal(size=len(target))).where(
        (target["bought"] > 0) | (random.random(len(target)) < 0.03)
    )
    finding = judge(leaks(features.assign(voucher=voucher), target))
    assert {(row["column"], row["kind"]) for row in finding.sample} == {("voucher", "missing")}
    assert "voucher is missing so that it tells bought" in finding.message


def test_an_amount_that_all_but_is_the_label_is_found() -> None:
    features, labels = shoppers(1)
    close = labels["spend"] * np.random.default_rng(0).normal(1, 0.03, len(labels))
    finding = judge(leaks(features.assign(paid=close, paid_log=np.log1p(close)), labels))
    kinds = {(row["column"], row["label"], row["kind"]) for row in finding.sample}
    assert {("paid", "spend", "amount"), ("paid_log", "spend", "amount"), ("paid", "purchases", "order")} <= kinds
    assert {column for column, _, _ in kinds} == {"paid", "paid_log"}
    assert finding.found["leaking"] == 2


def test_a_text_that_reveals_the_outcome_is_found_and_an_identifier_is_not() -> None:
    features, labels = shoppers(2)
    target = bought(labels)
    telling = features.assign(
        state=np.where(target["bought"] > 0, "active", "lapsed"), code=[f"u{n}" for n in range(len(features))]
    )
    finding = judge(leaks(telling, target))
    assert {row["column"] for row in finding.sample} == {"state"}


def test_one_user_who_always_spent_a_thousand_times_as_much_is_no_leak() -> None:
    features, labels = shoppers(3)
    features.loc[0, "spend_total"], labels.loc[0, "spend"] = 1e7, 1e6
    assert np.corrcoef(features["spend_total"], labels["spend"])[0, 1] ** 2 > 0.99
    assert judge(leaks(features, labels)).passed


def test_honest_features_are_hardly_ever_called_a_leak() -> None:
    alarms = 0
    for seed in SEEDS:
        features, labels = shoppers(seed)
        alarms += not judge(leaks(features, labels)).passed
        alarms += not judge(leaks(features, bought(labels))).passed
    assert alarms == 0


@pytest.mark.parametrize("rows", [20, 30, 60])
def test_a_handful_of_examples_proves_nothing(rows: int) -> None:
    """Thirty columns of noise against three buyers: some order them perfectly, by chance."""
    perfect = alarms = 0
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        features = pd.DataFrame(random.normal(size=(rows, 30)), columns=[f"f{n}" for n in range(30)])
        label = pd.DataFrame({"bought": (np.arange(rows) < 3).astype(float)})
        leakages = leaks(features, label)
        perfect += any(leak.value > 0.95 for leak in leakages)
        alarms += not judge(leakages).passed
    assert perfect > 0
    assert alarms == 0


def test_nothing_to_order_is_no_leak() -> None:
    features, labels = shoppers(0, rows=100)
    assert judge(leaks(features, labels * 0)).passed
    assert leaks(features.head(10), labels.head(10)) == []
    constant = pd.DataFrame({"a": [1.0] * 100, "b": [np.nan] * 100})
    assert judge(leaks(constant, labels)).passed


def test_many_rows_are_sampled_the_same_way_each_time() -> None:
    features, labels = shoppers(0, rows=120_000)
    first, again = leaks(features[["visits"]], bought(labels)), leaks(features[["visits"]], bought(labels))
    assert first == again


def test_bounds_are_the_callers() -> None:
    features, labels = shoppers(0)
    leakages = leaks(features, bought(labels))
    assert judge(leakages).passed
    assert not judge(leakages, auc_at_most=0.6).passed
    assert leakages[0].low < leakages[0].value
    assert wilson_low(0.9, 50) < wilson_low(0.9, 5000) < 0.9

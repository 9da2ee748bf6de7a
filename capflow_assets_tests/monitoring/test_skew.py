"""Skew by hand, as planted, and that chance alone is not called skew."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.monitoring.drift import Reference, reference
from capflow_assets.monitoring.skew import compare, divergence, judge

SEEDS = range(60)


def shoppers(seed: int, rows: int = 1500) -> pd.DataFrame:
    """Features as a grocer's users have them: counts, money with long tails, gaps that are missing for new users."""
    random = np.random.default_rng(seed)
    visits = random.poisson(random.gamma(1.5, 4, rows)) + 1
    gaps = np.where(visits > 1, random.exponential(20, rows), np.nan)
    return pd.DataFrame(
        {
            "visits": visits,
            "spend_total": np.round(visits * random.lognormal(3, 0.6, rows), 2),
            "spend_91d": np.where(random.random(rows) < 0.4, 0.0, random.lognormal(3, 1, rows)),
            "gap_days_avg": gaps,
            "is_member": random.random(rows) < 0.3,
            "tier": pd.Series(random.choice(["gold", "silver", "none"], rows, p=[0.1, 0.3, 0.6])),
        }
    )


def row(table: pd.DataFrame, column: str) -> dict[str, Any]:
    return table.set_index("column").loc[column].to_dict()


def test_divergence_by_hand() -> None:
    # M = (0.65, 0.35): H(M) = 0.9341, H(P) = 1, H(Q) = 0.7219
    assert divergence(np.array([0.5, 0.5]), np.array([0.8, 0.2])) == pytest.approx(0.9341 - (1 + 0.7219) / 2, abs=1e-4)
    comparison = compare(reference(pd.DataFrame({"a": range(1, 11)}), bins=2), pd.DataFrame({"a": [1] * 8 + [9] * 2}))
    assert row(comparison, "a")["js"] == pytest.approx(0.0731, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_it_is_bounded_and_blind_to_the_order_of_the_two(pairs: list[tuple[int, int]]) -> None:
    counts = np.array(pairs, dtype=float) + 1e-9
    then, now = (counts / counts.sum(axis=0)).T
    assert 0 <= divergence(then, now) <= 1
    assert divergence(then, now) == pytest.approx(divergence(now, then), abs=1e-12)
    assert divergence(then, then) == pytest.approx(0, abs=1e-12)


def test_fill_and_spread_are_told_apart() -> None:
    then = reference(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0] * 50}))
    half_gone = compare(then, pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, None, None, None, None] * 25}))
    assert row(half_gone, "a")["fill_points"] == pytest.approx(-50)
    assert row(half_gone, "a")["js"] == pytest.approx(0, abs=1e-12)
    assert row(compare(then, pd.DataFrame({"b": [1.0] * 20})), "a")["fill_now_pct"] == 0
    assert compare(then, pd.DataFrame({"a": []})).empty


def test_texts_are_compared_by_their_values() -> None:
    then = reference(pd.DataFrame({"tier": ["gold", "none"] * 100}))
    same = compare(then, pd.DataFrame({"tier": ["none", "gold"] * 30}))
    assert row(same, "tier")["js"] == pytest.approx(0, abs=1e-12)
    strange = compare(then, pd.DataFrame({"tier": ["GOLD", "NONE"] * 30}))
    assert row(strange, "tier")["js"] == pytest.approx(1)
    assert judge(strange).severity == "block"


def test_many_values_share_a_bin_beyond_the_most_frequent() -> None:
    codes = pd.DataFrame({"code": [f"c{n % 200}" for n in range(2000)]})
    then = reference(codes)
    assert len(then.categories["code"].shares) == 50
    assert row(compare(then, codes), "code")["js"] == pytest.approx(0, abs=1e-9)


def test_a_reference_survives_its_text_and_older_ones_are_read() -> None:
    then = reference(shoppers(0))
    again = Reference.from_json(then.to_json())
    assert asdict(again) == asdict(then)
    assert Reference.from_json('{"rows": 3, "columns": {}}').categories == {}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("times", [100, 0.01])
def test_a_change_of_unit_blocks_and_is_named(seed: int, times: float) -> None:
    now = shoppers(seed + 100).assign(spend_total=lambda frame: frame["spend_total"] * times)
    finding = judge(compare(reference(shoppers(seed)), now))
    assert not finding.passed
    assert finding.severity == "block"
    assert finding.message.startswith("unlike the rows that the champion was trained on: spend_total (divergence 0.")
    assert [entry["column"] for entry in finding.sample] == ["spend_total"]


@pytest.mark.parametrize("seed", range(5))
def test_a_feature_whose_fill_drops_is_named(seed: int) -> None:
    now = shoppers(seed + 100)
    lost = np.random.default_rng(seed).random(len(now))
    then = reference(shoppers(seed))
    finding = judge(compare(then, now.assign(spend_total=now["spend_total"].where(lost < 0.75))))
    assert (finding.passed, finding.severity) == (False, "warn")
    assert "spend_total" in finding.message
    assert "of the rows, then in 100.0 %" in finding.message
    gone = judge(compare(then, now.assign(spend_total=np.nan)))
    assert (gone.passed, gone.severity) == (False, "block")
    assert gone.found["fill_points_max"] == 100


def test_thresholds_are_the_callers() -> None:
    comparison = compare(reference(shoppers(0)), shoppers(1).assign(visits=lambda frame: frame["visits"] * 3))
    assert judge(comparison).severity == "warn"
    assert not judge(comparison).passed
    assert judge(comparison, js_warn=0.9).passed
    assert judge(comparison, js_block=0.05).severity == "block"
    assert judge(comparison, js_warn=0.9, js_block=0.05).found["skewed"] == 1


@pytest.mark.parametrize("rows", [40, 200, 1500])
def test_chance_alone_is_hardly_ever_called_skew(rows: int) -> None:
    """Champion and scored users drawn from the same world: six columns, sixty worlds, thresholds that chance passes."""
    compared = [compare(reference(shoppers(seed, rows)), shoppers(seed + 1000, rows)) for seed in SEEDS]
    assert sum(not judge(comparison).passed for comparison in compared) == 0
    # Without any threshold but chance itself: one column in a thousand, each way.
    alarms = sum(not judge(comparison, js_warn=0.0, fill_warn_pct=0.0).passed for comparison in compared)
    assert alarms <= 4


def test_a_handful_of_rows_proves_nothing() -> None:
    then = reference(shoppers(0))
    assert judge(compare(then, shoppers(1, rows=12).assign(visits=500))).passed
    assert math.isclose(row(compare(then, shoppers(1, rows=12)), "visits")["js_noise"], 1.0, abs_tol=0.9)

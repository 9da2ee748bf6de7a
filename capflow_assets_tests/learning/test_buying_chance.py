"""The law by hand, its four parameters fitted to outcomes, and odd histories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import ModelError
from capflow_assets.learning.btyd import BgNbd
from capflow_assets.learning.buying_chance import HISTORY, BuyingChance

WORDS = {"spend": "{:.0f} spent", **{name: name + " {:.0f}" for name in HISTORY}}
PARAMS = Horizon(horizon_days=56)
LAW = BgNbd(r=1.5, alpha=6.0, a=0.8, b=5.0, log_likelihood=0.0)


def estimator(lapsed_after: float = 0.0) -> BuyingChance:
    return BuyingChance(PARAMS, "came", WORDS, lapsed_after)


def histories(size: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"visits": random.integers(1, 20, size), "tenure_days": random.integers(30, 700, size)})
    # One visit, whose day is both the first and the last.
    recency = np.where(frame["visits"] > 1, frame["tenure_days"] * random.random(size), frame["tenure_days"])
    return frame.assign(recency_days=np.floor(recency), moment=np.arange(size) % 4)


def law(frame: pd.DataFrame) -> np.ndarray:
    """The chance of a visit, from P(alive) of another file and a Gamma's Laplace transform."""
    x, watched = frame["visits"].to_numpy() - 1.0, frame["tenure_days"].to_numpy() / 7
    alive = LAW.p_alive(x, watched - frame["recency_days"].to_numpy() / 7, watched)
    return alive * (1 - ((LAW.alpha + watched) / (LAW.alpha + watched + 8)) ** (LAW.r + x))


def examples(size: int, seed: int = 0) -> Examples:
    frame = histories(size, seed)
    returned = np.random.default_rng(seed + 1).random(size) < law(frame)
    return Examples(frame, pd.DataFrame({"came": returned.astype(float)}))


def test_the_law_is_found_from_what_came() -> None:
    fresh = histories(2000, seed=5)
    chances = estimator().fit(examples(40_000)).figures(Examples(fresh))["score"].to_numpy()
    assert chances == pytest.approx(law(fresh), abs=0.05)
    assert np.mean(np.abs(chances - law(fresh))) < 0.01


def test_a_lapse_is_no_visit_and_a_silence_of_three_gaps() -> None:
    known = examples(5000)
    fitted = estimator(lapsed_after=3).fit(known)
    # Gaps of 10 days: silent for 0 + 56 days. Gaps of 20: for 56 days, not yet 60.
    state = pd.DataFrame({"visits": [11, 6], "tenure_days": [100, 100], "recency_days": [0, 0]})
    raw = fitted._raw(state[list(HISTORY)])
    assert raw[0] > 1e-3
    assert raw[1] == pytest.approx(0.0, abs=1e-8)


def test_reasons_hold_a_history_against_the_usual_one() -> None:
    fitted = estimator().fit(examples(20_000))
    state = pd.DataFrame({"visits": [10, 10], "tenure_days": [400, 400], "recency_days": [5, 390]})
    reasons = fitted.predict(Examples(state))["reasons"]
    assert "recency_days 5 raises it" in reasons.iloc[0]
    assert reasons.iloc[1].startswith("recency_days 390 lowers it")


def test_unknown_and_impossible_histories_are_answered() -> None:
    fitted = estimator().fit(examples(5000))
    state = pd.DataFrame(
        {"visits": [np.nan, 0, 5, 1e300], "tenure_days": [10, np.nan, 3, 1e300], "recency_days": [np.inf, 5, 99, 0]}
    )
    assert fitted.predict(Examples(state))["score"].between(0, 1).all()


def test_it_keeps_to_its_three_columns() -> None:
    one = estimator(lapsed_after=3)
    assert one.columns == HISTORY
    other = one.using(("spend",))
    assert (other.columns, other.lapsed_after) == (HISTORY, 3)
    with pytest.raises(ModelError, match="recency_days"):
        one.fit(Examples(histories(10).drop(columns="recency_days"), pd.DataFrame({"came": [0.0, 1.0] * 5})))

"""Trees answer a frame as XGBoost answers its own matrix of it, to the bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xgboost

from capflow_assets.contract import Examples
from capflow_assets.learning.boosting import BoostedChance, BoostingParams
from capflow_assets.learning.chances import LARGEST

ROWS = 4_000
WORDS = {"recency_days": "days since the last visit", "visits": "visits", "spend": "spend"}


class Opened(BoostedChance):
    """Trees that can be looked into."""

    def raw(self, state: pd.DataFrame) -> np.ndarray:
        """The scores before calibration."""
        return self._raw(state)


@pytest.fixture(scope="module")
def opened() -> Opened:
    random = np.random.default_rng(3)
    columns = pd.DataFrame({name: random.gamma(2.0, 30.0, ROWS) for name in WORDS})
    columns = columns.mask(random.random(columns.shape) < 0.1).rename_axis("user_id").assign(moment=np.arange(ROWS) % 4)
    outcomes = pd.DataFrame({"bought": (columns["recency_days"].fillna(80) < 40).astype(float)}, index=columns.index)
    estimator = Opened(BoostingParams(rounds=30), "bought", WORDS)
    estimator.fit(Examples(columns, outcomes))
    return estimator


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_frame_is_answered_as_a_matrix_of_xgboosts_is(opened: Opened, rows: int) -> None:
    random = np.random.default_rng(rows)
    state = pd.DataFrame({name: random.normal(0, 100, rows) for name in WORDS})
    state = state.mask(random.random(state.shape) < 0.2)
    state.iloc[: rows // 4, 0] = random.choice([LARGEST, -LARGEST, 0.0, -0.0, 0.1 + 1e-9, 1e-300], rows // 4)
    assert opened.trees is not None
    expected = opened.trees.predict(xgboost.DMatrix(state)).astype(float)
    assert opened.raw(state).tobytes() == expected.tobytes()


def test_other_columns_or_another_order_are_refused(opened: Opened) -> None:
    state = pd.DataFrame({name: [1.0] for name in reversed(list(WORDS))})
    with pytest.raises(ValueError, match="feature_names mismatch"):
        opened.raw(state)


def test_a_frame_of_nobody_has_no_answers(opened: Opened) -> None:
    assert opened.raw(pd.DataFrame(columns=list(WORDS), dtype=float)).shape == (0,)

"""Histories out of feature columns, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.user_histories import histories_of

NAMES = (
    *("visits", "recency_days", "gap_days_avg", "gap_days_log_avg"),
    *("repeat_visit_spend_avg", "spend_total", "returns_total"),
)


def users(*rows: tuple[float | None, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NAMES).astype(float)


def test_the_clock_starts_at_the_first_purchase() -> None:
    """Four visits 14 days apart, the last 7 days ago: 42 days from first to last, 49 in all, whatever came before."""
    histories = histories_of(users((4, 7, 14.0, np.log(14.0), 20.0, 75.0, 25.0)))
    assert (histories.x.tolist(), histories.t_x.tolist(), histories.T.tolist()) == ([3.0], [6.0], [7.0])
    assert histories.log_gaps == pytest.approx([3 * np.log(2.0)])
    # 25 of 75 + 25 came back.
    assert histories.returned_share.tolist() == [0.25]


def test_one_visit_is_no_repeat_and_is_watched_since() -> None:
    histories = histories_of(users((1, 21, None, None, None, 10.0, 0.0)))
    assert (histories.x.tolist(), histories.t_x.tolist(), histories.T.tolist()) == ([0.0], [0.0], [3.0])
    assert histories.log_gaps.tolist() == [0.0]


def test_who_only_brought_back_has_bought_nothing() -> None:
    frame = users((0, None, None, None, None, -30.0, 30.0), (2, 0, 9.0, np.log(9.0), 5.0, 10.0, 0.0))
    histories = histories_of(frame)
    assert (histories.x[0], histories.T[0]) == (0.0, 0.0)
    assert np.isnan(histories.returned_share[0])
    assert histories_of(frame, buyers_only=True).visits.tolist() == [2.0]


def test_thirds_of_days_are_whole_days_again() -> None:
    """Three gaps of 25 days in all average 8.33, and end 25 days after the first visit."""
    assert histories_of(users((4, 3, 25 / 3, 2.0, 9.0, 36.0, 0.0))).T.tolist() == [4.0]


def test_nobody_and_nothing_known_are_no_trouble() -> None:
    assert histories_of(users()).x.size == 0
    unknown = histories_of(users((None,) * 7, (np.inf,) * 7))
    assert unknown.x.tolist() == unknown.T.tolist() == [0.0, 0.0]
    assert np.isfinite(unknown.frequency).all()


def test_an_absent_column_is_named() -> None:
    with pytest.raises(ModelError, match="gap_days_log_avg"):
        histories_of(users().drop(columns="gap_days_log_avg"))

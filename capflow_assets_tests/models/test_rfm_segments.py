"""Segments by hand: fifths, names, order, and that they stay put."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.rfm_grid import GRID, SEGMENTS, RfmSegments
from capflow_assets.models.rfm_segments import RfmSegmentsParams


def users(recency: list[float], visits: list[float], spend: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"recency_days": recency, "visits": visits, "spend_total": spend, "spend_91d": spend})
    return frame.set_index(pd.Index([f"u{place}" for place in range(len(frame))], name="user_id"))


TEN = users(list(range(0, 100, 10)), list(range(20, 0, -2)), list(range(200, 0, -20)))


def test_fifths_are_cut_evenly_and_the_best_is_five() -> None:
    answers = RfmSegments(RfmSegmentsParams()).fit(Examples(TEN)).predict(Examples(TEN))
    for name in ("recency_quintile", "frequency_quintile", "monetary_quintile"):
        assert answers[name].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert answers["segment"].tolist() == [
        *["Champions"] * 2,
        *["Loyal"] * 2,
        *["Needs attention"] * 2,
        *["Hibernating"] * 2,
        *["Lost"] * 2,
    ]
    assert (
        answers["reasons"].iloc[0]
        == "last visit 0 days ago (best fifth); 20 visits (best fifth); 200.00 spent (best fifth)"
    )


def test_equal_users_share_the_fifth_of_their_middle() -> None:
    # Six of ten have one visit: floor(5 (0 + 6/2) / 10) + 1 = 2. The next, alone: floor(5 * 6.5 / 10) + 1 = 4.
    frame = users(list(range(10)), [1] * 6 + [2, 3, 4, 5], list(range(10)))
    answers = RfmSegments(RfmSegmentsParams()).fit(Examples(frame)).predict(Examples(frame))
    assert answers["frequency_quintile"].tolist() == [2] * 6 + [4, 4, 5, 5]


def test_new_users_are_placed_by_the_fitted_edges() -> None:
    fitted = RfmSegments(RfmSegmentsParams()).fit(Examples(TEN))
    strangers = users([0, 25, 10_000, np.nan], [500, 1, 0, np.nan], [9e9, 1, -5, np.nan])
    answers = fitted.predict(Examples(strangers))
    assert answers["segment"].tolist() == ["Champions", "Promising", "Lost", "Lost"]
    assert answers["recency_quintile"].tolist() == [5, 4, 1, 1]


def test_the_order_follows_recent_spend_and_unseen_segments_stand_between() -> None:
    frame = TEN.assign(spend_91d=[5, 5, 50, 50, 3, 3, 2, 2, 1, 1])
    fitted = RfmSegments(RfmSegmentsParams()).fit(Examples(frame))
    place = fitted.place
    assert sorted(place.values()) == list(range(1, 12))
    assert place["Loyal"] == 11
    assert place["Lost"] < place["Hibernating"] < place["Needs attention"] < place["Champions"] < place["Loyal"]
    assert place["Hibernating"] < place["At risk"] < place["Needs attention"]
    assert fitted.predict(Examples(frame))["score"].between(1, 12).all()


def test_scores_grow_inside_a_segment_but_never_across() -> None:
    random = np.random.default_rng(0)
    frame = users(*(random.permutation(500).tolist() for _ in range(3)))
    answers = RfmSegments(RfmSegmentsParams()).fit(Examples(frame)).predict(Examples(frame))
    spans = answers.groupby("segment")["score"].agg(["min", "max"]).sort_values("min")
    assert (spans["min"].iloc[1:].to_numpy() > spans["max"].iloc[:-1].to_numpy()).all()
    assert (spans["max"] - spans["min"]).max() > 0


def test_the_grid_names_each_segment_and_no_other() -> None:
    assert {name for row in GRID for name in row} == set(SEGMENTS)
    assert all(len(row) == 5 for row in GRID)


def test_users_without_any_visit_cannot_be_cut() -> None:
    with pytest.raises(EvidenceError, match="users with a visit"):
        RfmSegments(RfmSegmentsParams()).fit(Examples(TEN.assign(recency_days=np.nan)))

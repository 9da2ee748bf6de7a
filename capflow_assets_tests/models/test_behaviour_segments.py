"""Kinds of shopper planted in frames are found, named by what they are, and called the same a month later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.mixture_segments import BehaviourSegments, names_of
from capflow_assets.models.behaviour_segments import MODEL, BehaviourSegmentsParams

PARAMS = BehaviourSegmentsParams()
# Of each kind: days between visits, amount, weekend share, evening share.
KINDS = {"families": (7, 90, 0.8, 0.1), "commuters": (3, 12, 0.1, 0.7), "rare": (45, 30, 0.3, 0.2)}


def shoppers(users: int = 900, seed: int = 0, month: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Users of three kinds; a later month changes what each does by a little, and nobody's kind."""
    random, later = np.random.default_rng(seed), np.random.default_rng(1000 + month)
    kinds = random.integers(0, 3, users)
    gap, amount, weekend, evening = (np.array(list(KINDS.values()))[kinds, place] for place in range(4))
    noise = [random.normal(0, 0.25, users) + later.normal(0, 0.08, users) for _ in range(4)]
    frame = pd.DataFrame(
        {
            "recency_days": random.exponential(gap),
            "spend_91d": amount * 91 / gap * np.exp(noise[0]),
            "gap_days_median": gap * np.exp(noise[1]),
            "gap_days_cv": random.uniform(0.3, 0.6, users),
            "purchase_amount_avg": amount * np.exp(noise[2]),
            "piece_price_avg": random.lognormal(1, 0.2, users),
            "weekend_share": np.clip(weekend + noise[3] / 3, 0, 1),
            "morning_share": random.uniform(0, 0.2, users),
            "evening_share": np.clip(evening + noise[0] / 3, 0, 1),
        },
        index=pd.Index([f"u{number:04}" for number in range(users)], name="user_id"),
    )
    return frame, kinds


def trained(frame: pd.DataFrame) -> BehaviourSegments:
    return BehaviourSegments(PARAMS).fit(Examples(frame))


def test_the_planted_kinds_are_found_and_named() -> None:
    frame, kinds = shoppers()
    answers = trained(frame).predict(Examples(frame))
    assert adjusted_rand_score(kinds, answers["segment"]) > 0.9
    of_kind = {kind: answers["segment"][kinds == place].mode()[0] for place, kind in enumerate(KINDS)}
    assert set(of_kind["families"].split(", ")) <= {"weekend", "big baskets", "frequent"}
    assert set(of_kind["commuters"].split(", ")) <= {"evening", "frequent", "small baskets", "weekday", "here lately"}
    assert set(of_kind["rare"].split(", ")) <= {"rare", "long away"}


def test_a_month_later_the_groups_are_the_same_and_called_so() -> None:
    (before, _), (after, _) = shoppers(), shoppers(month=1)
    first, second = trained(before).predict(Examples(before)), trained(after).predict(Examples(after))
    assert adjusted_rand_score(first["segment"], second["segment"]) > 0.9
    assert (first["segment"] == second["segment"]).mean() > 0.9, "a group keeps its name"


def test_places_follow_recent_spend_and_scores_stay_inside_a_place() -> None:
    frame, _ = shoppers()
    estimator = trained(frame)
    answers = estimator.predict(Examples(frame))
    spans = answers.groupby("segment")["score"].agg(["min", "max"]).sort_values("min")
    assert (spans["min"].iloc[1:].to_numpy() > spans["max"].iloc[:-1].to_numpy()).all()
    spend = frame["spend_91d"].groupby(answers["segment"]).mean()
    assert spend.loc[spans.index].is_monotonic_increasing
    groups = estimator.parameters()["groups"]
    assert sorted(group["place"] for group in groups.values()) == list(range(1, len(groups) + 1))
    assert estimator.parameters()["adjusted_rand_of_halves"] > 0.8


def test_names_by_hand() -> None:
    """The order of columns is gap, amount, price, recency, cv, weekend, morning, evening."""
    centres = np.array([[0, 1, 0, 0, 0, 2, 0, 0], [-1, 0, 0, 0, 0, 0.1, 0, 0], [0] * 8, [0] * 8], dtype=float)
    assert names_of(centres) == ["weekend, big baskets", "frequent", "like most", "like most 2"]
    more = np.array([[0, 1, 0, 0, 0, 2, 0, 0], [0, 1, 0.5, 0, 0, 2, 0, 0]], dtype=float)
    assert names_of(more) == ["weekend, big baskets", "weekend, big baskets, dear items"]


def test_the_reasons_say_how_a_user_shops() -> None:
    frame, _ = shoppers(60)
    frame.iloc[0, frame.columns.get_indexer(["gap_days_median", "weekend_share", "purchase_amount_avg"])] = [
        7,
        0.5,
        9.5,
    ]
    frame.iloc[1, frame.columns.get_loc("gap_days_median")] = np.nan
    reasons = trained(frame).predict(Examples(frame))["reasons"]
    assert reasons.iloc[0] == "comes every 7 days; 50% at weekends; 9.50 a purchase"
    assert reasons.iloc[1].startswith("came once so far; ")


@pytest.mark.parametrize("harm", ["all null", "constant", "one user"])
def test_what_cannot_be_told_apart_is_too_little_evidence(harm: str) -> None:
    frame, _ = shoppers(100)
    spoilt = {"all null": frame * np.nan, "constant": frame * 0 + 1, "one user": frame.head(1)}[harm]
    with pytest.raises(EvidenceError, match="no groups to tell apart"):
        trained(spoilt)


def test_odd_values_are_no_harm() -> None:
    frame, kinds = shoppers()
    odd = frame.assign(piece_price_avg=np.nan, morning_share=0.1)
    odd.iloc[0, odd.columns.get_loc("purchase_amount_avg")] = np.inf
    odd.iloc[1, odd.columns.get_loc("spend_91d")] = -1e300
    answers = trained(odd).predict(Examples(odd))
    assert np.isfinite(answers["score"]).all()
    assert adjusted_rand_score(kinds, answers["segment"]) > 0.9


def test_it_is_a_segment_that_is_judged_before_it_answers() -> None:
    assert (MODEL.objective, MODEL.answers_from, MODEL.baseline.name) == ("segment", None, "recency alone")
